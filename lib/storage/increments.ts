// Increments: a batch of names is added to a column, and the delta of it written in the same pass. It is the hot path of every write, from names to
// rows to cells to the bytes of the log, and allocates nothing but for new names.

import { type ByteWriter, VARINT_BYTES_MAX, writeVarint, writeVarint64 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { utf8 } from '../base/utf8.ts'
import { AMOUNT_WORDS, type Batch } from './batch.ts'
import { CELL_WORDS, type Column, SPAN_SHIFT } from './column.ts'
import { DELTA_VERSION, MINUS, UNIFORM, writeBlockHead } from './delta.ts'
import { RECALL_NAMES, Recall } from './recall.ts'
import { CHUNK_MASK, CHUNK_SHIFT, LENGTH_BYTES_MAX, NO_ROW, type Table } from './table.ts'

const WORD = 0x1_0000_0000
/** Bytes of a delta of a write beside its names and cells: version, part, flags, one column, row count. */
const HEAD_BYTES_MAX = 3 + 5 * VARINT_BYTES_MAX
const NO_CELLS = new Uint32Array(0)

export class Increments {
  readonly #table: Table
  readonly #namesMax: number
  readonly #recall: Recall
  /** Scratch: the rows of the batch at hand, by its names. */
  #rows = new Uint32Array(1024)

  /** @param namesMax names at most, from which on new ones are refused; 0 for no limit */
  constructor(table: Table, namesMax: number) {
    this.#table = table
    this.#namesMax = namesMax
    this.#recall = new Recall(table)
  }

  get byteLength(): number {
    return this.#recall.byteLength
  }

  /** How many of the batch's names in [from, to) have no row yet. Cost: a probe a name. */
  countMissing(batch: Batch, from: number, to: number): number {
    let missing = 0
    const recall = this.#recall
    for (let first = from; first < to; first += RECALL_NAMES) {
      const count = recall.find(batch, first, to)
      for (let index = 0; index < count; index++) if (recall.rows[index] === NO_ROW) missing++
    }
    return missing
  }

  /** Gives the batch's names in [from, to) rows, so that an increment of a large batch later finds them all. */
  addNames(batch: Batch, from: number, to: number): void {
    const recall = this.#recall
    for (let first = from; first < to; first += RECALL_NAMES) {
      const count = recall.find(batch, first, to)
      for (let index = 0; index < count; index++) if (recall.rows[index] === NO_ROW) this.#add(batch, first + index)
    }
  }

  /** @throws CounterError NAMES_MAX when `more` new names would be too many */
  checkNamesMax(more: number): void {
    if (this.#namesMax === 0 || more === 0 || this.#table.rowCount + more <= this.#namesMax) return
    throw new CounterError(
      'NAMES_MAX',
      `${more} new names do not fit: the node has ${this.#table.rowCount} and takes ${this.#namesMax} at most`,
      { fix: 'raise COUNTER_KEYS_MAX (0 is no limit) when the memory allows it; names that exist go on counting' },
    )
  }

  /**
   * Adds the batch to the column under this sequence number, and appends the delta of it to `writer`. All or nothing.
   * @throws CounterError NAMES_MAX, COUNT_OVERFLOW
   */
  add(batch: Batch, column: Column, seq: number, writer: ByteWriter): void {
    const rows = this.#locate(batch, column)
    if (batch.subtracts) makeMinus(batch, column, rows)
    const nameBytes = batch.count === 0 ? 0 : batch.ends[batch.count - 1]!
    writer.reserve(HEAD_BYTES_MAX + nameBytes + batch.count * (LENGTH_BYTES_MAX + 2 * VARINT_BYTES_MAX))

    // From here on nothing can fail.
    if (batch.subtracts) addMinus(batch, column, rows)
    writeNames(batch, nameBytes, writer, column, seq)
    addAndWrite(batch, column, rows, writer, seq)
  }

  /** The rows of all names, which have cells; missing names are added when nothing speaks against the batch. */
  #locate(batch: Batch, column: Column): Uint32Array {
    if (this.#rows.length < batch.count) this.#rows = new Uint32Array(batch.count * 2)
    const rows = this.#rows
    let missing = 0
    const recall = this.#recall
    for (let first = 0; first < batch.count; first += RECALL_NAMES) {
      const count = recall.find(batch, first, batch.count)
      missing += this.#takeRows(batch, column, first, count, rows)
    }
    if (batch.subtracts) this.#checkMinusOverflow(batch, column, rows)
    if (missing === 0) return rows
    this.checkNamesMax(missing)
    for (let index = 0; index < batch.count; index++) {
      if (rows[index] !== NO_ROW) continue
      const row = this.#add(batch, index)
      rows[index] = row
      column.cellsOf(row >>> CHUNK_SHIFT)
    }
    return rows
  }

  /**
   * Takes the rows found for the names from `first` on, makes sure that they have cells and refuses what would carry a P past
   * 2^64 - 1. Returns how many are missing.
   */
  #takeRows(batch: Batch, column: Column, first: number, count: number, rows: Uint32Array): number {
    const { amounts } = batch
    const { rows: found } = this.#recall
    let missing = 0
    let chunk = -1
    let cells: Uint32Array = NO_CELLS
    for (let index = 0; index < count; index++) {
      const row = found[index]!
      rows[first + index] = row
      if (row === NO_ROW) {
        missing++
        continue
      }
      if (row >>> CHUNK_SHIFT !== chunk) {
        chunk = row >>> CHUNK_SHIFT
        cells = column.cellsOf(chunk)
      }
      const at = (row & CHUNK_MASK) * CELL_WORDS
      const amount = (first + index) * AMOUNT_WORDS
      const high = cells[at + 1]! + amounts[amount + 1]!
      if (high >= WORD - 1 && high + (cells[at]! + amounts[amount]! >= WORD ? 1 : 0) >= WORD) this.#refuseOverflow(row)
    }
    return missing
  }

  #add(batch: Batch, index: number): number {
    return this.#table.add(batch.hashes[index]! >>> 0, batch.names, index === 0 ? 0 : batch.ends[index - 1]!, batch.ends[index]!)
  }

  #checkMinusOverflow(batch: Batch, column: Column, rows: Uint32Array): void {
    for (let index = 0; index < batch.count; index++) {
      const row = rows[index]!
      const minus = row === NO_ROW ? undefined : column.minus[row >>> CHUNK_SHIFT]
      if (minus === undefined) continue
      const at = (row & CHUNK_MASK) * 2
      const carry = minus[at]! + batch.amounts[index * AMOUNT_WORDS + 2]! >= WORD ? 1 : 0
      if (minus[at + 1]! + batch.amounts[index * AMOUNT_WORDS + 3]! + carry >= WORD) this.#refuseOverflow(row)
    }
  }

  #refuseOverflow(row: number): never {
    const name = utf8.decode(this.#table.nameOf(row).subarray(0, 80))
    throw new CounterError('COUNT_OVERFLOW', `the count of '${name}' would pass 2^64 - 1 on this node`, {
      fix: 'use a new name; a count ends at 18446744073709551615 a node, in each direction',
    })
  }
}

