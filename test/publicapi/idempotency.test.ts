import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/idempotency')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const JSON_TYPE = 'application/json'
//  path, content type, body: every operation that writes
const WRITES = [
  ['/keywords', 'text/plain', 'a b a'],
  ['/v1/texts', 'text/plain', 'a b a'],
  ['/v1/texts', JSON_TYPE, '{"text":"a b a"}'],
  ['/v1/counters/a/increments', JSON_TYPE, '{"delta":2}'],
  ['/v1/increments', JSON_TYPE, '{"items":[{"name":"a","delta":2}]}'],
  ['/v1/items', JSON_TYPE, '{"items":[{"id":"a","tenant":"t"}]}'],
] as const

const send = (key: string, path: string, type: string, body: string): Promise<Response> =>
  api.post(path, body, { 'Content-Type': type, 'Idempotency-Key': key })

test('a repeated request counts once and gets the reply of the first, for every write', async () => {
  for (const [index, [path, type, body]] of WRITES.entries()) {
    const first = await send(`key-${index}`, path, type, body)
    assert.is(first.headers.get('idempotency-replayed'), null)
    const text = await first.text()
    // Other writes in between change the value, not the reply.
    await (await api.post('/keywords', 'a')).text()
    for (let round = 0; round < 2; round++) {
      const again = await send(`key-${index}`, path, type, body)
      assert.is(again.status, first.status)
      assert.is(again.headers.get('idempotency-replayed'), 'true')
      assert.is(again.headers.get('content-type'), first.headers.get('content-type'))
      assert.is(await again.text(), text)
    }
  }
  const counting = WRITES.filter(([path]) => path !== '/v1/items').length
  assert.is(api.store.columns.get('a')?.plus, BigInt(counting * 2 + WRITES.length))
})

test('a text without words keeps its reply as well', async () => {
  assert.is((await send('empty', '/v1/texts', 'text/plain', '')).headers.get('idempotency-replayed'), null)
  assert.is((await send('empty', '/v1/texts', 'text/plain', '')).headers.get('idempotency-replayed'), 'true')
})

test('a key that comes with another payload, path, query or type is refused', async () => {
  await send('k', '/v1/texts', 'text/plain', 'a')
  const others = [
    ['/v1/texts', 'text/plain', 'b'],
    ['/v1/texts', 'text/plain;charset=utf-8', 'a'],
    ['/v1/texts?x=1', 'text/plain', 'a'],
    ['/keywords', 'text/plain', 'a'],
  ] as const
  for (const [path, type, body] of others) {
    const problem = await problemOf(await send('k', path, type, body))
    assert.is(problem.type, '/problems/key-reused')
    assert.is(problem.status, 422)
    assert.is(problem.applied, 'no')
  }
  assert.is(api.store.writes, 1)
})

test('a large body is told from another that differs at its end', async () => {
  const body = 'word '.repeat(100_000)
  assert.is((await send('large', '/keywords', 'text/plain', body)).status, 200)
  assert.is((await send('large', '/keywords', 'text/plain', `${body}!`)).status, 422)
  assert.is((await send('large', '/keywords', 'text/plain', body)).headers.get('idempotency-replayed'), 'true')
})

test('while the first is under way a repetition gets 409 and is told to come back', async () => {
  const release = api.store.hold()
  const first = send('k', '/keywords', 'text/plain', 'a')
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  const problem = await problemOf(await send('k', '/keywords', 'text/plain', 'a'))
  assert.is(problem.type, '/problems/key-in-flight')
  assert.is(problem.status, 409)
  assert.is(problem.retryAfter, '1')
  assert.is((await problemOf(await send('k', '/keywords', 'text/plain', 'b'))).status, 422)
  release()
  assert.is((await first).status, 200)
  assert.is((await send('k', '/keywords', 'text/plain', 'a')).headers.get('idempotency-replayed'), 'true')
  assert.is(api.store.writes, 1)
})

test('a key is 1 to 255 visible ASCII characters', async () => {
  for (const key of ['', 'a b', 'ä', 'x'.repeat(256), '\t']) {
    const answer = await api.raw(
      `POST /keywords HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: ${key}\r\nContent-Length: 1\r\nConnection: close\r\n\r\na`,
    )
    assert.match(answer, '400 Bad Request', key)
    assert.match(answer, '/problems/idempotency-key-invalid')
  }
  for (const [path, type, body] of WRITES) assert.is((await send('a b', path, type, body)).status, 400)
  for (const key of ['x', '!~', 'x'.repeat(255)]) assert.is((await send(key, '/keywords', 'text/plain', 'a')).status, 200)
})

test('a request says that another node may have counted it, and gets the same reply whether it says so or not', async () => {
  for (const [index, [path, type, body]] of WRITES.entries()) {
    const asked = { 'Content-Type': type, 'Idempotency-Key': `key-${index}` }
    const first = await api.post(path, body, index % 2 === 0 ? asked : { ...asked, 'Counter-Failover': 'true' })
    const again = await api.post(path, body, index % 2 === 0 ? { ...asked, 'Counter-Failover': 'TRUE' } : asked)
    assert.equal([first.status, again.status], [200, 200], path)
    assert.is(again.headers.get('idempotency-replayed'), 'true', path)
    assert.ok(api.store.failovers.length > 0, path)
    assert.equal([...new Set(api.store.failovers)], [`key-${index}`])
    api.store.failovers.length = 0
  }
  assert.is(api.store.writes, WRITES.length)
})

test('of a failover anything but true is refused, and so is one without a key', async () => {
  for (const [path, type, body] of WRITES) {
    for (const failover of ['false', '1', '', 'true, true', 'yes']) {
      const headers = { 'Content-Type': type, 'Idempotency-Key': 'k', 'Counter-Failover': failover }
      const problem = await problemOf(await api.post(path, body, headers))
      assert.is(problem.type, '/problems/failover-invalid', `${path} ${failover}`)
      assert.is(problem.status, 400)
      assert.is(problem.applied, 'no')
    }
    const keyless = await problemOf(await api.post(path, body, { 'Content-Type': type, 'Counter-Failover': 'true' }))
    assert.is(keyless.type, '/problems/failover-invalid', path)
    assert.match(String(keyless.detail), 'Idempotency-Key')
  }
  assert.is(api.store.writes, 0)
})

test('a refused request keeps nothing: its key is free for the corrected one', async () => {
  assert.is((await send('k', '/v1/increments', JSON_TYPE, '{"items":5}')).status, 400)
  api.store.refusals.push('DISK_FULL')
  assert.is((await send('k', '/v1/increments', JSON_TYPE, '{"items":[{"name":"a"}]}')).status, 507)
  assert.is((await send('k', '/v1/increments', JSON_TYPE, '{"items":[{"name":"a"}]}')).status, 200)
})

test.run()
