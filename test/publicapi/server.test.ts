import { once } from 'node:events'
import type { Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { Readiness } from '../../lib/publicapi/index.ts'
import { Harness, parseRaw, withServer } from './harness.ts'

const test = suite('publicapi/server')
const QUICK = { headersMs: 100, requestMs: 200, keepAliveMs: 100, checkMs: 20 }

/** All that a socket receives until the server closes it. */
const received = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let all = ''
    socket.setEncoding('latin1').on('data', (data) => {
      all += data
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(all))
  })

test('headers that do not arrive in time end the connection', async () => {
  await withServer({ timeouts: QUICK }, async (api) => {
    const socket = api.socket()
    const answer = received(socket)
    socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
    assert.is(parseRaw(await answer).status, 408)
    assert.match(await answer, '/problems/request-timeout')
  })
})

test('a body that does not arrive in time ends the connection and counts nothing', async () => {
  await withServer({ timeouts: QUICK }, async (api) => {
    const socket = api.socket()
    const answer = received(socket)
    socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nword word ')
    await answer
    assert.is(api.store.writes, 0)
    // No request may be made meanwhile: on a slow machine it would be cut off too.
    while (!api.log.some(({ fields }) => fields.path === '/keywords')) await new Promise((done) => setTimeout(done, 5))
  })
})

test('an idle connection is closed after its time', async () => {
  await withServer({ timeouts: { ...QUICK, headersMs: 10_000, requestMs: 15_000 } }, async (api) => {
    const socket = api.socket()
    const answer = received(socket)
    socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.is(parseRaw(await answer).status, 200)
  })
})

test('connections beyond the limit are closed at once', async () => {
  await withServer({ connectionsMax: 1 }, async (api) => {
    const first = api.socket()
    await new Promise((resolve) => {
      first.once('data', resolve)
      first.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
    })
    assert.is(await received(api.socket()), '')
    first.destroy()
  })
})

test('a port that is taken is named, with what to do', async () => {
  await withServer({}, async (api) => {
    const other = new Harness({ port: api.port })
    const error: unknown = await other.server.listen().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    assert.instance(error, CounterError)
    assert.is((error as CounterError).code, 'PORT_UNUSABLE')
    assert.match((error as CounterError).message, String(api.port))
  })
})

test('draining answers what is under way, closes the connection after it, and takes nothing new', async () => {
  const api = await new Harness().open()
  const release = api.store.hold()
  const socket = api.socket()
  const answer = received(socket)
  socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na')
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  const drained = api.server.drain(10_000)
  assert.is(await received(api.socket()), '', 'a new connection is refused')
  release()
  const reply = parseRaw(await answer)
  assert.is(reply.status, 200)
  assert.is(reply.headers.get('connection'), 'close')
  assert.is(await drained, true)
})

test('draining closes idle connections and those that never asked', async () => {
  const api = await new Harness().open()
  const idle = api.socket()
  const silent = api.socket()
  const closed = Promise.all([received(idle), received(silent)])
  await new Promise((resolve) => {
    idle.once('data', resolve)
    idle.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
  })
  assert.is(await api.server.drain(10_000), true)
  await closed
})

test('draining answers connections that the system has taken and the node has not accepted yet', async () => {
  const api = await new Harness().open()
  // Node accepts one connection a turn, so most of these wait in the queue of the port when the drain begins.
  const sockets = Array.from({ length: 40 }, () => api.socket())
  const answers = sockets.map((socket) => received(socket))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  for (const socket of sockets) socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na')
  assert.is(await api.server.drain(10_000), true)
  const statuses = (await Promise.all(answers)).map((answer) => parseRaw(answer).status)
  assert.equal(
    statuses,
    statuses.map(() => 200),
  )
  assert.is(api.store.writes, 40)
})

test('draining ends at its deadline, whoever is not done', async () => {
  const api = await new Harness().open()
  api.store.hold()
  const socket = api.socket()
  const answer = received(socket)
  socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na')
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  assert.is(await api.server.drain(50), false)
  assert.is(await answer, '')
})

