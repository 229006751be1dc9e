import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { z } from 'zod'
import { itemsOf } from '../../lib/publicapi/batch.ts'
import { increments } from '../../lib/publicapi/contract/counting.ts'
import { items } from '../../lib/publicapi/contract/items.ts'
import { type Operation, queriesOf } from '../../lib/publicapi/contract/operation.ts'
import { originalItems } from '../../lib/publicapi/contract/original-items.ts'
import { readDelta } from '../../lib/publicapi/contract/values.ts'
import { contract } from '../../lib/publicapi/contract.ts'
import { readItems, readOriginalItems } from '../../lib/publicapi/item-batch.ts'
import { readJson, writeInteger } from '../../lib/publicapi/json.ts'
import { openapi } from '../../lib/publicapi/openapi.ts'
import { PROBLEMS } from '../../lib/publicapi/problem-kinds.ts'
import { Harness } from './harness.ts'

const test = suite('publicapi/contract')
const operations = Object.entries<Operation>(contract)

test('docs/openapi.json is what the contract says; npm run openapi writes it', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  assert.is(readFileSync('docs/openapi.json', 'utf8'), `${JSON.stringify(openapi(version), null, 2)}\n`)
})

test('every reference in the definition leads somewhere', () => {
  const definition = openapi('1') as Record<string, unknown>
  const targets = [...JSON.stringify(definition).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1]!)
  assert.ok(targets.length > 20)
  for (const target of new Set(targets)) {
    let node: unknown = definition
    for (const step of target.split('/')) node = (node as Record<string, unknown>)[step]
    assert.ok(typeof node === 'object' && node !== null, target)
    assert.not.ok('$ref' in node && (node as { $ref: string }).$ref === `#/${target}`, `${target} is not itself`)
  }
})

test('every operation lists its errors, examples and need of a token', () => {
  const { paths } = openapi('1') as { paths: Record<string, Record<string, Record<string, unknown>>> }
  for (const [id, operation] of operations) {
    const described = paths[operation.path]![operation.method.toLowerCase()]!
    assert.is(described.operationId, id)
    assert.ok(operation.errors.length > 0, id)
    assert.ok('security' in described, id)
    const responses = described.responses as Record<string, unknown>
    for (const type of operation.errors) assert.ok(String(PROBLEMS[type].status) in responses, `${id} ${type}`)
  }
})

test('writes take a key, a failover, a level and a session and may answer 202; numbers a key alone; what shows counts a session', () => {
  type Described = { parameters?: { name: string }[]; responses: Record<string, { headers?: object }> }
  const { paths } = openapi('1') as { paths: Record<string, Record<string, Described>> }
  const of = (known: readonly string[], all: readonly string[]) => all.filter((name) => known.includes(name)).sort()
  const ASKS = ['Counter-Failover', 'Counter-Session', 'Counter-Write-Level', 'Idempotency-Key', 'w']
  for (const [id, { method, path, writes, keyed, shows }] of operations) {
    const { parameters = [], responses } = paths[path]![method.toLowerCase()]!
    const names = parameters.map(({ name }) => name)
    assert.equal(of(ASKS, names), writes ? ASKS : keyed ? ['Idempotency-Key'] : shows ? ['Counter-Session'] : [], id)
    const told = Object.keys(responses['200']?.headers ?? {})
    assert.equal(of(ASKS, told), writes ? ['Counter-Session', 'Counter-Write-Level'] : shows ? ['Counter-Session'] : [], id)
    if (writes) assert.equal(Object.keys(responses['202']!), Object.keys(responses['200']!), id)
  }
})

test('every example of a body or a reply fits its schema', () => {
  const contents = operations.flatMap(([id, { body, reply, otherwise }]) =>
    [body, reply, otherwise].flatMap((part) => Object.values(part?.content ?? {}).map((content) => [id, content] as const)),
  )
  for (const [id, { schema, example }] of contents) if (schema !== undefined) assert.ok(schema.safeParse(example).success, id)
})

test('the example of every operation works as it is written', async () => {
  const api = await new Harness().open()
  for (const [id, operation] of operations) {
    const { method, path, params, body, reply } = operation
    let target = path
    for (const [name, { example }] of Object.entries(params ?? {}))
      target = target.replace(`{${name}}`, encodeURIComponent(example))
    const asked = queriesOf(operation).flatMap(({ name, example }) =>
      [example].flat().map((value) => `${name}=${encodeURIComponent(String(value))}`),
    )
    if (asked.length > 0) target += `?${asked.join('&')}`
    for (const [type, { schema, example }] of Object.entries(body?.content ?? { '': { example: undefined } })) {
      const text = typeof example === 'string' || example === undefined ? example : JSON.stringify(example)
      const headers: Record<string, string> = type === '' ? {} : { 'Content-Type': type }
      const response = await fetch(api.url + target, { method, headers, ...(text === undefined ? {} : { body: text }) })
      assert.is(response.status, reply.status ?? 200, `${id} ${type} ${schema === undefined}`)
      const answer = await response.text()
      const expected = (reply.content as Record<string, { schema?: z.ZodType }>)['application/json']
      if (expected?.schema !== undefined && response.headers.get('content-type') === 'application/json') {
        assert.ok(expected.schema.safeParse(JSON.parse(answer)).success, `${id} answers as it promises`)
      }
    }
  }
  await api.server.close()
})

