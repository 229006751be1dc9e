// Who is believed on the sync port: everything that is forged, unsigned, old, repeated, too large or from a browser is refused with a reason,
// is counted, and reaches nobody.

import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Gate } from '../../lib/syncsrv/gate.ts'
import type { RefusalReason } from '../../lib/syncsrv/refusals.ts'
import { type Answer, REQUEST_BYTES_MAX } from '../../lib/syncsrv/transport.ts'
import { collect, failureOf, OTHER_SECRET, Pair, SECRET, send, until } from './http-harness.ts'

const test = suite('syncsrv/http-trust')

const pair = new Pair()
test.after.each(() => pair.close())

const BODY = Uint8Array.of(1, 2, 3)

/** A port with a secret that tells what got through, and what was refused. */
async function guarded(secrets: readonly string[] = [SECRET]) {
  const taken: Uint8Array[] = []
  const refused: RefusalReason[] = []
  const answer: Answer = async function* (_path, body) {
    taken.push(body)
    yield Uint8Array.of(1)
  }
  const { server, url, port } = await pair.serve({ secrets, answer, onRefused: (reason) => refused.push(reason) })
  return { server, url: `${url}/v1/exchange`, base: url, port, taken, refused }
}

test('a signed request is taken', async () => {
  const { url, taken } = await guarded()
  assert.is((await send(url, { body: BODY, headers: pair.sign(SECRET, '/v1/exchange', BODY) })).status, 200)
  assert.is(taken.length, 1)
})

test('what is not as it should be is refused with its reason, and reaches nobody', async () => {
  const good = () => pair.sign(SECRET, '/v1/exchange', BODY)
  const late = (ms: number) => pair.sign(SECRET, '/v1/exchange', BODY, { timeMs: pair.clock.now() + ms })
  const cases: [string, RefusalReason, number, Record<string, string>, RegExp][] = [
    ['unsigned', 'unsigned', 401, {}, /not signed/],
    ['signed in part', 'unsigned', 401, { ...good(), 'counter-signature': undefined! }, /not signed/],
    ['another secret', 'forged', 401, pair.sign(OTHER_SECRET, '/v1/exchange', BODY), /same cluster secret/],
    ['another path', 'forged', 401, pair.sign(SECRET, '/v1/nudge', BODY), /same cluster secret/],
    ['another body', 'forged', 401, pair.sign(SECRET, '/v1/exchange', Uint8Array.of(1, 2, 4)), /another body/],
    ['another time', 'forged', 401, { ...good(), 'counter-time': String(pair.clock.now() + 1) }, /same cluster secret/],
    ['another nonce', 'forged', 401, { ...good(), 'counter-nonce': 'A'.repeat(22) }, /same cluster secret/],
    ['another hash', 'forged', 401, { ...good(), 'counter-body-hash': 'A'.repeat(43) }, /same cluster secret/],
    ['a minute old', 'stale', 401, late(-60_001), /60 s before the time of this node/],
    ['an hour old', 'stale', 401, late(-3_600_000), /3600 s before/],
    ['from the future', 'stale', 401, late(61_000), /61 s after/],
    ['a time in words', 'malformed', 400, { ...good(), 'counter-time': 'now' }, /docs\/PROTOCOL\.md/],
    ['a short nonce', 'malformed', 400, { ...good(), 'counter-nonce': 'AAAA' }, /docs\/PROTOCOL\.md/],
    ['a signature in hex', 'malformed', 400, { ...good(), 'counter-signature': 'ab'.repeat(32) }, /docs\/PROTOCOL\.md/],
    ['a compressed body', 'encoding', 415, { ...good(), 'content-encoding': 'gzip' }, /gzip/],
    ['a page in a browser', 'browser', 403, { ...good(), origin: 'http://evil.example' }, /browser/],
    ['a page, by its other header', 'browser', 403, { ...good(), 'sec-fetch-site': 'cross-site' }, /browser/],
  ]
  for (const [name, reason, status, headers, says] of cases) {
    const { url, taken, refused } = await guarded()
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
    const reply = await send(url, { body: BODY, headers: sent })
    assert.is(reply.status, status, name)
    assert.match(JSON.parse(reply.text).detail, says, name)
    assert.equal([refused, taken], [[reason], []], name)
  }
})

test('the window is a minute, to both sides and with its ends', async () => {
  const { url, taken } = await guarded()
  for (const ms of [-60_000, 0, 60_000]) {
    const headers = pair.sign(SECRET, '/v1/exchange', BODY, { timeMs: pair.clock.now() + ms })
    assert.is((await send(url, { body: BODY, headers })).status, 200)
  }
  assert.is(taken.length, 3)
})

test('a request is taken once, however often and with whatever body it is repeated', async () => {
  const { url, server, taken } = await guarded()
  const headers = pair.sign(SECRET, '/v1/exchange', BODY)
  assert.is((await send(url, { body: BODY, headers })).status, 200)
  for (let time = 0; time < 3; time++) assert.is((await send(url, { body: BODY, headers })).status, 401)
  pair.clock.wallMs += 60_000
  assert.is((await send(url, { body: BODY, headers })).status, 401)
  assert.is(server.counters.refusedReplayed, 4)
  pair.clock.wallMs += 1
  assert.is((await send(url, { body: BODY, headers })).status, 401)
  assert.is(server.counters.refusedStale, 1)
  assert.is(taken.length, 1)
})

test('what is forged takes no room among the nonces: the true request with the same one is taken after it', async () => {
  const { url, taken } = await guarded()
  const headers = pair.sign(SECRET, '/v1/exchange', BODY)
  assert.is((await send(url, { body: BODY, headers: { ...headers, 'counter-signature': 'A'.repeat(43) } })).status, 401)
  assert.is((await send(url, { body: BODY, headers })).status, 200)
  assert.is(taken.length, 1)
})

