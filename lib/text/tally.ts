// Counts the names of a write: the words of a text, which comes in pieces, or single named increments.
// The bytes go through in one pass, a slice at a time: a tokenizer fills a block with words, the table of distinct names
// takes the block. Nothing is allocated per word. A tally is scratch that is used again for the next write.

import { CounterError } from '../base/errors.ts'
import type { NameHash } from '../base/hash.ts'
import { finishHash } from '../base/hash.ts'
import { Block, SLICE_BYTES } from './block.ts'
import { countOverflow, DistinctNames } from './distinct.ts'
import { nameBytes } from './lower.ts'
import { nameTooLong, SpaceTokenizer, type Tokenizer } from './spaces.ts'
import { WordTokenizer } from './words.ts'

export interface TallyOptions {
  /** The hash of the table that will take the batch. */
  hash: NameHash
  /** The longest name in bytes, after lower-casing; from 1. */
  nameBytesMax: number
  /** How a text becomes words: split on white space, as the original does (the default), or on Unicode word boundaries. */
  tokenizer?: 'space' | 'word'
}

/** Distinct names and their increments, in the order of arrival. It has the shape of a batch that the store takes. */
export class Tally {
  private readonly hash: NameHash
  private readonly nameBytesMax: number
  private readonly block: Block
  /** A block of one word, for add(). */
  private readonly single: Block
  private readonly tokenizer: Tokenizer
  private readonly distinct = new DistinctNames()
  private tokenCount = 0

  constructor(options: TallyOptions) {
    this.hash = options.hash
    this.nameBytesMax = options.nameBytesMax
    this.block = Block.ofSlice(options.nameBytesMax)
    this.single = new Block(options.nameBytesMax, 1)
    const Tokenizer = options.tokenizer === 'word' ? WordTokenizer : SpaceTokenizer
    this.tokenizer = new Tokenizer(this.block, options.hash, options.nameBytesMax)
  }

  /** Words counted since reset(). */
  get tokens(): number {
    return this.tokenCount
  }

  get count(): number {
    return this.distinct.count
  }

  get names(): Uint8Array {
    return this.distinct.names
  }

  get ends(): Uint32Array {
    return this.distinct.ends
  }

  get hashes(): Uint32Array {
    return this.distinct.hashes
  }

  get amounts(): Uint32Array {
    return this.distinct.amounts
  }

  get subtracts(): boolean {
    return this.distinct.subtracts
  }

  /** Empties it, also after an error. Costs as much as what it held; memory beyond a few MB is given back. */
  reset(): void {
    this.tokenizer.reset()
    this.block.clear()
    this.distinct.reset()
    this.tokenCount = 0
  }

  /**
   * Counts the words of the next piece of a text. Words and UTF-8 sequences may span pieces.
   * @throws CounterError NAME_TOO_LONG, COUNT_OVERFLOW; the tally then needs a reset()
   */
  feed(piece: Uint8Array): void {
    // The loops are compiled for one class of arrays; a Buffer is a class of its own.
    const bytes = piece.constructor === Uint8Array ? piece : new Uint8Array(piece.buffer, piece.byteOffset, piece.length)
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      this.tokenizer.scan(bytes, at, Math.min(at + SLICE_BYTES, bytes.length))
      this.take()
    }
  }

  /** The text is complete: counts the last word. Another text may follow. */
  end(): void {
    this.tokenizer.end()
    this.take()
    this.tokenizer.reset()
  }

  /**
   * Adds a signed amount to a name, which is taken as it is, not lower-cased. An amount of 0 brings the name into the
   * batch. Pluses and minuses of one name add up apart from each other.
   * @throws CounterError NAME_INVALID when empty, NAME_TOO_LONG, COUNT_OVERFLOW past 2^64 - 1; nothing is added then
   * @throws TypeError when `delta` is a number but not a safe integer
   */
  add(name: string, delta: bigint | number): void {
    const minus = delta < 0
    let low: number
    let high: number
    if (typeof delta === 'number') {
      if (!Number.isSafeInteger(delta)) throw new TypeError(`expected a safe integer or a bigint, got ${delta}`)
      const size = Math.abs(delta)
      low = size >>> 0
      high = Math.floor(size / 2 ** 32)
    } else {
      const size = minus ? -delta : delta
      if (size > 0xffff_ffff_ffff_ffffn) throw countOverflow()
      low = Number(size & 0xffff_ffffn)
      high = Number(size >> 32n)
    }
    this.write(name)
    this.distinct.add(this.distinct.take(this.single, 0), minus, low, high)
  }

  private take(): void {
    const { block } = this
    if (block.words > 0) this.distinct.take(block, 1)
    this.tokenCount += block.words
    block.shift()
  }

  /** Makes a name the one word of the single block. */
  private write(name: string): void {
    const { single, nameBytesMax } = this
    const { bytes } = single
    const { start, multiplier } = this.hash
    if (name.length === 0) {
      throw new CounterError('NAME_INVALID', 'a name is empty', { fix: `Send a name of 1 to ${nameBytesMax} bytes.` })
    }
    if (name.length > nameBytesMax) throw nameTooLong('a name', nameBytesMax)
    let state = start
    let length = 0
    for (; length < name.length; length++) {
      const unit = name.charCodeAt(length)
      if (unit >= 0x80) break
      bytes[length] = unit
      state = Math.imul(state ^ unit, multiplier)
    }
    if (length < name.length) {
      const encoded = nameBytes(name)
      if (encoded.length > nameBytesMax) throw nameTooLong('a name', nameBytesMax)
      bytes.set(encoded)
      for (; length < encoded.length; length++) state = Math.imul(state ^ bytes[length]!, multiplier)
    }
    single.words = 1
    single.byteCount = length
    single.ends[0] = length
    single.hashes[0] = finishHash(state)
  }
}
