// What nodes can compare rows by, whatever their own numbers: the key of the name, and a second hash of it.

import { crc64Into } from '../base/crc64.ts'
import { finishHash, hashName, type NameHash } from '../base/hash.ts'
import type { Table } from './table.ts'

/** Of 32 bits, those below the number of the bucket. */
const BUCKET_SHIFT = 20
/** The same on all nodes, unlike the hash of the table: two names with one key are still told apart. */
export const PUBLIC_HASH: NameHash = { start: 0x811c9dc5 | 0, multiplier: 0x01000193 }

/** The key of a row: CRC-64 of its name, or the key that stands for a name that is not known. */
export class RowKeys {
  readonly #table: Table
  readonly #words = new Uint32Array(2)
  low = 0
  high = 0
  /** A second hash of the name; 0 of a row without one. */
  name = 0

  constructor(table: Table) {
    this.#table = table
  }

  /** Takes up a row and returns its bucket. */
  at(row: number): number {
    const bytes = this.#table.nameOf(row)
    if (this.#table.nameLength(row) > 0) {
      crc64Into(this.#words, 0, bytes, 0, bytes.length)
      this.name = hashName(PUBLIC_HASH, bytes, 0, bytes.length)
    } else {
      new Uint8Array(this.#words.buffer).set(bytes)
      this.name = 0
    }
    this.low = this.#words[0]!
    this.high = this.#words[1]!
    return finishHash(this.low ^ Math.imul(this.high, 0x9e3779b1)) >>> BUCKET_SHIFT
  }
}
