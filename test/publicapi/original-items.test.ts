import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ItemsCompat } from '../../lib/publicapi/index.ts'
import { Harness, withServer } from './harness.ts'

const test = suite('publicapi/original-items')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const countOf = async (tenant: string) => (await api.get(`/items/${encodeURIComponent(tenant)}/count`)).text()

/** What a failure says beside the shapes of the originals. */
interface Failure {
  readonly message: string
  readonly status: string
  readonly type: string
  readonly detail: string
  readonly fix: string
  readonly errors?: ReadonlyArray<{ path: string; message: string }>
  readonly refusals?: unknown
  readonly applied: string
  readonly instance: string
}

async function failureOf(response: Response): Promise<Failure> {
  assert.is(response.headers.get('content-type'), 'application/json')
  const failure = (await response.json()) as Failure
  assert.is(failure.status, 'KO')
  assert.is(failure.instance, response.headers.get('x-request-id'))
  return failure
}

//  what happens            both, as far as it is the same each time           s1                                        s2
const GOLDEN: ReadonlyArray<readonly [what: string, both: string | undefined, s1: string, s2: string]> = [
  ['added', '{"message":"Success","status":"OK"}', '{"message":"Success"}\n', '{"status":"OK"}\n'],
  ['counted', '{"count":2,"counter":2}', '{"count":2}\n', '{"counter":2}\n'],
  ['none', '{"count":0,"counter":0}', '{"count":0}\n', '{"counter":0}\n'],
  ['empty', undefined, '{"message":"both values are required"}\n', '{"status":"KO","message":"both values are required"}\n'],
  ['refused', undefined, '{"message":"Unable to add items"}\n', '{"status":"KO","message":"Unable to add items"}\n'],
]

test('the bodies are those of both systems at once, or byte for byte those of one', async () => {
  const column: Record<ItemsCompat, 1 | 2 | 3> = { both: 1, s1: 2, s2: 3 }
  for (const itemsCompat of ['both', 's1', 's2'] as const) {
    await withServer({ itemsCompat }, async (node) => {
      const post = (body: unknown) => node.postJson('/items', body)
      const two = [
        { id: 'a', tenant: 't1' },
        { id: 'b', tenant: 't1' },
      ]
      const asked: Record<string, () => Promise<Response>> = {
        added: () => post(two),
        counted: () => node.get('/items/t1/count'),
        none: () => node.get('/items/t2/count'),
        empty: () => post([...two, { id: '', tenant: 't1' }]),
        refused: () => {
          node.cluster.refusals.push({ node: 3, code: 'DRAINING', reason: 'it is leaving' })
          return node.postJson('/items?accept=all', two)
        },
      }
      const statuses: Record<string, number> = { added: 200, counted: 200, none: 200, empty: 400, refused: 503 }
      for (const [what, ...bodies] of GOLDEN) {
        const response = await asked[what]!()
        assert.is(response.status, statuses[what], `${itemsCompat} ${what}`)
        assert.is(response.headers.get('content-type'), 'application/json')
        const expected = bodies[column[itemsCompat] - 1]
        const body = await response.text()
        if (expected !== undefined) assert.is(body, expected, `${itemsCompat} ${what}`)
      }
    })
  }
})

test('by default a failure says besides what is wrong, where, why and what to do', async () => {
  const empty = await failureOf(await api.postJson('/items', [{ id: 'a', tenant: 't' }, { id: 'b' }, { tenant: 't' }]))
  assert.is(empty.message, 'both values are required')
  assert.is(empty.type, '/problems/body-invalid')
  assert.equal(
    empty.errors!.map(({ path }) => path),
    ['/1/tenant', '/2/id'],
  )
  assert.not.ok('detail' in empty, 'nothing is said twice')
  assert.is(empty.applied, 'no')
  assert.match(empty.fix, 'an id and a tenant')
  api.cluster.refusals.push({ node: 3, code: 'DISK_FULL', reason: 'the disk is full' })
  const response = await api.postJson('/items?accept=all', [{ id: 'a', tenant: 't' }])
  assert.is(response.status, 503)
  assert.is(response.headers.get('retry-after'), '1')
  const refused = await failureOf(response)
  assert.is(refused.message, 'Unable to add items')
  assert.equal(refused.refusals, [{ node: 3, code: 'DISK_FULL', reason: 'the disk is full' }])
  assert.match(refused.detail, 'node 3')
  assert.match(refused.fix, 'accept=majority')
})

test('an id and a tenant are text or integers, their names of any case; large integers keep their digits', async () => {
  const body = `[{"id":"item-1","tenant":"t"},{"ID":2,"tenant":"t"},{"Id":"3","TENANT":"t","other":[1]},{"iD":9007199254740993,"tenant":7},
    {"id":-5,"tenant":18446744073709551615},{"id":1e3,"tenant":7},{"id":"2","tenant":"t"}]`
  assert.is((await api.post('/items', body)).status, 200)
  assert.equal([...api.store.items.keys()], ['item-1', '2', '3', '9007199254740993', '-5', '1000'])
  assert.is(await countOf('t'), '{"count":3,"counter":3}')
  assert.is(await countOf('7'), '{"count":2,"counter":2}')
  assert.is(await countOf('18446744073709551615'), '{"count":1,"counter":1}')
})

