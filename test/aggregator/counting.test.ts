import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SlotMap, slotOf } from '../../lib/cluster/index.ts'
import { problemOf } from '../publicapi/harness.ts'
import { Sharded } from './harness.ts'

const test = suite<{ api: Sharded }>('aggregator/counting')

test.before.each(async (context) => {
  context.api = await Sharded.open(3)
})
test.after.each(({ api }) => api.close())

const map = SlotMap.even(3)
const shardOf = (name: string): number => {
  const bytes = new TextEncoder().encode(name)
  return map.shardOf(slotOf(bytes, 0, bytes.length))
}
/** A name on each shard. */
const ON = [0, 1, 2].map(
  (shard) => Array.from({ length: 100 }, (_, index) => `n${index}`).find((name) => shardOf(name) === shard)!,
)
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** The counts of words as the aggregator shows them. */
async function counts(api: Sharded, words: readonly string[]): Promise<(number | null)[]> {
  const found: (number | null)[] = []
  for (let at = 0; at < words.length; at += 50) {
    const query = words.slice(at, at + 50).map((word) => `keywords=${encodeURIComponent(word)}`)
    const response = await api.get(`/keywords?${query.join('&')}`)
    assert.is(response.status, 200)
    found.push(...((await response.json()) as { count: number | null }[]).map(({ count }) => count))
  }
  return found
}

test('of random texts the counts are those of a plain map, and each shard has its own names alone', async ({ api }) => {
  const model = new Map<string, number>()
  const word = fc.oneof(
    fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom(...'abcä{}"\\7') }),
    fc.constantFrom('the', 'of', 'and'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 40 }), fc.boolean(), async (words, isJson) => {
      const text = words.join(' ')
      const response = isJson ? await api.postJson('/v1/texts', { text }) : await api.post('/keywords', text)
      assert.is(response.status, 200)
      if (isJson) assert.equal(await response.json(), { tokens: words.length, distinct: new Set(words).size })
      for (const one of words) model.set(one, (model.get(one) ?? 0) + 1)
      const names = [...new Set(words), 'never']
      assert.equal(
        await counts(api, names),
        names.map((name) => model.get(name) ?? 0),
      )
    }),
    { seed: Number(process.env.SEED ?? 1), numRuns: 60 },
  )
  assert.equal(await counts(api, [...model.keys()]), [...model.values()])
  const held = api.shards.flatMap(({ store }, shard) => [...store.columns.keys()].map((name) => [name, shard] as const))
  assert.is(held.length, model.size)
  for (const [name, shard] of held) assert.is(shard, shardOf(name), name)
})

test('a text is one request to each shard that has a part in it', async ({ api }) => {
  await api.post('/keywords', `${ON[0]} ${ON[2]} ${ON[0]}`)
  assert.equal(
    api.shards.map(({ store }) => store.writes),
    [1, 0, 1],
  )
})

test('counters are added to and read as on a node, in the order asked, with tags kept together', async ({ api }) => {
  const one = await api.postJson(`/v1/counters/${ON[1]}/increments`, { delta: 5 })
  assert.is(await one.text(), `{"name":"${ON[1]}","value":5,"valueString":"5"}`)
  assert.is(await (await api.post(`/v1/counters/${ON[1]}/increments`)).text(), `{"name":"${ON[1]}","value":6,"valueString":"6"}`)
  assert.is(await (await api.get(`/v1/counters/${ON[1]}`)).text(), `{"name":"${ON[1]}","value":6,"valueString":"6"}`)
  assert.is(await (await api.get(`/v1/counters/${ON[1]}`, { Accept: 'text/plain' })).text(), '6')

  const items = [
    { name: ON[2], delta: '18446744073709551615' },
    { name: ON[0], delta: -3 },
    { name: '{tag}a' },
    { name: '{tag}b' },
  ]
  assert.is(await (await api.postJson('/v1/increments', { items })).text(), '{"items":4}')
  const names = [ON[2], ON[1], 'no', ON[0], ON[2], '{tag}a', '{tag}b']
  const response = await api.get(`/v1/counters?${names.map((name) => `names=${encodeURIComponent(name!)}`).join('&')}`)
  const text = await response.text()
  assert.match(text, `{"name":"${ON[2]}","value":18446744073709551615,"valueString":"18446744073709551615"}`)
  const values = (JSON.parse(text) as { counters: { valueString: string }[] }).counters.map(({ valueString }) => valueString)
  assert.equal(values, ['18446744073709551615', '6', '0', '-3', '18446744073709551615', '1', '1'])
  assert.is(response.headers.get('counter-complete'), null)
})

