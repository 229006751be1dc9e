// Splits a text on white space, lower-cases and hashes it, all in one pass over the bytes.
// ASCII goes four bytes at a time, with one multiplication a byte for the hash. Other bytes are decoded by hand as Go does:
// each byte that is no part of a well-formed sequence becomes one U+FFFD, so overlong forms and surrogates give one a byte.
// A sequence may be cut by the end of a slice: what was seen of it is kept, and if the next byte does not continue it,
// each byte seen is one U+FFFD, since neither a leading byte nor a continuation byte is well-formed alone.

import { CounterError } from '../base/errors.ts'
import { finishHash, type NameHash } from '../base/hash.ts'
import type { Block } from './block.ts'
import { FOLD, lowerCodePoint, REPLACEMENT, SPACE, WHITE } from './lower.ts'

// A module's own constants are compiled in; imported ones are looked up at each use.
const FOLDED = FOLD
const WHITE_SPACE = SPACE
/** The hash after each of four bytes, from which the number of letters among them picks one without a branch. */
const STATES = new Int32Array(4)

/** Finds the words of a text that comes in slices. */
export interface Tokenizer {
  /** Appends the words of `piece[from, to)`, at most SLICE_BYTES, to the block; a word cut by `to` stays open. */
  scan(piece: Uint8Array, from: number, to: number): void
  /** The text is complete: ends the last word. */
  end(): void
  /** Forgets the text. */
  reset(): void
}

export class SpaceTokenizer implements Tokenizer {
  private readonly block: Block
  private readonly hash: NameHash
  private readonly nameBytesMax: number
  /** Hash of the open word so far. */
  private state: number
  /** Bytes of the text that were scanned in earlier slices. */
  private scanned = 0
  /** Text offset behind the last white space, where the open word starts. */
  private wordOffset = 0

  // The open UTF-8 sequence: bytes still needed and seen, the value so far, and the range of the next byte.
  private needed = 0
  private seen = 0
  private value = 0
  private lowest = 0x80
  private highest = 0xbf

  constructor(block: Block, hash: NameHash, nameBytesMax: number) {
    this.block = block
    this.hash = hash
    this.nameBytesMax = nameBytesMax
    this.state = hash.start
  }

  reset(): void {
    this.state = this.hash.start
    this.scanned = 0
    this.wordOffset = 0
    this.needed = 0
    this.lowest = 0x80
    this.highest = 0xbf
  }

  scan(piece: Uint8Array, from: number, to: number): void {
    const base = this.scanned - from
    let at = from
    while (at < to) {
      if (this.needed === 0) at = this.ascii(piece, at, to, base)
      if (at < to) at = this.foreign(piece, at, to, base)
    }
    if (this.block.byteCount - this.block.wordsEnd > this.nameBytesMax) throw this.tooLong(this.wordOffset)
    this.scanned += to - from
  }

  /**
   * Takes bytes up to the first that is not ASCII, and returns where that is.
   * Four at a time: which of them are letters is told by arithmetic on all four, since a branch a byte would be
   * predicted wrongly once a word. The loop calls nothing, so that the compiler keeps everything in registers.
   */
  private ascii(piece: Uint8Array, from: number, to: number, base: number): number {
    const { block, nameBytesMax } = this
    const { bytes, ends, hashes, view: target } = block
    const source = new DataView(piece.buffer, piece.byteOffset, piece.length)
    // `| 0` tells the compiler that these are 32-bit integers, so that it keeps them as such through the loop.
    const start = this.hash.start | 0
    const multiplier = this.hash.multiplier | 0
    const end = to | 0
    const lastFour = (end - 4) | 0
    let word = block.wordsEnd | 0
    let words = block.words | 0
    let byteCount = block.byteCount | 0
    let state = this.state | 0
    let space = -1
    let at = from | 0

    while (at < end) {
      if (at <= lastFour) {
        const four = source.getInt32(at, true)
        // The top bit of each byte tells: above 0x7f, or below 0x21. A borrow only spoils bytes above one that is marked.
        const marks = ((four - 0x21212121) | four) & 0x80808080
        // 0x20 is added to each byte that is at least A but not above Z.
        const lower = four | (((four + 0x3f3f3f3f) & ~(four + 0x25252525) & 0x80808080) >>> 2)
        target.setInt32(byteCount, lower, true)
        const one = Math.imul(state ^ (lower & 0xff), multiplier)
        const two = Math.imul(one ^ ((lower >>> 8) & 0xff), multiplier)
        const three = Math.imul(two ^ ((lower >>> 16) & 0xff), multiplier)
        if (marks === 0) {
          state = Math.imul(three ^ (lower >>> 24), multiplier)
          byteCount = (byteCount + 4) | 0
          at = (at + 4) | 0
          continue
        }
        const letters = (32 - Math.clz32((marks - 1) & ~marks)) >>> 3
        STATES[0] = state
        STATES[1] = one
        STATES[2] = two
        STATES[3] = three
        state = STATES[letters]!
        byteCount = (byteCount + letters) | 0
        at = (at + letters) | 0
      }
      const folded = FOLDED[piece[at]!]!
      if (folded === WHITE_SPACE) {
        at = (at + 1) | 0
        if (byteCount > word) {
          if (((byteCount - word) | 0) > nameBytesMax) throw this.tooLong(space < 0 ? this.wordOffset : base + space)
          ends[words] = byteCount
          hashes[words] = finishHash(state)
          words = (words + 1) | 0
          word = byteCount
          state = start
        }
        space = at
      } else if (folded >= 0) {
        at = (at + 1) | 0
        bytes[byteCount] = folded
        byteCount = (byteCount + 1) | 0
        state = Math.imul(state ^ folded, multiplier)
      } else {
        break
      }
    }
    block.words = words
    block.byteCount = byteCount
    this.state = state
    if (space >= 0) this.wordOffset = base + space
    return at
  }

