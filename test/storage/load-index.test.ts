// Rows that are loaded without being looked up, and indexed together.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { hashName } from '../../lib/base/hash.ts'
import { indexLoaded } from '../../lib/storage/load-index.ts'
import { Table } from '../../lib/storage/table.ts'
import { bytesOf, HASH } from './harness.ts'

const test = suite('storage/load-index')

function load(table: Table, names: Iterable<string | Uint8Array>): void {
  table.beginLoading()
  for (const name of names) {
    const bytes = typeof name === 'string' ? bytesOf(name) : name
    table.load(bytes, 0, bytes.length, typeof name === 'string' ? 0 : 1)
  }
}

/** Runs it to its end. */
function index(table: Table): { twice: number; steps: number } {
  const steps = indexLoaded(table)
  for (let count = 0; ; count++) {
    const { done, value } = steps.next()
    if (done) return { twice: value, steps: count }
  }
}

const find = (table: Table, name: string): number => {
  const bytes = bytesOf(name)
  return table.find(hashName(HASH, bytes, 0, bytes.length), bytes, 0, bytes.length)
}

/** Eight bytes, as the original's files know a name. */
function keyOf(name: string): Uint8Array {
  const bytes = bytesOf(name)
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, crc64(bytes), true)
  return key
}

// More than a batch, and an index that is larger than what is fetched in no order.
for (const count of [0, 1, 5000, 1_200_000]) {
  test(`${count} loaded rows are found where they are, and others are added behind them`, () => {
    const table = new Table(HASH)
    load(
      table,
      (function* () {
        for (let row = 0; row < count; row++) yield `n${row}`
      })(),
    )
    const { twice, steps } = index(table)
    assert.is(twice, 0)
    assert.ok(steps >= count / 16_384, `${steps} steps`)
    for (let row = 0; row < count; row++) if (find(table, `n${row}`) !== row) assert.unreachable(`row ${row} is not found`)
    assert.is(find(table, `n${count}`), -1)
    const name = bytesOf('new')
    assert.is(table.add(hashName(HASH, name, 0, name.length), name, 0, name.length), count)
    assert.is(find(table, 'new'), count)
  })
}

test('rows that are known by their key are found by it, also beside a name of the same bytes', () => {
  const key = keyOf('somebody')
  const table = new Table(HASH)
  load(table, ['a', key, Buffer.from(key).toString('latin1'), keyOf('else'), 'b'])
  assert.is(index(table).twice, 0)
  assert.equal([table.findKeyed(key, 0), table.findKeyed(keyOf('else'), 0), table.findKeyed(keyOf('c'), 0)], [1, 3, -1])
  assert.is(table.keyedCount, 2)
  assert.is(find(table, 'b'), 4)
})

test('a name or a key that comes twice is noticed', () => {
  for (const names of [
    ['a', 'b', 'a'],
    [keyOf('a'), 'a', keyOf('a')],
  ]) {
    const table = new Table(HASH)
    load(table, names)
    assert.is(index(table).twice, 1)
  }
})

test('while rows are loaded nothing is looked up', () => {
  const table = new Table(HASH)
  load(table, ['a'])
  assert.throws(() => find(table, 'a'), /before loaded rows are indexed/)
  assert.throws(() => table.beginLoading(), /into an empty table/)
  index(table)
  assert.is(find(table, 'a'), 0)
  assert.throws(() => table.beginLoading(), /into an empty table/)
})

test.run()
