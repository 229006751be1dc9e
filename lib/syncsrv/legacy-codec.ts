// The JSON by which the original's nodes tell each other what they know, read and written exactly:
//
//   body  := null | [ entry, ... ]
//   entry := {"hash_keyword": uint64, "totals": null | [ uint64, ... ]}      the place in `totals` is the slot: the node id
//
// Numbers reach 2^64 - 1 and JSON.parse would round them, so they are read digit by digit into two words. Reading is strict
// where the original is (it is Go's encoding/json), total, and goes in slices, as the original sends all it has in one body.

import { CounterError } from '../base/errors.ts'
import { type HeardTotals, SLOTS_MAX } from '../storage/index.ts'

/** No body is longer. The original pushes its whole state in one: some ten million words. */
export const LEGACY_BODY_BYTES_MAX = 256 * 1024 * 1024
/** No entry is longer, with the white space before it: room for a total of each slot. It bounds what one slice may take. */
const ENTRY_BYTES_MAX = 2 * 1024 * 1024
/** A slice ends after the entry with which it has read this much, which takes a few milliseconds at most. */
const SLICE_BYTES = 128 * 1024
/** A slice ends after the entry with which it holds so many totals. */
const SLICE_TOTALS = 4096
/** How deep values may lie in each other in fields that are skipped. */
const DEPTH_MAX = 32
/** A longer field name is unknown. */
const FIELD_BYTES_MAX = 64

const WORD = 0x1_0000_0000
const KEY_FIELD = new TextEncoder().encode('hash_keyword')
const TOTALS_FIELD = new TextEncoder().encode('totals')

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d
const ZERO = 0x30
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Reads a body slice by slice. What it holds between two calls of `next` are the totals above zero of whole entries. */
export class LegacyReader implements HeardTotals {
  /** Totals in this slice. */
  count = 0
  /** Two words a total. */
  keys = new Uint32Array(SLICE_TOTALS * 2)
  slots = new Uint32Array(SLICE_TOTALS)
  /** Two words a total. */
  words = new Uint32Array(SLICE_TOTALS * 2)
  /** Entries read so far. */
  entries = 0
  /** Totals above zero of slots from SLOTS_MAX on, so far; they are not kept. */
  beyond = 0
  readonly #bytes: Uint8Array
  #at = 0
  /** Where reading must stop: the body's end, or that of the longest entry. */
  #end = 0
  /** The words of the last number. */
  #low = 0
  #high = 0
  #started = false
  #ended = false

  /** @throws CounterError SYNC_INVALID when the body is too long */
  constructor(body: Uint8Array) {
    if (body.length > LEGACY_BODY_BYTES_MAX) {
      throw new CounterError('SYNC_INVALID', `/sync: a body of ${body.length} bytes, at most ${LEGACY_BODY_BYTES_MAX} are taken`)
    }
    this.#bytes = body
  }