  end(): void {
    this.replaceSeen()
    this.endWord(this.scanned)
  }

  /** Takes bytes up to the first ASCII one that no sequence is waiting for, and returns where that is. */
  private foreign(piece: Uint8Array, from: number, to: number, base: number): number {
    let at = from
    while (at < to) {
      const byte = piece[at]!
      if (this.needed === 0) {
        if (byte < 0x80) break
        this.lead(byte)
        at++
      } else if (byte < this.lowest || byte > this.highest) {
        this.replaceSeen()
      } else {
        at++
        this.value = (this.value << 6) | (byte & 0x3f)
        this.seen++
        this.lowest = 0x80
        this.highest = 0xbf
        if (--this.needed > 0) continue
        const lower = lowerCodePoint(this.value)
        if (lower === WHITE) this.endWord(base + at)
        else this.put(lower)
      }
    }
    return at
  }

  /** The first byte of a sequence; what may follow it excludes overlong forms, surrogates and all above U+10FFFF. */
  private lead(byte: number): void {
    this.seen = 1
    if (byte >= 0xc2 && byte <= 0xdf) {
      this.needed = 1
      this.value = byte & 0x1f
    } else if (byte >= 0xe0 && byte <= 0xef) {
      this.needed = 2
      this.value = byte & 0x0f
      if (byte === 0xe0) this.lowest = 0xa0
      if (byte === 0xed) this.highest = 0x9f
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      this.needed = 3
      this.value = byte & 0x07
      if (byte === 0xf0) this.lowest = 0x90
      if (byte === 0xf4) this.highest = 0x8f
    } else {
      this.put(REPLACEMENT)
    }
  }

  /** The open sequence goes wrong: one U+FFFD for each of its bytes. */
  private replaceSeen(): void {
    if (this.needed === 0) return
    for (let byte = 0; byte < this.seen; byte++) this.put(REPLACEMENT)
    this.needed = 0
    this.lowest = 0x80
    this.highest = 0xbf
  }

  /** Appends a code point to the open word. */
  private put(codePoint: number): void {
    if (codePoint < 0x80) return this.putByte(codePoint)
    if (codePoint < 0x800) {
      this.putByte(0xc0 | (codePoint >> 6))
    } else {
      if (codePoint < 0x10000) {
        this.putByte(0xe0 | (codePoint >> 12))
      } else {
        this.putByte(0xf0 | (codePoint >> 18))
        this.putByte(0x80 | ((codePoint >> 12) & 0x3f))
      }
      this.putByte(0x80 | ((codePoint >> 6) & 0x3f))
    }
    this.putByte(0x80 | (codePoint & 0x3f))
  }

  private putByte(byte: number): void {
    this.block.bytes[this.block.byteCount++] = byte
    this.state = Math.imul(this.state ^ byte, this.hash.multiplier)
  }

  /** Ends the open word, if there is one; the next starts at `nextOffset` of the text. */
  private endWord(nextOffset: number): void {
    const { block } = this
    const length = block.byteCount - block.wordsEnd
    if (length > this.nameBytesMax) throw this.tooLong(this.wordOffset)
    if (length > 0) {
      block.ends[block.words] = block.byteCount
      block.hashes[block.words++] = finishHash(this.state)
      this.state = this.hash.start
    }
    this.wordOffset = nextOffset
  }

  private tooLong(offset: number): CounterError {
    return nameTooLong(`the word at byte ${offset} of the text`, this.nameBytesMax)
  }
}

/** What is thrown for a name above the limit. */
export function nameTooLong(what: string, nameBytesMax: number): CounterError {
  return new CounterError('NAME_TOO_LONG', `${what} is longer than ${nameBytesMax} bytes`, {
    fix: 'Raise COUNTER_NAME_BYTES_MAX, or send shorter names.',
  })
}
