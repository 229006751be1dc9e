// The log of changes by itself: what was written together stays side by side, however much is cleaned.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ItemCells } from '../../lib/storage/item-cells.ts'
import { ItemLog, LOG_CHUNK } from '../../lib/storage/item-log.ts'
import { SEED } from './harness.ts'

const test = suite('storage/item-log')

/** A log with its rows, and writes that set some of them. */
class Rows {
  readonly cells = new ItemCells()
  readonly log = new ItemLog(this.cells)
  readonly #known = new Set<number>()
  #seq = 0

  write(rows: Iterable<number>): void {
    this.#seq++
    for (const row of rows) {
      this.cells.reserve(row)
      this.cells.set(row, 1, 1, 0, this.#seq)
      this.log.add(row, !this.#known.has(row))
      this.#known.add(row)
    }
    this.log.clean()
  }

  /** The numbers of the writes of all rows, in the order of their true entries. */
  order(): number[] {
    const order: number[] = []
    for (let place = this.log.first; place < this.log.end; place++) {
      const row = this.log.rowAt(place)
      if (this.cells.placeOf(row) === place) order.push(this.cells.seqOf(row))
    }
    assert.is(order.length, this.#known.size, 'each row has one true entry')
    return order
  }
}

const isTorn = (order: readonly number[]): boolean => {
  const runs = order.filter((seq, at) => seq !== order[at - 1])
  return new Set(runs).size < runs.length
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index)

test('a write that goes over the border of two chunks stays in one piece when the first is cleaned', () => {
  const rows = new Rows()
  rows.write(range(0, LOG_CHUNK - 10))
  rows.write(range(LOG_CHUNK, 20))
  // The first write is overwritten again and again, the second never.
  for (let again = 0; again < 4; again++) rows.write(range(0, LOG_CHUNK - 10))
  assert.ok(rows.log.cleanings > 0)
  assert.not(isTorn(rows.order()))
})

test('whatever is written, each row has one entry, writes lie in one piece, and the log stays in proportion', () => {
  const write = fc.record({ first: fc.nat({ max: 6000 }), count: fc.integer({ min: 1, max: 3000 }) })
  fc.assert(
    fc.property(fc.array(write, { minLength: 10, maxLength: 40 }), (writes) => {
      const rows = new Rows()
      for (const { first, count } of writes) {
        rows.write(range(first, count))
        const order = rows.order()
        assert.not(isTorn(order))
        assert.ok(rows.log.end - rows.log.first <= 2 * order.length + 2 * LOG_CHUNK + count)
      }
    }),
    { seed: SEED, numRuns: 60 },
  )
})

test.run()