test('draining under load loses no request that was begun, and counts each acknowledged one', async () => {
  const api = await new Harness().open()
  let acknowledged = 0
  let lost = 0
  /** A client on one connection that sends the next request after each reply, until it is asked to close. */
  const client = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = api.socket()
      let pending = ''
      let waiting = false
      const next = (): void => {
        waiting = true
        socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nhot')
      }
      socket.setEncoding('latin1').on('data', (data) => {
        pending += data
        if (!pending.includes('\r\n\r\n')) return
        const { status, headers } = parseRaw(pending)
        pending = ''
        waiting = false
        if (status === 200) acknowledged++
        if (headers.get('connection') === 'close') socket.end()
        else next()
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        if (waiting) lost++
        resolve()
      })
      socket.on('connect', next)
    })
  const clients = Array.from({ length: 50 }, client)
  while (acknowledged < 500) await (await api.get('/livez')).text()
  assert.is(await api.server.drain(10_000), true)
  await Promise.all(clients)
  assert.is(lost, 0)
  assert.is(api.store.columns.get('hot')?.plus, BigInt(acknowledged))
})

test('readiness is 503 until the node is ready and again while it drains, and lists its checks', async () => {
  let state: Readiness = { ready: false, checks: [{ name: 'recovery', ok: false, detail: 'at 40 %' }] }
  const api = await new Harness({ readiness: () => state }).open()
  const not = await api.get('/readyz')
  assert.is(not.status, 503)
  assert.is(not.headers.get('retry-after'), '1')
  assert.is(await not.text(), '[-] recovery: at 40 %\nnot ready\n')
  assert.is((await api.get('/livez')).status, 200)
  state = { ready: true, checks: [{ name: 'log', ok: true, detail: 'writable' }] }
  assert.is(await (await api.get('/readyz')).text(), 'ok\n')
  assert.is(await (await api.get('/readyz?verbose')).text(), '[+] log: writable\nok\n')
  assert.equal(await (await api.get('/readyz', { Accept: 'application/json' })).json(), state)

  // A connection that is busy while the drain begins still gets its next answers.
  const release = api.store.hold()
  const socket = api.socket()
  const answer = received(socket)
  const get = 'GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n'
  socket.write(`POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na`)
  const other = api.socket()
  const ready = received(other)
  other.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n')
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  const drained = api.server.drain(10_000)
  other.write('\r\n')
  assert.match(await ready, '[-] drain: the node is shutting down\nnot ready')
  socket.write(get)
  release()
  await answer
  assert.is(await drained, true)
})

test('closing cuts off what is under way', async () => {
  const api = await new Harness().open()
  api.store.hold()
  const socket = api.socket()
  const answer = received(socket)
  socket.write('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na')
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  await api.server.close()
  assert.is(await answer, '')
})

test('metrics count requests by route and status and words, and never hold a name', async () => {
  await withServer({}, async (api) => {
    await (await api.post('/keywords', 'private words private')).text()
    await (await api.get('/v1/counters/private')).text()
    await (await api.get('/v1/counters/private', { Accept: 'image/png' })).text()
    await (await api.get('/nothing/private')).text()
    const response = await api.get('/metrics')
    assert.match(response.headers.get('content-type')!, /^text\/plain; version=/)
    const text = await response.text()
    for (const line of [
      'counter_http_requests_total{method="POST",route="/keywords",status="200"} 1',
      'counter_http_requests_total{method="GET",route="/v1/counters/{name}",status="200"} 1',
      'counter_http_requests_total{method="GET",route="/v1/counters/{name}",status="406"} 1',
      'counter_http_requests_total{method="*",route="*",status="404"} 1',
      'counter_http_request_seconds_count{method="POST",route="/keywords"} 1',
      'counter_tokens_total 3',
      'counter_build_info{version="1.2.3",',
      'process_cpu_seconds_total',
    ]) {
      assert.ok(text.includes(line), line)
    }
    assert.not.match(text, 'private')
  })
})

test.run()
