import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/levels')
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

test('nothing is waited for and nothing is said of levels unless one is asked for', async () => {
  for (const [path, type, body] of WRITES) {
    const response = await api.post(path, body, { 'Content-Type': type })
    assert.is(response.status, 200)
    assert.is(response.headers.get('counter-write-level'), null)
  }
  assert.is(api.cluster.waits.length, 0)
})

test('every write waits for its level, asked for in the query or in the header, and says what was reached', async () => {
  let seq = 0
  for (const [path, type, body] of WRITES) {
    for (const level of ['1', 'majority', 'all']) {
      const asks = [
        api.post(`${path}?w=${level}`, body, { 'Content-Type': type }),
        api.post(path, body, { 'Content-Type': type, 'Counter-Write-Level': level }),
        api.post(`${path}?x=%zz&w=${level}`, body, { 'Content-Type': type, 'Counter-Write-Level': level }),
      ]
      for (const response of await Promise.all(asks)) {
        assert.is(response.status, 200, `${path} ${level}`)
        assert.is(response.headers.get('counter-write-level'), `${level}; reached=3; members=3`)
        seq++
      }
      const wait = api.cluster.waits.at(-1)!
      assert.is(String(wait.level), level)
      assert.equal(wait.at.replica, api.store.replica)
      assert.is(wait.timeoutMs, 5000)
    }
  }
  assert.equal(
    api.cluster.waits.map(({ at }) => at.seq).sort((left, right) => left - right),
    Array.from({ length: seq }, (_, index) => index + 1),
  )
})

test('a level that is not reached in time is 202 with the same body: counted, and still spreading', async () => {
  api.cluster.reached = 1
  for (const [path, type, body] of WRITES) {
    const full = await api.post(path, body, { 'Content-Type': type })
    const before = api.store.writes
    const response = await api.post(`${path}?w=majority`, body, { 'Content-Type': type })
    assert.is(response.status, 202, path)
    assert.is(response.headers.get('counter-write-level'), 'majority; reached=1; members=3')
    assert.ok(response.headers.get('counter-session'))
    assert.is(response.headers.get('content-type'), full.headers.get('content-type'))
    if (!path.startsWith('/v1/counters')) assert.is(await response.text(), await full.text())
    assert.is(api.store.writes, before + 1)
  }
})

test('members that have left do not count, those that are dead do', async () => {
  api.cluster.members = api.cluster.members.map((member) => (member.node === 3 ? { ...member, state: 'dead' } : member))
  api.cluster.reached = 2
  assert.is((await api.post('/keywords?w=majority', 'a')).status, 200)
  assert.is((await api.post('/keywords?w=all', 'a')).status, 202)
  api.cluster.members = api.cluster.members.map((member) => (member.node === 3 ? { ...member, state: 'left' } : member))
  const response = await api.post('/keywords?w=all', 'a')
  assert.is(response.status, 200)
  assert.is(response.headers.get('counter-write-level'), 'all; reached=2; members=2')
})

test('an unknown level, or two that differ, are refused before anything is counted', async () => {
  const cases: Array<[query: string, header: string | undefined, where: string]> = [
    ['?w=2', undefined, 'query'],
    ['?w=', undefined, 'query'],
    ['?w', undefined, 'query'],
    ['?w=Majority', undefined, 'query'],
    ['?w=all&w=majority', undefined, 'query'],
    ['?w=all', '1', 'query'],
    ['', 'quorum', 'header'],
    ['', '', 'header'],
    ['', 'all, all', 'header'],
  ]
  for (const [path, type, body] of WRITES) {
    for (const [query, header, where] of cases) {
      const headers = { 'Content-Type': type, ...(header === undefined ? {} : { 'Counter-Write-Level': header }) }
      const problem = await problemOf(await api.post(path + query, body, headers))
      assert.is(problem.status, 400, `${path}${query} ${header}`)
      assert.is(problem.type, '/problems/write-level-invalid')
      assert.is(problem.applied, 'no')
      assert.is((problem.errors as { in: string }[])[0]!.in, where)
    }
  }
  assert.is(api.store.writes, 0)
})

test('a repetition with its Idempotency-Key waits again, for all that is known of the lives it may have been counted in', async () => {
  const headers = { 'Idempotency-Key': 'k', 'Counter-Write-Level': 'majority' }
  api.cluster.reached = 1
  assert.is((await api.post('/v1/texts', 'a b', { 'Content-Type': 'text/plain', ...headers })).status, 202)
  // The node has been started again since, under a new incarnation without a write.
  //  the life that counted it, an original's slot, folded lives, an imported list
  const [slot, folded, list] = [
    { node: 2 ** 31, incarnation: 5 },
    { node: 2, incarnation: 1 },
    { node: 0, incarnation: 2 ** 52 },
  ]
  const known = [api.store.replica, slot, folded, list]
  api.store.others.push(...known.map((replica, index) => ({ replica, seq: index === 0 ? 1 : 9 })))
  api.store.replica = { node: 1, incarnation: 41 }
  api.store.writes = 0
  api.cluster.waits.length = 0
  const again = await api.post('/v1/texts', 'a b', { 'Content-Type': 'text/plain', ...headers })
  assert.is(again.status, 202)
  assert.is(again.headers.get('idempotency-replayed'), 'true')
  assert.is(again.headers.get('counter-write-level'), 'majority; reached=1; members=3')
  assert.is(again.headers.get('counter-session'), '1.14.1')
  assert.equal(api.cluster.waits, [{ at: { replica: { node: 1, incarnation: 40 }, seq: 1 }, level: 'majority', timeoutMs: 5000 }])
  api.cluster.reached = 2
  const last = await api.post('/v1/texts', 'a b', { 'Content-Type': 'text/plain', ...headers })
  assert.is(last.status, 200)
  assert.equal(await last.json(), { tokens: 2, distinct: 2 })
})

test('a text without words is on all members at once', async () => {
  api.cluster.reached = 1
  const response = await api.post('/keywords?w=all', ' ')
  assert.is(response.status, 200)
  assert.is(response.headers.get('counter-write-level'), 'all; reached=3; members=3')
  assert.is(response.headers.get('counter-session'), null)
})

test('a node that is leaving refuses writes and goes on reading', async () => {
  await api.post('/keywords', 'a')
  for (const [path, type, body] of WRITES) {
    api.store.refusals.push('DRAINING')
    const problem = await problemOf(await api.post(path, body, { 'Content-Type': type }))
    assert.is(problem.status, 503)
    assert.is(problem.type, '/problems/draining')
    assert.is(problem.applied, 'no')
    assert.is(problem.retryAfter, '1')
    assert.match(problem.fix as string, 'another node')
  }
  assert.is((await api.get('/v1/counters/a')).status, 200)
})

test.run()
