// What the transport makes of peers that do not keep to the protocol: every failure is a CounterError with the right code, in bounded memory.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HEAD_BYTES, writeHead } from '../../lib/syncsrv/framing.ts'
import { AnswerMac, keysOf } from '../../lib/syncsrv/signature.ts'
import { MESSAGE_BYTES_MAX } from '../../lib/syncsrv/transport.ts'
import { collect, failureOf, Pair, SECRET, until } from './http-harness.ts'

const test = suite('syncsrv/http-hostile')

const pair = new Pair()
test.after.each(() => pair.close())

const BODY = Uint8Array.of(1, 2, 3)
const OK = 'HTTP/1.1 200 OK\r\n'

function framed(payload: Uint8Array, mac?: Uint8Array): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES)
  writeHead(head, payload.length, mac)
  return Buffer.concat([head, payload])
}

/** A reply with these bytes as its whole body. */
const whole = (body: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(`${OK}Content-Length: ${body.length}\r\n\r\n`), body])

/** How asking a server fails that replies with these bytes and then does what `after` says. */
async function askBytes(bytes: Uint8Array | string, after: 'end' | 'stay' = 'stay'): Promise<string> {
  const url = await pair.serveBytes((socket) => {
    socket.write(bytes)
    if (after === 'end') socket.end()
  })
  return failureOf(collect(pair.transport().request(url, '/v1/exchange', BODY, 1000)))
}

test('bytes that are no messages are SYNC_INVALID', async () => {
  assert.match(
    await askBytes(whole(Buffer.from('<html>It works!</html> and some more'))),
    /^SYNC_INVALID .*\/v1\/exchange: a message should have/,
  )
  assert.match(await askBytes(whole(new Uint8Array(0))), /^SYNC_INVALID .*the answer is empty/)
  assert.match(await askBytes(whole(new Uint8Array(30))), /^SYNC_INVALID .*says it has 0/)
})

test('a message that is too large is refused by its head', async () => {
  const head = new Uint8Array(HEAD_BYTES)
  writeHead(head, MESSAGE_BYTES_MAX + 1, undefined)
  assert.match(
    await askBytes(Buffer.concat([Buffer.from(`${OK}Content-Length: 999999999\r\n\r\n`), head])),
    /^SYNC_INVALID .*says it has 16777217/,
  )
})

test('an answer that ends within a message is refused, whether its end was said or it was cut', async () => {
  const message = framed(new Uint8Array(100).fill(1))
  assert.match(await askBytes(whole(message.subarray(0, 60))), /^SYNC_INVALID .*ends within a message: 40 of 100 bytes/)
  const cut = Buffer.concat([Buffer.from(`${OK}Content-Length: ${message.length}\r\n\r\n`), message.subarray(0, 60)])
  assert.match(await askBytes(cut, 'end'), /^PEER_UNREACHABLE /)
  const chunk = Buffer.concat([
    Buffer.from(`${OK}Transfer-Encoding: chunked\r\n\r\n${message.length.toString(16)}\r\n`),
    message,
    Buffer.from('\r\n'),
  ])
  assert.match(await askBytes(chunk, 'end'), /^PEER_UNREACHABLE /, 'the last chunk never came')
})

test('bytes that are no HTTP, and a connection that is closed at once, are PEER_UNREACHABLE', async () => {
  assert.match(await askBytes('SSH-2.0-OpenSSH_9.2\r\n', 'end'), /^PEER_UNREACHABLE /)
  assert.match(await askBytes('', 'end'), /^PEER_UNREACHABLE /)
})

test('nobody there is PEER_UNREACHABLE', async () => {
  const { url, server } = await pair.serve()
  await server.close()
  assert.match(
    await failureOf(collect(pair.transport().request(url, '/v1/probe', BODY, 1000))),
    /^PEER_UNREACHABLE .*ECONNREFUSED/,
  )
  assert.match(
    await failureOf(collect(pair.transport().request('http://no-such-name.invalid:1', '/v1/probe', BODY, 1000))),
    /^PEER_UNREACHABLE /,
  )
})

test('redirects are not followed', async () => {
  let asked = 0
  const target = await pair.serveBytes(() => asked++)
  for (const status of [301, 302, 303, 307, 308]) {
    const failure = await askBytes(`HTTP/1.1 ${status} Moved\r\nLocation: ${target}/v1/exchange\r\nContent-Length: 0\r\n\r\n`)
    assert.match(failure, new RegExp(`^PEER_REFUSED .*status ${status}: no reason`))
  }
  assert.is(asked, 0)
})

