// What was imported from the original system is known by key only, and two names can share a key. The first name with
// the key, in order of arrival, claims such a row: its count is read as part of that name's, and of no other.
// Rows without a name are rare and come from an import, so nothing is kept here until there is one; then every name
// gets a place by its key. The cells stay where they are: a claim is how they are read, not a change of state.

import { crc64Into } from '../base/crc64.ts'
import { HashIndex } from './hash-index.ts'
import { KEY_BYTES, type Table } from './table.ts'

/** Rows that share a key. */
export interface Sharing {
  readonly first: number
  readonly later: readonly number[]
  readonly keyed: number
}

const NONE: readonly number[] = []

export class Claims {
  readonly #table: Table
  /** By key: the first row with a name. Made when the first row without one appears. */
  #byKey: HashIndex | undefined
  /** By the first row with a key: the later ones, where there are any. */
  readonly #later = new Map<number, number[]>()
  #indexed = 0
  readonly #key = new Uint32Array(KEY_BYTES / 4)
  readonly #keyBytes = new Uint8Array(this.#key.buffer)
  readonly #otherKey = new Uint32Array(KEY_BYTES / 4)

  constructor(table: Table) {
    this.#table = table
  }

  /** The row without a name whose count belongs to the named `row`, or -1. */
  claimedBy(row: number): number {
    if (this.#table.keyedCount === 0) return -1
    this.#catchUp()
    this.#readKey(row, this.#key)
    const keyed = this.#table.findKeyed(this.#keyBytes, 0)
    if (keyed === -1) return -1
    return this.#firstWith(this.#key) === row ? keyed : -1
  }

  /** The row without a name whose count a name without a row asks for, or -1 when another name has claimed it. */
  unclaimed(name: Uint8Array): number {
    if (this.#table.keyedCount === 0) return -1
    this.#catchUp()
    crc64Into(this.#key, 0, name, 0, name.length)
    return this.#firstWith(this.#key) === -1 ? this.#table.findKeyed(this.#keyBytes, 0) : -1
  }

  /** How many rows without a name have found one. Cost: a probe for each row. */
  count(): number {
    let claimed = 0
    if (this.#table.keyedCount === 0) return 0
    for (let row = 0; row < this.#table.rowCount; row++) if (this.#hasName(row) && this.claimedBy(row) !== -1) claimed++
    return claimed
  }

  /** Gives the names of the next rows their places by key, `rowsMax` at most; whether all have one now. */
  catchUp(rowsMax: number): boolean {
    this.#byKey ??= new HashIndex()
    const end = Math.min(this.#table.rowCount, this.#indexed + rowsMax)
    for (; this.#indexed < end; this.#indexed++) {
      if (!this.#hasName(this.#indexed)) continue
      this.#readKey(this.#indexed, this.#key)
      const first = this.#firstWith(this.#key)
      if (first === -1) this.#byKey.insert(spread(this.#key), this.#indexed)
      else if (this.#later.has(first)) this.#later.get(first)!.push(this.#indexed)
      else this.#later.set(first, [this.#indexed])
    }
    return end === this.#table.rowCount
  }

  /**
   * The rows with the key of `row`: the first with a name, the later ones, and the one without a name; -1 where there is none.
   * Leaves the key in `key`. All rows have caught up.
   */
  sharing(row: number, key: Uint32Array): Sharing {
    if (this.#hasName(row)) this.#readKey(row, this.#key)
    else this.#keyBytes.set(this.#table.nameOf(row))
    key.set(this.#key)
    const keyed = this.#table.findKeyed(this.#keyBytes, 0)
    const first = this.#firstWith(key)
    return { first, later: this.#later.get(first) ?? NONE, keyed }
  }

  #catchUp(): void {
    this.catchUp(Number.POSITIVE_INFINITY)
  }

  #hasName(row: number): boolean {
    return this.#table.nameLength(row) > 0
  }

  #readKey(row: number, key: Uint32Array): void {
    const name = this.#table.nameOf(row)
    crc64Into(key, 0, name, 0, name.length)
  }

  #firstWith(key: Uint32Array): number {
    const hash = spread(key)
    const slots = this.#byKey!.segments[hash >>> this.#byKey!.shift]!
    const mask = slots.length - 2
    for (let at = (hash << 1) & mask; slots[at + 1] !== 0; at = (at + 2) & mask) {
      if (slots[at] !== hash) continue
      this.#readKey(slots[at + 1]! - 1, this.#otherKey)
      if (this.#otherKey[0] === key[0] && this.#otherKey[1] === key[1]) return slots[at + 1]! - 1
    }
    return -1
  }
}

/** Both halves of a key, mixed: the low bits of a CRC-64 of short words hardly differ. */
function spread(key: Uint32Array): number {
  const mixed = Math.imul(key[0]! ^ Math.imul(key[1]!, 0x9e3779b1), 0x85ebca6b)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
