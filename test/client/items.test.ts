import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Accepted, addItemsSpread, ClientError, connect, type NewItem, type TenantCount } from '../../lib/client/index.ts'
import { Harness } from '../publicapi/harness.ts'

const test = suite('client/items')
let nodes: Harness[]
let api: Harness
let urls: string[]

test.before.each(async () => {
  nodes = await Promise.all([1, 2, 3, 4].map(() => new Harness().open()))
  urls = nodes.map(({ url }) => url)
  api = nodes[0]!
})
test.after.each(async () => {
  await Promise.all(nodes.map(({ server }) => server.close()))
})

const QUICK = { backoffMs: 1, backoffMaxMs: 5 }
const batch = (count: number, tenant = 't'): NewItem[] =>
  Array.from({ length: count }, (_, index) => ({ id: `i${index}`, tenant }))
const counts = (): number[] => nodes.map(({ store }) => store.items.size)

/** fetch that loses the answers of the first requests to a node, and notes keys. */
function losing(url: string, times: number): { fetch: typeof fetch; keys: Map<string, Set<string>> } {
  const keys = new Map<string, Set<string>>()
  let lost = 0
  return {
    keys,
    async fetch(input, init) {
      const { origin } = new URL(String(input))
      const seen = keys.get(origin) ?? new Set()
      keys.set(origin, seen.add(new Headers(init?.headers).get('idempotency-key')!))
      const response = await fetch(input, init)
      if (origin !== url || lost++ >= times) return response
      await response.text()
      throw new TypeError('fetch failed', { cause: new Error('socket hang up') })
    },
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof ClientError)) throw new Error(`expected a ClientError, got ${String(error)}`)
  return error
}

async function collect(tenants: AsyncIterable<TenantCount>): Promise<Array<[string, number]>> {
  const found: Array<[string, number]> = []
  for await (const { tenant, count } of tenants) found.push([tenant, count])
  return found
}

test('it adds, shows, moves, deletes and counts items', async () => {
  const counter = connect(urls[0]!)
  assert.equal(
    await counter.addItems([
      { id: 'a/b', tenant: 't 1' },
      { id: '__proto__', tenant: 't 1' },
    ]),
    { items: 2 },
  )
  assert.is(await counter.tenantCount('t 1'), 2)
  const item = await counter.getItem('a/b')
  assert.is(item?.tenant, 't 1')
  assert.type(item?.stamp, 'number')
  await counter.addItems([{ id: 'a/b', tenant: 't/2' }])
  assert.equal([await counter.tenantCount('t 1'), await counter.tenantCount('t/2')], [1, 1])
  for (let round = 0; round < 2; round++) await counter.deleteItem('a/b')
  assert.is(await counter.getItem('a/b'), undefined)
  assert.is(await counter.tenantCount('t/2'), 0)
  assert.is((await failureOf(counter.addItems([{ id: '', tenant: 't' }]))).type, 'body-invalid')
  assert.is((await failureOf(counter.getItem('x'.repeat(65)))).type, 'name-too-long')
})

test('it lists tenants a page at a time, and asks for no more pages than are used', async () => {
  const counter = connect(urls[0]!)
  const tenants = ['a&b', 'ä', 'a', 'b', 'a+c']
  await counter.addItems(tenants.map((tenant, index) => ({ id: `${index}`, tenant })))
  await counter.addItems([{ id: 'more', tenant: 'b' }])
  const all: Array<[string, number]> = [
    ['a', 1],
    ['a&b', 1],
    ['a+c', 1],
    ['b', 2],
    ['ä', 1],
  ]
  for (const limit of [1, 2, 5, 100]) assert.equal(await collect(counter.tenants({ limit })), all)
  assert.equal(await collect(counter.tenants()), all)
  assert.equal(await collect(counter.tenants({ prefix: 'a&' })), [['a&b', 1]])
  const pagesBefore = api.log.filter(({ fields }) => fields.path === '/v1/tenants').length
  for await (const { tenant } of counter.tenants({ limit: 2 })) if (tenant === 'a&b') break
  assert.is(api.log.filter(({ fields }) => fields.path === '/v1/tenants').length, pagesBefore + 1)
  const stop = new AbortController()
  stop.abort(new Error('enough'))
  await collect(counter.tenants({ signal: stop.signal })).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'enough'),
  )
})

