// Reading and writing bytes: little-endian words and LEB128 varints, in a buffer that grows, from a range that is never left.
// A uint64 travels as two 32-bit words, low and high, so that the hot paths need no BigInt.
// Sequence numbers, node ids and positions are plain numbers below 2^53.

import { CounterError, type ErrorCode } from './errors.ts'

/** Bytes the longest varint takes: ceil(64 / 7). */
export const VARINT_BYTES_MAX = 10

const WORD = 0x1_0000_0000

/** Appends to a buffer of its own, which doubles when it is full. `length` is how much is written. */
export class ByteWriter {
  bytes: Uint8Array
  length = 0

  constructor(bytesInitial = 1024) {
    this.bytes = new Uint8Array(bytesInitial)
  }

  /** Makes room for `more` bytes, so that the calls after it need no check of their own. */
  reserve(more: number): void {
    const needed = this.length + more
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }

  /** What is written so far, as a view that the next write may invalidate. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  uint8(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  uint32(value: number): void {
    this.reserve(4)
    this.length = writeUint32(this.bytes, this.length, value)
  }

  /** A number in [0, 2^53) as eight bytes. */
  uint64(value: number): void {
    this.reserve(8)
    this.length = writeUint64(this.bytes, this.length, value)
  }

  /** A number in [0, 2^53), seven bits a byte. */
  varint(value: number): void {
    this.reserve(VARINT_BYTES_MAX)
    this.length = writeVarint(this.bytes, this.length, value)
  }

  /** A bigint in [0, 2^64). */
  varint64(value: bigint): void {
    this.reserve(VARINT_BYTES_MAX)
    this.length = writeVarint64(this.bytes, this.length, Number(value & 0xffff_ffffn), Number(value >> 32n))
  }

  raw(source: Uint8Array): void {
    this.reserve(source.length)
    this.bytes.set(source, this.length)
    this.length += source.length
  }

  /** A length as varint, then the bytes. */
  sized(source: Uint8Array): void {
    this.varint(source.length)
    this.raw(source)
  }
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
  return at + 4
}

export function writeUint64(bytes: Uint8Array, at: number, value: number): number {
  return writeUint32(bytes, writeUint32(bytes, at, value >>> 0), Math.floor(value / WORD))
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** Eight bytes as a number; exact below 2^53, and at least 2^53 when the stored value is. */
export function readUint64(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) + readUint32(bytes, at + 4) * WORD
}

/** Writes `value` in [0, 2^53) and returns where it ends. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  while (value >= 0x8000_0000) {
    bytes[at++] = (value % 128) | 0x80
    value = Math.floor(value / 128)
  }
  while (value >= 0x80) {
    bytes[at++] = value | 0x80
    value >>>= 7
  }
  bytes[at++] = value
  return at
}

/** Writes the uint64 `high:low` and returns where it ends. */
export function writeVarint64(bytes: Uint8Array, at: number, low: number, high: number): number {
  while (high !== 0) {
    bytes[at++] = low | 0x80
    low = ((low >>> 7) | (high << 25)) >>> 0
    high >>>= 7
  }
  while (low >= 0x80) {
    bytes[at++] = low | 0x80
    low >>>= 7
  }
  bytes[at++] = low
  return at
}

/**
 * Reads from `bytes[at, end)` and never beyond: a read that would go past the end, or a varint that is too large,
 * throws a CounterError with the code and the name the reader was made with.
 */
export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  readonly code: ErrorCode
  readonly what: string
  /** The words of the last varint64. */
  low = 0
  high = 0

  constructor(bytes: Uint8Array, at: number, end: number, code: ErrorCode, what: string) {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.code = code
    this.what = what
  }

  get left(): number {
    return this.end - this.at
  }

  fail(why: string): never {
    throw new CounterError(this.code, `${this.what}: ${why} at byte ${this.at} of ${this.end}`)
  }

  need(count: number): void {
    if (count > this.end - this.at) this.fail(`needs ${count} more bytes, has ${this.end - this.at}`)
  }

  uint8(): number {
    this.need(1)
    return this.bytes[this.at++]!
  }

  uint32(): number {
    this.need(4)
    this.at += 4
    return readUint32(this.bytes, this.at - 4)
  }

  uint64(): number {
    this.need(8)
    this.at += 8
    const value = readUint64(this.bytes, this.at - 8)
    if (value > Number.MAX_SAFE_INTEGER) this.fail('number is 2^53 or more')
    return value
  }

  /** A varint in [0, 2^53). */
  varint(): number {
    const first = this.at < this.end ? this.bytes[this.at]! : 0x80
    if (first < 0x80) {
      this.at++
      return first
    }
    this.varint64()
    if (this.high >= 0x20_0000) this.fail('varint is 2^53 or more')
    return this.high * WORD + this.low
  }

  /** A varint below 2^64, left in `low` and `high`. */
  varint64(): void {
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (this.at >= this.end) this.fail('varint is cut off')
      const byte = this.bytes[this.at++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else if (shift < 63) high |= bits << (shift - 32)
      else if (byte <= 1) high |= bits << 31
      else this.fail('varint is 2^64 or more')
      if (byte < 0x80) break
    }
    this.low = low >>> 0
    this.high = high >>> 0
  }

  raw(count: number): Uint8Array {
    this.need(count)
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  sized(): Uint8Array {
    return this.raw(this.varint())
  }
}
