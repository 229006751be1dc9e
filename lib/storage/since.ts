// What a vector does not cover, as encoded deltas: the rows chunk by chunk, of each the columns in which something is newer.
// A block ends when its names or its cells are as many as make a step of a few milliseconds.

import { ByteWriter } from '../base/bytes.ts'
import { CELL_WORDS, type Column } from './column.ts'
import { BLOCK_COLUMNS_MAX, DELTA_VERSION, writeBlock, writeVector } from './delta.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, type Table } from './table.ts'
import type { VersionVector } from './vector.ts'

/** A block ends after the row with which its names reach this. */
const BLOCK_NAME_BYTES = 1 << 20
/** A block ends after the row with which its cells reach this. */
const BLOCK_CELLS = 8192
const WORD = 0x1_0000_0000

/** See Replica.since. */
export function* encodeSince(
  table: Table,
  columns: readonly Column[],
  known: VersionVector,
  vector: VersionVector,
): Generator<Uint8Array, void> {
  const writer = new ByteWriter(1 << 16)
  const chosen = new Chosen()
  for (let chunk = 0; chunk << CHUNK_SHIFT < table.rowCount; chunk++) {
    const newer = columns.filter((column) => (column.highest[chunk] ?? 0) > known.get(column.replica))
    for (let first = 0; first < newer.length; first += BLOCK_COLUMNS_MAX) {
      const group = newer.slice(first, first + BLOCK_COLUMNS_MAX)
      const beyond = group.map((column) => known.get(column.replica))
      let row = chunk << CHUNK_SHIFT
      const end = Math.min(row + CHUNK_ROWS, table.rowCount)
      while (row < end) {
        row = chosen.choose(table, group, beyond, row, end)
        if (chosen.count === 0) continue
        writer.length = 0
        writer.uint8(DELTA_VERSION)
        writeBlock(writer, table, group, chosen)
        yield writer.written()
      }
    }
  }
  writer.length = 0
  writer.uint8(DELTA_VERSION)
  writeVector(writer, vector)
  yield writer.written()
}

/** Rows for a block, and of each which columns. */
class Chosen {
  count = 0
  readonly rows = new Uint32Array(BLOCK_CELLS)
  readonly masks = new Uint32Array(BLOCK_CELLS)

  /** Chooses rows of [row, end), all in one chunk, until the block is full, and returns where to go on. */
  choose(table: Table, columns: readonly Column[], beyond: readonly number[], row: number, end: number): number {
    const { rows, masks } = this
    const cells = columns.map((column) => column.cells[row >>> CHUNK_SHIFT]!)
    let count = 0
    let cellCount = 0
    let nameBytes = 0
    for (; row < end && nameBytes < BLOCK_NAME_BYTES && cellCount < BLOCK_CELLS; row++) {
      const seqAt = (row & CHUNK_MASK) * CELL_WORDS + 2
      let mask = 0
      for (let column = 0; column < cells.length; column++) {
        const words = cells[column]!
        if (words[seqAt + 1]! * WORD + words[seqAt]! <= beyond[column]!) continue
        mask |= 1 << column
        cellCount++
      }
      if (mask === 0) continue
      rows[count] = row
      masks[count++] = mask
      nameBytes += table.nameLength(row)
    }
    this.count = count
    return row
  }
}