test('acceptance is asked for of a call, and who has taken the batch is told', async () => {
  const told: Accepted[] = []
  const onAccepted = (accepted: Accepted): void => void told.push(accepted)
  const counter = connect(urls[0]!)
  await counter.addItems(batch(1), { accept: 'all', onAccepted })
  await counter.deleteItem('i0', { accept: 'majority', onAccepted })
  await counter.addItems(batch(1), { accept: 'one', onAccepted })
  await counter.addItems(batch(1), { onAccepted })
  assert.equal(told, [
    { accept: 'all', accepted: 3, members: 3 },
    { accept: 'majority', accepted: 3, members: 3 },
  ])
  api.cluster.refusals.push({ node: 2, code: 'DRAINING', reason: 'the node is leaving' })
  const error = await failureOf(connect(urls[0]!, { ...QUICK, retriesMax: 0 }).addItems(batch(1), { accept: 'all', onAccepted }))
  assert.is(error.type, 'items-refused')
  assert.is(error.applied, 'no')
  assert.match(error.message, 'node 2: the node is leaving')
  assert.is(told.length, 2)
})

test('a write level and a key of its own go with a call as with others', async () => {
  const levels: unknown[] = []
  const counter = connect(urls[0]!)
  await counter.addItems(batch(2), { w: 'all', onReached: (reached) => void levels.push(reached) })
  assert.equal(levels, [{ level: 'all', reached: 3, members: 3, met: true }])
  const writes = api.store.writes
  for (let round = 0; round < 2; round++) await counter.addItems(batch(2), { idempotencyKey: 'job' })
  for (let round = 0; round < 2; round++) await counter.deleteItem('i0', { idempotencyKey: 'gone' })
  assert.is(api.store.writes, writes + 2)
})

test('11 items over 4 nodes are kept as 3, 3, 3 and 2', async () => {
  const shares = await addItemsSpread(urls, batch(11))
  assert.equal(
    shares.map(({ url, items }) => [url, items]),
    urls.map((url, index) => [url, [3, 3, 3, 2][index]!]),
  )
  assert.equal(counts(), [3, 3, 3, 2])
  assert.is(new Set(nodes.flatMap(({ store }) => [...store.items.keys()])).size, 11)
  assert.equal(await addItemsSpread(urls, []), [])
})

test('the share of a node that is busy, full, leaving or dead goes to the next', async () => {
  for (const code of ['LOG_BUSY', 'DISK_FULL', 'ITEMS_MAX', 'DRAINING'] as const) {
    for (const { store } of nodes) store.items.clear()
    nodes[1]!.store.refusals.push(code)
    const shares = await addItemsSpread(urls, batch(11), QUICK)
    assert.equal(counts(), [3, 0, 6, 2], code)
    assert.equal(
      shares.map(({ url }) => urls.indexOf(url)),
      [0, 2, 2, 3],
    )
  }
  await nodes[3]!.server.close()
  for (const { store } of nodes) store.items.clear()
  await addItemsSpread(urls, batch(11), QUICK)
  assert.equal(counts(), [5, 3, 3, 0])
})

test('each share has a key of its own, so the same call again is kept once', async () => {
  const { fetch, keys } = losing('', 0)
  for (let round = 0; round < 2; round++) await addItemsSpread(urls, batch(8), { ...QUICK, fetch, idempotencyKey: 'job-7' })
  assert.equal(
    urls.map((url) => [...keys.get(url)!]),
    [['job-7-0'], ['job-7-1'], ['job-7-2'], ['job-7-3']],
  )
  assert.equal(
    nodes.map(({ store }) => store.writes),
    [1, 1, 1, 1],
  )
})

test('a share whose answer was lost keeps its key wherever it is sent', async () => {
  const { fetch, keys } = losing(urls[0]!, 1)
  const shares = await addItemsSpread([urls[0]!], batch(3), { ...QUICK, fetch })
  assert.equal(shares, [{ url: urls[0]!, items: 3 }])
  assert.is(nodes[0]!.store.writes, 1)
  assert.is(keys.get(urls[0]!)!.size, 1)
  const other = losing(urls[0]!, 1)
  await addItemsSpread(urls.slice(0, 2), batch(4), { ...QUICK, fetch: other.fetch, idempotencyKey: 'k' })
  assert.equal([...other.keys.get(urls[1]!)!].sort(), ['k-0', 'k-1'])
})

test('what is wrong with the items goes to no other node, and without a node nothing can be spread', async () => {
  const error = await failureOf(addItemsSpread(urls, [{ id: '', tenant: 't' }], QUICK))
  assert.is(error.type, 'body-invalid')
  assert.is(nodes.filter(({ log }) => log.length > 0).length, 1)
  await addItemsSpread([], batch(1)).then(
    () => assert.unreachable(),
    (reason: unknown) => assert.instance(reason, TypeError),
  )
})

test.run()
