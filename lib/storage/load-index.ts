// The index of a table whose rows were loaded without being looked up: all of them at once. A large index does not fit into the cache, so the
// rows of a batch go into it part by part, by the first bits of their hashes, and each part is fetched in one go before. Row by row most of
// the time of a start would go to waiting for memory.

import { SEGMENTS_CACHED, type Table } from './table.ts'

/** Rows that are sorted together, and into how many parts of the index: a part of a large one fits into the second-level cache. */
const BATCH_ROWS = 1 << 20
const PARTS = 256
const PART_SHIFT = 24
/** Rows that are hashed in a step. */
const STEP_ROWS = 1 << 14
/** Words of a cache line. */
const LINE_WORDS = 16

/**
 * Puts all rows of the table, which is loading, into its index, in steps of some milliseconds; then it is not loading any more.
 * @returns how many rows were left out, as a row before has their name or their key: the table is of no use then
 */
export function* indexLoaded(table: Table): Generator<void, number> {
  const { rowCount } = table
  table.index.reserve(rowCount)
  const loaded = new LoadedRows(Math.min(rowCount, BATCH_ROWS))
  let twice = 0
  for (let first = 0; first < rowCount; first += BATCH_ROWS) {
    const count = Math.min(BATCH_ROWS, rowCount - first)
    for (let at = 0; at < count; at += STEP_ROWS) {
      loaded.hash(table, first, at, Math.min(at + STEP_ROWS, count))
      yield
    }
    loaded.sort(first, count)
    for (let part = 0; part < PARTS; part++) {
      yield
      loaded.fetch(table, part)
      twice += loaded.index(table, part)
    }
  }
  table.endLoading()
  return twice
}

/** So many rows, on their way into the index. */
class LoadedRows {
  /** Of the rows in their order. */
  readonly #hashes: Uint32Array
  /** The rows sorted by the part of the index where they belong, and their hashes. */
  readonly #rows: Uint32Array
  readonly #sorted: Uint32Array
  /** Where each part begins, and behind the last where it ends. */
  readonly #starts = new Uint32Array(PARTS + 1)
  /** Keeps the compiler from dropping reads that only fetch. */
  touched = 0

  constructor(length: number) {
    this.#hashes = new Uint32Array(length)
    this.#rows = new Uint32Array(length)
    this.#sorted = new Uint32Array(length)
  }

  /** Takes the hashes of the rows [first + from, first + to). */
  hash(table: Table, first: number, from: number, to: number): void {
    const hashes = this.#hashes
    for (let at = from; at < to; at++) hashes[at] = table.hashOf(first + at)
  }

  /** Sorts the rows [first, first + count), whose hashes are there. */
  sort(first: number, count: number): void {
    const [hashes, rows, sorted, starts] = [this.#hashes, this.#rows, this.#sorted, this.#starts]
    starts.fill(0)
    for (let at = 0; at < count; at++) starts[hashes[at]! >>> PART_SHIFT]!++
    for (let part = 1; part <= PARTS; part++) starts[part]! += starts[part - 1]!
    // Each is where its part ends, and goes down to where it begins.
    for (let at = count - 1; at >= 0; at--) {
      const to = --starts[hashes[at]! >>> PART_SHIFT]!
      rows[to] = first + at
      sorted[to] = hashes[at]!
    }
  }

  /** Reads a word of each cache line of a part of the index: in this order the memory is fast. */
  fetch({ index: { segments } }: Table, part: number): void {
    if (segments.length <= SEGMENTS_CACHED) return
    const each = segments.length / PARTS
    let touched = 0
    for (const slots of segments.slice(Math.floor(part * each), Math.ceil((part + 1) * each))) {
      for (let word = 0; word < slots.length; word += LINE_WORDS) touched ^= slots[word]!
    }
    this.touched = touched
  }

  /** Indexes the rows of a part. @returns how many were left out */
  index(table: Table, part: number): number {
    const [rows, sorted] = [this.#rows, this.#sorted]
    let twice = 0
    for (let at = this.#starts[part]!; at < this.#starts[part + 1]!; at++) {
      if (table.hasLike(sorted[at]!, rows[at]!)) twice++
      else table.index.insert(sorted[at]!, rows[at]!)
    }
    return twice
  }
}
