// The rows of a delta's names, in which its cells are joined; names without one get one.

import { hashName } from '../base/hash.ts'
import type { DecodedDelta } from './delta.ts'
import { Lookup, NO_ROW, type Table } from './table.ts'

export class DeltaRows {
  readonly #table: Table
  readonly #lookup = new Lookup()

  constructor(table: Table) {
    this.#table = table
  }

  /**
   * The rows of the delta's rows [first, last), LOOKUP_NAMES at most: scratch, until the next call.
   * @throws CounterError NAMES_MAX when the names take more memory than can be addressed
   */
  locate({ bytes, nameFrom, nameTo, keyed }: DecodedDelta, first: number, last: number): Uint32Array {
    const table = this.#table
    const lookup = this.#lookup
    const { from, to, hashes, rows } = lookup
    const count = last - first
    if (table.isLoading) {
      for (let index = 0; index < count; index++) {
        const row = first + index
        rows[index] = table.load(bytes, nameFrom[row]!, nameTo[row]!, keyed[row]!)
      }
      return rows
    }
    for (let index = 0; index < count; index++) {
      from[index] = nameFrom[first + index]!
      to[index] = nameTo[first + index]!
      hashes[index] = hashName(table.hash, bytes, from[index]!, to[index]!)
    }
    lookup.bytes = bytes
    lookup.count = count
    table.findMany(lookup)
    for (let index = 0; index < count; index++) {
      if (keyed[first + index] === 1) rows[index] = this.#findOrAddKeyed(bytes, from[index]!)
      else if (rows[index] === NO_ROW) rows[index] = this.#findOrAdd(hashes[index]!, bytes, from[index]!, to[index]!)
    }
    return rows
  }

  /** A name that was missing may have been added since: a delta may name it twice. */
  #findOrAdd(hash: number, bytes: Uint8Array, from: number, to: number): number {
    const found = this.#table.find(hash, bytes, from, to)
    return found === -1 ? this.#table.add(hash, bytes, from, to) : found
  }

  #findOrAddKeyed(bytes: Uint8Array, from: number): number {
    const found = this.#table.findKeyed(bytes, from)
    return found === -1 ? this.#table.addKeyed(bytes, from) : found
  }
}
