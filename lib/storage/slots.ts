// What the original's nodes say of each other, and how it counts (docs/decisions/0008). A node of the original knows one total a node and
// key: slot n. It is a lower bound of what node n has counted, heard by one of our nodes and kept in a column of its own,
// (SLOT_BASE + n, the hearer's incarnation), in the row of the key. Many may hear the same, so slots are not added up:
//
//   node n counts in a row:   max(sum of P of n's columns, max of P of n's slot columns)
//
// Here the columns are sorted by node, and it is said by how much the slots exceed the columns. Without slots this is free.

import type { Column } from './column.ts'
import { FOLDED, LIST_INCARNATIONS, SLOT_BASE } from './vector.ts'

/** The columns of one node id. */
export interface NodeColumns {
  readonly node: number
  /** Its own, one a life. */
  readonly real: Column[]
  /** What was heard of it. */
  readonly slots: Column[]
  /** The one of `real` that includes others; docs/decisions/0007. */
  folded: Column | undefined
}

export class Slots {
  readonly #columns: readonly Column[]
  /** What the columns were when they were sorted: they are added at the end, and removed. */
  #length = 0
  #last: Column | undefined
  #byNode = new Map<number, NodeColumns>()
  #heard: NodeColumns[] = []
  #real: readonly Column[]
  #anyFolded = false

  /** @param columns all columns of a replica, slots among them; they may come and go */
  constructor(columns: readonly Column[]) {
    this.#columns = columns
    this.#real = columns
  }

  /** The columns that are not slots, whose cells are added up. */
  get real(): readonly Column[] {
    this.#sort()
    return this.#real
  }

  /** Whether there are slots. */
  get any(): boolean {
    this.#sort()
    return this.#heard.length > 0
  }

  /** Whether a node has a folded column. */
  get anyFolded(): boolean {
    this.#sort()
    return this.#anyFolded
  }

  /** Whether the column's cell in the row counts: it does not when the node's folded cell includes it. */
  counts(column: Column, row: number): boolean {
    return counts(column, row)
  }

  get nodes(): IterableIterator<NodeColumns> {
    this.#sort()
    return this.#byNode.values()
  }

  /** One more than the greatest slot that was heard of. */
  get width(): number {
    this.#sort()
    return this.#heard.reduce((width, { node }) => Math.max(width, node + 1), 0)
  }

  /** Whether the node id has written here under this system, so that what the original says of it is an echo. */
  isReal(node: number): boolean {
    this.#sort()
    const real = this.#byNode.get(node)?.real ?? []
    return real.some(({ replica }) => replica.incarnation > 0 && replica.incarnation < LIST_INCARNATIONS)
  }

  /** Whether `high:low` is more than is known of the slot in the row of a key. */
  isNews(row: number, slot: number, low: number, high: number): boolean {
    this.#sort()
    const columns = this.#byNode.get(slot)?.slots
    if (columns === undefined) return true
    for (const column of columns) if (column.reaches(row, low, high)) return false
    return true
  }

  /**
   * By how much the slots in the row of a key exceed the columns of their nodes there and in the named row that claims it.
   * @param named -1: no name has claimed the key
   * @returns a bigint only when a count on the way is beyond 2^53 - 1
   */
  excess(keyed: number, named: number): number | bigint {
    let excess = 0
    for (const columns of this.#heard) {
      const heard = highest(columns.slots, keyed)
      if (heard === 0) continue
      const real = plusOf(columns, keyed) + (named === -1 ? 0 : plusOf(columns, named))
      if (heard > real) excess += heard - real
      // All terms are positive, so no rounding can bring a sum back below.
      if (Math.max(heard, real, excess) > Number.MAX_SAFE_INTEGER) return this.#exactExcess(keyed, named)
    }
    return excess
  }

  #exactExcess(keyed: number, named: number): bigint {
    let excess = 0n
    for (const columns of this.#heard) {
      let heard = 0n
      for (const column of columns.slots) {
        const plus = column.exactPlusOf(keyed)
        if (plus > heard) heard = plus
      }
      let real = 0n
      for (const column of columns.real) {
        if (counts(column, keyed)) real += column.exactPlusOf(keyed)
        if (named !== -1 && counts(column, named)) real += column.exactPlusOf(named)
      }
      if (heard > real) excess += heard - real
    }
    return excess
  }

  #sort(): void {
    const columns = this.#columns
    const last = columns[columns.length - 1]
    if (columns.length === this.#length && last === this.#last) return
    this.#length = columns.length
    this.#last = last
    this.#byNode = new Map()
    for (const column of columns) {
      const { node, incarnation } = column.replica
      if (node >= SLOT_BASE) this.#of(node - SLOT_BASE).slots.push(column)
      else {
        const of = this.#of(node)
        of.real.push(column)
        if (incarnation === FOLDED) of.folded = column
      }
    }
    this.#anyFolded = [...this.#byNode.values()].some(({ folded }) => folded !== undefined)
    for (const { real, folded } of this.#byNode.values()) {
      for (const column of real) column.cover = column.replica.incarnation > FOLDED ? folded : undefined
    }
    this.#heard = [...this.#byNode.values()].filter(({ slots }) => slots.length > 0)
    this.#real = this.#heard.length === 0 ? columns : columns.filter(({ replica }) => replica.node < SLOT_BASE)
  }

  #of(node: number): NodeColumns {
    let of = this.#byNode.get(node)
    if (of === undefined) {
      of = { node, real: [], slots: [], folded: undefined }
      this.#byNode.set(node, of)
    }
    return of
  }
}

/** Whether the column's cell in the row counts: it does not when the node's folded cell includes it. */
export const counts = ({ cover, replica }: Column, row: number): boolean =>
  cover === undefined || cover.seqOf(row) < replica.incarnation

function plusOf(columns: NodeColumns, row: number): number {
  let plus = 0
  for (const column of columns.real) if (counts(column, row)) plus += column.plusOf(row)
  return plus
}

function highest(columns: readonly Column[], row: number): number {
  let plus = 0
  for (const column of columns) plus = Math.max(plus, column.plusOf(row))
  return plus
}
