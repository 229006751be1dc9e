import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SlotMap, slotOf } from '../../lib/cluster/index.ts'
import { Harness, problemOf } from '../publicapi/harness.ts'
import { untilAgreed } from '../support/cluster.ts'
import { Sharded } from './harness.ts'

const test = suite<{ api: Sharded }>('aggregator/missing')

test.before.each(async (context) => {
  context.api = await Sharded.open(3)
})
test.after.each(({ api }) => api.close())

const map = SlotMap.even(3)
const shardOf = (name: string): number => {
  const bytes = new TextEncoder().encode(name)
  return map.shardOf(slotOf(bytes, 0, bytes.length))
}
const ON = [0, 1, 2].map(
  (shard) => Array.from({ length: 100 }, (_, index) => `n${index}`).find((name) => shardOf(name) === shard)!,
)
const NAMES = ON.map((name) => `names=${name}`).join('&')

interface Total {
  readonly total: number | null
  readonly complete?: false
  readonly answered?: number
  readonly missing?: {
    readonly shard: number
    readonly lastKnown: { readonly value: number; readonly ageSeconds: number } | null
  }[]
}

const add = async (api: Sharded, value: number) =>
  (await (await api.postJson('/increment', { value })).json()) as { success: boolean; shardId: number; count: number }
const total = async (api: Sharded) => (await (await api.get('/total')).json()) as Total

/** Ends a shard as a crash does, and waits until the aggregator knows. */
async function end(api: Sharded, shard: number): Promise<void> {
  await api.shards[shard]!.server.close()
  await untilAgreed(
    async () =>
      ((await (await api.get('/v1/cluster/slots')).json()) as { shards: { replicas: { state: string }[] }[] }).shards[shard],
    (seen) => seen?.replicas[0]?.state === 'down',
  )
}

test('additions to the total go round all shards, whatever their value, and the total is their sum', async ({ api }) => {
  const shards: number[] = []
  for (let turn = 0; turn < 9; turn++) {
    const { success, shardId, count } = await add(api, 5)
    assert.ok(success)
    assert.is(count % 5, 0)
    shards.push(shardId)
  }
  for (const shard of [0, 1, 2]) assert.is(shards.filter((one) => one === shard).length, 3)
  assert.is(await (await api.get('/total')).text(), '{"total":45}')
  assert.is((await add(api, -45)).count, -30)
  assert.equal(await total(api), { total: 0 })
  // It can be read as any counter.
  await add(api, 2)
  assert.is(await (await api.get('/v1/counters/the%20total', { Accept: 'text/plain' })).text(), '2')
})

test('an addition with a key adds once, however often it is sent', async ({ api }) => {
  const key = { 'Idempotency-Key': 'k' }
  const first = await (await api.postJson('/increment', { value: 7 }, key)).text()
  for (let again = 0; again < 5; again++) assert.is(await (await api.postJson('/increment', { value: 7 }, key)).text(), first)
  assert.equal(await total(api), { total: 7 })
})

test('a dead shard costs its own part of the total alone, and the others share the additions evenly', async ({ api }) => {
  for (let turn = 0; turn < 3; turn++) await add(api, 10)
  await end(api, 1)
  const after = await total(api)
  assert.is(after.total, 30)
  assert.is(after.complete, false)
  assert.is(after.answered, 20)
  assert.is(after.missing!.length, 1)
  assert.is(after.missing![0]!.shard, 1)
  assert.is(after.missing![0]!.lastKnown!.value, 10)
  assert.ok(after.missing![0]!.lastKnown!.ageSeconds >= 0)
  const shards: number[] = []
  for (let turn = 0; turn < 8; turn++) shards.push((await add(api, 1)).shardId)
  for (const shard of [0, 2]) assert.is(shards.filter((one) => one === shard).length, 4)
  assert.is((await total(api)).total, 38)
  const required = await problemOf(await api.get('/total?require=complete'))
  assert.is(required.type, '/problems/shards-missing')
  assert.is(required.retryAfter, '1')
})

test('of a shard that was never heard the total is not known, and no number passes it off as 0', async ({ api }) => {
  await add(api, 10)
  await api.shards[2]!.server.close()
  const other = await Sharded.before(
    api.shards,
    api.shards.map(({ url }) => [url]),
  )
  const seen = await total(other)
  assert.is(seen.total, null)
  assert.is(seen.complete, false)
  assert.is(seen.missing![0]!.lastKnown, null)
  await other.end()
})

test('names of a missing shard are null with what was last seen of them, and never 0', async ({ api }) => {
  await api.post('/keywords', ON.join(' '))
  await api.get(`/v1/counters?${NAMES}`)
  await end(api, 1)
  const response = await api.get(`/v1/counters?${NAMES}&names=n${'x'.repeat(3)}`)
  assert.is(response.status, 200)
  assert.is(response.headers.get('counter-complete'), 'false; missing=1')
  const body = (await response.json()) as {
    complete: boolean
    missing: { shard: number }[]
    counters: { value: number | null; lastKnown?: { value: number; ageSeconds: number } }[]
  }
  assert.is(body.complete, false)
  assert.equal(
    body.missing.map(({ shard }) => shard),
    [1],
  )
  assert.equal(
    body.counters.slice(0, 3).map(({ value }) => value),
    [1, null, 1],
  )
  assert.is(body.counters[1]!.lastKnown!.value, 1)

  const keywords = await api.get(`/keywords?keywords=${ON[0]}&keywords=${ON[1]}`)
  assert.is(keywords.headers.get('counter-complete'), 'false; missing=1')
  assert.equal(await keywords.json(), [
    { key: ON[0], count: 1 },
    { key: ON[1], count: null },
  ])

  for (const path of [`/v1/counters?${NAMES}&require=complete`, `/v1/counters/${ON[1]}`, `/keywords?keywords=${ON[1]}`]) {
    const problem = await problemOf(await api.get(path))
    assert.is(problem.type, '/problems/shards-missing', path)
    assert.equal(
      (problem.missing as { shard: number }[]).map(({ shard }) => shard),
      [1],
    )
    const [last] = problem.lastKnown as { name: string; valueString: string }[]
    assert.equal([last!.name, last!.valueString], [ON[1], '1'])
  }
  assert.is((await api.get(`/v1/counters/${ON[0]}?require=complete`)).status, 200)
})