/** Makes N where something is going to be subtracted. */
function makeMinus(batch: Batch, column: Column, rows: Uint32Array): void {
  for (let index = 0; index < batch.count; index++) {
    const at = index * AMOUNT_WORDS + 2
    if (batch.amounts[at] !== 0 || batch.amounts[at + 1] !== 0) column.minusOf(rows[index]! >>> CHUNK_SHIFT)
  }
}

function addMinus(batch: Batch, column: Column, rows: Uint32Array): void {
  const { amounts } = batch
  for (let index = 0; index < batch.count; index++) {
    const low = amounts[index * AMOUNT_WORDS + 2]!
    const high = amounts[index * AMOUNT_WORDS + 3]!
    if (low === 0 && high === 0) continue
    const minus = column.minusOf(rows[index]! >>> CHUNK_SHIFT)
    const at = (rows[index]! & CHUNK_MASK) * 2
    const sum = minus[at]! + low
    minus[at] = sum
    minus[at + 1]! += high + (sum >= WORD ? 1 : 0)
  }
}

function writeNames(batch: Batch, nameBytes: number, writer: ByteWriter, column: Column, seq: number): void {
  const { count, ends } = batch
  writer.uint8(DELTA_VERSION)
  writeBlockHead(writer, column.subtracted ? UNIFORM | MINUS : UNIFORM, [column], count, () => seq)
  const { bytes } = writer
  let end = writer.length
  let from = 0
  for (let index = 0; index < count; index++) {
    const to = ends[index]!
    end = writeVarint(bytes, end, to - from)
    from = to
  }
  writer.length = end
  writer.raw(batch.names.subarray(0, nameBytes))
}

/** Adds P of every name and writes the cells in the same pass. There is room for them. */
function addAndWrite(batch: Batch, column: Column, rows: Uint32Array, writer: ByteWriter, seq: number): void {
  const { amounts, count } = batch
  const withMinus = column.subtracted
  const bytes = writer.bytes
  const marks = column.marks
  const seqLow = seq >>> 0
  const seqHigh = Math.floor(seq / WORD)
  let end = writer.length
  let chunk = -1
  let cells: Uint32Array = NO_CELLS
  let minus: Uint32Array | undefined
  for (let index = 0; index < count; index++) {
    const row = rows[index]!
    if (row >>> CHUNK_SHIFT !== chunk) {
      chunk = row >>> CHUNK_SHIFT
      cells = column.cells[chunk]!
      minus = column.minus[chunk]
      column.highest[chunk] = seq
    }
    const at = (row & CHUNK_MASK) * CELL_WORDS
    const sum = cells[at]! + amounts[index * AMOUNT_WORDS]!
    const low = sum >>> 0
    const high = cells[at + 1]! + amounts[index * AMOUNT_WORDS + 1]! + (sum >= WORD ? 1 : 0)
    cells[at] = low
    cells[at + 1] = high
    cells[at + 2] = seqLow
    cells[at + 3] = seqHigh
    marks[row >>> SPAN_SHIFT] = seq
    end = writeVarint64(bytes, end, low, high)
    if (!withMinus) continue
    const minusAt = (row & CHUNK_MASK) * 2
    end = minus === undefined ? writeVarint(bytes, end, 0) : writeVarint64(bytes, end, minus[minusAt]!, minus[minusAt + 1]!)
  }
  writer.length = end
}
