// What a vector does not cover, as encoded deltas: the replies to writes with idempotency keys; the rows span by span, of each the columns in
// which something is newer; then the items. Replies come first, as far as possible in one delta with the cells, so that nobody knows what was
// counted under a key and does not know the key, and who takes back a write does so in the turn in which the other one is shown.
// Spans and chunks in which nothing is newer are passed over by their marks, so the cost grows with what has changed.
// A delta ends when its names or its cells are as many as make a step of a few milliseconds; it may hold blocks of several chunks.

import { ByteWriter } from '../base/bytes.ts'
import { CELL_WORDS, type Column, SPAN_ROWS, SPAN_SHIFT } from './column.ts'
import { BLOCK_COLUMNS_MAX, DELTA_VERSION, writeBlock, writeVector } from './delta.ts'
import { itemsSince } from './item-since.ts'
import type { Items } from './items.ts'
import type { Replies } from './replies.ts'
import { repliesSince } from './reply-since.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, type Table } from './table.ts'
import type { Tentative } from './tentative.ts'
import type { VersionVector } from './vector.ts'

/** A step of an answer to "what is new": an encoded delta, and from where on a later request may go on. */
export interface SinceStep {
  /** Scratch, to be used before the next step. */
  readonly delta: Uint8Array
  /** How many cells and items it holds. */
  readonly cells: number
  /** Counted in spans of rows; from ITEMS_FROM on in places of the log of items. */
  readonly nextChunk: number
}

/** Where an answer goes on that was cut off. Only good within one life of the process that gave it. */
export interface SinceStart {
  /** The nextChunk of the last step that arrived. */
  readonly chunk: number
  /** The vector of the answer's beginning: what its last delta says. */
  readonly vector: VersionVector
}

/** A delta ends after the row with which its names reach this. */
const STEP_NAME_BYTES = 1 << 20
/** A delta ends after the row with which its cells reach this. */
const STEP_CELLS = 8192
/** A delta that holds anything ends with the block after which so many cells were looked at. */
const STEP_LOOKS = 1 << 19
const WORD = 0x1_0000_0000
/** Above all spans of rows. */
const ITEMS_FROM = 2 ** 40

/** Columns of a table, of each up to where they are known. */
export interface SinceColumns {
  readonly table: Table
  /** Those that are given; one that is made meanwhile holds nothing that the answer's vector says. */
  readonly columns: readonly Column[]
  /** For each of them the sequence number up to which it is known. */
  readonly beyond: readonly number[]
}

/** What is given beside cells. */
export interface SinceOthers {
  readonly items: Items
  readonly replies: Replies
  readonly tentative: Tentative
}

/**
 * See Replica.since.
 * @param known says the same of items and replies
 * @param answer its vector, which the last delta says, and where to begin
 */
export function* encodeSince(
  columns: SinceColumns,
  { items, replies, tentative }: SinceOthers,
  known: VersionVector,
  answer: { readonly vector: VersionVector; readonly from: number },
): Generator<SinceStep, void> {
  let head: Uint8Array = EMPTY
  if (answer.from === 0) {
    for (const { delta, isLast } of repliesSince(replies, tentative, known)) {
      if (isLast) head = delta
      else yield { delta, cells: 0, nextChunk: 0 }
    }
  }
  if (answer.from < ITEMS_FROM) yield* cellsSince(columns, answer.from, head)
  let nextChunk = Math.max(ITEMS_FROM, answer.from)
  for (const { delta, items: count, next } of itemsSince(items, known, nextChunk - ITEMS_FROM)) {
    nextChunk = ITEMS_FROM + next
    yield { delta: delta ?? EMPTY, cells: count, nextChunk }
  }
  const writer = new ByteWriter()
  writer.uint8(DELTA_VERSION)
  writeVector(writer, answer.vector)
  yield { delta: writer.written(), cells: 0, nextChunk }
}

/** A delta of nothing: the step has taken its time. */
const EMPTY = Uint8Array.of(DELTA_VERSION)

/**
 * @param from the span to begin with
 * @param head what the first delta begins with
 */
