import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { mergePages } from '../../lib/publicapi/shards/tenants.ts'
import { problemOf } from '../publicapi/harness.ts'
import { untilAgreed } from '../support/cluster.ts'
import { Sharded } from './harness.ts'

const test = suite<{ api: Sharded }>('aggregator/items')

test.before.each(async (context) => {
  context.api = await Sharded.open(3)
})
test.after.each(({ api }) => api.close())

const ids = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `item-${from + index}`)
const add = (api: Sharded, items: readonly { id: string; tenant: string }[], headers: Record<string, string> = {}) =>
  api.postJson('/v1/items', { items }, headers)
const countOf = async (api: Sharded, tenant: string): Promise<unknown> =>
  (await api.get(`/v1/tenants/${encodeURIComponent(tenant)}/count`)).json()

/** Ends a shard as a crash does, and waits until the aggregator knows. */
async function end(api: Sharded, shard: number): Promise<void> {
  await api.shards[shard]!.server.close()
  await untilAgreed(
    async () => (await api.get('/readyz?verbose')).text(),
    (text) => text.includes(`[-] shard ${shard}`),
  )
}

test('random items are counted per tenant as a plain map counts them, whatever shards they lie on', async ({ api }) => {
  const owners = new Map<string, string>()
  const change = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.constantFrom('t1', 't2', 'ä"\\', undefined))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
      const given = changes.flatMap(([id, tenant]) => (tenant === undefined ? [] : [{ id: `i${id}`, tenant }]))
      assert.is(await (await add(api, given)).text(), `{"items":${given.length}}`)
      for (const { id, tenant } of given) owners.set(id, tenant)
      for (const [id, tenant] of changes) {
        if (tenant !== undefined) continue
        const response = await fetch(`${api.url}/v1/items/i${id}`, { method: 'DELETE' })
        assert.equal(await response.json(), { id: `i${id}`, deleted: true })
        owners.delete(`i${id}`)
      }
      for (const tenant of ['t1', 't2', 'ä"\\', 'none']) {
        const count = [...owners.values()].filter((one) => one === tenant).length
        assert.equal(await countOf(api, tenant), { tenant, count })
        assert.equal(await (await api.get(`/items/${encodeURIComponent(tenant)}/count`)).json(), { count, counter: count })
      }
    }),
    { seed: Number(process.env.SEED ?? 1), numRuns: 15 },
  )
  for (const [id, tenant] of owners) {
    assert.is(((await (await api.get(`/v1/items/${id}`)).json()) as { tenant: string }).tenant, tenant)
  }
  assert.is((await problemOf(await api.get('/v1/items/nobody'))).type, '/problems/item-unknown')
})

test('the replies of the originals are those of a node', async ({ api }) => {
  const response = await api.post(
    '/items',
    '[{"id":"item-1","tenant":"t1"},{"ID":2,"tenant":"t1"},{"id":"item-3","tenant":"t1"}]',
  )
  assert.equal(await response.json(), { message: 'Success', status: 'OK' })
  assert.equal(await (await api.get('/items/t1/count')).json(), { count: 3, counter: 3 })
  const wrong = await api.post('/items', '[{"id":"","tenant":"t1"}]')
  assert.is(wrong.status, 400)
  assert.is(((await wrong.json()) as { message: string }).message, 'both values are required')
})

test('pages of tenants go through all of them once, in order, with the sums over shards', async ({ api }) => {
  const model = new Map<string, number>()
  const items = ids(120).map((id, index) => ({ id, tenant: `t${(index * 7) % 23}` }))
  for (const { tenant } of items) model.set(tenant, (model.get(tenant) ?? 0) + 1)
  await add(api, items)
  for (const limit of [1, 5, 22, 23, 100]) {
    const seen: [string, number][] = []
    let cursor = ''
    for (let page = 0; ; page++) {
      assert.ok(page <= 24, 'it ends')
      const response = await api.get(`/v1/tenants?prefix=t&limit=${limit}${cursor}`)
      const { tenants, next } = (await response.json()) as { tenants: { tenant: string; count: number }[]; next: string | null }
      seen.push(...tenants.map(({ tenant, count }) => [tenant, count] as [string, number]))
      if (next === null) break
      assert.is(tenants.length, limit)
      cursor = `&cursor=${next}`
    }
    assert.equal(
      seen,
      [...model].sort(([left], [right]) => (left < right ? -1 : 1)),
      `pages of ${limit}`,
    )
  }
  for (const query of ['limit=0', 'limit=x', 'cursor=!', 'page=2']) {
    assert.is((await problemOf(await api.get(`/v1/tenants?${query}`))).type, '/problems/query-invalid', query)
  }
})

