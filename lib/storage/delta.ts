// The delta codec: the one form in which cells leave the table. A write produces it, a log record holds it,
// a snapshot block is it. Byte by byte in docs/FORMATS.md, section 1.
//
//   delta  := version part*                          its end is known from what frames it
//   part   := 1 block | 2 vector | 3 items (item-delta.ts; from version 2 on) | 4 replies (reply-codec.ts; from version 3 on)
//   block  := flags columns rowCount lengths names cells
//   columns:= count (node incarnation baseSeq){count}
//   lengths:= varint{rowCount}                       0: a row without a name; its eight bytes of key stand in `names`
//   cells  := per row: [mask, when count > 1] then per column of the mask: [seq, unless UNIFORM] P [N, when MINUS]
//   vector := count (node incarnation seq){count}
//
// Lengths, names and cells lie apart so that a write copies its names in one piece and a reader checks all of them as UTF-8 at once.
// A cell's seq is the zigzag difference to the column's cell before, from baseSeq on; UNIFORM means all are baseSeq.
// Decoding is total: it reads everything into arrays and checks it before the first cell is applied.

import { isUtf8 } from 'node:buffer'
import { type ByteReader, type ByteWriter, VARINT_BYTES_MAX, writeVarint, writeVarint64 } from '../base/bytes.ts'
import { CELL_WORDS, type Column } from './column.ts'
import { DecodedItems } from './item-delta.ts'
import type { PlacedReply } from './replies.ts'
import { readReplies } from './reply-codec.ts'
import { CHUNK_MASK, CHUNK_SHIFT, KEY_BYTES, NAME_BYTES_LIMIT, type Table } from './table.ts'
import {
  decodeVectorInto,
  encodeVector,
  type ReplicaId,
  readReplica,
  readSeq,
  SEQ_MAX,
  VersionVector,
  type WriteAt,
} from './vector.ts'
import { unzigzag, zigzag } from './zigzag.ts'

/** Of deltas without items. */
export const DELTA_VERSION = 1
/** Of deltas that may hold items, and of those that may hold replies: who does not know them refuses these whole. */
export const ITEMS_VERSION = 2
export const REPLIES_VERSION = 3
export const PART_BLOCK = 1
export const PART_VECTOR = 2
export const PART_ITEMS = 3
export const PART_REPLIES = 4
/** Flags of a block. */
export const UNIFORM = 1
export const MINUS = 2
/** Columns of a block at most: the bits of a mask. */
export const BLOCK_COLUMNS_MAX = 31

const WORD = 0x1_0000_0000

/** Rows to encode, and of each which columns: `masks[i]` bit c is column c of the block. */
export interface RowSet {
  readonly count: number
  readonly rows: Uint32Array
  readonly masks: Uint32Array
}

/** Appends a block with the cells that `set` chooses. All rows of the set lie in one chunk, in which all columns have cells. */
export function writeBlock(writer: ByteWriter, table: Table, columns: readonly Column[], set: RowSet): void {
  const withMinus = columns.some((column) => column.subtracted)
  writeBlockHead(writer, withMinus ? MINUS : 0, columns, set.count, () => 0)
  table.writeNames(writer, set.rows, set.count)

  const chunk = set.rows[0]! >>> CHUNK_SHIFT
  const cells = columns.map((column) => column.cells[chunk]!)
  const minus = columns.map((column) => column.minus[chunk])
  const previous = new Float64Array(columns.length)
  const rowBytesMax = VARINT_BYTES_MAX * (1 + 3 * columns.length)
  for (let index = 0; index < set.count; index++) {
    const inChunk = set.rows[index]! & CHUNK_MASK
    const mask = set.masks[index]!
    writer.reserve(rowBytesMax)
    const bytes = writer.bytes
    let end = writer.length
    if (columns.length > 1) end = writeVarint(bytes, end, mask)
    for (let column = 0; column < columns.length; column++) {
      if (((mask >>> column) & 1) === 0) continue
      const words = cells[column]!
      const at = inChunk * CELL_WORDS
      const seq = words[at + 3]! * WORD + words[at + 2]!
      end = writeVarint(bytes, end, zigzag(seq - previous[column]!))
      end = writeVarint64(bytes, end, words[at]!, words[at + 1]!)
      previous[column] = seq
      if (withMinus) end = writeMinus(bytes, end, minus[column], inChunk)
    }
    writer.length = end
  }
}

