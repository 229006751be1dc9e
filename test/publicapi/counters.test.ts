import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/counters')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const TYPES = { 'Content-Type': 'application/json' }

test('an increment answers the new value, as a number and as digits', async () => {
  const response = await api.postJson('/v1/counters/page/increments', { delta: 5 })
  assert.is(response.status, 200)
  assert.is(response.headers.get('content-type'), 'application/json')
  assert.is(await response.text(), '{"name":"page","value":5,"valueString":"5"}')
  const next = await api.postJson('/v1/counters/page/increments', { delta: -7 })
  assert.is(await next.text(), '{"name":"page","value":-2,"valueString":"-2"}')
})

test('an increment without a body, or without a delta, adds 1', async () => {
  assert.is(await (await api.post('/v1/counters/a/increments', undefined)).text(), '{"name":"a","value":1,"valueString":"1"}')
  assert.is(await (await api.post('/v1/counters/a/increments', '', TYPES)).text(), '{"name":"a","value":2,"valueString":"2"}')
  assert.is(await (await api.postJson('/v1/counters/a/increments', {})).text(), '{"name":"a","value":3,"valueString":"3"}')
})

test('values are exact digits around 2^53, 2^63 and 2^64', async () => {
  const cases = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]
  for (const value of cases) {
    for (const delta of [`${value}`, `"${value}"`]) {
      const name = `n${value}${delta.length}`
      const expected = `{"name":"${name}","value":${value},"valueString":"${value}"}`
      assert.is(await (await api.postJson(`/v1/counters/${name}/increments`, `{"delta":${delta}}`)).text(), expected)
      assert.is(await (await api.get(`/v1/counters/${name}`)).text(), expected)
      assert.is(await (await api.get(`/v1/counters/${name}`, { Accept: 'text/plain' })).text(), `${value}`)
      assert.is(await (await api.get(`/v1/counters?names=${name}`)).text(), `{"counters":[${expected}]}`)
      assert.is(await (await api.get(`/keywords?keywords=${name}`)).text(), `[{"key":"${name}","count":${value}}]`)
      const minus = await api.postJson('/v1/increments', `{"items":[{"name":"m${name}","delta":${delta.replace(/\d/, '-$&')}}]}`)
      assert.is(minus.status, 200)
      assert.is(await (await api.get(`/v1/counters/m${name}`, { Accept: 'text/plain' })).text(), `-${value}`)
    }
  }
})

test('an increment is never rounded: what is no exact integer below 2^64 is refused', async () => {
  const cases = [
    '18446744073709551616',
    '-18446744073709551616',
    '"18446744073709551616"',
    '1.5',
    '0.1',
    '1e30',
    '9007199254740991.1',
  ]
  const odd = ['1.00000000000000000001', '"1.5"', '"1e3"', '""', '" 1"', '"0x10"', 'true', 'null', '[1]', '{}', '1e400']
  for (const delta of [...cases, ...odd]) {
    const problem = await problemOf(await api.postJson('/v1/counters/a/increments', `{"delta":${delta}}`))
    assert.is(problem.type, '/problems/body-invalid', delta)
    assert.match(JSON.stringify(problem.errors), /"in":"body","path":"\/delta"/)
    const many = await problemOf(await api.postJson('/v1/increments', `{"items":[{"name":"a","delta":${delta}}]}`))
    assert.is(many.type, '/problems/body-invalid', delta)
    assert.is(many.applied, 'no')
  }
  assert.is(api.store.writes, 0)
})

test('whole numbers may be written as JSON allows', async () => {
  for (const [delta, value] of [
    ['1.0', '1'],
    ['1e3', '1001'],
    ['-0', '1001'],
    ['"-1"', '1000'],
    ['1.5e1', '1015'],
  ]) {
    const response = await api.postJson('/v1/counters/a/increments', `{"delta":${delta}}`)
    assert.match(await response.text(), `"value":${value},`)
  }
})

test('a name that was never counted is 0', async () => {
  const response = await api.get('/v1/counters/nobody')
  assert.is(response.status, 200)
  assert.is(await response.text(), '{"name":"nobody","value":0,"valueString":"0"}')
})

