// The slots of a table's rows, each worked out once, so that the rows of some slots are found by a pass over two bytes a row.

import type { Table } from './table.ts'

/** Rows that are looked at in a step of some milliseconds. */
export const SLOT_ROWS_STEP = 16_384

/** The slot of the name in `bytes[start, end)`. */
export type SlotOf = (bytes: Uint8Array, start: number, end: number) => number

export class RowSlots {
  readonly #table: Table
  readonly #slotOf: SlotOf
  #slots = new Uint16Array(1024)
  #count = 0

  constructor(table: Table, slotOf: SlotOf) {
    this.#table = table
    this.#slotOf = slotOf
  }

  /** The slot of a row; of one without a name, of its key. */
  at(row: number): number {
    if (row >= this.#count) this.#catchUp(row + 1)
    return this.#slots[row]!
  }

  /** Works out the slots of all rows, a step at a time. */
  *catchUp(): Generator<void, void> {
    while (this.#count < this.#table.rowCount) {
      this.#catchUp(Math.min(this.#table.rowCount, this.#count + SLOT_ROWS_STEP))
      yield
    }
  }

  /** The rows from `from` on whose slots are flagged. */
  *rowsIn(flags: Uint8Array, from = 0): Generator<number, void> {
    for (let row = from; row < this.#table.rowCount; row++) if (flags[this.at(row)] === 1) yield row
  }

  #catchUp(end: number): void {
    if (end > this.#slots.length) {
      const slots = new Uint16Array(Math.max(end, this.#slots.length * 2))
      slots.set(this.#slots)
      this.#slots = slots
    }
    for (; this.#count < end; this.#count++) {
      const name = this.#table.nameOf(this.#count)
      this.#slots[this.#count] = this.#slotOf(name, 0, name.length)
    }
  }
}