test('a gate that is full of nonces says busy, and opens again', () => {
  let nowMs = 1_700_000_000_000
  const gate = new Gate([SECRET], () => nowMs, 2)
  const admit = () => gate.admit('/v1/exchange', pair.sign(SECRET, '/v1/exchange', BODY, { timeMs: nowMs }))
  admit()
  admit()
  assert.throws(admit, (error: { reason?: string }) => error.reason === 'busy')
  nowMs += 62_000
  admit()
})

test('a forged request is refused before its body is read', async () => {
  const { port, server } = await guarded()
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let reply = ''
  socket.on('data', (piece) => (reply += piece.toString('latin1')))
  // The body never comes.
  socket.write('POST /v1/exchange HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n')
  await until(() => reply.includes('\r\n\r\n'))
  assert.match(reply, /^HTTP\/1\.1 401 /)
  assert.is(server.counters.refusedUnsigned, 1)
  socket.destroy()
})

test('a body that is too long is refused by what is announced, and while it arrives', async () => {
  const { port, server, base } = await guarded([])
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let reply = ''
  socket.on('data', (piece) => (reply += piece.toString('latin1')))
  socket.write(`POST /v1/exchange HTTP/1.1\r\nHost: a\r\nContent-Length: ${REQUEST_BYTES_MAX + 1}\r\n\r\n`)
  await until(() => reply.includes('\r\n\r\n'))
  assert.match(reply, /^HTTP\/1\.1 413 /)
  socket.destroy()

  const chunked = connect(port, '127.0.0.1').on('error', () => {})
  reply = ''
  chunked.on('data', (piece) => (reply += piece.toString('latin1')))
  chunked.write('POST /v1/exchange HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  const half = REQUEST_BYTES_MAX / 2 + 1
  for (let piece = 0; piece < 2; piece++) {
    chunked.write(`${half.toString(16)}\r\n`)
    chunked.write(new Uint8Array(half))
    chunked.write('\r\n')
  }
  await until(() => reply.includes('\r\n\r\n'))
  assert.match(reply, /^HTTP\/1\.1 413 /)
  chunked.destroy()
  assert.is(server.counters.refusedLarge, 2)
  assert.is((await send(`${base}/v1/exchange`, { body: new Uint8Array(REQUEST_BYTES_MAX) })).status, 200)
})

test('other paths and methods are refused', async () => {
  const { base, server } = await guarded()
  for (const path of ['/', '/v1', '/v1/exchange/', '/v1/exchange?a=b', '/v2/exchange', '/sync']) {
    assert.is((await send(`${base}${path}`, { body: BODY })).status, 404, path)
  }
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
    const reply = await send(`${base}/v1/exchange`, { method })
    assert.is(reply.status, 405, method)
    assert.is(reply.headers.allow, 'POST')
  }
  assert.is(server.counters.refusedMalformed, 10)
})

test('what is no HTTP is cut off without a word', async () => {
  const { port } = await guarded()
  for (const bytes of [
    '\x16\x03\x01',
    'GET / HTTP/9.9\r\n\r\n',
    `POST /v1/exchange HTTP/1.1\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
  ]) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    let [closed, got] = [false, 0]
    socket.on('close', () => (closed = true)).on('data', (piece) => (got += piece.length))
    socket.write(bytes, 'latin1')
    await until(() => closed)
    assert.is(got, 0)
  }
})

test('a node without a secret believes everybody, signed or not', async () => {
  const { url, taken } = await guarded([])
  assert.is((await send(url, { body: BODY })).status, 200)
  assert.is((await send(url, { body: BODY, headers: pair.sign(SECRET, '/v1/exchange', BODY) })).status, 200)
  assert.is(taken.length, 2)
})

test('who has a secret and who has none do not speak to each other', async () => {
  const [open, closed] = [await pair.serve(), await pair.serve({ secrets: [SECRET] })]
  const [without, having] = [pair.transport(), pair.transport({ secrets: [SECRET] })]
  const ask = (transport: typeof having, url: string) => failureOf(collect(transport.request(url, '/v1/exchange', BODY, 1000)))
  assert.match(await ask(without, closed.url), /^PEER_REFUSED .*status 401: The request is not signed/)
  assert.match(await ask(having, open.url), /^SYNC_UNTRUSTED .*message 0/)
  assert.match(await ask(pair.transport({ secrets: [OTHER_SECRET] }), closed.url), /^PEER_REFUSED .*same cluster secret/)
})

test('a secret is changed while the cluster runs: each step understands the one before', async () => {
  const steps = [[SECRET], [SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET], [OTHER_SECRET]]
  for (const [step, secrets] of steps.entries()) {
    const { url } = await pair.serve({ secrets })
    for (const [other, otherSecrets] of steps.entries()) {
      const asking = collect(pair.transport({ secrets: otherSecrets }).request(url, '/v1/exchange', BODY, 1000))
      if (Math.abs(step - other) <= 1) assert.is((await asking).length, 1, `${other} asks ${step}`)
      else await failureOf(asking).catch(() => {})
    }
  }
})

test('a clock that is wrong is named by the one who asks', async () => {
  const { url } = await pair.serve({
    secrets: [SECRET],
    clock: { ...systemLike(pair.clock), now: () => pair.clock.now() + 300_000 },
  })
  const failure = await failureOf(collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/exchange', BODY, 1000)))
  assert.match(failure, /^PEER_REFUSED .*status 401: .*300 s before the time of this node.*NTP/)
})

function systemLike(clock: Pair['clock']) {
  return {
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs: number, task: () => void) => clock.after(delayMs, task),
    soon: (task: () => void) => clock.soon(task),
  }
}

test.run()
