import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readItems, readOriginalItems } from '../../lib/publicapi/item-batch.ts'
import { readJson } from '../../lib/publicapi/json.ts'
import { Problem } from '../../lib/publicapi/problem.ts'
import type { ItemChange } from '../../lib/storage/index.ts'

const test = suite('publicapi/item-batch')
const runs = { seed: Number(process.env.SEED ?? 1), numRuns: 500 }
const BYTES_MAX = 12

/** What a batch holds; undefined when anything in it is wrong. */
function tryRead(read: (body: unknown, bytesMax: number) => ItemChange[], body: unknown): ItemChange[] | undefined {
  try {
    return read(body, BYTES_MAX)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    assert.is(error.type, 'body-invalid')
    assert.is(error.applied, 'no')
    assert.ok(error.errors!.length > 0)
    return undefined
  }
}

/** The same, as it is written in the manual. */
function naive(body: unknown): ItemChange[] | undefined {
  if (!Array.isArray(body)) return undefined
  const changes = body.map((item) => {
    const lower: Record<string, unknown> = Object.create(null)
    if (typeof item === 'object' && item !== null)
      for (const [key, value] of Object.entries(item)) lower[key.toLowerCase()] = value
    const isInteger = (value: unknown) => ['number', 'bigint'].includes(typeof value) && /^-?\d+$/.test(String(value))
    const text = (value: unknown) => (typeof value === 'string' || isInteger(value) ? String(value) : '')
    return Array.isArray(item) ? { id: '', tenant: '' } : { id: text(lower.id), tenant: text(lower.tenant) }
  })
  const fits = (name: string) => name !== '' && Buffer.from(name).toString() === name && Buffer.byteLength(name) <= BYTES_MAX
  return changes.every(({ id, tenant }) => fits(id) && fits(tenant)) ? changes : undefined
}

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 4 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
  fc.constantFrom('__proto__', 'id', 'tenant', '\ud83d', 'x'.repeat(BYTES_MAX), 'x'.repeat(BYTES_MAX + 1), 'ä'.repeat(7)),
)
const value = fc.oneof(
  { weight: 8, arbitrary: name },
  { weight: 2, arbitrary: fc.integer() },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const anyCase = (field: string) => fc.mixedCase(fc.constant(field))
const item = fc
  .tuple(
    fc.tuple(anyCase('id'), value),
    fc.tuple(anyCase('tenant'), value),
    fc.array(fc.tuple(fc.string(), fc.jsonValue()), { maxLength: 2 }),
  )
  .map(([id, tenant, others]) => Object.fromEntries([...others, id, tenant]) as unknown)

test('whatever a batch of the originals holds, it is read as the manual says, or refused whole', () => {
  let good = 0
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 20, arbitrary: item }, { weight: 1, arbitrary: fc.jsonValue() }), { maxLength: 4 }),
      (body) => {
        const read = readJson(Buffer.from(JSON.stringify(body)))
        const expected = naive(read)
        if (expected !== undefined && expected.length > 0) good++
        assert.equal(tryRead(readOriginalItems, read), expected)
      },
    ),
    runs,
  )
  assert.ok(good > 50, `${good} batches were good`)
})

test('whatever JSON is sent, it is read or refused, never taken in part', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      tryRead(readOriginalItems, body)
      tryRead(readItems, body)
      tryRead(readItems, { items: body })
    }),
    runs,
  )
})

test('a batch of good items is taken as it is', () => {
  const good = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }).filter((text) => Buffer.byteLength(text) <= BYTES_MAX)
  fc.assert(
    fc.property(fc.array(fc.record({ id: good, tenant: good }, { noNullPrototype: true })), (items) => {
      assert.equal(readItems({ items }, BYTES_MAX), items)
      assert.equal(readOriginalItems(items, BYTES_MAX), items)
    }),
    runs,
  )
})

test.run()
