import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpShards, type ShardCall, Unanswered } from '../../lib/aggregator/index.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { freePort } from '../support/fault-proxy.ts'

const test = suite<{ servers: Server[]; shards: HttpShards[] }>('aggregator/http')

test.before.each((context) => {
  context.servers = []
  context.shards = []
})
test.after.each(async ({ servers, shards }) => {
  for (const one of shards) await one.close()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

const GET: ShardCall = { method: 'GET', path: '/', headers: {} }

async function serve(servers: Server[], listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function open(shards: HttpShards[], connectionsMax = 4): HttpShards {
  const one = new HttpShards({ clock: systemClock, connectionsMax, connectTimeoutMs: 1_000 })
  shards.push(one)
  return one
}

/** How a call fails. */
async function silence(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    assert.instance(error, Unanswered)
    return (error as Unanswered).silence
  }
  throw new Error('it was answered')
}

test('a call brings its method, path, headers and body, and takes the whole reply', async ({ servers, shards }) => {
  const seen: unknown[] = []
  const url = await serve(servers, (request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece) => pieces.push(piece))
    request.on('end', () => {
      seen.push([request.method, request.url, request.headers['x-mark'], Buffer.concat(pieces).toString()])
      response.writeHead(207, { 'X-Answer': 'yes' })
      response.write('ä'.repeat(40_000))
      setTimeout(() => response.end('z'), 20)
    })
  })
  const call: ShardCall = {
    method: 'DELETE',
    path: '/a?b=1',
    headers: { 'x-mark': 'm' },
    body: new TextEncoder().encode('héllo'),
  }
  const { status, headers, body } = await open(shards).call(url, call, 5_000)
  assert.equal(seen, [['DELETE', '/a?b=1', 'm', 'héllo']])
  assert.is(status, 207)
  assert.is(headers['x-answer'], 'yes')
  assert.is(body, `${'ä'.repeat(40_000)}z`)
})

test('connections are kept and used again', async ({ servers, shards }) => {
  let connections = 0
  const url = await serve(servers, (_, response) => void response.end('ok'))
  servers[0]!.on('connection', () => connections++)
  const one = open(shards)
  // A reply is here before its connection is free again, so that there are two to take turns.
  for (let call = 0; call < 10; call++) assert.is((await one.call(url, GET, 5_000)).body, 'ok')
  assert.ok(connections <= 2, `${connections} connections`)
})

test('a refused connection was never sent', async ({ shards }) => {
  assert.is(await silence(open(shards).call(`http://127.0.0.1:${await freePort()}`, GET, 5_000)), 'unsent')
})

test('a reply that does not come in time, or breaks off, leaves it unknown', async ({ servers, shards }) => {
  const hung = await serve(servers, () => {})
  assert.is(await silence(open(shards).call(hung, GET, 50)), 'unknown')
  const broken = await serve(servers, (request) => void request.socket.destroy())
  assert.is(await silence(open(shards).call(broken, GET, 5_000)), 'unknown')
  const half = await serve(servers, (_, response) => {
    response.writeHead(200, { 'Content-Length': '10' })
    response.write('half', () => response.destroy())
  })
  assert.is(await silence(open(shards).call(half, GET, 5_000)), 'unknown')
})

test('what is given up before it has a connection was never sent, and never will be', async ({ servers, shards }) => {
  let requests = 0
  let answer = (): void => {}
  const url = await serve(servers, (_, response) => {
    requests++
    answer = () => void response.end('late')
  })
  const one = open(shards, 1)
  const first = one.call(url, GET, 5_000)
  const waiting = one.call(url, { ...GET, method: 'POST', body: 'x' }, 50)
  assert.is(await silence(waiting), 'unsent')
  const aborter = new AbortController()
  const given = one.call(url, GET, 5_000, aborter.signal)
  aborter.abort()
  assert.is(await silence(given), 'unsent')
  assert.is(await silence(one.call(url, GET, 5_000, aborter.signal)), 'unsent')
  answer()
  assert.is((await first).body, 'late')
  // The connection goes on with what was not given up.
  const next = one.call(url, GET, 5_000)
  while (requests < 2) await new Promise((done) => setTimeout(done, 5))
  answer()
  assert.is((await next).body, 'late')
  assert.is(requests, 2)
})

test('a call that is given up while it is under way breaks its connection', async ({ servers, shards }) => {
  let closed = (): void => {}
  const isClosed = new Promise<void>((done) => {
    closed = done
  })
  const asked = new AbortController()
  const url = await serve(servers, (request) => {
    request.socket.on('close', closed)
    asked.abort()
  })
  assert.is(await silence(open(shards).call(url, GET, 5_000, asked.signal)), 'unknown')
  await isClosed
})

test.run()