test('what is wrong is refused as on a node, and nothing is sent', async ({ api }) => {
  const cases: [path: string, body: string, type: string][] = [
    ['/v1/increments', '{"items":[{"name":""}]}', 'body-invalid'],
    ['/v1/increments', '{"items":', 'json-invalid'],
    ['/v1/texts', `{"text":"${'x'.repeat(300)}"}`, 'name-too-long'],
    ['/v1/counters/a/increments', '{"delta":1.5}', 'body-invalid'],
    ['/v1/counters/the%20total/increments', '{"delta":1}', 'name-invalid'],
    ['/v1/counters/the%20total%202/increments', '{"delta":1}', 'name-invalid'],
    ['/v1/increments', '{"items":[{"name":"a"},{"name":"the total"}]}', 'name-invalid'],
    ['/v1/increments', '{"items":[{"name":"the total {17} 3.0","delta":5}]}', 'name-invalid'],
  ]
  for (const [path, body, type] of cases) {
    const problem = await problemOf(await api.postJson(path, body))
    assert.is(problem.type, `/problems/${type}`, path)
    assert.is(problem.applied, 'no')
  }
  assert.is((await problemOf(await api.get('/v1/counters?name=a'))).type, '/problems/query-invalid')
  assert.is((await problemOf(await api.get('/v1/counters?names=a&require=all'))).type, '/problems/query-invalid')
  assert.is((await problemOf(await api.get('/v1/cluster'))).type, '/problems/not-over-shards')
  assert.equal(
    api.shards.map(({ store }) => store.writes),
    [0, 0, 0],
  )
})

test('what a shard refuses keeps its type, its fix and when to come back', async ({ api }) => {
  api.shards[0]!.store.refusals.push('DISK_FULL')
  const full = await problemOf(await api.post('/keywords', ON[0]))
  assert.is(full.type, '/problems/disk-full')
  assert.is(full.applied, 'no')
  assert.is(full.retryAfter, '10')
  await api.postJson(`/v1/counters/${ON[0]}/increments`, { delta: '18446744073709551615' })
  assert.is((await problemOf(await api.post(`/v1/counters/${ON[0]}/increments`))).type, '/problems/count-overflow')
})

test('when one shard has counted and another has not, the answer says which, and a retry with the key makes it whole', async ({
  api,
}) => {
  api.shards[1]!.store.refusals.push('DISK_FULL')
  const key = { 'Idempotency-Key': 'k1' }
  const text = ON.join(' ')
  const problem = await problemOf(await api.post('/keywords', text, key))
  assert.is(problem.type, '/problems/shards-partly')
  assert.is(problem.applied, 'unknown')
  assert.match(String(problem.fix), 'same Idempotency-Key')
  const parts = problem.parts as { shard: number; applied: string }[]
  assert.equal(parts.map(({ shard, applied }) => [shard, applied]).sort(), [
    [0, 'yes'],
    [1, 'no'],
    [2, 'yes'],
  ])
  const again = await api.post('/keywords', text, key)
  assert.is(again.status, 200)
  assert.is(again.headers.get('idempotency-replayed'), null)
  const third = await api.post('/keywords', text, key)
  assert.is(third.headers.get('idempotency-replayed'), 'true')
  assert.equal(await counts(api, ON), [1, 1, 1])
})

test('a shard that fails after it was asked leaves it unknown', async ({ api }) => {
  api.shards[2]!.store.failures.push('LOG_FAILED')
  const alone = await problemOf(await api.post('/keywords', ON[2]))
  assert.is(alone.type, '/problems/shards-unknown')
  assert.is(alone.status, 504)
  assert.is(alone.applied, 'unknown')
  assert.not.match(String(alone.fix), 'Repeat the request with the same')
})

