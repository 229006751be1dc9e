import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/items')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const add = (items: unknown, query = '') => api.postJson(`/v1/items${query}`, { items })
const remove = (id: string) => fetch(`${api.url}/v1/items/${encodeURIComponent(id)}`, { method: 'DELETE' })
const textOf = async (path: string) => (await api.get(path)).text()
const countOf = async (tenant: string) => {
  const { count } = (await (await api.get(`/v1/tenants/${encodeURIComponent(tenant)}/count`)).json()) as { count: number }
  return count
}

test('items are given to tenants, and each tenant has their count', async () => {
  const response = await add([
    { id: 'item-1', tenant: 't1' },
    { id: 'item-2', tenant: 't1' },
    { id: 'item-3', tenant: 't2' },
  ])
  assert.is(response.status, 200)
  assert.is(response.headers.get('content-type'), 'application/json')
  assert.is(await response.text(), '{"items":3}')
  assert.is(await textOf('/v1/tenants/t1/count'), '{"tenant":"t1","count":2}')
  assert.is(await textOf('/v1/tenants/t2/count'), '{"tenant":"t2","count":1}')
  assert.is(await textOf('/v1/tenants/t3/count'), '{"tenant":"t3","count":0}')
  assert.is(api.store.writes, 1)
})

test('the same id again is the same item; under another tenant it moves, and both counts follow', async () => {
  await add([{ id: 'a', tenant: 't1' }])
  await add([{ id: 'a', tenant: 't1' }])
  assert.is(await countOf('t1'), 1)
  await add([{ id: 'a', tenant: 't2' }])
  assert.equal([await countOf('t1'), await countOf('t2')], [0, 1])
  await add([
    { id: 'b', tenant: 't1' },
    { id: 'b', tenant: 't3' },
  ])
  assert.equal([await countOf('t1'), await countOf('t3')], [0, 1])
})

test('an item is shown with its tenant and its stamp, and 404 says that there is none', async () => {
  await add([{ id: 'a/b c', tenant: 'ä' }])
  assert.is(await textOf('/v1/items/a%2Fb%20c'), '{"id":"a/b c","tenant":"ä","stamp":1000000}')
  const problem = await problemOf(await api.get('/v1/items/none'))
  assert.is(problem.status, 404)
  assert.is(problem.type, '/problems/item-unknown')
  assert.match(problem.detail as string, '"none"')
})

test('deleting an item takes it from its tenant, and deleting it again is fine', async () => {
  await add([{ id: 'a', tenant: 't1' }])
  for (let round = 0; round < 2; round++) {
    const response = await remove('a')
    assert.is(response.status, 200)
    assert.is(await response.text(), '{"id":"a","deleted":true}')
    assert.is(await countOf('t1'), 0)
  }
  assert.is((await api.get('/v1/items/a')).status, 404)
})

test('a batch is kept whole or not at all, and what does not fit is listed', async () => {
  const items = [
    { id: 'good', tenant: 't1' },
    { id: '', tenant: 't1' },
    { id: 'a', tenant: '' },
    { id: 5, tenant: 't1' },
    { id: 'a' },
    'x',
    { id: 'a', tenant: 't1', tennant: 't2' },
    { id: 'x'.repeat(65), tenant: 't1' },
    { id: 'ä'.repeat(33), tenant: 't1' },
    null,
  ]
  const problem = await problemOf(await add(items))
  assert.is(problem.status, 400)
  assert.is(problem.type, '/problems/body-invalid')
  assert.is(problem.applied, 'no')
  const errors = problem.errors as Array<{ path: string; message: string }>
  assert.equal(
    errors.map(({ path }) => path),
    [
      '/items/1/id',
      '/items/2/tenant',
      '/items/3/id',
      '/items/4/tenant',
      '/items/5',
      '/items/6/tennant',
      '/items/7/id',
      '/items/8/id',
      '/items/9',
    ],
  )
  assert.is(errors[6]!.message, 'expected at most 64 bytes of UTF-8, got 65')
  assert.is(errors[7]!.message, 'expected at most 64 bytes of UTF-8, got 66')
  const half = await problemOf(await api.postJson('/v1/items', '{"items":[{"id":"\\ud83d","tenant":"t"}]}'))
  assert.match(JSON.stringify(half.errors), 'surrogate')
  assert.is(api.store.writes, 0)
  assert.is(await countOf('t1'), 0)
})

test('at most ten misfits are listed', async () => {
  const problem = await problemOf(await add(Array.from({ length: 50 }, () => ({ id: '' }))))
  assert.is((problem.errors as unknown[]).length, 10)
})

test('too many items, bodies of another shape and other content types are refused', async () => {
  const many = Array.from({ length: 10_001 }, (_, index) => ({ id: `${index}`, tenant: 't' }))
  assert.match((await problemOf(await add(many))).detail as string, 'at most 10000 items, got 10001')
  for (const body of [{}, [], null, 5, { items: {} }, { items: [], more: 1 }]) {
    assert.is((await problemOf(await api.postJson('/v1/items', body))).type, '/problems/body-invalid')
  }
  assert.is((await problemOf(await api.post('/v1/items', '{"items":[]}', { 'Content-Type': 'text/plain' }))).status, 415)
  assert.is(await (await add(many.slice(1))).text(), '{"items":10000}')
  assert.is(await (await add([])).text(), '{"items":0}')
  assert.is(api.store.writes, 1)
})

