// What the nodes have counted under each key, as the original speaks of it: of rows that a vector does not cover the key, and
// of each node one total, over its columns, or what was heard of it when that is more. Names that share a key share
// a total there. Subtractions cannot be said. The cost grows with what has changed, as for encodeSince.

import type { Claims } from './claims.ts'
import { CELL_WORDS, type Column, SPAN_ROWS, SPAN_SHIFT } from './column.ts'
import { counts, type NodeColumns, type Slots } from './slots.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, type Table } from './table.ts'
import { SLOTS_MAX, type VersionVector } from './vector.ts'

/** Totals by key. All of it is scratch, to be used before the next step. */
export interface ChangedTotals {
  /** How many keys. */
  readonly count: number
  /** Two words a key. */
  readonly keys: Uint32Array
  /** Totals of key i end at `ends[i]`; they begin where those of key i - 1 end. */
  readonly ends: Uint32Array
  /** The node of each total, ascending within a key, below SLOTS_MAX. */
  readonly slots: Uint32Array
  /** Two words a total, above zero; at most 2^64 - 1 even where a node's columns come to more. */
  readonly words: Uint32Array
  /** One more than the greatest slot that was heard of. */
  readonly width: number
}

/** A step ends with the row after which it has so many totals, or has looked at so many cells. */
const STEP_TOTALS = 2048
const STEP_LOOKS = 1 << 18
/** Names that get their places by key in one step. */
const STEP_NAMES = 4096
const WORD = 0x1_0000_0000

export class TotalsWalk {
  readonly #table: Table
  readonly #claims: Claims
  readonly #slots: Slots
  readonly #columns: readonly Column[]
  readonly #known: VersionVector
  /** Of each column the number up to which it is known. */
  readonly #beyond = new Map<Column, number>()
  /** First rows of names that share a key and were given already. */
  readonly #given = new Set<number>()
  #nodes: NodeColumns[] = []
  #looks = 0
  // The step.
  #count = 0
  #keys = new Uint32Array(512)
  #ends = new Uint32Array(256)
  #totals = 0
  #slotOf = new Uint32Array(1024)
  #words = new Uint32Array(2048)
  readonly #key = new Uint32Array(2)
  /** A sum that is being made. */
  #low = 0
  #high = 0

  constructor(parts: { table: Table; claims: Claims; slots: Slots; columns: readonly Column[]; known: VersionVector }) {
    this.#table = parts.table
    this.#claims = parts.claims
    this.#slots = parts.slots
    this.#columns = parts.columns
    this.#known = parts.known
  }

  /** A few milliseconds of work a step. A row that changes meanwhile may be given as it was, as it is, or not at all. */
  *steps(): Generator<ChangedTotals, void> {
    this.#begin()
    for (let chunk = 0; chunk * CHUNK_ROWS < this.#table.rowCount; chunk++) {
      const newer = this.#columns.filter((column) => (column.highest[chunk] ?? 0) > this.#beyondOf(column))
      if (newer.length === 0) continue
      while (!this.#claims.catchUp(STEP_NAMES)) yield this.#end()
      const spans = (chunk + 1) * (CHUNK_ROWS >>> SPAN_SHIFT)
      for (let span = chunk * (CHUNK_ROWS >>> SPAN_SHIFT); span < spans; span++) {
        const changed = newer.filter((column) => column.marks[span]! > this.#beyondOf(column))
        if (changed.length === 0) continue
        const end = Math.min((span + 1) * SPAN_ROWS, this.#table.rowCount)
        for (let row = span * SPAN_ROWS; row < end; row++) if (this.#isChanged(row, changed)) this.#give(row)
        if (this.#totals < STEP_TOTALS && this.#looks < STEP_LOOKS) continue
        yield this.#end()
        while (!this.#claims.catchUp(STEP_NAMES)) yield this.#end()
      }
    }
    yield this.#end()
  }

  #begin(): void {
    this.#nodes = [...this.#slots.nodes].filter(({ node }) => node < SLOTS_MAX).sort((left, right) => left.node - right.node)
    this.#count = 0
    this.#totals = 0
    this.#looks = 0
  }

  #end(): ChangedTotals {
    const step = {
      count: this.#count,
      keys: this.#keys,
      ends: this.#ends,
      slots: this.#slotOf,
      words: this.#words,
      width: this.#slots.width,
    }
    this.#begin()
    return step
  }

  #beyondOf(column: Column): number {
    let beyond = this.#beyond.get(column)
    if (beyond === undefined) {
      beyond = this.#known.get(column.replica)
      this.#beyond.set(column, beyond)
    }
    return beyond
  }

  #isChanged(row: number, columns: readonly Column[]): boolean {
    this.#looks += columns.length
    for (const column of columns) if (column.seqOf(row) > this.#beyondOf(column)) return true
    return false
  }

  /** Gives the key of a row, unless another row that shares it has given it or will. */
  #give(row: number): void {
    const { first, later, keyed } = this.#claims.sharing(row, this.#key)
    if (later.length > 0) {
      if (this.#given.has(first)) return
      this.#given.add(first)
    } else if (first !== -1 && keyed !== -1) {
      const other = Math.min(first, keyed)
      if (row !== other && this.#isChanged(other, this.#columns)) return
    }
    const from = this.#totals
    for (const node of this.#nodes) {
      this.#low = 0
      this.#high = 0
      if (first !== -1) this.#addReal(node, first)
      if (keyed !== -1) this.#addReal(node, keyed)
      if (keyed !== -1) for (const column of node.slots) this.#raise(column, keyed)
      for (const another of later) this.#addReal(node, another)
      if (this.#low !== 0 || this.#high !== 0) this.#keep(node.node)
    }
    this.#looks += this.#nodes.length * (2 + later.length)
    if (this.#totals > from) this.#keepKey()
  }

  #addReal(node: NodeColumns, row: number): void {
    for (const column of node.real) {
      const cells = column.cells[row >>> CHUNK_SHIFT]
      if (cells === undefined || !counts(column, row)) continue
      const at = (row & CHUNK_MASK) * CELL_WORDS
      const low = this.#low + cells[at]!
      const high = this.#high + cells[at + 1]! + (low >= WORD ? 1 : 0)
      this.#low = high >= WORD ? WORD - 1 : low >>> 0
      this.#high = Math.min(high, WORD - 1)
    }
  }

  #raise(column: Column, row: number): void {
    const cells = column.cells[row >>> CHUNK_SHIFT]
    if (cells === undefined) return
    const at = (row & CHUNK_MASK) * CELL_WORDS
    if (cells[at + 1]! < this.#high || (cells[at + 1]! === this.#high && cells[at]! <= this.#low)) return
    this.#low = cells[at]!
    this.#high = cells[at + 1]!
  }

  #keep(node: number): void {
    if (this.#totals === this.#slotOf.length) {
      this.#slotOf = doubled(this.#slotOf)
      this.#words = doubled(this.#words)
    }
    this.#slotOf[this.#totals] = node
    this.#words[this.#totals * 2] = this.#low
    this.#words[this.#totals * 2 + 1] = this.#high
    this.#totals++
  }

  #keepKey(): void {
    if (this.#count === this.#ends.length) {
      this.#ends = doubled(this.#ends)
      this.#keys = doubled(this.#keys)
    }
    this.#keys[this.#count * 2] = this.#key[0]!
    this.#keys[this.#count * 2 + 1] = this.#key[1]!
    this.#ends[this.#count++] = this.#totals
  }
}

function doubled(source: Uint32Array): Uint32Array<ArrayBuffer> {
  const target = new Uint32Array(source.length * 2)
  target.set(source)
  return target
}
