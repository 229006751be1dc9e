// Digests: what a replica holds, in 4,096 pairs of words, so that two that hold the same can find out and two that do not can
// find where. A bucket is chosen by the key of a name, and sums a hash of each of its cells: (name, replica, P, N); items are in it
// too (item-digest.ts). Sums do not depend on the order of rows, and sequence numbers are left out, because it is the counts that must
// be equal.
// They find what vectors hide: a cell that was lost although its number is covered. The hash is no secret and no proof against a liar.

import { ByteWriter } from '../base/bytes.ts'
import { finishHash } from '../base/hash.ts'
import { CELL_WORDS, type Column } from './column.ts'
import { BLOCK_COLUMNS_MAX, DELTA_VERSION, writeBlock } from './delta.ts'
import { addItemDigests } from './item-digest.ts'
import type { Items } from './items.ts'
import { RowKeys } from './row-keys.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, type Table } from './table.ts'

/** Buckets of a digest; each has two words. */
export const DIGEST_BUCKETS = 4096
/** Rows of a step, and of a delta; fewer where columns are many or names are long. */
const STEP_ROWS = 4096
const STEP_CELLS = 1 << 16
const STEP_NAME_BYTES = 1 << 20
const WORD = 0x1_0000_0000

/** Where a cell's hash begins, by column. */
function seedOf({ replica: { node, incarnation } }: Column): number {
  return finishHash(
    Math.imul(node | 0, 0x85ebca6b) ^ finishHash((incarnation | 0) ^ Math.imul(Math.floor(incarnation / WORD), 0xc2b2ae35)),
  )
}

const rowsOfStep = (columns: readonly Column[]): number =>
  Math.max(1, Math.min(STEP_ROWS, Math.floor(STEP_CELLS / Math.max(1, columns.length))))

/** The sums by bucket: two words each. Each step is a few milliseconds of work; cells that change meanwhile are in it or not. */
export function* digestsOf(table: Table, columns: readonly Column[], items: Items): Generator<void, Uint32Array> {
  const sums = new Uint32Array(2 * DIGEST_BUCKETS)
  const keys = new RowKeys(table)
  const seeds = columns.map(seedOf)
  const stepRows = rowsOfStep(columns)
  for (let row = 0; row < table.rowCount; ) {
    const chunk = row >>> CHUNK_SHIFT
    const end = Math.min(row + stepRows, (chunk + 1) * CHUNK_ROWS, table.rowCount)
    for (let nameBytes = 0; row < end && nameBytes < STEP_NAME_BYTES; row++) {
      nameBytes += table.nameLength(row)
      const at = 2 * keys.at(row)
      for (let column = 0; column < columns.length; column++) {
        const cells = columns[column]!.cells[chunk]
        if (cells === undefined) continue
        const cell = (row & CHUNK_MASK) * CELL_WORDS
        const minus = columns[column]!.minus[chunk]
        const minusLow = minus === undefined ? 0 : minus[(row & CHUNK_MASK) * 2]!
        const minusHigh = minus === undefined ? 0 : minus[(row & CHUNK_MASK) * 2 + 1]!
        if ((cells[cell]! | cells[cell + 1]! | minusLow | minusHigh) === 0) continue
        let hash = finishHash(seeds[column]! ^ keys.low)
        hash = finishHash(hash ^ keys.high)
        hash = finishHash(hash ^ keys.name)
        hash = finishHash(hash ^ cells[cell]!)
        hash = finishHash(hash ^ Math.imul(cells[cell + 1]!, 0x9e3779b1))
        hash = finishHash(hash ^ Math.imul(minusLow, 0x85ebca77))
        hash = finishHash(hash ^ Math.imul(minusHigh, 0xc2b2ae3d))
        sums[at]! += hash
        sums[at + 1]! += finishHash(hash ^ 0x27d4eb2f ^ keys.name)
      }
    }
    yield
  }
  yield* addItemDigests(items, sums)
  return sums
}

/** All cells of the buckets that are wanted, as deltas without a vector; scratch, to be used before the next step. */
export function* encodeBuckets(
  table: Table,
  columns: readonly Column[],
  wanted: readonly boolean[],
): Generator<Uint8Array, void> {
  const writer = new ByteWriter(1 << 12)
  const keys = new RowKeys(table)
  const stepRows = rowsOfStep(columns)
  const rows = new Uint32Array(stepRows)
  const masks = new Uint32Array(stepRows)
  for (let row = 0; row < table.rowCount; ) {
    const chunk = row >>> CHUNK_SHIFT
    const end = Math.min(row + stepRows, (chunk + 1) * CHUNK_ROWS, table.rowCount)
    // Each group of columns writes the names again.
    const nameBytesMax = STEP_NAME_BYTES / Math.ceil(columns.length / BLOCK_COLUMNS_MAX)
    let count = 0
    for (let nameBytes = 0; row < end && nameBytes < nameBytesMax; row++) {
      nameBytes += table.nameLength(row)
      if (wanted[keys.at(row)]) rows[count++] = row
    }
    writer.length = 0
    writer.uint8(DELTA_VERSION)
    const begun = writer.length
    const there = columns.filter((column) => column.cells[chunk] !== undefined)
    for (let from = 0; from < there.length; from += BLOCK_COLUMNS_MAX) {
      const group = there.slice(from, from + BLOCK_COLUMNS_MAX)
      const set = chooseCells(group, chunk, rows, count, masks)
      if (set.count > 0) writeBlock(writer, table, group, set)
    }
    // Also when there is nothing to give: the walk has taken its time.
    if (writer.length > begun) yield writer.written()
    else yield EMPTY
  }
}

/** A delta of nothing. */
const EMPTY = Uint8Array.of(DELTA_VERSION)

/** Of the rows those that have cells in one of the columns, and in which. */
function chooseCells(columns: readonly Column[], chunk: number, rows: Uint32Array, count: number, masks: Uint32Array) {
  const chosen = new Uint32Array(count)
  let chosenCount = 0
  for (let index = 0; index < count; index++) {
    let mask = 0
    for (let column = 0; column < columns.length; column++) {
      const seqAt = (rows[index]! & CHUNK_MASK) * CELL_WORDS + 2
      const cells = columns[column]!.cells[chunk]!
      if ((cells[seqAt]! | cells[seqAt + 1]!) !== 0) mask |= 1 << column
    }
    if (mask === 0) continue
    chosen[chosenCount] = rows[index]!
    masks[chosenCount++] = mask
  }
  return { count: chosenCount, rows: chosen, masks }
}