function writeMinus(bytes: Uint8Array, end: number, minus: Uint32Array | undefined, inChunk: number): number {
  return minus === undefined
    ? writeVarint(bytes, end, 0)
    : writeVarint64(bytes, end, minus[inChunk * 2]!, minus[inChunk * 2 + 1]!)
}

/** Appends the head of a block, up to and with the row count. */
export function writeBlockHead(
  writer: ByteWriter,
  flags: number,
  columns: readonly { replica: ReplicaId }[],
  rowCount: number,
  baseSeq: (column: number) => number,
): void {
  writer.uint8(PART_BLOCK)
  writer.uint8(flags)
  writer.varint(columns.length)
  for (let at = 0; at < columns.length; at++) {
    writer.varint(columns[at]!.replica.node)
    writer.varint(columns[at]!.replica.incarnation)
    writer.varint(baseSeq(at))
  }
  writer.varint(rowCount)
}

export function writeVector(writer: ByteWriter, vector: VersionVector): void {
  writer.uint8(PART_VECTOR)
  encodeVector(writer, vector)
}

/**
 * A delta taken apart. One instance is reused for many deltas: the arrays are scratch, valid up to the counts.
 * Row r has its name at `bytes[nameFrom[r], nameTo[r])`; when `keyed[r]` is 1 these are eight bytes of key.
 */
export class DecodedDelta {
  bytes: Uint8Array = new Uint8Array(0)
  rowCount = 0
  nameFrom = new Uint32Array(64)
  nameTo = new Uint32Array(64)
  keyed = new Uint8Array(64)
  cellCount = 0
  /** Per cell: its row, its column as an index into `columns`, its seq, and P low, P high, N low, N high. */
  cellRow = new Uint32Array(64)
  cellColumn = new Uint32Array(64)
  cellSeq = new Float64Array(64)
  cellWords = new Uint32Array(64 * 4)
  columns: ReplicaId[] = []
  vector: VersionVector | undefined
  readonly items = new DecodedItems()
  replies: PlacedReply[] = []
  /** The one write that the delta is, all of it: a single uniform block of one column, or items of one write. Else undefined. */
  write: WriteAt | undefined

  /**
   * Takes the delta apart that fills what is left of `reader`.
   * @throws CounterError with the reader's code when it is malformed or of a version this program does not know
   */
  decode(reader: ByteReader): void {
    this.bytes = reader.bytes
    this.rowCount = 0
    this.cellCount = 0
    this.columns = []
    this.vector = undefined
    this.write = undefined
    this.replies = []
    this.items.clear(reader.bytes)
    const version = reader.uint8()
    if (version < DELTA_VERSION || version > REPLIES_VERSION)
      reader.fail(`delta is version ${version}, expected at most ${REPLIES_VERSION},`)
    while (reader.left > 0) {
      const part = reader.uint8()
      if (part === PART_BLOCK) this.#decodeBlock(reader)
      else if (part === PART_VECTOR) this.#decodeVector(reader)
      else if (part === PART_ITEMS && version >= ITEMS_VERSION) this.items.decode(reader)
      else if (part === PART_REPLIES && version >= REPLIES_VERSION) this.#decodeReplies(reader)
      else reader.fail(`unknown part ${part}`)
    }
    const { columns, items } = this
    if (this.vector !== undefined || columns.length + items.origins.length !== 1) this.write = undefined
    else if (items.isWhole) this.write = writeOfItems(items)
  }

