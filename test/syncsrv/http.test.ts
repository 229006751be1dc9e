// The sync port and the transport to it, over real sockets: what arrives, how it streams, and how it ends.

import diagnostics from 'node:diagnostics_channel'
import { connect, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { type Answer, REQUEST_BYTES_MAX, type SyncPath } from '../../lib/syncsrv/transport.ts'
import { collect, failureOf, Pair, SECRET, send, until } from './http-harness.ts'

const test = suite('syncsrv/http')

const pair = new Pair()
test.after.each(() => pair.close())

/** Messages without an end, and how many were asked for. */
function endless(bytes: number): { answer: Answer; made: () => number; ended: () => boolean } {
  let [made, ended] = [0, false]
  return {
    made: () => made,
    ended: () => ended,
    async *answer() {
      const message = new Uint8Array(bytes)
      try {
        for (;;) {
          made++
          yield message
        }
      } finally {
        ended = true
      }
    },
  }
}

test('a request brings its answer, message by message', async () => {
  const { url, server } = await pair.serve({ secrets: [SECRET] })
  const messages = await collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/exchange', Uint8Array.of(3, 1, 2), 1000))
  assert.equal(messages, [Uint8Array.of(3, 1, 2), Uint8Array.of(3, 1, 2), Uint8Array.of(3, 1, 2)])
  assert.is(server.counters.requests, 1)
})

test('calls that hang do not hold up exchanges, nor each other', async () => {
  let calls = 0
  const answer: Answer = async function* (path) {
    if (path === '/v1/call') {
      calls++
      await new Promise(() => {})
    }
    yield Uint8Array.of(1)
  }
  const { url } = await pair.serve({ answer, connectionsMax: 100 })
  const transport = pair.transport()
  const hanging = Array.from({ length: 20 }, () => failureOf(collect(transport.request(url, '/v1/call', Uint8Array.of(1), 1000))))
  await until(() => calls === 20)
  assert.equal(await collect(transport.request(url, '/v1/exchange', Uint8Array.of(1), 1000)), [Uint8Array.of(1)])
  pair.clock.advance()
  while (pair.clock.advance());
  for (const failure of await Promise.all(hanging)) assert.match(failure, 'PEER_UNREACHABLE')
})

test('the answering side learns the path, the body and where the request came from', async () => {
  const asked: [SyncPath, number, string][] = []
  const answer: Answer = async function* (path, body, from) {
    asked.push([path, body.length, from])
    yield Uint8Array.of(1)
  }
  const { url } = await pair.serve({ answer })
  const transport = pair.transport()
  await collect(transport.request(url, '/v1/nudge', new Uint8Array(10), 1000))
  await collect(transport.request(url, '/v1/digest', new Uint8Array(REQUEST_BYTES_MAX), 1000))
  assert.equal(asked, [
    ['/v1/nudge', 10, '127.0.0.1'],
    ['/v1/digest', REQUEST_BYTES_MAX, '127.0.0.1'],
  ])
})

test('a peer that comes over IPv4 to a port of both is told by its IPv4 address', async () => {
  let heard = ''
  const answer: Answer = async function* (_path, _body, from) {
    heard = from
    yield Uint8Array.of(1)
  }
  const { port } = await pair.serve({ host: '::', answer })
  await collect(pair.transport().request(`http://127.0.0.1:${port}`, '/v1/nudge', Uint8Array.of(1), 1000))
  assert.is(heard, '127.0.0.1')
})

test('it works over the IPv6 loopback', async () => {
  const { url } = await pair.serve({ host: '::1', secrets: [SECRET] })
  assert.match(url, /^http:\/\/\[::1\]:\d+$/)
  const messages = await collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/nudge', Uint8Array.of(1), 1000))
  assert.is(messages.length, 1)
})

test('large messages arrive whole, and signed ones stay in order', async () => {
  const sizes = [1, 70_000, 20, 3_000_000, 65_536]
  const answer: Answer = async function* () {
    // Scratch: each message lies in the same memory.
    const scratch = new Uint8Array(3_000_000)
    for (const [index, size] of sizes.entries()) yield scratch.subarray(0, size).fill(index)
  }
  const { url } = await pair.serve({ answer, secrets: [SECRET] })
  const messages = await collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/exchange', Uint8Array.of(1), 1000))
  assert.equal(
    messages.map(({ length }) => length),
    sizes,
  )
  for (const [index, message] of messages.entries())
    assert.ok(
      message.every((byte) => byte === index),
      `message ${index}`,
    )
})

test('connections are kept and used again', async () => {
  const { url } = await pair.serve()
  const transport = pair.transport()
  const connections = new Set<string>()
  const onConnected = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    connections.add(`${socket.localPort}`)
  }
  diagnostics.subscribe('undici:client:connected', onConnected)
  for (let time = 0; time < 20; time++) await collect(transport.request(url, '/v1/nudge', Uint8Array.of(1), 1000))
  diagnostics.unsubscribe('undici:client:connected', onConnected)
  // A second one is made when a request begins in the moment in which the one before it ends.
  assert.ok(connections.size <= 2, `${connections.size} connections`)
})

test('a peer that reads slowly slows down the making of its answer', async () => {
  const { answer, made } = endless(256 * 1024)
  const { url } = await pair.serve({ answer })
  const reading = pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000)[Symbol.asyncIterator]()
  await reading.next()
  // Nobody reads: the making must come to rest once the buffers between the two are full.
  let [before, turns] = [-1, 0]
  await until(() => {
    turns = made() === before ? turns + 1 : 0
    before = made()
    return turns > 2000
  })
  assert.ok(before < 200, `${before} messages of 256 KiB were made for one that was read`)
  for (let message = 0; message < 100; message++) assert.not.ok((await reading.next()).done)
  await until(() => made() > before)
  await reading.return?.()
})

