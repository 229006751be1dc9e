import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type RawRecord, RECORD_BYTES_MAX, RecordCutter } from '../../lib/loading/cut.ts'

const test = suite('loading/cut')
const runs = { seed: Number(process.env.SEED ?? 1) }

type Format = 'ndjson' | 'csv'

function cut(format: Format, text: string, pieceBytes = 1 << 16, from = { offset: 0, line: 1 }): RawRecord[] {
  const cutter = new RecordCutter(format, from)
  const bytes = Buffer.from(text)
  const records: RawRecord[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) records.push(...cutter.push(bytes.subarray(at, at + pieceBytes)))
  return [...records, ...cutter.end()]
}

const shown = (records: readonly RawRecord[]) =>
  records.map(({ bytes, line, flaw }) => [line, Buffer.from(bytes).toString(), ...(flaw === undefined ? [] : [flaw])])

test('lines are records, whatever ends them, and the last may have no end', () => {
  assert.equal(shown(cut('ndjson', 'a\nb\r\n\nc')), [
    [1, 'a'],
    [2, 'b'],
    [3, ''],
    [4, 'c'],
  ])
  assert.equal(shown(cut('ndjson', '')), [])
  assert.equal(shown(cut('ndjson', 'a\n')), [[1, 'a']])
})

test('in CSV a line break within quotes belongs to the field, and lines are counted on', () => {
  const text = 'a,b\n"x\ny",1\n"q""\n",2\nc"d,3\n'
  assert.equal(shown(cut('csv', text)), [
    [1, 'a,b'],
    [2, '"x\ny",1'],
    [4, '"q""\n",2'],
    [6, 'c"d,3'],
  ])
  assert.is(shown(cut('ndjson', text)).length, 6)
})

test('a quote that is never closed makes one record of the rest, and says so', () => {
  assert.equal(shown(cut('csv', 'a,1\n"b,2\nc,3\n')), [
    [1, 'a,1'],
    [2, '"b,2\nc,3\n', 'unclosed'],
  ])
})

test('a record that is too long is passed over up to the next line break', () => {
  for (const format of ['ndjson', 'csv'] as const) {
    for (const long of ['x'.repeat(RECORD_BYTES_MAX + 1), `"${'x\n'.repeat(RECORD_BYTES_MAX / 2)}`]) {
      const records = cut(format, `a\n${long}y\nb,"c"\n`, 60_001)
      const flawed = records.filter(({ flaw }) => flaw !== undefined)
      const isLine = format === 'ndjson' && long.includes('\n')
      assert.equal(
        flawed.map(({ line, bytes, flaw }) => [line, bytes.length, flaw]),
        isLine ? [] : [[2, 0, 'long']],
      )
      const last = records.at(-1)!
      assert.is(Buffer.from(last.bytes).toString(), 'b,"c"')
      assert.is(last.end, `a\n${long}y\nb,"c"\n`.length)
      assert.is(last.line, `a\n${long}y\n`.split('\n').length)
    }
  }
})

const text = fc
  .array(fc.constantFrom('a', '"', ',', '\n', '\r\n', 'ä', '""', '"\n'), { maxLength: 60 })
  .map((parts) => parts.join(''))

test('records are the same however the bytes come, lie side by side, and cover the file', () => {
  fc.assert(
    fc.property(text, fc.constantFrom<Format>('ndjson', 'csv'), fc.integer({ min: 1, max: 20 }), (text, format, pieceBytes) => {
      const records = cut(format, text)
      assert.equal(shown(cut(format, text, pieceBytes)), shown(records))
      let [end, line] = [0, 1]
      for (const record of records) {
        assert.is(record.start, end)
        assert.is(record.line, line)
        ;({ end, nextLine: line } = record)
        const breaks = Buffer.from(text)
          .subarray(record.start, end)
          .filter((byte) => byte === 10).length
        if (end < Buffer.byteLength(text)) assert.is(line, record.line + breaks)
      }
      assert.is(end, Buffer.byteLength(text))
    }),
    runs,
  )
})

test('cutting goes on in the middle of a file as if it had begun at its start', () => {
  fc.assert(
    fc.property(text, fc.constantFrom<Format>('ndjson', 'csv'), fc.nat(10), (text, format, skipped) => {
      const records = cut(format, text)
      const from = records[skipped]
      if (from === undefined) return
      const rest = Buffer.from(text).subarray(from.start).toString()
      const again = cut(format, rest, 7, { offset: from.start, line: from.line })
      assert.equal(
        again.map(({ start, end, line, nextLine, flaw }) => [start, end, line, nextLine, flaw]),
        records.slice(skipped).map(({ start, end, line, nextLine, flaw }) => [start, end, line, nextLine, flaw]),
      )
    }),
    runs,
  )
})

test.run()
