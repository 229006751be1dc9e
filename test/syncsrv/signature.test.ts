// Signatures and nonces: the bytes that are signed, who made them, and that nothing is taken twice.

import { createHash, createHmac } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Nonces } from '../../lib/syncsrv/nonces.ts'
import { AnswerMac, hashOf, isNonce, keysOf, makeNonce, type SignedHead, sign, signerOf } from '../../lib/syncsrv/signature.ts'
import { OTHER_SECRET, SECRET } from './http-harness.ts'

const test = suite('syncsrv/signature')
const [key, otherKey] = keysOf([SECRET, OTHER_SECRET])
const head: SignedHead = {
  path: '/v1/exchange',
  time: '1700000000000',
  nonce: 'AAECAwQFBgcICQoLDA0ODw',
  bodyHash: hashOf(Uint8Array.of(1, 2, 3)),
}

test('the signed bytes are those of docs/PROTOCOL.md', () => {
  const hash = createHash('sha256')
    .update(Uint8Array.of(1, 2, 3))
    .digest('base64url')
  const text = `counter-sync-request-1\nPOST\n/v1/exchange\n1700000000000\nAAECAwQFBgcICQoLDA0ODw\n${hash}`
  assert.is(sign(key!, head), createHmac('sha256', SECRET).update(text).digest('base64url'))
  assert.is(sign(key!, head), 'Zqj2hgMh-mnAzQOsYg-_J50YC022i4FsndLHK7eoX54')
})

test('the bytes of an answer that are signed are those of docs/PROTOCOL.md', () => {
  const macs = new AnswerMac(key!, head.nonce)
  for (const number of [0, 1]) {
    const bytes = Buffer.concat([
      Buffer.from(`counter-sync-answer-1\n${head.nonce}\n`),
      Uint8Array.of(number, 0, 0, 0),
      Uint8Array.of(7, 8),
    ])
    const expected = createHmac('sha256', SECRET).update(bytes).digest().subarray(0, 16)
    assert.equal(Buffer.from(macs.next(Uint8Array.of(7, 8))), expected)
  }
  assert.is(
    Buffer.from(new AnswerMac(key!, head.nonce).next(Uint8Array.of(7, 8))).toString('hex'),
    '25f28c882f9a1e1cf3211348c9b9bb37',
  )
})

test('a signature tells which of the keys made it, and changes with all that is signed', () => {
  const signature = sign(otherKey!, head)
  assert.is(signerOf([key!, otherKey!], head, signature), otherKey)
  assert.is(signerOf([key!], head, signature), undefined)
  const others: SignedHead[] = [
    { ...head, path: '/v1/drain' },
    { ...head, time: '1700000000001' },
    { ...head, nonce: 'BAECAwQFBgcICQoLDA0ODw' },
    { ...head, bodyHash: hashOf(Uint8Array.of(1, 2)) },
  ]
  for (const other of others) assert.is(signerOf([key!, otherKey!], other, signature), undefined)
})

test('a MAC holds for its payload, its number, its nonce and its key alone', () => {
  const payload = Uint8Array.of(1, 2)
  const mac = new AnswerMac(key!, head.nonce).next(payload)
  assert.ok(new AnswerMac(key!, head.nonce).matches(payload, mac))
  assert.not.ok(new AnswerMac(key!, head.nonce).matches(Uint8Array.of(1, 3), mac))
  assert.not.ok(new AnswerMac(otherKey!, head.nonce).matches(payload, mac))
  assert.not.ok(new AnswerMac(key!, 'BAECAwQFBgcICQoLDA0ODw').matches(payload, mac))
  const second = new AnswerMac(key!, head.nonce)
  second.next(payload)
  assert.not.ok(second.matches(payload, mac))
})

test('a secret that can be guessed is our mistake by here', () => {
  assert.throws(() => keysOf(['fifteen letters']), /16 characters/)
})

test('a nonce is 16 bytes of the given randomness', () => {
  const random = seededRandom(1)
  const nonces = Array.from({ length: 1000 }, () => makeNonce(random))
  assert.ok(nonces.every(isNonce))
  assert.is(new Set(nonces).size, 1000)
})

test('a nonce is taken once within the window, and forgotten when its time alone is refused', () => {
  const nonces = new Nonces(60_000, 100)
  const [start, nonce] = [1_700_000_000_000, 'AAECAwQFBgcICQoLDA0ODw']
  assert.is(nonces.take(nonce, start, start), 'new')
  for (const later of [0, 1, 30_000, 59_999, 60_000]) assert.is(nonces.take(nonce, start, start + later), 'replayed')
  assert.is(nonces.take('another', start + 62_000, start + 62_000), 'new')
  assert.is(nonces.count, 1)
})

test('a request from the future is remembered until its time has come and gone', () => {
  const nonces = new Nonces(60_000, 100)
  const start = 1_700_000_000_000
  assert.is(nonces.take('a', start + 60_000, start), 'new')
  assert.is(nonces.take('a', start + 60_000, start + 120_000), 'replayed')
  assert.is(nonces.take('b', start + 122_000, start + 122_000), 'new')
  assert.is(nonces.count, 1)
})

test('when it is full nothing is taken, known ones are still known, and room comes back', () => {
  const nonces = new Nonces(60_000, 3)
  const start = 1_700_000_000_000
  for (const nonce of ['a', 'b', 'c']) assert.is(nonces.take(nonce, start, start), 'new')
  assert.is(nonces.take('d', start, start + 1), 'full')
  assert.is(nonces.take('a', start, start + 1), 'replayed')
  assert.is(nonces.take('d', start + 62_000, start + 62_000), 'new')
  assert.is(nonces.count, 1)
})

test('a clock that is set back keeps what it knows', () => {
  const nonces = new Nonces(60_000, 100)
  const start = 1_700_000_000_000
  nonces.take('a', start, start)
  assert.is(nonces.take('a', start, start - 50_000), 'replayed')
  assert.is(nonces.take('b', start - 50_000, start - 50_000), 'new')
  assert.is(nonces.count, 2)
})

test.run()
