// The way from a batch's names to rows. Most names of a text came lately, and those are recalled: a small table in WebAssembly holds short names
// whole, each with its row, so that a name is told by one comparison. The others are looked up among all names, and held from then on.
// A name is compared as a whole, so it never gets another one's row; a row stays with its name, so what is held stays true. A name displaces what
// has its place, so whoever sends names to that end only makes others be looked up, as all would be without this.

import { compileModule } from '../base/webassembly.ts'
import type { Batch } from './batch.ts'
import { WASM } from './recall/wasm.ts'
import { LOOKUP_NAMES, Lookup, NO_ROW, type Table } from './table.ts'

/** What recall/recall.as exports. Positions are byte offsets in its memory. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  names(): number
  ends(): number
  hashes(): number
  rows(): number
  find(count: number, base: number): void
  learn(count: number, base: number): void
}

const instantiate = compileModule<Exports>(WASM)

/** Names that one find() takes, and bytes of all of them that fit into the memory. */
export const RECALL_NAMES = 512
const BYTES_MAX = 16_384
/** Fewer names are looked up at once: to ask for them costs as much. */
const NAMES_MIN = 16
/** Of so many names at least one must be recalled; else it costs more than it gains, and is left alone for so many calls. */
const GAIN = 4
const REST_CALLS = 7

export class Recall {
  readonly #table: Table
  readonly #namesMin: number
  /** The rows of the names that find() took, or NO_ROW. */
  rows: Uint32Array = new Uint32Array(RECALL_NAMES)
  /** Made for the first batch of many names: some replicas have none. */
  #places: Places | undefined
  /** Names that are not recalled, and which ones they are of those that find() took. */
  readonly #lookup = new Lookup()
  readonly #indexes = new Uint32Array(LOOKUP_NAMES)
  #rest = 0

  constructor(table: Table, namesMin = NAMES_MIN) {
    this.#table = table
    this.#namesMin = namesMin
  }

  get byteLength(): number {
    return this.rows.buffer.byteLength
  }

  /**
   * Finds the rows of the batch's names from `first` on, as many as go together but none from `end` on.
   * @returns how many these are
   */
  find({ names, ends, hashes }: Batch, first: number, end: number): number {
    const lookup = this.#lookup
    const count = Math.min(RECALL_NAMES, end - first)
    const base = first === 0 ? 0 : ends[first - 1]!
    const to = ends[first + count - 1]!
    const isWorthIt = count >= this.#namesMin && to - base <= BYTES_MAX
    const places = isWorthIt && this.#rest === 0 ? this.#makePlaces() : undefined
    if (isWorthIt && this.#rest > 0) this.#rest--
    const { rows } = this
    if (places === undefined) rows.fill(NO_ROW, 0, count)
    else places.find(names.subarray(base, to), ends.subarray(first, first + count), hashes.subarray(first, first + count), base)
    lookup.bytes = names
    let missed = 0
    let found = 0
    for (let index = 0; index < count; index++) {
      if (rows[index] !== NO_ROW) continue
      missed++
      const name = first + index
      const place = lookup.count++
      this.#indexes[place] = index
      lookup.from[place] = name === 0 ? 0 : ends[name - 1]!
      lookup.to[place] = ends[name]!
      lookup.hashes[place] = hashes[name]!
      if (lookup.count === LOOKUP_NAMES) found += this.#lookUp()
    }
    found += this.#lookUp()
    if (places === undefined) return count
    if (found > 0) places.learn(count, base)
    if (count === RECALL_NAMES && (count - missed) * GAIN < count) this.#rest = REST_CALLS
    return count
  }

  /** Looks up what was not recalled, and returns how many of it have rows. */
  #lookUp(): number {
    const lookup = this.#lookup
    const { count } = lookup
    this.#table.findMany(lookup)
    let found = 0
    for (let place = 0; place < count; place++) {
      const row = lookup.rows[place]!
      this.rows[this.#indexes[place]!] = row
      if (row !== NO_ROW) found++
    }
    lookup.count = 0
    return found
  }

  #makePlaces(): Places {
    if (this.#places === undefined) {
      this.#places = new Places()
      this.rows = this.#places.rows
    }
    return this.#places
  }
}

/** The names that came lately, in WebAssembly. */
class Places {
  /** The rows of the names of the last call, or NO_ROW. */
  readonly rows: Uint32Array
  readonly #names: Uint8Array
  readonly #ends: Uint32Array
  readonly #hashes: Uint32Array
  readonly #exports: Exports

  constructor() {
    this.#exports = instantiate()
    const { memory, names, ends, hashes, rows } = this.#exports
    this.#names = new Uint8Array(memory.buffer, names(), BYTES_MAX)
    this.#ends = new Uint32Array(memory.buffer, ends(), RECALL_NAMES)
    this.#hashes = new Uint32Array(memory.buffer, hashes(), RECALL_NAMES)
    this.rows = new Uint32Array(memory.buffer, rows(), RECALL_NAMES)
  }

  /** @param base where the first name starts, as `ends` count */
  find(names: Uint8Array, ends: Uint32Array, hashes: Uint32Array, base: number): void {
    this.#names.set(names)
    this.#ends.set(ends)
    this.#hashes.set(hashes)
    this.#exports.find(ends.length, base)
  }

  /** Gives the names of the last call places, where their rows are known now. */
  learn(count: number, base: number): void {
    this.#exports.learn(count, base)
  }
}
