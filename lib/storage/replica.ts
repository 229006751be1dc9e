// A replica: the table with a column for each replica it has heard of, of which one is its own to write.
// State changes in two ways only. `increment` adds a batch to the own column under the next sequence number; `merge`
// joins a delta, cell by cell the larger. Both are synchronous. `since` gives back what a vector does not cover.
// Invariant: a cell's P, N and seq never fall, and the own column's seq is written by nobody else.

import { assert } from '../base/assert.ts'
import { ByteWriter, VARINT_BYTES_MAX, writeVarint, writeVarint64 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { hashName, type NameHash } from '../base/hash.ts'
import { AMOUNT_WORDS, type Batch } from './batch.ts'
import { Claims } from './claims.ts'
import { CELL_WORDS, Column } from './column.ts'
import {
  BLOCK_COLUMNS_MAX,
  type DecodedDelta,
  DELTA_VERSION,
  MINUS,
  UNIFORM,
  writeBlock,
  writeBlockHead,
  writeVector,
} from './delta.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, Table } from './table.ts'
import { type ReplicaId, replicaKey, SEQ_MAX, VersionVector } from './vector.ts'

/** An integer; a bigint only beyond +-(2^53 - 1). */
export type Count = number | bigint

export interface ReplicaOptions {
  /** Who writes the own column. */
  readonly self: ReplicaId
  readonly hash: NameHash
  /** Names at most, from which on an increment of a new one is refused; 0 for no limit. Merged names are never refused. */
  readonly namesMax: number
}

const WORD = 0x1_0000_0000
/** A block of `since` ends after the row with which its names reach this. */
const BLOCK_NAME_BYTES = 1 << 20

export class Replica {
  readonly table: Table
  readonly #namesMax: number
  readonly #claims: Claims
  readonly #columns: Column[] = []
  readonly #byReplica = new Map<string, Column>()
  readonly #vector = new VersionVector()
  #self: Column
  /** Rows of the batch at hand, by its names. Scratch. */
  #rows = new Uint32Array(1024)

  constructor(options: ReplicaOptions) {
    this.table = new Table(options.hash)
    this.#namesMax = options.namesMax
    this.#claims = new Claims(this.table)
    this.#self = this.#columnOf(options.self)
  }

  get self(): ReplicaId {
    return this.#self.replica
  }

  /** The sequence number of the last own write. */
  get seq(): number {
    return this.#vector.get(this.self)
  }

  get columns(): readonly Column[] {
    return this.#columns
  }

  /** Bytes of all arrays, not counting the objects around them. */
  get byteLength(): number {
    return this.#columns.reduce((bytes, column) => bytes + column.byteLength, this.table.byteLength)
  }

  /** A copy of what is known of each replica. */
  vector(): VersionVector {
    return this.#vector.copy()
  }

  /** Goes on under another own column; the one before becomes an ordinary column of somebody else. */
  become(self: ReplicaId): void {
    this.#self = this.#columnOf(self)
  }

  /** How many of the batch's names in [from, to) have no row yet. Cost: a probe a name. */
  countMissing(batch: Batch, from: number, to: number): number {
    let missing = 0
    for (let index = from; index < to; index++) if (this.#find(batch, index) === -1) missing++
    return missing
  }

  /** Gives the batch's names in [from, to) rows, so that an increment of a large batch later finds them all. */
  addNames(batch: Batch, from: number, to: number): void {
    for (let index = from; index < to; index++) if (this.#find(batch, index) === -1) this.#add(batch, index)
  }

  /** @throws CounterError NAMES_MAX when `more` new names would be too many */
  checkNamesMax(more: number): void {
    if (this.#namesMax === 0 || more === 0 || this.table.rowCount + more <= this.#namesMax) return
    throw new CounterError(
      'NAMES_MAX',
      `${more} new names do not fit: the node has ${this.table.rowCount} and takes ${this.#namesMax} at most`,
      { fix: 'raise COUNTER_KEYS_MAX (0 is no limit) when the memory allows it; names that exist go on counting' },
    )
  }

  /**
   * Adds the batch to the own column and appends the delta of it to `writer`.
   * All or nothing: what throws has changed no count.
   * @throws CounterError NAMES_MAX, or COUNT_OVERFLOW when a count would pass 2^64 - 1
   * Cost: one probe a name, no allocation but for new names.
   */
  increment(batch: Batch, writer: ByteWriter): void {
    const rows = this.#locate(batch)
    this.#checkOverflow(batch, rows)
    const seq = this.seq + 1
    assert(seq <= SEQ_MAX, 'sequence numbers do not run out')
    this.#vector.raise(this.self, seq)
    if (batch.subtracts) this.#addMinus(batch, rows)
    const flags = this.#self.subtracted ? UNIFORM | MINUS : UNIFORM
    this.#writeNames(batch, writer, flags, seq)
    this.#addAndWrite(batch, rows, writer, seq)
  }

  /** Finds the rows of all names, adding those that are missing. */
  #locate(batch: Batch): Uint32Array {
    if (this.#rows.length < batch.count) this.#rows = new Uint32Array(batch.count * 2)
    const rows = this.#rows
    let missing = 0
    for (let index = 0; index < batch.count; index++) {
      const row = this.#find(batch, index)
      rows[index] = row
      if (row === -1) missing++
    }
    if (missing === 0) return rows
    this.checkNamesMax(missing)
    for (let index = 0; index < batch.count; index++) {
      if (rows[index] === 0xffff_ffff) rows[index] = this.#add(batch, index)
    }
    return rows
  }

  #find(batch: Batch, index: number): number {
    return this.table.find(batch.hashes[index]!, batch.names, index === 0 ? 0 : batch.ends[index - 1]!, batch.ends[index]!)
  }

  #add(batch: Batch, index: number): number {
    return this.table.add(batch.hashes[index]!, batch.names, index === 0 ? 0 : batch.ends[index - 1]!, batch.ends[index]!)
  }

  #checkOverflow(batch: Batch, rows: Uint32Array): void {
    const { amounts, count } = batch
    let chunk = -1
    let cells: Uint32Array | undefined
    for (let index = 0; index < count; index++) {
      const row = rows[index]!
      if (row >>> CHUNK_SHIFT !== chunk) {
        chunk = row >>> CHUNK_SHIFT
        cells = this.#self.cells[chunk]
      }
      if (cells === undefined) continue
      const at = (row & CHUNK_MASK) * CELL_WORDS
      const carry = cells[at]! + amounts[index * AMOUNT_WORDS]! >= WORD ? 1 : 0
      if (cells[at + 1]! + amounts[index * AMOUNT_WORDS + 1]! + carry >= WORD) this.#refuseOverflow(row)
    }
    if (batch.subtracts) this.#checkMinusOverflow(batch, rows)
  }

  #checkMinusOverflow(batch: Batch, rows: Uint32Array): void {
    for (let index = 0; index < batch.count; index++) {
      const row = rows[index]!
      const minus = this.#self.minus[row >>> CHUNK_SHIFT]
      if (minus === undefined) continue
      const at = (row & CHUNK_MASK) * 2
      const carry = minus[at]! + batch.amounts[index * AMOUNT_WORDS + 2]! >= WORD ? 1 : 0
      if (minus[at + 1]! + batch.amounts[index * AMOUNT_WORDS + 3]! + carry >= WORD) this.#refuseOverflow(row)
    }
  }

  #refuseOverflow(row: number): never {
    const name = new TextDecoder().decode(this.table.nameOf(row).subarray(0, 80))
    throw new CounterError('COUNT_OVERFLOW', `the count of '${name}' would pass 2^64 - 1 on this node`, {
      fix: 'use a new name; a count ends at 18446744073709551615 a node, in each direction',
    })
  }

  #addMinus(batch: Batch, rows: Uint32Array): void {
    const { amounts } = batch
    for (let index = 0; index < batch.count; index++) {
      const low = amounts[index * AMOUNT_WORDS + 2]!
      const high = amounts[index * AMOUNT_WORDS + 3]!
      if (low === 0 && high === 0) continue
      const chunk = rows[index]! >>> CHUNK_SHIFT
      this.#self.cellsOf(chunk)
      const minus = this.#self.minusOf(chunk)
      const at = (rows[index]! & CHUNK_MASK) * 2
      const sum = minus[at]! + low
      minus[at] = sum
      minus[at + 1]! += high + (sum >= WORD ? 1 : 0)
    }
  }

  #writeNames(batch: Batch, writer: ByteWriter, flags: number, seq: number): void {
    const { count, ends } = batch
    writer.uint8(DELTA_VERSION)
    writeBlockHead(writer, flags, [this.#self], count, () => seq)
    writer.reserve(count * 3)
    let end = writer.length
    let from = 0
    for (let index = 0; index < count; index++) {
      const to = ends[index]!
      end = writeVarint(writer.bytes, end, to - from)
      from = to
    }
    writer.length = end
    writer.raw(batch.names.subarray(0, from))
  }

  /** Adds P of every name and writes the cells in the same pass. */
  #addAndWrite(batch: Batch, rows: Uint32Array, writer: ByteWriter, seq: number): void {
    const { amounts, count } = batch
    const column = this.#self
    writer.reserve(count * VARINT_BYTES_MAX * (column.subtracted ? 2 : 1))
    const bytes = writer.bytes
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
        cells = column.cellsOf(chunk)
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
      end = writeVarint64(bytes, end, low, high)
      if (!column.subtracted) continue
      const minusAt = (row & CHUNK_MASK) * 2
      end = minus === undefined ? writeVarint(bytes, end, 0) : writeVarint64(bytes, end, minus[minusAt]!, minus[minusAt + 1]!)
    }
    writer.length = end
  }

  /**
   * Joins a delta. Commutative, associative and idempotent, so deltas may repeat and arrive in any order.
   * Cells of the own column are taken too: that is how a start replays its log.
   * @returns how many cells were news
   * @throws CounterError NAMES_MAX when the names take more memory than can be addressed
   * Cost: one probe a row, no allocation when nothing is new.
   */
  merge(delta: DecodedDelta): number {
    const columns = delta.columns.map((replica) => this.#columnOf(replica))
    const words = delta.cellWords
    let news = 0
    let ownSeq = 0
    let previousRow = -1
    let row = -1
    for (let cell = 0; cell < delta.cellCount; cell++) {
      if (delta.cellRow[cell] !== previousRow) {
        previousRow = delta.cellRow[cell]!
        row = this.#findOrAdd(delta, previousRow)
      }
      const at = cell * 4
      const seq = delta.cellSeq[cell]!
      const column = columns[delta.cellColumn[cell]!]!
      if (column.join(row, words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, seq)) news++
      if (column === this.#self && seq > ownSeq) ownSeq = seq
    }
    this.#vector.raise(this.self, ownSeq)
    if (delta.vector !== undefined) this.#vector.merge(delta.vector)
    return news
  }

  #findOrAdd(delta: DecodedDelta, row: number): number {
    const { bytes } = delta
    const from = delta.nameFrom[row]!
    const to = delta.nameTo[row]!
    if (delta.keyed[row] === 1) {
      const found = this.table.findKeyed(bytes, from)
      return found === -1 ? this.table.addKeyed(bytes, from) : found
    }
    const hash = hashName(this.table.hash, bytes, from, to)
    const found = this.table.find(hash, bytes, from, to)
    return found === -1 ? this.table.add(hash, bytes, from, to) : found
  }

  #columnOf(replica: ReplicaId): Column {
    const key = replicaKey(replica)
    let column = this.#byReplica.get(key)
    if (column === undefined) {
      column = new Column(replica)
      this.#byReplica.set(key, column)
      this.#columns.push(column)
    }
    return column
  }

  /**
   * What `known` does not cover, as encoded deltas: blocks of cells, and the vector in the last one.
   * The vector is the one of the beginning; cells that change meanwhile are given as they then are, so the sum of the
   * deltas holds at least all that the vector says. Each step is a few milliseconds of work; a view of scratch memory,
   * to be used before the next step.
   */
  *since(known: VersionVector): Generator<Uint8Array, void> {
    const vector = this.vector()
    const writer = new ByteWriter(1 << 16)
    const rows = new Uint32Array(CHUNK_ROWS)
    const masks = new Uint32Array(CHUNK_ROWS)
    for (let chunk = 0; chunk << CHUNK_SHIFT < this.table.rowCount; chunk++) {
      const columns = this.#columns.filter((column) => (column.highest[chunk] ?? 0) > known.get(column.replica))
      for (let first = 0; first < columns.length; first += BLOCK_COLUMNS_MAX) {
        const group = columns.slice(first, first + BLOCK_COLUMNS_MAX)
        const beyond = group.map((column) => known.get(column.replica))
        let row = chunk << CHUNK_SHIFT
        const end = Math.min(row + CHUNK_ROWS, this.table.rowCount)
        while (row < end) {
          let count = 0
          for (let nameBytes = 0; row < end && nameBytes < BLOCK_NAME_BYTES; row++) {
            const mask = maskOf(group, beyond, row)
            if (mask === 0) continue
            rows[count] = row
            masks[count++] = mask
            nameBytes += this.table.nameLength(row)
          }
          if (count === 0) continue
          writer.length = 0
          writer.uint8(DELTA_VERSION)
          writeBlock(writer, this.table, group, { count, rows, masks })
          yield writer.written()
        }
      }
    }
    writer.length = 0
    writer.uint8(DELTA_VERSION)
    writeVector(writer, vector)
    yield writer.written()
  }

  /** The value of a name, over all replicas; 0 when it was never counted. */
  value(name: Uint8Array): Count {
    const row = this.table.find(hashName(this.table.hash, name, 0, name.length), name, 0, name.length)
    if (row === -1) return this.#valueByKey(name)
    const claimed = this.#claims.claimedBy(row)
    if (claimed === -1) return this.valueOf(row)
    const sum = BigInt(this.valueOf(row)) + BigInt(this.valueOf(claimed))
    return narrow(sum)
  }

  /** The value of a name without a row, which may still be known by its key. */
  #valueByKey(name: Uint8Array): Count {
    const keyed = this.#claims.unclaimed(name)
    return keyed === -1 ? 0 : this.valueOf(keyed)
  }

  /** The value of a row, over all replicas. */
  valueOf(row: number): Count {
    let plus = 0
    let minus = 0
    for (const column of this.#columns) {
      plus += column.plusOf(row)
      if (column.subtracted) minus += column.minusOfRow(row)
    }
    // Both sums are exact while they are safe integers: all terms are positive, so no rounding can bring them back below.
    if (plus <= Number.MAX_SAFE_INTEGER && minus <= Number.MAX_SAFE_INTEGER) return plus - minus
    let exact = 0n
    for (const column of this.#columns) exact += column.balanceOf(row)
    return narrow(exact)
  }
}

const NO_CELLS = new Uint32Array(0)

function maskOf(columns: readonly Column[], beyond: readonly number[], row: number): number {
  let mask = 0
  for (let at = 0; at < columns.length; at++) if (columns[at]!.seqOf(row) > beyond[at]!) mask |= 1 << at
  return mask
}

function narrow(value: bigint): Count {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
