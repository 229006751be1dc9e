// The codec of the protocol: what is written is read again, and whatever else comes is refused whole.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { Member } from '../../lib/cluster/index.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import {
  DIGEST_WORDS,
  decodeDigest,
  decodeDrain,
  decodeExchange,
  decodeMessage,
  decodeProbe,
  encodeCellsInto,
  encodeDigest,
  encodeDone,
  encodeDrain,
  encodeExchange,
  encodeProbe,
  encodeProbed,
  encodeRefusal,
  encodeWelcome,
  type News,
  type Sender,
} from '../../lib/syncsrv/messages.ts'

const test = suite('syncsrv/messages')

const sender: Sender = {
  node: 7,
  incarnation: 2 ** 50 + 3,
  life: '0123456789abcdef',
  address: ':3001',
  publicUrl: 'http://a:3000',
}
const member: Member = { node: 7, incarnation: sender.incarnation, edition: 4, state: 'suspect', address: ':3001', publicUrl: '' }
const news: News = { members: [member], folds: [{ node: 7, mark: 9, finals: [{ incarnation: 8, seq: 300 }] }] }
const vector = new VersionVector()
vector.raise({ node: 7, incarnation: 9 }, 2 ** 40)
vector.raise({ node: 8, incarnation: 0 }, 1)
const resume = { life: 'ffffffffffffffff', chunk: 70_000, vector }
const digests = Uint32Array.from({ length: DIGEST_WORDS }, (_, at) => at * 1_000_003)

const requests = {
  probe: [encodeProbe({ sender }), decodeProbe],
  exchange: [encodeExchange({ sender, vector, news, resume }), decodeExchange],
  'exchange without resume': [encodeExchange({ sender, vector, news, resume: undefined }), decodeExchange],
  drain: [encodeDrain({ sender, target: { node: 8, incarnation: 2 ** 49 } }), decodeDrain],
  digest: [encodeDigest({ sender, vector, digests }), decodeDigest],
} as const
const answers = {
  welcome: encodeWelcome({ sender, vector, news, resumed: true }),
  cells: encodeCellsInto(new ByteWriter(), 300, Uint8Array.of(1, 2, 3)),
  done: encodeDone(),
  refusal: encodeRefusal({ code: 'REMOVED', reason: 'it has left', incarnation: 2 ** 50 }),
  probed: encodeProbed({ sender, holdsId: true, vector, holder: { ...sender, life: 'aaaaaaaaaaaaaaaa' } }),
}
const all: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  ...Object.entries(requests).map(([name, [bytes, decode]]) => [name, bytes, decode] as [string, Uint8Array, () => unknown]),
  ...Object.entries(answers).map(([name, bytes]) => [name, bytes, decodeMessage] as [string, Uint8Array, () => unknown]),
]

const entries = (known: VersionVector) => [...known]

test('what is written is read again', () => {
  assert.equal(decodeProbe(requests.probe[0]), { sender })
  assert.equal(decodeDrain(requests.drain[0]), { sender, target: { node: 8, incarnation: 2 ** 49 } })
  const exchange = decodeExchange(requests.exchange[0])
  assert.equal([exchange.sender, exchange.news, entries(exchange.vector)], [sender, news, entries(vector)])
  assert.equal(
    [exchange.resume!.life, exchange.resume!.chunk, entries(exchange.resume!.vector)],
    [resume.life, 70_000, entries(vector)],
  )
  assert.is(decodeExchange(requests['exchange without resume'][0]).resume, undefined)
  assert.equal(decodeDigest(requests.digest[0]).digests, digests)
  assert.equal(decodeMessage(answers.welcome), { kind: 'welcome', sender, vector, news, resumed: true })
  assert.equal(decodeMessage(answers.cells), { kind: 'cells', nextChunk: 300, delta: Uint8Array.of(1, 2, 3) })
  assert.equal(decodeMessage(answers.done), { kind: 'done' })
  assert.equal(decodeMessage(answers.refusal), { kind: 'refusal', code: 'REMOVED', reason: 'it has left', incarnation: 2 ** 50 })
  const holder = { ...sender, life: 'aaaaaaaaaaaaaaaa' }
  assert.equal(decodeMessage(answers.probed), { kind: 'probed', sender, holdsId: true, vector, holder })
})

const isRefused = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean => {
  try {
    decode(bytes)
    return false
  } catch (error) {
    if (!(error instanceof CounterError)) throw error
    assert.is(error.code, 'SYNC_INVALID')
    return true
  }
}

test('a message that is cut anywhere, or goes on, is refused', () => {
  for (const [name, bytes, decode] of all) {
    // What cells hold is a delta, which the store checks; a request without resume is one too.
    const step = name === 'digest' ? 97 : 1
    for (let length = 0; length < bytes.length; length += step) {
      const isWhole =
        (name === 'cells' && length >= 3) || (name === 'exchange' && length === requests['exchange without resume'][0].length)
      assert.is(isRefused(decode, bytes.subarray(0, length)), !isWhole, `${name} cut to ${length}`)
    }
    if (name !== 'cells') assert.ok(isRefused(decode, Uint8Array.of(...bytes, 0)), `${name} with a byte more`)
  }
})

test('damage of any kind is refused or read as something else, and never more', () => {
  const random = seededRandom(Number(process.env.SEED ?? 1))
  for (const [name, bytes, decode] of all) {
    if (name === 'digest') continue
    for (let turn = 0; turn < 3000; turn++) {
      const damaged = bytes.slice()
      for (let hits = 1 + (random.uint32() % 4); hits > 0; hits--) damaged[random.uint32() % damaged.length] = random.uint32()
      isRefused(decode, damaged)
    }
  }
})

test('counts that cannot be true are refused before memory is taken for them', () => {
  const huge = new ByteWriter()
  huge.raw(encodeProbe({ sender }))
  huge.varint(2 ** 48)
  assert.ok(isRefused(decodeExchange, huge.written()))
})

test('a sender that tells nothing of itself is refused', () => {
  const stranger = { ...member, node: 8 }
  assert.ok(
    isRefused(decodeExchange, encodeExchange({ sender, vector, news: { members: [stranger], folds: [] }, resume: undefined })),
  )
})

test('another version is refused whole', () => {
  const body = requests.probe[0].slice()
  body[0] = 2
  assert.throws(() => decodeProbe(body), /version 2, expected 1/)
})

test.run()