test('what a refusal says is shown, in one line and not too long', async () => {
  const html = `<h1>No</h1>\n\x1b[31m${'x'.repeat(10_000)}`
  const failure = await askBytes(`HTTP/1.1 502 Bad Gateway\r\nContent-Length: ${html.length}\r\n\r\n${html}`)
  assert.match(failure, /^PEER_REFUSED .*status 502: <h1>No<\/h1> \[31mxxx/)
  assert.ok(failure.length < 500)
  assert.not.match(failure, '\x1b')
})

test('nothing for the time a message may take is PEER_UNREACHABLE, before the first message and after it', async () => {
  for (const messages of [0, 1]) {
    let ready = false
    const url = await pair.serveBytes((socket) => {
      if (messages > 0)
        socket.write(
          Buffer.concat([Buffer.from(`${OK}Transfer-Encoding: chunked\r\n\r\n17\r\n`), framed(BODY), Buffer.from('\r\n')]),
        )
      ready = true
    })
    const reading = pair.transport().request(url, '/v1/exchange', BODY, 1000)[Symbol.asyncIterator]()
    if (messages > 0) assert.equal((await reading.next()).value, BODY)
    const failing = failureOf(reading.next())
    await until(() => ready)
    assert.not.ok(pair.clock.advance(999))
    assert.ok(pair.clock.advance(1000))
    assert.match(await failing, /^PEER_UNREACHABLE .*nothing came for 1000 ms/)
  }
})

test('the time a reader takes for a message does not count', async () => {
  const { url } = await pair.serve()
  const reading = pair.transport().request(url, '/v1/exchange', BODY, 1000)[Symbol.asyncIterator]()
  await reading.next()
  assert.not.ok(pair.clock.advance(10_000), 'no timer is waiting')
  assert.ok((await reading.next()).done)
})

/** Answers a signed request with these payloads; `spoil` changes the messages. */
async function askSigned(spoil: (messages: Uint8Array[]) => void): Promise<[number, string]> {
  const key = keysOf([SECRET])[0]!
  const served = await pair.serveRequests((nonce) => {
    const mac = new AnswerMac(key, nonce)
    const messages = [10, 20, 30, 40].map((byte) => {
      const payload = Uint8Array.of(byte)
      return framed(payload, mac.next(payload))
    })
    spoil(messages)
    return whole(Buffer.concat(messages))
  })
  let count = 0
  try {
    for await (const message of pair.transport({ secrets: [SECRET] }).request(served, '/v1/exchange', BODY, 1000))
      count += message.length
  } catch (error) {
    return [count, `${(error as { code: string }).code} ${(error as Error).message}`]
  }
  return [count, '']
}

test('messages are believed up to the first that is not true', async () => {
  const cases: [string, number, (messages: Uint8Array[]) => void][] = [
    ['all are true', 4, () => {}],
    ['a wrong MAC on the third', 2, (messages) => (messages[2]![4]! ^= 1)],
    ['another payload in the third', 2, (messages) => (messages[2]![HEAD_BYTES]! ^= 1)],
    ['the third twice', 3, (messages) => void messages.splice(2, 0, messages[2]!)],
    ['the second left out', 1, (messages) => void messages.splice(1, 1)],
    ['two changed places', 0, (messages) => void messages.splice(0, 2, messages[1]!, messages[0]!)],
  ]
  for (const [name, believed, spoil] of cases) {
    const [count, failure] = await askSigned(spoil)
    assert.is(count, believed, name)
    if (believed === 4) assert.is(failure, '')
    else assert.match(failure, new RegExp(`^SYNC_UNTRUSTED .*message ${believed} was not made by a holder`), name)
  }
})

test('an answer to another request is not believed', async () => {
  const key = keysOf([SECRET])[0]!
  const payload = Uint8Array.of(1)
  const url = await pair.serveRequests(() => whole(framed(payload, new AnswerMac(key, 'A'.repeat(22)).next(payload))))
  const asking = collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/exchange', BODY, 1000))
  assert.match(await failureOf(asking), /^SYNC_UNTRUSTED /)
})

test('a peer that sends without an end while nobody reads is held back', async () => {
  let written = 0
  const message = framed(new Uint8Array(60_000).fill(1))
  const url = await pair.serveBytes((socket) => {
    socket.write(`${OK}Connection: close\r\n\r\n`)
    const more = (): void => {
      while (!socket.destroyed && socket.write(message)) written += message.length
    }
    socket.on('drain', more)
    more()
  })
  const reading = pair.transport().request(url, '/v1/exchange', BODY, 1000)[Symbol.asyncIterator]()
  await reading.next()
  let [before, turns] = [-1, 0]
  await until(() => {
    turns = written === before ? turns + 1 : 0
    before = written
    return turns > 2000
  })
  assert.ok(written < 50_000_000, `${written} bytes went out`)
  await reading.return?.()
})

test.run()