  /**
   * Reads on. Whether there was anything left: false comes after the last slice.
   * @throws CounterError SYNC_INVALID: the body is malformed; what was read of it before should not be used
   */
  next(): boolean {
    this.count = 0
    if (this.#ended) return false
    const from = this.#at
    this.#limit()
    if (!this.#started && !this.#start()) return true
    while (this.count < SLICE_TOTALS && this.#at - from < SLICE_BYTES) {
      this.#limit()
      this.#entry()
      this.entries++
      if (this.#take(COMMA)) continue
      this.#expect(CLOSE_LIST, "',' or ']'")
      this.#finish()
      break
    }
    return true
  }

  /** Whether entries follow. */
  #start(): boolean {
    this.#started = true
    if (this.#peek() === 0x6e) this.#literal('null')
    else {
      this.#expect(OPEN_LIST, "'['")
      if (!this.#take(CLOSE_LIST)) return true
    }
    this.#finish()
    return false
  }

  #finish(): void {
    this.#limit()
    this.#skipSpace()
    if (this.#at < this.#bytes.length) this.#fail('expected the end')
    this.#ended = true
  }

  #limit(): void {
    this.#end = Math.min(this.#bytes.length, this.#at + ENTRY_BYTES_MAX)
  }

  #entry(): void {
    const first = this.count
    let hasKey = false
    let low = 0
    let high = 0
    this.#expect(OPEN_OBJECT, "'{'")
    for (let more = !this.#take(CLOSE_OBJECT); more; more = this.#more(CLOSE_OBJECT)) {
      const field = this.#field()
      this.#expect(COLON, "':'")
      if (field === KEY_FIELD) {
        this.#number()
        hasKey = true
        low = this.#low
        high = this.#high
      } else if (field === TOTALS_FIELD) {
        // Said twice, the later one counts, as in Go.
        this.count = first
        this.#totals()
      } else this.#skipValue(1)
    }
    if (!hasKey) this.#fail("an entry without 'hash_keyword'")
    for (let total = first; total < this.count; total++) {
      this.keys[total * 2] = low
      this.keys[total * 2 + 1] = high
    }
  }

  #totals(): void {
    if (this.#peek() === 0x6e) return this.#literal('null')
    this.#expect(OPEN_LIST, "'['")
    let slot = 0
    for (let more = !this.#take(CLOSE_LIST); more; more = this.#more(CLOSE_LIST)) {
      this.#number()
      if (this.#low !== 0 || this.#high !== 0) {
        if (slot < SLOTS_MAX) this.#keep(slot)
        else this.beyond++
      }
      slot++
    }
  }

  #keep(slot: number): void {
    const total = this.count++
    if (total === this.slots.length) this.#grow()
    this.slots[total] = slot
    this.words[total * 2] = this.#low
    this.words[total * 2 + 1] = this.#high
  }

  #grow(): void {
    const grown = (source: Uint32Array): Uint32Array<ArrayBuffer> => {
      const target = new Uint32Array(source.length * 2)
      target.set(source)
      return target
    }
    this.keys = grown(this.keys)
    this.slots = grown(this.slots)
    this.words = grown(this.words)
  }

