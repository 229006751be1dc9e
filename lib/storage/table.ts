// The rows: every name in order of its arrival, and the way from a name to its row.
//
//   hash ──> index ──> row ──> header (two words: where the name's bytes are, how many) ──> name page
//
// Headers live in chunks of CHUNK_ROWS rows and names in pages, so growth allocates a little at a time and moves nothing.
// A row whose length is 0 has no name: its eight bytes are the key (CRC-64) that the original's files know it by.
// Rows are never removed, so a row number, once given, stays.
// Rows may be loaded: appended without being looked up, where it is known that no name comes twice, and indexed together in the end (load-index.ts).

import { assert } from '../base/assert.ts'
import { type ByteWriter, writeVarint } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { hashName, type NameHash } from '../base/hash.ts'
import { HashIndex } from './hash-index.ts'

/** A row is `chunk << CHUNK_SHIFT | row in chunk`, here and in the columns. */
export const CHUNK_SHIFT = 14
export const CHUNK_ROWS = 1 << CHUNK_SHIFT
export const CHUNK_MASK = CHUNK_ROWS - 1
/** Bytes of a key, which stands in the place of a name that is not known. */
export const KEY_BYTES = 8
/** The longest name the table takes. The limit for users is a setting below it. */
export const NAME_BYTES_LIMIT = 65_535
/** Bytes the length of a name takes as a varint. */
export const LENGTH_BYTES_MAX = 3

/** An index with more segments than this, of 32 KiB each, is larger than the second-level cache. */
export const SEGMENTS_CACHED = 64
const PAGE_SHIFT = 20
const PAGE_BYTES = 1 << PAGE_SHIFT
const PAGE_MASK = PAGE_BYTES - 1
/** Name pages at most: a header addresses 4 GiB. */
const PAGES_MAX = 2 ** (32 - PAGE_SHIFT)

const NOT_INDEXED = 'nothing is looked up before loaded rows are indexed'

/** In the place of a row: there is none. */
export const NO_ROW = 0xffff_ffff
/** Names looked up together. */
export const LOOKUP_NAMES = 128

/** Names to be looked up together: the names are filled in, the rows are the answer. Scratch, used again and again. */
export class Lookup {
  bytes: Uint8Array = new Uint8Array(0)
  count = 0
  /** Name i is `bytes[from[i], to[i])`, and `hashes[i]` is hashName of it. */
  readonly from = new Uint32Array(LOOKUP_NAMES)
  readonly to = new Uint32Array(LOOKUP_NAMES)
  readonly hashes = new Uint32Array(LOOKUP_NAMES)
  /** The row of name i, or NO_ROW. */
  readonly rows = new Uint32Array(LOOKUP_NAMES)
  /** Where the row's name is, and how long. */
  readonly offsets = new Uint32Array(LOOKUP_NAMES)
  readonly lengths = new Uint32Array(LOOKUP_NAMES)
  /** Keeps the compiler from dropping reads that only fetch. */
  touched = 0
}

export class Table {
  readonly hash: NameHash
  readonly index = new HashIndex()
  rowCount = 0
  /** Rows without a name. */
  keyedCount = 0
  /** Two words a row: offset of the name in the pages, its length (0: eight bytes of key). */
  #headers: Uint32Array[] = []
  #pages: Uint8Array[] = []
  /** The pages once more, to be read four bytes at a time. */
  #views: DataView[] = []
  #pageFree = PAGE_BYTES
  #isLoading = false

  constructor(hash: NameHash) {
    this.hash = hash
  }

  /** Whether rows are being loaded: until they are indexed nothing can be found. */
  get isLoading(): boolean {
    return this.#isLoading
  }

  get byteLength(): number {
    return this.index.byteLength + this.#headers.length * CHUNK_ROWS * 8 + this.#pages.length * PAGE_BYTES
  }

