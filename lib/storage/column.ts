// One column: what one replica has counted, a cell a row. P and the sequence number of the cell's last change lie
// side by side, four words a cell, so that one cache line has both; N is kept only where something was ever subtracted.
// Chunks are allocated when a cell in them is first written. Each chunk, and each span of 256 rows in it, knows its highest
// sequence number, so that the question what is newer than n skips the rows where nothing is.

import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT } from './table.ts'
import type { ReplicaId } from './vector.ts'

const WORD = 0x1_0000_0000
/** Words of a cell: P low, P high, seq low, seq high. */
export const CELL_WORDS = 4
/** Rows that share a mark. */
export const SPAN_SHIFT = 8
export const SPAN_ROWS = 1 << SPAN_SHIFT
const CHUNK_SPANS = CHUNK_ROWS >>> SPAN_SHIFT

export class Column {
  readonly replica: ReplicaId
  /** The chunks' cells, by chunk; undefined where none was written. For the hot loops of replica.ts. */
  readonly cells: (Uint32Array | undefined)[] = []
  readonly minus: (Uint32Array | undefined)[] = []
  /** The highest sequence number of each chunk. */
  readonly highest: number[] = []
  /** The highest sequence number of each span, by `row >>> SPAN_SHIFT`. As long as there are chunks, or longer. */
  marks = new Float64Array(CHUNK_SPANS)
  /** Whether anything was ever subtracted. */
  subtracted = false
  /** The folded column of its node, when that may include cells of this one; kept by slots.ts. */
  cover: Column | undefined

  constructor(replica: ReplicaId) {
    this.replica = replica
  }

  get byteLength(): number {
    let bytes = 0
    for (const chunk of this.cells) bytes += chunk?.byteLength ?? 0
    for (const chunk of this.minus) bytes += chunk?.byteLength ?? 0
    return bytes + this.marks.byteLength
  }

  /** The chunk's cells, to be written. */
  cellsOf(chunk: number): Uint32Array {
    let cells = this.cells[chunk]
    if (cells === undefined) {
      cells = new Uint32Array(CHUNK_ROWS * CELL_WORDS)
      while (this.cells.length <= chunk) {
        this.cells.push(undefined)
        this.minus.push(undefined)
        this.highest.push(0)
      }
      if (this.marks.length < this.cells.length * CHUNK_SPANS) {
        const marks = new Float64Array(this.cells.length * CHUNK_SPANS * 2)
        marks.set(this.marks)
        this.marks = marks
      }
      this.cells[chunk] = cells
    }
    return cells
  }

  /** The chunk's N, two words a row, to be written. The chunk has cells. */
  minusOf(chunk: number): Uint32Array {
    let minus = this.minus[chunk]
    if (minus === undefined) {
      minus = new Uint32Array(CHUNK_ROWS * 2)
      this.minus[chunk] = minus
      this.subtracted = true
    }
    return minus
  }

  seqOf(row: number): number {
    const cells = this.cells[row >>> CHUNK_SHIFT]
    if (cells === undefined) return 0
    const at = (row & CHUNK_MASK) * CELL_WORDS
    return cells[at + 3]! * WORD + cells[at + 2]!
  }

  /** P of the row; exact as a number below 2^53, and at least 2^53 when it is. */
  plusOf(row: number): number {
    const cells = this.cells[row >>> CHUNK_SHIFT]
    if (cells === undefined) return 0
    const at = (row & CHUNK_MASK) * CELL_WORDS
    return cells[at + 1]! * WORD + cells[at]!
  }

  /** N of the row, as plusOf. */
  minusOfRow(row: number): number {
    const minus = this.minus[row >>> CHUNK_SHIFT]
    if (minus === undefined) return 0
    const at = (row & CHUNK_MASK) * 2
    return minus[at + 1]! * WORD + minus[at]!
  }

  /** Whether P of the row is `high:low` or more. */
  reaches(row: number, low: number, high: number): boolean {
    const cells = this.cells[row >>> CHUNK_SHIFT]
    if (cells === undefined) return low === 0 && high === 0
    const at = (row & CHUNK_MASK) * CELL_WORDS
    return cells[at + 1]! > high || (cells[at + 1]! === high && cells[at]! >= low)
  }

  /** P minus N of the row, exact. */
  balanceOf(row: number): bigint {
    return this.exactPlusOf(row) - this.exactMinusOf(row)
  }

  exactPlusOf(row: number): bigint {
    return uint64At(this.cells[row >>> CHUNK_SHIFT], (row & CHUNK_MASK) * CELL_WORDS)
  }

  exactMinusOf(row: number): bigint {
    return uint64At(this.minus[row >>> CHUNK_SHIFT], (row & CHUNK_MASK) * 2)
  }

  /**
   * Joins a cell into the row: of P, N and seq each the larger stays. Returns whether anything changed.
   * Associative, commutative and idempotent.
   */
  join(row: number, plusLow: number, plusHigh: number, minusLow: number, minusHigh: number, seq: number): boolean {
    const chunk = row >>> CHUNK_SHIFT
    const cells = this.cellsOf(chunk)
    const at = (row & CHUNK_MASK) * CELL_WORDS
    let changed = false
    if (plusHigh > cells[at + 1]! || (plusHigh === cells[at + 1]! && plusLow > cells[at]!)) {
      cells[at] = plusLow
      cells[at + 1] = plusHigh
      changed = true
    }
    if (minusLow !== 0 || minusHigh !== 0) changed = this.#joinMinus(row, minusLow, minusHigh) || changed
    if (seq > cells[at + 3]! * WORD + cells[at + 2]!) {
      cells[at + 2] = seq >>> 0
      cells[at + 3] = Math.floor(seq / WORD)
      if (seq > this.highest[chunk]!) this.highest[chunk] = seq
      if (seq > this.marks[row >>> SPAN_SHIFT]!) this.marks[row >>> SPAN_SHIFT] = seq
      changed = true
    }
    return changed
  }

  /** Joins all cells of another column, which stays as it is. */
  joinAll(source: Column): void {
    for (const [chunk, cells] of source.cells.entries()) {
      if (cells === undefined) continue
      const minus = source.minus[chunk]
      for (let index = 0; index < CHUNK_ROWS; index++) {
        const at = index * CELL_WORDS
        const seq = cells[at + 3]! * WORD + cells[at + 2]!
        if (seq === 0) continue
        this.join(
          chunk * CHUNK_ROWS + index,
          cells[at]!,
          cells[at + 1]!,
          minus?.[index * 2] ?? 0,
          minus?.[index * 2 + 1] ?? 0,
          seq,
        )
      }
    }
  }

  #joinMinus(row: number, low: number, high: number): boolean {
    const minus = this.minusOf(row >>> CHUNK_SHIFT)
    const at = (row & CHUNK_MASK) * 2
    if (high < minus[at + 1]! || (high === minus[at + 1]! && low <= minus[at]!)) return false
    minus[at] = low
    minus[at + 1] = high
    return true
  }
}

function uint64At(words: Uint32Array | undefined, at: number): bigint {
  if (words === undefined) return 0n
  return (BigInt(words[at + 1]!) << 32n) | BigInt(words[at]!)
}