  /** A uint64, left in #low and #high. */
  #number(): void {
    const bytes = this.#bytes
    const first = this.#peek()
    let at = this.#at
    if (first < ZERO || first > ZERO + 9) {
      this.#fail(first === MINUS ? 'a negative number' : 'expected a number')
    }
    // Fifteen digits are exact as a double.
    const exactEnd = Math.min(at + 15, this.#end)
    let value = 0
    let digit = first - ZERO
    while (digit >= 0 && digit <= 9) {
      value = value * 10 + digit
      if (++at >= exactEnd) break
      digit = bytes[at]! - ZERO
    }
    let low = value >>> 0
    let high = (value - low) / WORD
    for (; at < this.#end && bytes[at]! >= ZERO && bytes[at]! <= ZERO + 9; at++) {
      const next = low * 10 + bytes[at]! - ZERO
      low = next >>> 0
      high = high * 10 + (next - low) / WORD
      if (high >= WORD) this.#fail('a number beyond 2^64 - 1')
    }
    if (first === ZERO && at > this.#at + 1) this.#fail('a number that starts with 0')
    this.#at = at
    const after = at < this.#end ? bytes[at]! | 0x20 : 0
    if (after === 0x2e || after === 0x65) this.#fail('expected a whole number, got a fraction or an exponent')
    this.#low = low
    this.#high = high
  }

  /** The field that a name stands for; undefined: one that is skipped. */
  #field(): Uint8Array | undefined {
    if (this.#peek() !== QUOTE) this.#fail('expected a field name')
    const from = this.#at + 1
    // As the original writes them.
    if (this.#takeField(KEY_FIELD)) return KEY_FIELD
    if (this.#takeField(TOTALS_FIELD)) return TOTALS_FIELD
    this.#skipString()
    const to = this.#at - 1
    if (to - from > FIELD_BYTES_MAX) return undefined
    let name = this.#bytes.subarray(from, to)
    if (name.includes(BACKSLASH))
      name = Buffer.from(JSON.parse(Buffer.from(name.buffer, name.byteOffset - 1, name.length + 2).toString()))
    if (isSame(name, KEY_FIELD)) return KEY_FIELD
    return isSame(name, TOTALS_FIELD) ? TOTALS_FIELD : undefined
  }

  /** Whether the name that begins here is this one, and ends here. */
  #takeField(field: Uint8Array): boolean {
    const bytes = this.#bytes
    const from = this.#at + 1
    if (bytes[from + field.length] !== QUOTE || from + field.length >= this.#end) return false
    for (let at = 0; at < field.length; at++) if (bytes[from + at] !== field[at]) return false
    this.#at = from + field.length + 1
    return true
  }

  #skipValue(depth: number): void {
    if (depth > DEPTH_MAX) this.#fail(`values more than ${DEPTH_MAX} deep`)
    const first = this.#peek()
    if (first === QUOTE) this.#skipString()
    else if (first === OPEN_OBJECT) this.#skipObject(depth)
    else if (first === OPEN_LIST) {
      this.#at++
      for (let more = !this.#take(CLOSE_LIST); more; more = this.#more(CLOSE_LIST)) this.#skipValue(depth + 1)
    } else if (first === 0x74) this.#literal('true')
    else if (first === 0x66) this.#literal('false')
    else if (first === 0x6e) this.#literal('null')
    else this.#skipNumber()
  }

  #skipObject(depth: number): void {
    this.#at++
    for (let more = !this.#take(CLOSE_OBJECT); more; more = this.#more(CLOSE_OBJECT)) {
      if (this.#peek() !== QUOTE) this.#fail('expected a field name')
      this.#skipString()
      this.#expect(COLON, "':'")
      this.#skipValue(depth + 1)
    }
  }

  #skipString(): void {
    const bytes = this.#bytes
    for (let at = this.#at + 1; at < this.#end; at++) {
      const byte = bytes[at]!
      if (byte === QUOTE) {
        this.#at = at + 1
        return
      }
      if (byte < 0x20) break
      if (byte === BACKSLASH) {
        const escaped = bytes[++at]
        if (
          escaped === 0x75 ? !isHex(bytes, at + 1) : escaped === undefined || !'"\\/bfnrt'.includes(String.fromCharCode(escaped))
        )
          break
      }
    }
    this.#fail('a text that does not end')
  }

  #skipNumber(): void {
    const from = this.#at
    while (this.#at < this.#end && '+-.0123456789eE'.includes(String.fromCharCode(this.#bytes[this.#at]!))) this.#at++
    const text = Buffer.from(this.#bytes.subarray(from, Math.min(this.#at, from + 1024))).toString('latin1')
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) this.#fail('expected a value')
  }

  #literal(text: 'null' | 'true' | 'false'): void {
    for (let index = 0; index < text.length; index++) {
      if (this.#bytes[this.#at + index] !== text.charCodeAt(index)) this.#fail('expected a value')
    }
    this.#at += text.length
  }

  /** Whether another element follows; else `close` was read. */
  #more(close: number): boolean {
    if (this.#take(COMMA)) return true
    this.#expect(close, `',' or '${String.fromCharCode(close)}'`)
    return false
  }

  #take(byte: number): boolean {
    if (this.#peek() !== byte) return false
    this.#at++
    return true
  }

  #expect(byte: number, what: string): void {
    if (this.#peek() !== byte) this.#fail(`expected ${what}`)
    this.#at++
  }

  /** The next byte that is not white space. */
  #peek(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at]! : 0x20
    if (byte > 0x20) return byte
    this.#skipSpace()
    if (this.#at >= this.#end) {
      this.#fail(this.#end < this.#bytes.length ? `an entry of more than ${ENTRY_BYTES_MAX} bytes` : 'it is cut off')
    }
    return this.#bytes[this.#at]!
  }

  #skipSpace(): void {
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#bytes[this.#at]!
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
    }
  }

  #fail(why: string): never {
    throw new CounterError('SYNC_INVALID', `/sync: ${why} at byte ${this.#at} of ${this.#bytes.length}`)
  }
}

