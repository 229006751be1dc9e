// Splits a text on white space, lower-cases and hashes it, all in one pass over the bytes.
// ASCII takes one table lookup, one store and one multiplication a byte. Other bytes are decoded by hand as Go does:
// each byte that is no part of a well-formed sequence becomes one U+FFFD, so overlong forms and surrogates give one a byte.
// A sequence may be cut by the end of a slice: what was seen of it is kept, and if the next byte does not continue it,
// each byte seen is one U+FFFD, since neither a leading byte nor a continuation byte is well-formed alone.

import { CounterError } from '../base/errors.ts'
import { finishHash, type NameHash } from '../base/hash.ts'
import type { Block } from './block.ts'
import { FOLD, lowerCodePoint, REPLACEMENT, SPACE, WHITE } from './lower.ts'

/** A module's own constant is compiled in; an imported one is looked up at each use. */
const TABLE = FOLD

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
    const fold = TABLE
    const { block, nameBytesMax } = this
    const { bytes, ends, hashes } = block
    const { start, multiplier } = this.hash
    const base = this.scanned - from
    let at = this.needed > 0 ? this.foreign(piece, from, to, base) : from
    let word = block.wordsEnd
    let { words, byteCount } = block
    let { state, wordOffset } = this

    while (at < to) {
      const folded = fold[piece[at++]!]!
      // Stored before it is known to belong to a word: the store is cheaper than the wait, and the next one overwrites it.
      bytes[byteCount] = folded
      if (folded >= 0) {
        byteCount++
        state = Math.imul(state ^ folded, multiplier)
      } else if (folded === SPACE) {
        if (byteCount > word) {
          if (byteCount - word > nameBytesMax) throw this.tooLong(wordOffset)
          ends[words] = byteCount
          hashes[words++] = finishHash(state)
          word = byteCount
          state = start
        }
        wordOffset = base + at
      } else {
        block.words = words
        block.byteCount = byteCount
        this.state = state
        this.wordOffset = wordOffset
        at = this.foreign(piece, at - 1, to, base)
        word = block.wordsEnd
        ;({ words, byteCount } = block)
        ;({ state, wordOffset } = this)
      }
    }
    if (byteCount - word > nameBytesMax) throw this.tooLong(wordOffset)
    block.words = words
    block.byteCount = byteCount
    this.state = state
    this.wordOffset = wordOffset
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
