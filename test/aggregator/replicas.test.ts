import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf } from '../publicapi/harness.ts'
import { untilAgreed } from '../support/cluster.ts'
import { Sharded } from './harness.ts'

const test = suite<{ api: Sharded; replicas: [Harness, Harness] }>('aggregator/replicas')

/** One shard of two replicas that never hear of each other. */
test.before.each(async (context) => {
  const replicas = await Promise.all([new Harness().open(), new Harness().open()])
  context.replicas = replicas
  context.api = await Sharded.before(replicas, [replicas.map(({ url }) => url)])
})
test.after.each(({ api }) => api.close())

const KEYS = Array.from({ length: 20 }, (_, index) => `key-${index}`)
const writes = (replicas: readonly Harness[]): number[] => replicas.map(({ store }) => store.writes)

const send = (api: Sharded, key: string, more: Record<string, string> = {}) =>
  api.postJson('/v1/increments', { items: [{ name: 'a' }] }, { 'Idempotency-Key': key, ...more })

test('each key has its home, where a retry finds the reply, and no home is told that another has counted', async ({
  api,
  replicas,
}) => {
  for (const replayed of [null, 'true']) {
    for (const key of KEYS) {
      // What the client has tried elsewhere was another aggregator, which asks the same home.
      const response = await send(api, key, { 'Counter-Failover': 'true' })
      assert.is(response.status, 200)
      assert.is(response.headers.get('idempotency-replayed'), replayed)
    }
  }
  const [first, second] = writes(replicas)
  assert.is(first! + second!, KEYS.length)
  assert.ok(first! > 0 && second! > 0)
  assert.equal(
    replicas.flatMap(({ store }) => store.failovers),
    [],
  )
})

test('while a replica is gone its keys are taken by the other, which is told, and a key of its own it takes as ever', async ({
  api,
  replicas: [gone, left],
}) => {
  for (const key of KEYS) await send(api, key)
  const homes = gone.store.writes
  assert.ok(homes > 0 && homes < KEYS.length)
  await gone.server.close()
  const others = new Set<string>()
  for (const key of KEYS) {
    const response = await send(api, key)
    assert.is(response.status, 200, key)
    if (response.headers.get('idempotency-replayed') === null) others.add(key)
  }
  assert.is(others.size, homes)
  assert.is(new Set(left.store.failovers).size, homes)
  assert.is(left.store.writes, KEYS.length)
  // The total has a key's shard, and its replicas like any write.
  assert.is((await api.postJson('/increment', { value: 2 }, { 'Idempotency-Key': 'total' })).status, 200)
  assert.is((await api.postJson('/v1/items', { items: [{ id: 'i', tenant: 't' }] }, { 'Idempotency-Key': 'i' })).status, 200)
})

test('a replica that keeps too many such writes already refuses, and its clients are told who is missing', async ({
  api,
  replicas: [gone, left],
}) => {
  await gone.server.close()
  const refusal = async (key: string) => {
    left.store.refusals.push('KEYS_UNSETTLED')
    const response = await send(api, key)
    left.store.refusals.length = 0
    return response
  }
  const refused = await problemOf(await refusal('key'))
  assert.is(refused.type, '/problems/shards-missing')
  assert.is(refused.applied, 'no')
  assert.match(String(refused.detail), 'KEYS_UNSETTLED')
  assert.match(String(refused.fix), 'same Idempotency-Key')
  assert.is(left.store.writes, 0)
})

test('a keyed write is refused beforehand only when no replica is in service', async ({ api, replicas }) => {
  for (const { server } of replicas) await server.close()
  await untilAgreed(
    async () => (await api.get('/readyz')).status,
    (status) => status === 503,
  )
  const problem = await problemOf(await send(api, 'key'))
  assert.is(problem.type, '/problems/shards-missing')
  for (const { url } of replicas) assert.match(String(problem.detail), url)
  assert.match(String(problem.fix), 'same Idempotency-Key')
})

test('what is no failover is refused before any replica is asked', async ({ api, replicas }) => {
  for (const path of ['/v1/increments', '/v1/texts', '/keywords', '/increment', '/v1/items', '/v1/counters/a/increments']) {
    const problem = await problemOf(await api.postJson(path, {}, { 'Idempotency-Key': 'k', 'Counter-Failover': 'no' }))
    assert.is(problem.type, '/problems/failover-invalid', path)
  }
  assert.equal(writes(replicas), [0, 0])
})

test.run()
