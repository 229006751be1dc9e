// What a name or a row has come to, over all replicas: P minus N of its cells, with what the original's nodes have said, and of a name with
// what was imported under its key.

import type { Claims } from './claims.ts'
import type { Slots } from './slots.ts'
import type { Table } from './table.ts'

/** An integer; a bigint only beyond +-(2^53 - 1). */
export type Count = number | bigint

export class Values {
  readonly #table: Table
  readonly #claims: Claims
  readonly #slots: Slots

  constructor(table: Table, claims: Claims, slots: Slots) {
    this.#table = table
    this.#claims = claims
    this.#slots = slots
  }

  /** The value of a name; 0 when it was never counted. @param row its row, or -1 */
  of(name: Uint8Array, row: number): Count {
    if (row === -1) return this.#ofKey(name)
    const claimed = this.#claims.claimedBy(row)
    if (claimed === -1) return this.ofRow(row)
    const excess = this.#slots.any ? this.#slots.excess(claimed, row) : 0
    return narrow(BigInt(this.#sum(row)) + BigInt(this.#sum(claimed)) + BigInt(excess))
  }

  /** The value of a name without a row, which may still be known by its key. */
  #ofKey(name: Uint8Array): Count {
    const keyed = this.#claims.unclaimed(name)
    return keyed === -1 ? 0 : this.ofRow(keyed)
  }

  /** The value of a row; of a row without a name, without the name that has claimed it. */
  ofRow(row: number): Count {
    const sum = this.#sum(row)
    if (!this.#slots.any || this.#table.nameLength(row) > 0) return sum
    return narrow(BigInt(sum) + BigInt(this.#slots.excess(row, -1)))
  }

  /** What the columns of the row come to, slots of the original aside. */
  #sum(row: number): Count {
    let plus = 0
    let minus = 0
    const { anyFolded } = this.#slots
    for (const column of this.#slots.real) {
      if (anyFolded && !this.#slots.counts(column, row)) continue
      plus += column.plusOf(row)
      if (column.subtracted) minus += column.minusOfRow(row)
    }
    // Both sums are exact while they are safe integers: all terms are positive, so no rounding can bring them back below.
    if (plus <= Number.MAX_SAFE_INTEGER && minus <= Number.MAX_SAFE_INTEGER) return plus - minus
    let exact = 0n
    for (const column of this.#slots.real) if (!anyFolded || this.#slots.counts(column, row)) exact += column.balanceOf(row)
    return narrow(exact)
  }
}

function narrow(value: bigint): Count {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