test('a name may be any text', async () => {
  const names = [
    'a/b',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    '😀',
    'ä ö',
    '%',
    '%25',
    '%2F',
    'a?b#c',
    '..',
    '.',
    '\0',
    '"\\',
    '+',
    'increments',
  ]
  for (const [index, name] of names.entries()) {
    const delta = index + 1
    const path = `/v1/counters/${encodeURIComponent(name)}`
    // fetch folds /../ whether encoded or not; such names can be sent in a body or a query.
    if (name !== '.' && name !== '..') {
      const response = await api.postJson(`${path}/increments`, { delta })
      assert.equal(await response.json(), { name, value: delta, valueString: String(delta) }, name)
      assert.equal(await (await api.get(path)).json(), { name, value: delta, valueString: String(delta) })
    } else {
      assert.is((await api.postJson('/v1/increments', { items: [{ name, delta }] })).status, 200)
    }
    const many = (await (await api.get(`/v1/counters?names=${encodeURIComponent(name)}`)).json()) as { counters: unknown }
    assert.equal(many.counters, [{ name, value: delta, valueString: String(delta) }])
  }
})

test('the name .. can be read by its path, when the client sends it as it is', async () => {
  await api.postJson('/v1/increments', { items: [{ name: '..', delta: 4 }] })
  for (const path of ['/v1/counters/..', '/v1/counters/%2e%2e']) {
    const answer = await api.raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    assert.match(answer, '{"name":"..","value":4,"valueString":"4"}')
  }
})