function* cellsSince({ table, columns, beyond }: SinceColumns, from: number, head: Uint8Array): Generator<SinceStep, void> {
  const writer = new ByteWriter(1 << 12)
  const chosen = new Chosen()
  const begin = (head: Uint8Array): void => {
    writer.length = 0
    writer.raw(head)
    chosen.clear()
  }
  begin(head)
  let isFirst = true
  let firstRow = from * SPAN_ROWS
  for (; firstRow < table.rowCount; firstRow = (Math.floor(firstRow / CHUNK_ROWS) + 1) * CHUNK_ROWS) {
    const chunk = firstRow >>> CHUNK_SHIFT
    const newer: number[] = []
    for (let at = 0; at < columns.length; at++) if ((columns[at]!.highest[chunk] ?? 0) > beyond[at]!) newer.push(at)
    const end = Math.min((chunk + 1) * CHUNK_ROWS, table.rowCount)
    for (let first = 0; first < newer.length; first += BLOCK_COLUMNS_MAX) {
      const numbers = newer.slice(first, first + BLOCK_COLUMNS_MAX)
      const group = numbers.map((at) => columns[at]!)
      const known = numbers.map((at) => beyond[at]!)
      for (let row = firstRow; row < end; ) {
        row = chosen.choose(table, group, known, row, end)
        if (chosen.count > 0) writeBlock(writer, table, group, chosen)
        if (!chosen.isFull) continue
        // Of the rows before, other columns may be still to come.
        const isLastGroup = first + BLOCK_COLUMNS_MAX >= newer.length
        const nextChunk = Math.floor((isLastGroup ? row : firstRow) / SPAN_ROWS)
        yield { delta: writer.written(), cells: chosen.cellCount, nextChunk }
        begin(EMPTY)
        isFirst = false
      }
    }
  }
  const nextChunk = Math.floor(firstRow / SPAN_ROWS)
  if (chosen.cellCount > 0 || (isFirst && head !== EMPTY)) yield { delta: writer.written(), cells: chosen.cellCount, nextChunk }
}

/** Rows of a block and their masks. All answers share them: a block is chosen and written in one go. */
const ROWS = new Uint32Array(STEP_CELLS)
const MASKS = new Uint32Array(STEP_CELLS)

/** Rows for a block, and of each which columns; and how much the blocks of a delta hold together. */
class Chosen {
  count = 0
  readonly rows = ROWS
  readonly masks = MASKS
  /** Of the delta so far. */
  cellCount = 0
  #nameBytes = 0
  #looks = 0

  /** A new delta begins. */
  clear(): void {
    this.cellCount = 0
    this.#nameBytes = 0
    this.#looks = 0
  }

  /** Whether the delta should end with what it holds. */
  get isFull(): boolean {
    if (this.cellCount === 0) return false
    return this.cellCount >= STEP_CELLS || this.#nameBytes >= STEP_NAME_BYTES || this.#looks >= STEP_LOOKS
  }

  /** Chooses rows of [row, end), all in one chunk, until the delta is full, and returns where to go on. */
  choose(table: Table, columns: readonly Column[], beyond: readonly number[], row: number, end: number): number {
    const { rows, masks } = this
    const cells = columns.map((column) => column.cells[row >>> CHUNK_SHIFT]!)
    let { cellCount } = this
    let count = 0
    let nameBytes = this.#nameBytes
    while (row < end && nameBytes < STEP_NAME_BYTES && cellCount < STEP_CELLS) {
      const spanEnd = Math.min((row | (SPAN_ROWS - 1)) + 1, end)
      if (!anyNewer(columns, beyond, row >>> SPAN_SHIFT)) {
        row = spanEnd
        continue
      }
      this.#looks += (spanEnd - row) * cells.length
      for (; row < spanEnd && nameBytes < STEP_NAME_BYTES && cellCount < STEP_CELLS; row++) {
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
    }
    this.count = count
    this.cellCount = cellCount
    this.#nameBytes = nameBytes
    return row
  }
}

/** Whether one of the columns has something newer in the span. */
function anyNewer(columns: readonly Column[], beyond: readonly number[], span: number): boolean {
  for (let at = 0; at < columns.length; at++) if (columns[at]!.marks[span]! > beyond[at]!) return true
  return false
}
