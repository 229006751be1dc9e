// Texts on their way to rows of a table: encoded side by side into one scratch, hashed, and looked up many at a time. What a batch of strings
// costs is mostly here, so nothing is allocated for one.

import { hashName } from '../base/hash.ts'
import { LOOKUP_NAMES, Lookup, NO_ROW, type Table } from './table.ts'

/** Texts looked up together at most. */
export const TEXTS_MAX = LOOKUP_NAMES
const SCRATCH_BYTES = 1 << 13
/** Of one UTF-16 unit, in UTF-8. */
const UNIT_BYTES_MAX = 3
const encoder = new TextEncoder()

export class TextLookup {
  readonly #table: Table
  readonly #lookup = new Lookup()
  #bytes = new Uint8Array(SCRATCH_BYTES)
  #end = 0

  constructor(table: Table) {
    this.#table = table
  }

  clear(): void {
    this.#lookup.count = 0
    this.#end = 0
  }

  /** Adds a text and returns its place, from 0 to TEXTS_MAX - 1. */
  push(text: string): number {
    const start = this.#end
    this.#end = this.#encode(text, start)
    const lookup = this.#lookup
    const place = lookup.count++
    lookup.from[place] = start
    lookup.to[place] = this.#end
    lookup.hashes[place] = hashName(this.#table.hash, this.#bytes, start, this.#end)
    return place
  }

  /** Looks all texts up that were pushed. */
  find(): void {
    this.#lookup.bytes = this.#bytes
    this.#table.findMany(this.#lookup)
  }

  /** The row of the text at a place, or -1. */
  rowAt(place: number): number {
    const row = this.#lookup.rows[place]!
    return row === NO_ROW ? -1 : row
  }

  /** The same; a text without a row gets one. */
  rowOrNewAt(place: number): number {
    const { rows, hashes, from, to } = this.#lookup
    if (rows[place] !== NO_ROW) return rows[place]!
    const hash = hashes[place]!
    // It may have come twice, and have got its row in between.
    const found = this.#table.find(hash, this.#bytes, from[place]!, to[place]!)
    return found === -1 ? this.#table.add(hash, this.#bytes, from[place]!, to[place]!) : found
  }

  /** The row of one text, or -1. */
  rowOf(text: string): number {
    const end = this.#encode(text, 0)
    return this.#table.find(hashName(this.#table.hash, this.#bytes, 0, end), this.#bytes, 0, end)
  }

  /** Writes the text into the scratch and returns where it ends. */
  #encode(text: string, at: number): number {
    const { length } = text
    if (at + length * UNIT_BYTES_MAX > this.#bytes.length) this.#grow(at + length * UNIT_BYTES_MAX)
    const bytes = this.#bytes
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index)
      if (unit >= 0x80) return at + encoder.encodeInto(text, bytes.subarray(at)).written
      bytes[at + index] = unit
    }
    return at + length
  }

  #grow(length: number): void {
    const bytes = new Uint8Array(Math.max(length, this.#bytes.length * 2))
    bytes.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = bytes
  }
}