test('of a field that comes in two cases the last counts, as with the originals', async () => {
  await api.post('/items', '[{"id":"a","ID":"b","tenant":"t","Tenant":"u"}]')
  assert.equal(
    [...api.store.items.values()].map(({ id, tenant }) => [id, tenant]),
    [['b', 'u']],
  )
})

test('of a wrong batch nothing is kept, whatever is wrong', async () => {
  const cases: Array<[body: string, message: string | RegExp]> = [
    ['[{"id":"a","tenant":"t"},{"id":"","tenant":"t"}]', 'both values are required'],
    ['[{"id":"a","tenant":"t"},{"id":"b","tenant":null}]', 'both values are required'],
    ['[{"id":"a","tenant":"t"},{}]', 'both values are required'],
    ['[{"id":"a","tenant":"t"},{"id":1.5,"tenant":"t"}]', /^\/1\/id: expected a string or an integer/],
    ['[{"id":"a","tenant":"t"},{"id":true,"tenant":"t"}]', /^\/1\/id: expected a string or an integer/],
    ['[{"id":"a","tenant":"t"},{"id":"b","tenant":["t"]}]', /^\/1\/tenant: expected a string or an integer/],
    ['[{"id":"a","tenant":"t"},null]', /^\/1: expected an object/],
    ['[{"id":"a","tenant":"t"},"b"]', /^\/1: expected an object/],
    [`[{"id":"a","tenant":"t"},{"id":"${'x'.repeat(65)}","tenant":"t"}]`, /^\/1\/id: expected at most 64 bytes/],
    ['[{"id":"a","tenant":"t"},{"id":"\\ud83d","tenant":"t"}]', /^\/1\/id: .*surrogate/],
    ['{"id":"a","tenant":"t"}', /expected a list of items/],
    ['null', /expected a list of items/],
    ['[{"id":"a","tenant":"t"}', /line 1, column 25: expected a comma or \]/],
    ['', /The body is empty/],
  ]
  for (const [body, message] of cases) {
    const response = await api.post('/items', body)
    assert.is(response.status, 400, body)
    assert.match((await failureOf(response)).message, message)
  }
  assert.is(api.store.writes, 0)
  assert.is(await countOf('t'), '{"count":0,"counter":0}')
})

test('an empty list is a success, and any content type is taken', async () => {
  assert.is(await (await api.post('/items', '[]')).text(), '{"message":"Success","status":"OK"}')
  assert.is(api.store.writes, 0)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8', 'x/y']) {
    assert.is((await api.post('/items', '[{"id":"a","tenant":"t"}]', { 'Content-Type': type })).status, 200, type)
  }
  assert.is(await countOf('t'), '{"count":1,"counter":1}')
})

test('other methods are refused with those there are', async () => {
  for (const [path, method, allow] of [
    ['/items', 'GET', 'POST, OPTIONS'],
    ['/items', 'PUT', 'POST, OPTIONS'],
    ['/items', 'DELETE', 'POST, OPTIONS'],
    ['/items/t/count', 'POST', 'GET, HEAD, OPTIONS'],
    ['/items/t/count', 'DELETE', 'GET, HEAD, OPTIONS'],
  ] as const) {
    const response = await fetch(api.url + path, { method })
    assert.is(response.status, 405, `${method} ${path}`)
    assert.is(response.headers.get('allow'), allow)
  }
})

test('a tenant in the path may hold anything, percent-encoded', async () => {
  const tenants = ['a/b', 'a b', 'ä', '😀', '%', '__proto__', '?', '#']
  await api.postJson(
    '/items',
    tenants.map((tenant, index) => ({ id: index, tenant })),
  )
  for (const tenant of tenants) assert.is(await countOf(tenant), '{"count":1,"counter":1}', tenant)
  const wrong = await api.raw('GET /items/%ff/count HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  assert.match(wrong, '400 Bad Request')
  assert.match(wrong, '"status":"KO"')
})

test('what the node lacks is a failure of the node, with its own status', async () => {
  for (const [code, status] of [
    ['DISK_FULL', 507],
    ['ITEMS_MAX', 507],
    ['LOG_BUSY', 503],
    ['DRAINING', 503],
    ['STARTING', 503],
  ] as const) {
    api.store.refusals.push(code)
    const response = await api.postJson('/items', [{ id: 'a', tenant: 't' }])
    assert.is(response.status, status, code)
    const failure = await failureOf(response)
    assert.is(failure.message, 'Unable to add items')
    assert.is(failure.detail, `the test refuses with ${code}`)
  }
  assert.is(api.store.writes, 0)
})

test('who may not ask at all, or sends what is not taken, is told in the same shape', async () => {
  await withServer({ token: 'a secret', bodyBytesMax: 1024 }, async (other) => {
    const refused = await other.postJson('/items', [])
    assert.is(refused.status, 401)
    assert.match(refused.headers.get('www-authenticate')!, 'Bearer')
    assert.is((await failureOf(refused)).type, '/problems/unauthorized')
    const authorized = { Authorization: 'Bearer a secret' }
    assert.is((await other.post('/items', 'x'.repeat(2000), authorized)).status, 413)
    assert.is((await other.post('/items', '[]', { ...authorized, 'Content-Encoding': 'gzip' })).status, 415)
    assert.is((await other.get('/items/t/count')).status, 401)
    assert.is((await other.get('/items/t/count', authorized)).status, 200)
  })
})

test.run()