test('the checks by hand of many increments agree with the schema', () => {
  const good = [
    { items: [] },
    { items: [{ name: 'a' }] },
    {
      items: [
        { name: 'a', delta: -5 },
        { name: 'b', delta: '7' },
      ],
    },
  ]
  const bad = [null, [], {}, { items: 1 }, { items: [], x: 1 }]
  for (const body of good) {
    assert.ok(increments.safeParse(body).success)
    assert.is(itemsOf(body, '{}').length, body.items.length)
  }
  for (const body of bad) {
    assert.not.ok(increments.safeParse(body).success)
    assert.throws(() => itemsOf(body, '{}'))
  }
})

test('the checks by hand of items agree with the schemas', () => {
  const item = { id: 'a', tenant: 't' }
  const NAME_BYTES_MAX = 64
  const good = [{ items: [] }, { items: [item] }, { items: [item, item, { id: '__proto__', tenant: 'a/b' }] }]
  const wrong = [{ id: '', tenant: 't' }, { id: 'a' }, { tenant: 't' }, { id: 1, tenant: 't' }, { ...item, x: 1 }, null, [], 'a']
  const bad = [null, [], {}, { items: 1 }, { items: [], x: 1 }, ...wrong.map((each) => ({ items: [item, each] }))]
  for (const body of good) {
    assert.ok(items.safeParse(body).success)
    assert.equal(readItems(body, NAME_BYTES_MAX), body.items)
  }
  for (const body of bad) {
    assert.not.ok(items.safeParse(body).success, JSON.stringify(body))
    assert.throws(() => readItems(body, NAME_BYTES_MAX), undefined, JSON.stringify(body))
  }
  for (const body of [[], [item], [{ ID: 5, tenant: 't', more: null }]]) {
    assert.ok(originalItems.safeParse(body).success)
    assert.is(readOriginalItems(body, NAME_BYTES_MAX).length, body.length)
  }
  for (const body of [null, {}, { items: [] }, [null], ['a'], [[]], [{ id: true, tenant: 't' }], [{ id: {}, tenant: 't' }]]) {
    assert.not.ok(originalItems.safeParse(body).success, JSON.stringify(body))
    assert.throws(() => readOriginalItems(body, NAME_BYTES_MAX), undefined, JSON.stringify(body))
  }
})

test('JSON is read as JSON.parse reads it, except that integers are exact', () => {
  const texts = [
    '{"a":[1,2,{"b":null}],"c":true,"d":false}',
    '[]',
    '{}',
    ' [ 1 , 2 ] ',
    '"a\\u00e4\\n\\"\\\\"',
    '"😀"',
    '-5',
    '0',
    '[[[]]]',
    '{"":""}',
    '{"__proto__":{"x":1}}',
    '{"a":1,"a":2}',
    '1e2',
    '1.0',
  ]
  for (const text of texts) {
    // A long number beside it sends the text through the exact reader.
    const both = readJson(Buffer.from(`[${text},1234567890123456789]`)) as unknown[]
    assert.equal(both, [JSON.parse(text), 1234567890123456789n], text)
    assert.equal(readJson(Buffer.from(text)), JSON.parse(text), text)
  }
  assert.not.ok('x' in (readJson(Buffer.from('{"__proto__":{"x":1},"y":1234567890123456789}')) as object))
  for (const text of [
    '',
    ' ',
    '{',
    '[1,]',
    '{"a"}',
    '{a:1}',
    "'a'",
    '"\\x"',
    '"\t"',
    '01',
    '+1',
    '.5',
    '1.',
    'NaN',
    'tru',
    '[1 2]',
    '{"a":1,}',
    '\ufeff\ufeff1',
  ]) {
    assert.throws(() => readJson(Buffer.from(text)), undefined, text)
    assert.throws(() => readJson(Buffer.from(`[1234567890123456789,${text}`)), undefined, text)
  }
})

test('increments are read exactly up to 2^64 - 1 on both sides, and not at all beyond', () => {
  for (const value of [0n, 1n, -1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, 1n - 2n ** 64n]) {
    const literal = readDelta(readJson(Buffer.from(String(value))))
    assert.is(BigInt(literal!), value)
    assert.is(BigInt(readDelta(String(value))!), value)
    assert.is(writeInteger(literal!), String(value))
  }
  for (const value of [2n ** 64n, -(2n ** 64n), 10n ** 30n]) {
    assert.is(readDelta(value), undefined)
    assert.is(readDelta(String(value)), undefined)
  }
  for (const value of [0.5, Number.NaN, 2 ** 53, '', '-', '+1', '1 ', 'a', null, undefined, {}, []])
    assert.is(readDelta(value), undefined)
})

test.run()
