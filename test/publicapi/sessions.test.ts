import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { mergeSessions, readSession, SESSION_ENTRIES_MAX, writeSession } from '../../lib/publicapi/session.ts'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/sessions')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const ITEM = { items: [{ id: 'a', tenant: 't' }] }
const READS = [
  '/keywords?keywords=a',
  '/v1/counters/a',
  '/v1/counters?names=a',
  '/v1/items/a',
  '/v1/tenants',
  '/v1/tenants/t/count',
] as const
const sessionOf = (response: Response): string | null => response.headers.get('counter-session')

test('every write answers where it is', async () => {
  const [node, incarnation] = [(1).toString(36), (40).toString(36)]
  assert.is(sessionOf(await api.post('/keywords', 'a')), `${node}.${incarnation}.1`)
  assert.is(sessionOf(await api.post('/v1/texts', 'a', { 'Content-Type': 'text/plain' })), `${node}.${incarnation}.2`)
  assert.is(sessionOf(await api.postJson('/v1/counters/a/increments', {})), `${node}.${incarnation}.3`)
  api.store.replica = { node: 1, incarnation: 36 ** 3 }
  assert.is(sessionOf(await api.postJson('/v1/increments', { items: [{ name: 'a' }] })), `${node}.1000.4`)
})

test('the token of a write covers the one that came with it', async () => {
  const given = '2.5.zz,1.14.1,3.5.1'
  const session = readSession(sessionOf(await api.post('/keywords', 'a b', { 'Counter-Session': given }))!)
  assert.equal(session, readSession(given))
  const next = sessionOf(await api.post('/keywords', 'a', { 'Counter-Session': given }))!
  assert.equal(readSession(next), mergeSessions(readSession(given), [{ replica: api.store.replica, seq: 2 }]))
  // Nothing counted: what came goes back.
  assert.is(sessionOf(await api.post('/keywords', '', { 'Counter-Session': given })), given)
  assert.is(api.cluster.sessions.length, 0, 'a write does not wait for its session')
})

test('a read waits until the node has what its session wrote', async () => {
  let arrive = (_: boolean): void => {}
  api.cluster.known = new Promise((resolve) => {
    arrive = resolve
  })
  const reads = READS.map((path) => api.get(path, { 'Counter-Session': '2.5.zz,3.5.1' }))
  while (api.cluster.sessions.length < READS.length) await (await api.get('/livez')).text()
  // It comes in while the reads wait.
  await (await api.post('/keywords', 'a')).text()
  await (await api.postJson('/v1/items', ITEM)).text()
  arrive(true)
  for (const response of await Promise.all(reads)) {
    assert.is(response.status, 200)
    assert.is(sessionOf(response), '2.5.zz,3.5.1')
    assert.match(await response.text(), /"(count|value)":1|"tenant":"t"/)
  }
  for (const { entries, timeoutMs } of api.cluster.sessions) {
    assert.equal(entries, readSession('2.5.zz,3.5.1'))
    assert.is(timeoutMs, 2000)
  }
})

test('a node that stays behind says so, and when to come back', async () => {
  api.cluster.known = false
  await (await api.postJson('/v1/items', ITEM)).text()
  for (const path of READS) {
    const problem = await problemOf(await api.get(path, { 'Counter-Session': '2.5.zz,3.5.1' }))
    assert.is(problem.status, 412)
    assert.is(problem.type, '/problems/session-behind')
    assert.is(problem.retryAfter, '1')
    assert.match(problem.detail as string, '2, 3')
    assert.match(problem.fix as string, 'the node that took the writes')
    assert.is((await api.get(path)).status, 200)
  }
})

test('a read without a session waits for nothing and carries none', async () => {
  for (const path of READS) assert.is(sessionOf(await api.get(path)), null)
  assert.is(api.cluster.sessions.length, 0)
})

test('what is no token is refused by reads and writes, before anything is counted', async () => {
  const many = Array.from({ length: SESSION_ENTRIES_MAX + 1 }, (_, index) => `${index.toString(36)}.5.1`).join(',')
  const tokens = [
    ...[
      '',
      ',',
      '1',
      '1.2',
      '1.2.3.4',
      '1.2.3,',
      ',1.2.3',
      '1.2.3, 2.2.3',
      '1.2.3;2.2.3',
      '1..3',
      'A.2.3',
      '-1.2.3',
      '1.2.0',
      '1.0.3',
      '1.1.3',
    ],
    ...['01.2.3', '1.02.3', '1.2.03', '1.2.3,1.2.4', 'zzzzzz.2.3', '1.zzzzzzzzzzz.3', '1.2.zzzzzzzzzzz', '1.2.3e+5', many],
    `1.2.3${' '.repeat(5000)}x`,
  ]
  for (const token of tokens) {
    const headers = { 'Counter-Session': token }
    for (const answer of [api.get('/v1/counters/a', headers), api.post('/keywords', 'a', headers)]) {
      const problem = await problemOf(await answer)
      assert.is(problem.status, 400, token)
      assert.is(problem.type, '/problems/session-invalid')
      assert.is(problem.applied, 'no')
      assert.ok((problem.detail as string).length < 300)
    }
  }
  assert.is(api.store.writes, 0)
})

test('a token is read as it was written', () => {
  const entries = [
    { replica: { node: 0, incarnation: 2 }, seq: 1 },
    { replica: { node: 2 ** 31 - 1, incarnation: 2 ** 52 - 1 }, seq: 2 ** 52 - 1 },
    { replica: { node: 35, incarnation: 36 }, seq: 37 },
  ]
  assert.equal(readSession(writeSession(entries)), entries)
  const full = Array.from({ length: SESSION_ENTRIES_MAX }, (_, index) => ({
    replica: { node: 2 ** 31 - 1 - index, incarnation: 2 ** 52 - 1 },
    seq: 2 ** 52 - 1,
  }))
  assert.equal(readSession(writeSession(full)), full)
})

test('sessions join: the greatest number of each life, in any order and any number of times', () => {
  //  left   1.5:7 2.5:1        right   2.5:3 1.6:1        merged   1.5:7 1.6:1 2.5:3
  const left = readSession('1.5.7,2.5.1')
  const right = readSession('2.5.3,1.6.1')
  const sorted = (entries: ReturnType<typeof readSession>): string => writeSession(entries).split(',').sort().join()
  const merged = mergeSessions(left, right)
  assert.is(sorted(merged), '1.5.7,1.6.1,2.5.3')
  assert.is(sorted(mergeSessions(right, left)), sorted(merged))
  assert.is(sorted(mergeSessions(merged, left)), sorted(merged))
})

test('a session of more lives than fit lets go of the oldest', () => {
  const lives = Array.from({ length: SESSION_ENTRIES_MAX }, (_, index) => ({
    replica: { node: 1, incarnation: 10 + index },
    seq: 5,
  }))
  const merged = mergeSessions(lives, [{ replica: { node: 2, incarnation: 500 }, seq: 1 }])
  assert.is(merged.length, SESSION_ENTRIES_MAX)
  assert.is(Math.min(...merged.map(({ replica }) => replica.incarnation)), 11)
  assert.ok(merged.some(({ replica }) => replica.node === 2))
})

test.run()
