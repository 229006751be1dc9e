import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RecordCutter } from '../../lib/loading/cut.ts'
import { createReader } from '../../lib/loading/read.ts'
import { csv, ndjson } from './files.ts'

const test = suite('loading/read')
const runs = { seed: Number(process.env.SEED ?? 1) }
const NAME_BYTES_MAX = 64

function readAll(format: 'ndjson' | 'csv', text: string | Uint8Array) {
  const cutter = new RecordCutter(format, { offset: 0, line: 1 })
  const reader = createReader(format, NAME_BYTES_MAX, undefined)
  const records = [...cutter.push(Buffer.from(text as string)), ...cutter.end()]
  return records.map((record) => reader.read(record)).filter((reading) => reading !== undefined)
}

const found = (format: 'ndjson' | 'csv', text: string | Uint8Array) =>
  readAll(format, text).map((reading) => (typeof reading === 'string' ? reading : [reading.id, reading.tenant]))

test('lines of NDJSON are items; integers are their digits, other fields are left alone', () => {
  assert.equal(found('ndjson', '\ufeff{"id":"a","tenant":"t"}\n\n  {"tenant":7,"ID":2,"more":[1]} \r\n{"Id":"c","Tenant":"t"}'), [
    ['a', 't'],
    ['2', '7'],
    ['c', 't'],
  ])
})

test('what is no item is said, and the lines around it are read', () => {
  const cases: Array<[line: string, reason: RegExp]> = [
    ['{"id":"a"', /^not JSON/],
    ['["a","t"]', /^expected {"id"/],
    ['null', /^expected {"id"/],
    ['{"tenant":"t"}', /as id$/],
    ['{"id":"a","tenant":null}', /as tenant$/],
    ['{"id":1.5,"tenant":"t"}', /as id$/],
    ['{"id":12345678901234567890,"tenant":"t"}', /as id$/],
    ['{"id":"","tenant":"t"}', /^the id is empty$/],
    ['{"id":"a","tenant":""}', /^the tenant is empty$/],
    ['{"id":"\\ud800","tenant":"t"}', /surrogate/],
    [`{"id":"${'ä'.repeat(33)}","tenant":"t"}`, /^the id has 66 bytes, at most 64 are taken \(COUNTER_NAME_BYTES_MAX\)$/],
    ['{"__proto__":{"id":"a","tenant":"t"}}', /as id$/],
  ]
  for (const [line, reason] of cases) {
    const [before, reading, after, ...more] = found('ndjson', `{"id":"x","tenant":"t"}\n${line}\n{"id":"y","tenant":"t"}\n`)
    assert.equal([before, after, more], [['x', 't'], ['y', 't'], []])
    assert.match(String(reading), reason, line)
  }
  assert.equal(found('ndjson', Buffer.from([0x22, 0xff, 0x22])), ['not valid UTF-8'])
})

test('a CSV file has a header that names the columns, or two columns and none', () => {
  assert.equal(found('csv', '\ufeffname,Tenant, ID \r\nx,t,1\r\n'), [['1', 't']])
  assert.equal(found('csv', 'a,t\nb,"t ""2"", and\n3"\n'), [
    ['a', 't'],
    ['b', 't "2", and\n3'],
  ])
  assert.equal(found('csv', 'id,tenant\nid,tenant\n'), [['id', 'tenant']])
})

test('a row that does not fit is said', () => {
  const cases: Array<[row: string, reason: RegExp]> = [
    ['a', /^expected 2 columns, got 1$/],
    ['a,b,c', /^expected 2 columns, got 3$/],
    ['a,', /^the tenant is empty$/],
    ['a"b,t', /^a quote within a field/],
    ['"a"b,t', /^expected a comma after a closing quote$/],
  ]
  for (const [row, reason] of cases) {
    const [before, reading, after] = found('csv', `x,t\n${row}\ny,t\n`)
    assert.equal(
      [before, after],
      [
        ['x', 't'],
        ['y', 't'],
      ],
    )
    assert.match(String(reading), reason, row)
  }
  assert.equal(found('csv', 'x,t\n"a,t\ny,t\n'), [['x', 't'], 'a quote is opened and never closed'])
})

const name = fc
  .array(fc.constantFrom('a', '"', ',', '\n', '\r', 'ä', ' ', '\\', '\u0001', '😀'), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.join(''))

test('what was written is read, and each item knows its line', () => {
  const items = fc.array(fc.record({ id: name, tenant: name }), { maxLength: 10 })
  fc.assert(
    fc.property(items, (items) => {
      const pairs = items.map(({ id, tenant }) => [id, tenant])
      assert.equal(found('ndjson', ndjson(items)), pairs)
      // A carriage return at the end of a row that is not quoted would be part of the line break; the writer quotes it.
      assert.equal(found('csv', csv(items)), pairs)
      assert.equal(found('csv', csv(items, '\r\n')), pairs)
      const lines = readAll('ndjson', ndjson(items)).map((reading) => (typeof reading === 'object' ? reading.line : 0))
      assert.equal(
        lines,
        items.map((_, index) => index + 1),
      )
    }),
    runs,
  )
})

test.run()