  /** The row of the name `bytes[from, to)`, or -1. `hash` is hashName of it. */
  find(hash: number, bytes: Uint8Array, from: number, to: number): number {
    assert(!this.#isLoading, NOT_INDEXED)
    // To the index a name without bytes would look like a row without a name.
    if (from === to) return -1
    return this.#probe(hash, bytes, from, to, to - from)
  }

  /**
   * Finds all names of `lookup`. Slots, headers and names are fetched in a loop each, so that the cache misses of many
   * names are under way at once: for a large table this is most of the time.
   */
  findMany(lookup: Lookup): void {
    assert(!this.#isLoading, NOT_INDEXED)
    const { count, hashes, rows, offsets, lengths, from, to, bytes } = lookup
    const { segments, shift } = this.index
    const headers = this.#headers
    const pages = this.#views
    const names = viewOf(bytes)
    // Slots, of an index that does not fit into the cache. No branch depends on what is read, so that the reads do not wait for each other.
    let touched = 0
    for (let index = segments.length > SEGMENTS_CACHED ? 0 : count; index < count; index++) {
      const hash = hashes[index]!
      const slots = segments[hash >>> shift]!
      touched ^= slots[(hash << 1) & (slots.length - 2)]!
    }
    // Candidates: the first row with the hash.
    for (let index = 0; index < count; index++) {
      const hash = hashes[index]!
      const slots = segments[hash >>> shift]!
      const mask = slots.length - 2
      let at = (hash << 1) & mask
      while (slots[at] !== hash && slots[at + 1] !== 0) at = (at + 2) & mask
      rows[index] = slots[at + 1]! - 1
    }
    // Headers, and of each name the first byte.
    for (let index = 0; index < count; index++) {
      const row = rows[index]!
      if (row === NO_ROW) continue
      const chunk = headers[row >>> CHUNK_SHIFT]!
      const header = (row & CHUNK_MASK) << 1
      const offset = chunk[header]!
      offsets[index] = offset
      lengths[index] = chunk[header + 1]!
      touched ^= pages[offset >>> PAGE_SHIFT]!.getUint8(offset & PAGE_MASK)
    }
    lookup.touched = touched
    // Names.
    for (let index = 0; index < count; index++) {
      if (rows[index] === NO_ROW) continue
      const start = from[index]!
      const length = to[index]! - start
      const offset = offsets[index]!
      if (length === lengths[index]! && length > 0) {
        if (sameBytes(pages[offset >>> PAGE_SHIFT]!, offset & PAGE_MASK, names, start, length)) continue
      }
      // Another name with the same hash came first.
      rows[index] = this.find(hashes[index]!, bytes, start, to[index]!)
    }
  }

  /** The row that is known only by the eight bytes of key at `from`, or -1. */
  findKeyed(bytes: Uint8Array, from: number): number {
    if (this.keyedCount === 0) return -1
    return this.#probe(this.#hashKey(bytes, from), bytes, from, from + KEY_BYTES, 0)
  }

  /**
   * Adds a name that `find` did not find, and returns its row.
   * @throws CounterError NAMES_MAX when the pages hold 4 GiB of names
   */
  add(hash: number, bytes: Uint8Array, from: number, to: number): number {
    assert(to > from && to - from <= NAME_BYTES_LIMIT, 'a name has 1 to 65,535 bytes')
    return this.#append(hash, bytes, from, to, to - from)
  }

  /** Adds a row known only by its key. */
  addKeyed(bytes: Uint8Array, from: number): number {
    const row = this.#append(this.#hashKey(bytes, from), bytes, from, from + KEY_BYTES, 0)
    this.keyedCount++
    return row
  }

  /** From here on rows are appended by `load`. The table is empty. */
  beginLoading(): void {
    assert(this.rowCount === 0 && !this.#isLoading, 'rows are loaded into an empty table')
    this.#isLoading = true
  }

  /** Appends a row, without looking whether there is one of the name, and returns it. @param keyed 1 when it is known by its key only */
  load(bytes: Uint8Array, from: number, to: number, keyed: number): number {
    assert(this.#isLoading, 'rows are loaded between beginLoading and endLoading')
    this.keyedCount += keyed
    return this.#appendRow(bytes, from, to, keyed === 1 ? 0 : to - from)
  }

  /** From here on rows are looked up and added as ever: all have been put into the index. */
  endLoading(): void {
    this.#isLoading = false
  }

  /** The hash of the row's name, or of its key. */
  hashOf(row: number): number {
    const chunk = this.#headers[row >>> CHUNK_SHIFT]!
    const header = (row & CHUNK_MASK) << 1
    const from = chunk[header]! & PAGE_MASK
    return hashName(this.hash, this.#pages[chunk[header]! >>> PAGE_SHIFT]!, from, from + (chunk[header + 1]! || KEY_BYTES))
  }

  /** Whether the index has a row with the name of this one, or with its key. */
  hasLike(hash: number, row: number): boolean {
    const slots = this.index.segments[hash >>> this.index.shift]!
    const mask = slots.length - 2
    for (let at = (hash << 1) & mask; slots[at + 1] !== 0; at = (at + 2) & mask) {
      if (slots[at] !== hash) continue
      const name = this.nameOf(row)
      if (this.#holds(slots[at + 1]! - 1, name, 0, name.length, this.nameLength(row))) return true
    }
    return false
  }

  /** Bytes of the row's name, 0 for a row that is known by its key only. */
  nameLength(row: number): number {
    return this.#headers[row >>> CHUNK_SHIFT]![((row & CHUNK_MASK) << 1) | 1]!
  }

  /** The row's name, or its key: a view, not to be written. */
  nameOf(row: number): Uint8Array {
    const offset = this.#headers[row >>> CHUNK_SHIFT]![(row & CHUNK_MASK) << 1]!
    const from = offset & PAGE_MASK
    return this.#pages[offset >>> PAGE_SHIFT]!.subarray(from, from + (this.nameLength(row) || KEY_BYTES))
  }

  /** Whether the row's name is `bytes[from, to)`. */
  isNamed(row: number, bytes: Uint8Array, from: number, to: number): boolean {
    return this.#holds(row, bytes, from, to, to - from)
  }

  /** Appends the lengths of the rows' names, 0 for a key, and then the names and keys themselves. */
  writeNames(writer: ByteWriter, rows: Uint32Array, count: number): void {
    const headers = this.#headers
    const pages = this.#pages
    writer.reserve(count * LENGTH_BYTES_MAX)
    let target = writer.bytes
    let at = writer.length
    let nameBytes = 0
    for (let index = 0; index < count; index++) {
      const row = rows[index]!
      const length = headers[row >>> CHUNK_SHIFT]![((row & CHUNK_MASK) << 1) | 1]!
      nameBytes += length || KEY_BYTES
      at = writeVarint(target, at, length)
    }
    writer.length = at
    writer.reserve(nameBytes)
    target = writer.bytes
    for (let index = 0; index < count; index++) {
      const row = rows[index]!
      const chunk = headers[row >>> CHUNK_SHIFT]!
      const header = (row & CHUNK_MASK) << 1
      const offset = chunk[header]!
      const page = pages[offset >>> PAGE_SHIFT]!
      let source = offset & PAGE_MASK
      const end = source + (chunk[header + 1]! || KEY_BYTES)
      while (source < end) target[at++] = page[source++]!
    }
    writer.length = at
  }

  #probe(hash: number, bytes: Uint8Array, from: number, to: number, length: number): number {
    const slots = this.index.segments[hash >>> this.index.shift]!
    const mask = slots.length - 2
    for (let at = (hash << 1) & mask; ; at = (at + 2) & mask) {
      const mark = slots[at + 1]!
      if (mark === 0) return -1
      if (slots[at] === hash && this.#holds(mark - 1, bytes, from, to, length)) return mark - 1
    }
  }

  #holds(row: number, bytes: Uint8Array, from: number, to: number, length: number): boolean {
    const chunk = this.#headers[row >>> CHUNK_SHIFT]!
    const header = (row & CHUNK_MASK) << 1
    if (chunk[header + 1] !== length) return false
    const offset = chunk[header]!
    const page = this.#pages[offset >>> PAGE_SHIFT]!
    for (let at = offset & PAGE_MASK; from < to; at++, from++) if (page[at] !== bytes[from]) return false
    return true
  }

  #append(hash: number, bytes: Uint8Array, from: number, to: number, length: number): number {
    const row = this.#appendRow(bytes, from, to, length)
    this.index.insert(hash, row)
    return row
  }

  #appendRow(bytes: Uint8Array, from: number, to: number, length: number): number {
    const row = this.rowCount
    const header = (row & CHUNK_MASK) << 1
    const offset = this.#store(bytes, from, to)
    if (header === 0) this.#headers.push(new Uint32Array(CHUNK_ROWS * 2))
    const chunk = this.#headers[row >>> CHUNK_SHIFT]!
    chunk[header] = offset
    chunk[header + 1] = length
    this.rowCount++
    return row
  }

  /** Copies bytes to the pages and returns their offset. A name never lies in two pages. */
  #store(bytes: Uint8Array, from: number, to: number): number {
    if (PAGE_BYTES - this.#pageFree < to - from) {
      if (this.#pages.length === PAGES_MAX) {
        throw new CounterError('NAMES_MAX', 'the names of this node take 4 GiB, which is all it can address', {
          fix: 'spread the names over more nodes',
        })
      }
      const page = new Uint8Array(PAGE_BYTES)
      this.#pages.push(page)
      this.#views.push(viewOf(page))
      this.#pageFree = 0
    }
    const page = this.#pages[this.#pages.length - 1]!
    const start = this.#pageFree
    let at = start
    while (from < to) page[at++] = bytes[from++]!
    this.#pageFree = at
    return ((this.#pages.length - 1) * PAGE_BYTES + start) >>> 0
  }

  /** A key's place in the index. A name of the same eight bytes has the same place and another length. */
  #hashKey(bytes: Uint8Array, from: number): number {
    return hashName(this.hash, bytes, from, from + KEY_BYTES)
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Whether `length` bytes are the same in both places. */
function sameBytes(ours: DataView, our: number, theirs: DataView, their: number, length: number): boolean {
  let at = 0
  for (; at + 4 <= length; at += 4) if (ours.getInt32(our + at, true) !== theirs.getInt32(their + at, true)) return false
  for (; at < length; at++) if (ours.getUint8(our + at) !== theirs.getUint8(their + at)) return false
  return true
}