test('a malformed percent sequence is refused, in the path and in the query', async () => {
  for (const name of ['%', '%zz', '%ff', '%c3%28']) {
    const inPath = await api.raw(`GET /v1/counters/${name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    assert.match(inPath, '400 Bad Request')
    assert.match(inPath, '/problems/path-invalid')
    const write = `POST /v1/counters/${name}/increments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
    assert.match(await api.raw(write), '/problems/path-invalid')
    const inQuery = await api.raw(`GET /v1/counters?names=${name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    assert.match(inQuery, '/problems/query-invalid')
  }
})

test('a name that is too long, empty or half a surrogate pair is refused', async () => {
  const long = 'x'.repeat(65)
  assert.is((await problemOf(await api.get(`/v1/counters/${long}`))).type, '/problems/name-too-long')
  assert.is((await problemOf(await api.post(`/v1/counters/${long}/increments`, undefined))).type, '/problems/name-too-long')
  assert.is((await problemOf(await api.get('/v1/counters?names='))).type, '/problems/name-invalid')
  assert.is((await api.get(`/v1/counters/${'x'.repeat(64)}`)).status, 200)
  const half = await problemOf(await api.postJson('/v1/increments', '{"items":[{"name":"\\ud83d"}]}'))
  assert.match(JSON.stringify(half.errors), 'surrogate')
  assert.is(api.store.writes, 0)
})

test('many counters are read in the order asked, duplicates too', async () => {
  await api.postJson('/v1/increments', { items: [{ name: 'a', delta: 2 }, { name: 'b' }] })
  const { counters } = (await (await api.get('/v1/counters?names=b&names=a&names=b')).json()) as {
    counters: Array<{ name: string; value: number }>
  }
  assert.equal(
    counters.map(({ name, value }) => [name, value]),
    [
      ['b', 1],
      ['a', 2],
      ['b', 1],
    ],
  )
  assert.is(await (await api.get('/v1/counters')).text(), '{"counters":[]}')
})

test('a misspelt query parameter is refused instead of answering nothing', async () => {
  const problem = await problemOf(await api.get('/v1/counters?name=a'))
  assert.is(problem.type, '/problems/query-invalid')
  assert.match(problem.detail as string, 'expected "names"')
})

test('many increments are counted together; the same name adds up', async () => {
  const items = [{ name: 'a', delta: 3 }, { name: 'b' }, { name: 'a', delta: '4' }, { name: 'c', delta: -2 }]
  const response = await api.postJson('/v1/increments', { items })
  assert.is(await response.text(), '{"items":4}')
  assert.is(api.store.writes, 1)
  assert.is(
    await (await api.get('/v1/counters?names=a&names=b&names=c'))
      .text()
      .then((text) => text.replace(/"valueString":"-?\d+"/g, '')),
    '{"counters":[{"name":"a","value":7,},{"name":"b","value":1,},{"name":"c","value":-2,}]}',
  )
})

test('many increments are counted all or not at all, and what does not fit is listed', async () => {
  const items = [
    { name: 'a' },
    { name: '' },
    { name: 5 },
    'x',
    { name: 'b', detla: 5 },
    { name: 'c', delta: 0.5 },
    { delta: 1 },
    null,
  ]
  const problem = await problemOf(await api.postJson('/v1/increments', { items }))
  assert.is(problem.status, 400)
  assert.is(problem.applied, 'no')
  const paths = (problem.errors as Array<{ path: string }>).map(({ path }) => path)
  assert.equal(paths, [
    '/items/1/name',
    '/items/2/name',
    '/items/3',
    '/items/4/detla',
    '/items/5/delta',
    '/items/6/name',
    '/items/7',
  ])
  assert.is(api.store.writes, 0)
  assert.is(await (await api.get('/v1/counters/a', { Accept: 'text/plain' })).text(), '0')
})

test('too many items, and bodies of another shape, are refused', async () => {
  const items = Array.from({ length: 10_001 }, () => ({ name: 'a' }))
  assert.match((await problemOf(await api.postJson('/v1/increments', { items }))).detail as string, 'at most 10000 items')
  for (const body of [{}, [], null, 5, { items: {} }, { items: [], more: 1 }]) {
    assert.is((await problemOf(await api.postJson('/v1/increments', body))).type, '/problems/body-invalid')
  }
  assert.is(await (await api.postJson('/v1/increments', { items: items.slice(1) })).text(), '{"items":10000}')
  assert.is(await (await api.postJson('/v1/increments', { items: [] })).text(), '{"items":0}')
})

test('an unknown field is refused: a misspelt delta does not count 1', async () => {
  const problem = await problemOf(await api.postJson('/v1/counters/a/increments', { detla: 5 }))
  assert.is(problem.type, '/problems/body-invalid')
  assert.is(api.store.writes, 0)
})

test('malformed JSON is refused with line and column', async () => {
  const cases = [
    ['{"delta":}', 'line 1, column 10: expected a value, got "}"'],
    ['{"delta":1', 'line 1, column 11: expected a comma or }, got the end'],
    ['{\n "delta": 1,\n}', 'line 3, column 1: expected a string for a key'],
    ['{"delta":1} x', 'line 1, column 13: expected the end of the body'],
    ['{"delta":01}', 'line 1, column 11: expected a comma or }'],
    ['{"delta":"a\nb"}', 'line 1, column 10: expected a string without control characters'],
    ['['.repeat(1000), 'levels of nesting'],
  ] as const
  for (const [body, detail] of cases) {
    const problem = await problemOf(await api.postJson('/v1/counters/a/increments', body))
    assert.is(problem.type, '/problems/json-invalid', body)
    assert.match(problem.detail as string, detail)
  }
  const bytes = await api.post('/v1/counters/a/increments', Uint8Array.of(0x22, 0xff, 0x22), TYPES)
  assert.match((await problemOf(bytes)).detail as string, 'not UTF-8')
})

test('JSON operations take JSON alone, so that no page can forge them', async () => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonp']) {
    for (const path of ['/v1/increments', '/v1/counters/a/increments']) {
      const problem = await problemOf(await api.post(path, '{"items":[]}', { 'Content-Type': type }))
      assert.is(problem.type, '/problems/media-type-unsupported')
      assert.match(problem.detail as string, type)
    }
  }
  assert.is((await api.post('/v1/increments', '{"items":[]}', { 'Content-Type': 'Application/JSON; charset=utf-8' })).status, 200)
})

test('a value is given as JSON or as the bare number, whatever the client prefers', async () => {
  const cases = [
    [undefined, 'application/json'],
    ['*/*', 'application/json'],
    ['text/*', 'text/plain; charset=utf-8'],
    ['text/plain;q=0.5, application/json;q=0.4', 'text/plain; charset=utf-8'],
    ['application/json;q=0, */*', 'text/plain; charset=utf-8'],
  ] as const
  for (const [accept, type] of cases) {
    const response = await api.get('/v1/counters/a', accept === undefined ? {} : { Accept: accept })
    assert.is(response.headers.get('content-type'), type, accept)
    await response.text()
  }
  assert.is((await problemOf(await api.get('/v1/counters/a', { Accept: 'image/png' }))).status, 406)
})

test('a read waits until what it shows is durable', async () => {
  const release = api.store.hold()
  const write = api.post('/v1/counters/a/increments', undefined)
  let answered = 0
  const read = api.get('/v1/counters/a').then((response) => {
    answered++
    return response.text()
  })
  const many = api.get('/keywords?keywords=a').then((response) => {
    answered++
    return response.text()
  })
  // A request that needs nothing of the store overtakes both.
  await (await api.get('/livez')).text()
  assert.is(answered, 0)
  release()
  await (await write).text()
  assert.match(await read, '"name":"a"')
  assert.match(await many, '"key":"a"')
})

test.run()
