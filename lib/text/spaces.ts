// Splits a text on white space and lower-cases it, byte by byte: for the parts of a text that are not ASCII.
// Bytes are decoded by hand as Go does: each byte that is no part of a well-formed sequence becomes one U+FFFD, so overlong
// forms and surrogates give one a byte.
// A sequence may be cut by the end of a slice: what was seen of it is kept, and if the next byte does not continue it,
// each byte seen is one U+FFFD, since neither a leading byte nor a continuation byte is well-formed alone.

import { CounterError } from '../base/errors.ts'
import type { Block } from './block.ts'
import { FOLD, lowerCodePoint, REPLACEMENT, SPACE, WHITE } from './lower.ts'

/** A module's own constant is compiled in; an imported one is looked up at each use. */
const TABLE = FOLD
const SPACE_HERE = SPACE

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
  private readonly nameBytesMax: number
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

  constructor(block: Block, nameBytesMax: number) {
    this.block = block
    this.nameBytesMax = nameBytesMax
  }

  reset(): void {
    this.start(0)
  }

  /** What comes next starts at a byte of the text, where a word may start. */
  start(offset: number): void {
    this.scanned = offset
    this.wordOffset = offset
    this.needed = 0
    this.lowest = 0x80
    this.highest = 0xbf
  }

  scan(piece: Uint8Array, from: number, to: number): void {
    const base = this.scanned - from
    const { block } = this
    let at = from
    while (at < to) {
      const folded = TABLE[piece[at]!]!
      if (this.needed > 0 || (folded < 0 && folded !== SPACE_HERE)) {
        at = this.foreign(piece, at, to, base)
      } else {
        at++
        if (folded === SPACE_HERE) this.endWord(base + at)
        else block.bytes[block.end++] = folded
      }
    }
    if (block.end - block.wordStart > this.nameBytesMax) throw this.tooLong(this.wordOffset)
    this.scanned += to - from
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
    this.block.bytes[this.block.end++] = byte
  }

  /** Ends the open word, if there is one; the next starts at `nextOffset` of the text. */
  private endWord(nextOffset: number): void {
    const length = this.block.end - this.block.wordStart
    if (length > this.nameBytesMax) throw this.tooLong(this.wordOffset)
    if (length > 0) this.block.endWord()
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