test('retries of every write count once', async ({ api }) => {
  const key = (name: string) => ({ ...JSON_TYPE, 'Idempotency-Key': name })
  const requests: [string, string, Record<string, string>][] = [
    ['/keywords', ON.join(' '), { 'Idempotency-Key': 'a' }],
    ['/v1/texts', JSON.stringify({ text: ON.join(' ') }), key('b')],
    ['/v1/increments', JSON.stringify({ items: ON.map((name) => ({ name })) }), key('c')],
    [`/v1/counters/${ON[0]}/increments`, '{"delta":2}', key('d')],
  ]
  for (const [path, body, headers] of requests) {
    const first = await api.post(path, body, headers)
    const again = await api.post(path, body, headers)
    assert.is(again.status, 200)
    assert.is(await again.text(), await first.text(), path)
    assert.is(again.headers.get('idempotency-replayed'), 'true', path)
  }
  assert.equal(await counts(api, ON), [5, 3, 3])
})

test('a key used again for another request is refused by the shards that know it, also when their part is the same', async ({
  api,
}) => {
  const key = { 'Idempotency-Key': 'k' }
  await api.post('/keywords', `${ON[0]} ${ON[1]}`, key)
  const problem = await problemOf(await api.post('/keywords', `${ON[0]}`, key))
  assert.is(problem.type, '/problems/key-reused')
  assert.equal(await counts(api, ON), [1, 1, 0])
})

test('a session shows what it has written, on every shard, and is passed to each as its own', async ({ api }) => {
  const first = await api.post('/keywords', ON.join(' '))
  const token = first.headers.get('counter-session')!
  assert.match(token, /^0-1\.\w+\.\w+,1-1\.\w+\.\w+,2-1\.\w+\.\w+$/)
  assert.is((await api.get(`/v1/counters/${ON[0]}`, { 'Counter-Session': token })).status, 200)
  api.shards[0]!.cluster.known = false
  const behind = await problemOf(await api.get(`/v1/counters/${ON[0]}`, { 'Counter-Session': token }))
  assert.is(behind.type, '/problems/session-behind')
  // Another shard is not asked about it.
  assert.is((await api.get(`/v1/counters/${ON[1]}`, { 'Counter-Session': token })).status, 200)
  for (const bad of ['1.2.3', '0-1.2', '0-1.2.3,x', '9999-1.2.3']) {
    assert.is(
      (await problemOf(await api.get('/v1/counters/a', { 'Counter-Session': bad }))).type,
      '/problems/session-invalid',
      bad,
    )
  }
})

test('the map of slots is shown, given to each shard, and kept by it', async ({ api }) => {
  const shown = (await (await api.get('/v1/cluster/slots')).json()) as {
    tag: string
    shard: null
    shards: { replicas: { state: string }[] }[]
  }
  assert.is(shown.tag, map.tag)
  assert.is(shown.shard, null)
  assert.equal(
    shown.shards.map(({ replicas }) => replicas.map(({ state }) => state)),
    [['up'], ['up'], ['up']],
  )
  assert.equal(
    api.shards.map(({ slots }) => slots.kept()?.shard),
    [0, 1, 2],
  )
})

test('with shards in another order, or another number of them, nothing is counted', async ({ api }) => {
  await api.post('/keywords', ON.join(' '))
  const urls = api.shards.map(({ url }) => [url])
  for (const wrong of [
    [urls[1]!, urls[0]!, urls[2]!],
    [urls[0]!, urls[1]!],
  ]) {
    const other = await Sharded.before(api.shards, wrong)
    const problem = await problemOf(await other.post('/keywords', ON[0]))
    assert.is(problem.type, '/problems/shards-missing')
    assert.match(String(problem.detail), 'COUNTER_SHARDS')
    await other.end()
  }
  assert.equal(await counts(api, ON), [1, 1, 1])
})

test.run()