  #decodeReplies(reader: ByteReader): void {
    this.replies = this.replies.concat(readReplies(reader))
  }

  #decodeVector(reader: ByteReader): void {
    this.vector ??= new VersionVector()
    decodeVectorInto(reader, this.vector)
  }

  #decodeBlock(reader: ByteReader): void {
    const flags = reader.uint8()
    if (flags > (UNIFORM | MINUS)) reader.fail(`unknown flags ${flags}`)
    const columnCount = reader.varint()
    if (columnCount < 1 || columnCount > BLOCK_COLUMNS_MAX) reader.fail(`block of ${columnCount} columns`)
    const firstColumn = this.columns.length
    const previous: number[] = []
    for (let index = 0; index < columnCount; index++) {
      this.columns.push(readReplica(reader))
      previous.push(readSeq(reader))
    }
    const last = this.columns.length - 1
    if ((flags & UNIFORM) !== 0) this.write = { replica: this.columns[last]!, seq: previous[columnCount - 1]! }
    const rowCount = reader.varint()
    // A row takes two bytes at least, so a count that is too high is found before anything is allocated for it.
    if (rowCount * 2 > reader.left) reader.fail(`${rowCount} rows do not fit`)
    const firstRow = this.rowCount
    this.#decodeNames(reader, rowCount)
    for (let index = 0; index < rowCount; index++) {
      const mask = columnCount === 1 ? 1 : reader.varint()
      if (mask < 1 || mask >= 2 ** columnCount) reader.fail(`mask ${mask} of ${columnCount} columns`)
      for (let at = 0; at < columnCount; at++) {
        if (((mask >>> at) & 1) === 0) continue
        if ((flags & UNIFORM) === 0) previous[at]! += unzigzag(reader.varint())
        this.#decodeCell(reader, firstRow + index, firstColumn + at, previous[at]!, flags)
      }
    }
  }

  #decodeNames(reader: ByteReader, rowCount: number): void {
    const firstRow = this.rowCount
    this.#growRows(firstRow + rowCount)
    let total = 0
    for (let row = firstRow; row < firstRow + rowCount; row++) {
      const length = reader.varint()
      if (length > NAME_BYTES_LIMIT) reader.fail(`name of ${length} bytes`)
      this.keyed[row] = length === 0 ? 1 : 0
      this.nameFrom[row] = total
      total += length || KEY_BYTES
      this.nameTo[row] = total
    }
    const start = reader.at
    reader.raw(total)
    let runStart = start
    for (let row = firstRow; row < firstRow + rowCount; row++) {
      const from = this.nameFrom[row]! + start
      const to = this.nameTo[row]! + start
      this.nameFrom[row] = from
      this.nameTo[row] = to
      if (this.keyed[row] === 1) {
        this.#checkNames(reader, runStart, from)
        runStart = to
      } else if ((this.bytes[from]! & 0xc0) === 0x80) reader.fail('a name that starts inside a character')
    }
    this.#checkNames(reader, runStart, start + total)
    this.rowCount = firstRow + rowCount
  }

  #checkNames(reader: ByteReader, from: number, to: number): void {
    if (from < to && !isUtf8(this.bytes.subarray(from, to))) reader.fail('a name that is not UTF-8')
  }

  #decodeCell(reader: ByteReader, row: number, column: number, seq: number, flags: number): void {
    if (!(seq >= 1 && seq <= SEQ_MAX)) reader.fail(`sequence number ${seq}`)
    const cell = this.cellCount++
    if (cell >= this.cellRow.length) this.#growCells()
    this.cellRow[cell] = row
    this.cellColumn[cell] = column
    this.cellSeq[cell] = seq
    const at = cell * 4
    reader.varint64()
    this.cellWords[at] = reader.low
    this.cellWords[at + 1] = reader.high
    if ((flags & MINUS) !== 0) reader.varint64()
    else reader.low = reader.high = 0
    this.cellWords[at + 2] = reader.low
    this.cellWords[at + 3] = reader.high
  }

  #growRows(count: number): void {
    if (count <= this.nameFrom.length) return
    const length = Math.max(count, this.nameFrom.length * 2)
    this.nameFrom = enlarged(this.nameFrom, new Uint32Array(length))
    this.nameTo = enlarged(this.nameTo, new Uint32Array(length))
    this.keyed = enlarged(this.keyed, new Uint8Array(length))
  }

  #growCells(): void {
    const length = this.cellRow.length * 2
    this.cellRow = enlarged(this.cellRow, new Uint32Array(length))
    this.cellColumn = enlarged(this.cellColumn, new Uint32Array(length))
    this.cellSeq = enlarged(this.cellSeq, new Float64Array(length))
    this.cellWords = enlarged(this.cellWords, new Uint32Array(length * 4))
  }
}

function enlarged<T extends { set(source: T): void }>(source: T, target: T): T {
  target.set(source)
  return target
}

/** The write that all of the items are of, if there is one. */
function writeOfItems({ count, origins, seq }: DecodedItems): WriteAt | undefined {
  if (count === 0) return undefined
  for (let item = 1; item < count; item++) if (seq[item] !== seq[0]) return undefined
  return { replica: origins[0]!, seq: seq[0]! }
}