test('giving up the answer ends the making of it', async () => {
  const { answer, ended } = endless(1000)
  const { url } = await pair.serve({ answer })
  for await (const message of pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000)) {
    assert.is(message.length, 1000)
    break
  }
  await until(ended)
})

test('a request is given up by its signal while the first message is waited for', async () => {
  let asked = false
  const answer: Answer = async function* () {
    asked = true
    await new Promise(() => {})
    yield Uint8Array.of(1)
  }
  const { url } = await pair.serve({ answer })
  const aborter = new AbortController()
  const failing = failureOf(collect(pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000, aborter.signal)))
  await until(() => asked)
  aborter.abort()
  assert.match(await failing, /^PEER_UNREACHABLE .*given up/)
  const late = collect(pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000, AbortSignal.abort()))
  assert.match(await failureOf(late), /^PEER_UNREACHABLE .*given up/)
})

test('a peer that takes nothing for long is cut off, and the making ends', async () => {
  const { answer, ended, made } = endless(1024 * 1024)
  const { port } = await pair.serve({ answer })
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write('POST /v1/exchange HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1')
  let before = -1
  let turns = 0
  await until(() => {
    turns = made() === before ? turns + 1 : 0
    before = made()
    return turns > 2000 && made() > 0
  })
  assert.ok(pair.clock.advance())
  await until(ended)
  socket.destroy()
})

test('closing the port ends the answers under way, and the asker learns it', async () => {
  const { answer, ended } = endless(1000)
  const { url, server } = await pair.serve({ answer })
  const reading = pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000)[Symbol.asyncIterator]()
  await reading.next()
  await server.close()
  await until(ended)
  const rest = (async () => {
    for (;;) if ((await reading.next()).done) return
  })()
  assert.match(await failureOf(rest), /^PEER_UNREACHABLE /)
})

test('an answer that fails in the middle is cut off, not ended', async () => {
  const answer: Answer = async function* () {
    yield Uint8Array.of(1)
    throw new CounterError('CLOSED', 'the store is closed')
  }
  const { url } = await pair.serve({ answer })
  assert.match(
    await failureOf(collect(pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000))),
    /^PEER_UNREACHABLE /,
  )
})

test('what fails before the first message is said with a status', async () => {
  const cases: [Error, number, RegExp][] = [
    [new CounterError('SYNC_INVALID', 'the version is 9, expected 1'), 400, /status 400: the version is 9/],
    [new CounterError('CLOSED', 'the store is closed', { fix: 'Wait.' }), 503, /status 503: the store is closed\. Wait\./],
    [new Error('a mistake'), 500, /status 500: The request could not be completed/],
  ]
  for (const [error, , expected] of cases) {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to give.
    const answer: Answer = async function* () {
      throw error
    }
    const { url, server } = await pair.serve({ answer })
    const failure = await failureOf(collect(pair.transport().request(url, '/v1/exchange', Uint8Array.of(1), 1000)))
    assert.match(failure, /^PEER_REFUSED /)
    assert.match(failure, expected)
    assert.is(server.counters.refusedMalformed, error instanceof CounterError && error.code === 'SYNC_INVALID' ? 1 : 0)
  }
})

test('a port that is taken is a PORT_UNUSABLE that says what to do', async () => {
  const { port } = await pair.serve()
  const failure = await failureOf(pair.serve({ port }))
  assert.match(failure, new RegExp(`^PORT_UNUSABLE cannot listen for other nodes on 127.0.0.1 port ${port}`))
})

test('connections beyond the limit are closed', async () => {
  const { port } = await pair.serve({ connectionsMax: 2 })
  let closed = 0
  const sockets = Array.from({ length: 3 }, () =>
    connect(port, '127.0.0.1')
      .on('close', () => closed++)
      .on('error', () => {}),
  )
  await until(() => closed === 1)
  assert.is(sockets.filter((socket) => !socket.destroyed).length, 2)
  for (const socket of sockets) socket.destroy()
})

test('a push of the original is taken when that is switched on, and there is no such path otherwise', async () => {
  const pushed: number[] = []
  const legacy = async (body: Uint8Array): Promise<void> => {
    if (body[0] === 0) throw new CounterError('SYNC_INVALID', 'this is no JSON')
    pushed.push(body.length)
  }
  const [on, off] = [await pair.serve({ secrets: [SECRET], legacy }), await pair.serve()]
  assert.equal(
    await send(`${on.url}/sync`, { body: new Uint8Array(5_000_000).fill(1) }).then(({ status, text }) => [status, text]),
    [200, ''],
  )
  const chunked = await send(`${on.url}/sync`, {
    body: new Uint8Array(300_000).fill(1),
    headers: { 'transfer-encoding': 'chunked' },
  })
  assert.is(chunked.status, 200)
  assert.equal(pushed, [5_000_000, 300_000])
  assert.is((await send(`${on.url}/sync`, { body: Uint8Array.of(0) })).status, 400)
  assert.is((await send(`${off.url}/sync`, { body: Uint8Array.of(1) })).status, 404)
  assert.is((await send(`${on.url}/v1/exchange`, { body: Uint8Array.of(1) })).status, 401, 'all else is still signed')
})

test('a base URL that says more than where is not asked', async () => {
  const transport = pair.transport()
  for (const address of ['ftp://a', 'http://user@a', 'http://a/path', 'http://a?b', 'a:1', ''])
    assert.match(await failureOf(collect(transport.request(address, '/v1/probe', Uint8Array.of(1), 1000))), /no base URL/)
})

test.run()