test('a write that needs a missing shard is refused with nothing counted; others go on', async ({ api }) => {
  await end(api, 1)
  for (const [path, body] of [
    ['/keywords', ON.join(' ')],
    [`/v1/counters/${ON[1]}/increments`, ''],
  ] as const) {
    const problem = await problemOf(await api.post(path, body))
    assert.is(problem.type, '/problems/shards-missing')
    assert.is(problem.applied, 'no')
    assert.is(problem.retryAfter, '1')
  }
  assert.equal(
    api.shards.map(({ store }) => store.writes),
    [0, 0, 0],
  )
  assert.is((await api.post('/keywords', `${ON[0]} ${ON[2]}`)).status, 200)
})

test('readyz lists the shards; an aggregator with none in service is not ready', async ({ api }) => {
  await end(api, 1)
  const ready = await api.get('/readyz?verbose')
  assert.is(ready.status, 200)
  assert.match(await ready.text(), /\[\+\] shard 0: 1 of 1.*\n\[-\] shard 1: 0 of 1 in service; http/)
  await end(api, 0)
  await end(api, 2)
  assert.is((await api.get('/readyz')).status, 503)
  assert.is((await problemOf(await api.get('/total'))).type, '/problems/shards-missing')
})

test('a shard that comes back is used again, and with its map', async ({ api }) => {
  await api.post('/keywords', ON.join(' '))
  const old = api.shards[1]!
  await end(api, 1)
  const { PublicServer, createApi } = await import('../../lib/publicapi/index.ts')
  const options = { ...old.options, port: old.port }
  const again = new PublicServer(options, createApi(options))
  await again.listen()
  try {
    await untilAgreed(
      async () => (await api.get(`/v1/counters/${ON[1]}`)).status,
      (status) => status === 200,
    )
    assert.is(await (await api.get(`/v1/counters/${ON[1]}`, { Accept: 'text/plain' })).text(), '1')
  } finally {
    await again.close()
  }
})

test('a hung shard is given up in its time, and then passed by at once', async ({ api }) => {
  const slow = await Sharded.before(
    api.shards,
    api.shards.map(({ url }) => [url]),
    { shardTimeoutMs: 1_000 },
  )
  const release = api.shards[1]!.store.hold()
  try {
    // Reads of a name whose write is not durable yet wait for it, as long as the disk hangs.
    const unknown = await problemOf(await slow.post('/keywords', ON[1]))
    assert.is(unknown.type, '/problems/shards-unknown')
    const partly = await slow.get(`/v1/counters?${NAMES}`)
    assert.is(partly.status, 200)
    assert.is(partly.headers.get('counter-complete'), 'false; missing=1')
    assert.is((await problemOf(await slow.get(`/v1/counters/${ON[1]}`))).type, '/problems/shards-missing')
  } finally {
    release()
    await slow.end()
  }
})

test('more than a shard can take is refused with 503 and when to come back', async ({ api }) => {
  const narrow = await Sharded.before(
    api.shards,
    api.shards.map(({ url }) => [url]),
    { shardConnectionsMax: 1 },
  )
  const release = api.shards[0]!.store.hold()
  try {
    const writes = Array.from({ length: 8 }, () => narrow.post('/keywords', ON[0]))
    const first = await Promise.race(writes)
    const problem = await problemOf(first)
    assert.is(problem.type, '/problems/busy')
    assert.is(problem.applied, 'no')
    assert.is(problem.retryAfter, '1')
    release()
    const statuses = (await Promise.all(writes)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 200).length, 5)
    assert.equal(statuses.filter((status) => status === 503).length, 3)
    assert.is(api.shards[0]!.store.writes, 5)
  } finally {
    await narrow.end()
  }
})

test('a token is asked of clients and brought to shards; a shard with another one is out of service', async ({ api }) => {
  const token = 'a-token-of-sixteen-and-more'
  const guarded = await Sharded.before(
    api.shards,
    api.shards.map(({ url }) => [url]),
    { token },
  )
  assert.is((await guarded.get('/total')).status, 401)
  assert.is((await guarded.get('/total', { Authorization: `Bearer ${token}` })).status, 200)
  await guarded.end()
  const locked = await new Harness({ token }).open()
  for (const [given, status] of [
    ['another-token-of-sixteen', 503],
    [token, 200],
  ] as const) {
    const before = await Sharded.before([locked], [[locked.url]], { token: given })
    const response = await before.get('/total', { Authorization: `Bearer ${given}` })
    assert.is(response.status, status)
    if (status === 503) assert.match(String((await problemOf(response)).detail), 'status 401')
    await before.end()
  }
  await locked.server.close()
})

test.run()