/**
 * Writes bodies: entries are added until the body is full. Each key should come once a body: of two entries with one key
 * the original takes the later one alone.
 */
export class LegacyWriter {
  /** Entries in the body. */
  entries = 0
  #bytes: Uint8Array
  #length = 0
  readonly #bytesFull: number
  readonly #entriesMax: number

  /** @param bytesFull the body is full when it has grown past this, @param entriesMax or has so many entries */
  constructor(bytesFull: number, entriesMax: number) {
    this.#bytesFull = bytesFull
    this.#entriesMax = entriesMax
    this.#bytes = new Uint8Array(bytesFull + 4096)
    this.clear()
  }

  get full(): boolean {
    return this.entries >= this.#entriesMax || this.#length >= this.#bytesFull
  }

  clear(): void {
    this.entries = 0
    this.#length = 0
    this.#bytes[this.#length++] = OPEN_LIST
  }

  /**
   * Adds an entry with the totals `[from, to)` of `slots` (ascending) and `words` (two a total); slots between get 0.
   * @param width how many slots the entry has at least
   */
  add(low: number, high: number, slots: Uint32Array, words: Uint32Array, from: number, to: number, width: number): void {
    const slotCount = Math.max(width, to > from ? slots[to - 1]! + 1 : 0)
    this.#reserve(64 + slotCount * 2 + (to - from) * 20)
    if (this.entries++ > 0) this.#bytes[this.#length++] = COMMA
    this.#text('{"hash_keyword":')
    this.#number(low, high)
    this.#text(',"totals":[')
    let total = from
    for (let slot = 0; slot < slotCount; slot++) {
      if (slot > 0) this.#bytes[this.#length++] = COMMA
      if (total < to && slots[total] === slot) {
        this.#number(words[total * 2]!, words[total * 2 + 1]!)
        total++
      } else this.#bytes[this.#length++] = ZERO
    }
    this.#text(']}')
  }

  /** The body, as a view that `clear` and `add` invalidate. */
  body(): Uint8Array {
    this.#reserve(1)
    this.#bytes[this.#length] = CLOSE_LIST
    return this.#bytes.subarray(0, this.#length + 1)
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(this.#length + more, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }

  #text(text: string): void {
    for (let index = 0; index < text.length; index++) this.#bytes[this.#length++] = text.charCodeAt(index)
  }

  /** The decimal digits of `high:low`, nine at a time: each step divides by 10^9, exactly. */
  #number(low: number, high: number): void {
    const upper = (high % 1e9) * 0x1_0000 + (low >>> 16)
    const lower = (upper % 1e9) * 0x1_0000 + (low & 0xffff)
    // 2^64 / 10^9 is below 2^35, so this is exact too.
    const rest = Math.floor(high / 1e9) * WORD + Math.floor(upper / 1e9) * 0x1_0000 + Math.floor(lower / 1e9)
    if (rest === 0) return this.#digits(lower % 1e9, digitCount(lower % 1e9))
    if (rest < 1e9) this.#digits(rest, digitCount(rest))
    else {
      const top = Math.floor(rest / 1e9)
      this.#digits(top, digitCount(top))
      this.#digits(rest % 1e9, 9)
    }
    this.#digits(lower % 1e9, 9)
  }

  #digits(value: number, count: number): void {
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      this.#bytes[at] = ZERO + (value % 10)
      value = Math.floor(value / 10)
    }
    this.#length += count
  }
}

function digitCount(value: number): number {
  let count = 1
  for (let limit = 10; limit <= value; limit *= 10) count++
  return count
}

const isSame = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, at) => byte === right[at])

function isHex(bytes: Uint8Array, from: number): boolean {
  return /^[0-9a-fA-F]{4}$/.test(String.fromCharCode(...bytes.subarray(from, from + 4)))
}