test('pages that are merged are the first of what a list of all would be', () => {
  const shard = fc.array(
    fc.tuple(fc.constantFrom('a', 'aä', 'b', 'ä', 'z', '\u{10000}', '\uffff'), fc.integer({ min: 1, max: 9 })),
    { maxLength: 7 },
  )
  fc.assert(
    fc.property(fc.array(shard, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 4 }), (shards, limit) => {
      const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))
      const sums = new Map<string, number>()
      const pages = shards.map((entries) => {
        const own = [...new Map(entries)].sort(([left], [right]) => byBytes(left, right))
        for (const [tenant, count] of own) sums.set(tenant, (sums.get(tenant) ?? 0) + count)
        const tenants = own.slice(0, limit).map(([tenant, count]) => ({ tenant, count }))
        return { tenants, next: own.length > limit ? 'more' : null }
      })
      const all = [...sums].sort(([left], [right]) => byBytes(left, right)).map(([tenant, count]) => ({ tenant, count }))
      const merged = mergePages(pages, limit)
      assert.equal(merged.tenants, all.slice(0, limit))
      assert.is(merged.next !== null, all.length > limit)
    }),
    { seed: Number(process.env.SEED ?? 1), numRuns: 500 },
  )
})

test('a retry with its key changes nothing, also over shards', async ({ api }) => {
  const key = { 'Idempotency-Key': 'k' }
  const items = ids(9).map((id) => ({ id, tenant: 'a' }))
  await add(api, items, key)
  await add(
    api,
    items.map(({ id }) => ({ id, tenant: 'b' })),
  )
  const again = await add(api, items, key)
  assert.is(again.headers.get('idempotency-replayed'), 'true')
  assert.equal(await countOf(api, 'b'), { tenant: 'b', count: 9 })
})

test('all or none is promised on one shard, and refused over several', async ({ api }) => {
  const together = ids(4).map((id) => ({ id: `{one}${id}`, tenant: 'a' }))
  const kept = await api.postJson('/v1/items?accept=all', { items: together })
  assert.is(kept.status, 200)
  assert.equal(
    api.shards.flatMap(({ cluster }) => cluster.acceptances),
    ['all'],
  )
  const apart = await problemOf(
    await api.postJson('/v1/items?accept=majority', { items: ids(9).map((id) => ({ id, tenant: 'a' })) }),
  )
  assert.is(apart.type, '/problems/not-over-shards')
  assert.equal(await countOf(api, 'a'), { tenant: 'a', count: 4 })
  const bad = await problemOf(await api.postJson('/v1/items?accept=some', { items: together }))
  assert.is(bad.type, '/problems/accept-invalid')
})

test('with a shard missing counts say so, with what was last known, and lists show no sums', async ({ api }) => {
  await add(
    api,
    ids(30).map((id) => ({ id, tenant: 'a' })),
  )
  const parts = await Promise.all(
    api.shards.map(async ({ url }) => ((await (await fetch(`${url}/v1/tenants/a/count`)).json()) as { count: number }).count),
  )
  await countOf(api, 'a')
  await end(api, 1)
  const seen = (await countOf(api, 'a')) as {
    count: number
    complete: boolean
    answered: number
    missing: { shard: number; lastKnown: { value: number } }[]
  }
  assert.equal([seen.count, seen.complete, seen.answered], [30, false, 30 - parts[1]!])
  assert.equal(
    seen.missing.map(({ shard, lastKnown }) => [shard, lastKnown.value]),
    [[1, parts[1]]],
  )
  const never = (await countOf(api, 'b')) as { count: null; complete: boolean }
  assert.equal([never.count, never.complete], [null, false])
  const original = (await (await api.get('/items/a/count')).json()) as { count: number; counter: number; complete: boolean }
  assert.equal([original.count, original.counter, original.complete], [30, 30, false])

  const list = (await (await api.get('/v1/tenants')).json()) as {
    tenants: object[]
    complete: boolean
    missing: { shard: number }[]
  }
  assert.equal(list.tenants, [{ tenant: 'a', count: null, answered: 30 - parts[1]! }])
  assert.equal([list.complete, list.missing.map(({ shard }) => shard)], [false, [1]])
  for (const path of ['/v1/tenants?require=complete', '/v1/tenants/a/count?require=complete']) {
    assert.is((await problemOf(await api.get(path))).type, '/problems/shards-missing', path)
  }
  const write = await problemOf(
    await add(
      api,
      ids(30, 100).map((id) => ({ id, tenant: 'a' })),
    ),
  )
  assert.is(write.type, '/problems/shards-missing')
  assert.is(write.applied, 'no')
})

test.run()