test('names that are members of every object are names like others', async () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    await api.postJson('/v1/items', `{"items":[{"id":"${name}","tenant":"${name}"}]}`)
    assert.is(await countOf(name), 1, name)
    assert.match(await textOf(`/v1/items/${name}`), `"tenant":"${name}"`)
    await remove(name)
    assert.is(await countOf(name), 0)
  }
  assert.is(await textOf('/v1/tenants'), '{"tenants":[],"next":null}')
})

test('an id in the path that is too long, or no UTF-8, is refused', async () => {
  const long = 'x'.repeat(65)
  for (const path of [`/v1/items/${long}`, `/v1/tenants/${long}/count`]) {
    const problem = await problemOf(await api.get(path))
    assert.is(problem.type, '/problems/name-too-long')
    assert.match(problem.detail as string, 'at most 64 bytes')
  }
  assert.is((await problemOf(await remove(long))).type, '/problems/name-too-long')
  const raw = await api.raw('GET /v1/items/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  assert.match(raw, '/problems/path-invalid')
  assert.is((await api.get(`/v1/items/${'x'.repeat(64)}`)).status, 404)
})

test('tenants are listed in the order of their bytes, page by page, without those that have no items any more', async () => {
  const tenants = ['b', 'a', 'ab', '\u{1f600}', '\uff5e', 'a/b', 'B', 'gone']
  await add(tenants.map((tenant, index) => ({ id: `i${index}`, tenant })))
  await add([{ id: 'more', tenant: 'a' }])
  await remove('i7')
  const expected = ['B', 'a', 'a/b', 'ab', 'b', '\uff5e', '\u{1f600}']
  for (const limit of [1, 2, 3, 7, 100]) {
    const found: string[] = []
    let pages = 0
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const after: string = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const page = (await (await api.get(`/v1/tenants?limit=${limit}${after}`)).json()) as {
        tenants: { tenant: string; count: number }[]
        next: string | null
      }
      assert.ok(page.tenants.length <= limit)
      for (const { tenant, count } of page.tenants) assert.is(count, tenant === 'a' ? 2 : 1)
      found.push(...page.tenants.map(({ tenant }) => tenant))
      cursor = page.next
      pages++
    }
    assert.equal(found, expected, `${limit} a page`)
    assert.is(pages, Math.ceil(expected.length / limit))
  }
  assert.is(await textOf('/v1/tenants?prefix=a%2F'), '{"tenants":[{"tenant":"a/b","count":1}],"next":null}')
  assert.is(await textOf('/v1/tenants?prefix=none'), '{"tenants":[],"next":null}')
})

test('a wrong limit, a cursor that no page gave and an unknown parameter are refused', async () => {
  const cases = [
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=5&limit=5', 'limit'],
    ['cursor=', 'cursor'],
    ['cursor=%20', 'cursor'],
    ['cursor=dDE%3D', 'cursor'],
    ['cursor=_w', 'cursor'],
    ['prefx=a', 'prefx'],
  ] as const
  for (const [query, path] of cases) {
    const problem = await problemOf(await api.get(`/v1/tenants?${query}`))
    assert.is(problem.type, '/problems/query-invalid', query)
    assert.is((problem.errors as { path: string }[])[0]!.path, path, query)
  }
  assert.is((await problemOf(await api.get('/v1/tenants?prefix=%ff'))).type, '/problems/query-invalid')
  assert.is((await api.get('/v1/tenants?limit=1000')).status, 200)
})

test('a read waits until what it shows is durable', async () => {
  await add([{ id: 'old', tenant: 't' }])
  const release = api.store.hold()
  const writes = [add([{ id: 'a', tenant: 't' }]), remove('old')]
  while (api.store.writes < 3) await (await api.get('/livez')).text()
  let answered = 0
  const paths = ['/v1/items/a', '/v1/items/old', '/v1/tenants/t/count', '/v1/tenants', '/items/t/count']
  const reads = paths.map(async (path) => {
    const text = await textOf(path)
    answered++
    return text
  })
  await (await api.get('/livez')).text()
  assert.is(answered, 0)
  release()
  await Promise.all(writes)
  const [a, old, count] = await Promise.all(reads)
  assert.match(a!, '"tenant":"t"')
  assert.match(old!, 'item-unknown')
  assert.match(count!, '"count":1')
})

test('what the requests to this node have written is measured, a retry once', async () => {
  const headers = { 'Idempotency-Key': 'k' }
  for (let round = 0; round < 2; round++) {
    await api.postJson(
      '/v1/items',
      {
        items: [
          { id: 'a', tenant: 't' },
          { id: 'b', tenant: 't' },
        ],
      },
      headers,
    )
  }
  await remove('a')
  await api.postJson('/items', [{ id: 'c', tenant: 't' }])
  assert.match(await textOf('/metrics'), /^counter_items_written_total 4$/m)
})

test.run()
