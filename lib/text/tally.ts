// Counts the names of a write: the words of a text, which comes in pieces, or single named increments.
// The bytes are copied into the kernel's memory, a slice at a time. ASCII is tokenized, hashed and counted there in one
// call; words that are not go through a tokenizer here first. Nothing is allocated per word. A tally is scratch that is
// used again for the next write.

import { CounterError } from '../base/errors.ts'
import type { NameHash } from '../base/hash.ts'
import { Block, blockBytes, SLICE_BYTES } from './block.ts'
import { AMOUNT_WORDS, Kernel, WORDS_MAX } from './kernel.ts'
import { nameBytes } from './lower.ts'
import { nameTooLong, SpaceTokenizer } from './spaces.ts'
import { WordTokenizer } from './words.ts'

/** Bytes of a text that are given to the kernel in one call. */
const INPUT_BYTES = 16_384
/** The kernel reads and writes some bytes behind what it is given. */
const SPARE_BYTES = 64

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
  private readonly nameBytesMax: number
  private readonly kernel: Kernel
  private readonly block: Block
  /** For the parts of a text that are not ASCII. */
  private readonly spaces: SpaceTokenizer
  /** For all of it, with `tokenizer: 'word'`. */
  private readonly boundaries: WordTokenizer | undefined
  private subtracted = false
  /** Names that were added, which the kernel counts as words. */
  private added = 0

  // The kernel's area: a name to add; the input, which starts with the open word from the slices before; the block.
  private readonly inputOffset: number
  /** Bytes of the open word at the start of the input. */
  private openBytes = 0
  /** Offset in the text of the first byte of the input. */
  private inputStart = 0
  /** Whether `spaces` has the open word, and how many bytes it takes at least before the kernel goes on. */
  private foreign = false
  private foreignBytes = 0

  constructor(options: TallyOptions) {
    const { nameBytesMax } = options
    this.nameBytesMax = nameBytesMax
    this.inputOffset = nameBytesMax + SPARE_BYTES
    const blockOffset = this.inputOffset + nameBytesMax + INPUT_BYTES + SPARE_BYTES
    this.kernel = new Kernel(options.hash, nameBytesMax, blockOffset + blockBytes(nameBytesMax))
    this.block = new Block(this.kernel, blockOffset)
    this.spaces = new SpaceTokenizer(this.block, nameBytesMax)
    if (options.tokenizer === 'word') this.boundaries = new WordTokenizer(this.block, nameBytesMax)
  }

  /** Words counted since reset(). */
  get tokens(): number {
    return this.kernel.tokens - this.added
  }

  get count(): number {
    return this.kernel.count
  }

  get names(): Uint8Array {
    return this.kernel.views.names
  }

  get ends(): Uint32Array {
    return this.kernel.views.ends
  }

  get hashes(): Uint32Array {
    return this.kernel.views.hashes
  }

  get amounts(): Uint32Array {
    return this.kernel.views.amounts
  }

  get subtracts(): boolean {
    return this.subtracted
  }

  /** Empties it, also after an error. Costs as much as what it held; memory beyond a few MB is given back. */
  reset(): void {
    this.kernel.reset()
    this.forget()
    this.subtracted = false
    this.added = 0
  }

  /**
   * Counts the words of the next piece of a text. Words and UTF-8 sequences may span pieces.
   * @throws CounterError NAME_TOO_LONG, COUNT_OVERFLOW; the tally then needs a reset()
   */
  feed(piece: Uint8Array): void {
    if (this.boundaries !== undefined) {
      for (let at = 0; at < piece.length; at += SLICE_BYTES) {
        this.boundaries.scan(piece, at, Math.min(at + SLICE_BYTES, piece.length))
        this.takeBlock()
      }
      return
    }
    for (let at = 0; at < piece.length; at += INPUT_BYTES) {
      const { bytes, area } = this.kernel
      const input = area + this.inputOffset
      const part = piece.length <= INPUT_BYTES ? piece : piece.subarray(at, at + INPUT_BYTES)
      bytes.set(part, input + this.openBytes)
      this.scan(input, input + this.openBytes + part.length)
    }
  }

  /** The text is complete: counts the last word. Another text may follow. */
  end(): void {
    const { kernel } = this
    if (this.openBytes > 0) {
      kernel.edges[0] = kernel.area + this.inputOffset
      kernel.edges[1] = kernel.area + this.inputOffset + this.openBytes
      kernel.take(1, 1)
    } else if (this.boundaries !== undefined) {
      this.boundaries.end()
    } else if (this.foreign) {
      this.spaces.end()
    }
    this.takeBlock()
    this.forget()
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
    const length = this.write(name)
    const { edges, area } = this.kernel
    edges[0] = area
    edges[1] = area + length
    const number = this.kernel.take(1, 0)
    this.added++
    const { amounts } = this
    const at = number * AMOUNT_WORDS + (minus ? 2 : 0)
    const lowSum = amounts[at]! + low
    const highSum = amounts[at + 1]! + high + (lowSum > 0xffff_ffff ? 1 : 0)
    if (highSum > 0xffff_ffff) throw countOverflow()
    amounts[at] = lowSum
    amounts[at + 1] = highSum
    if (minus && (low > 0 || high > 0)) this.subtracted = true
  }

  /**
   * Adds 1 to each name, as add() does, without a string for any of them. No text may be open.
   * @param edges where each name starts in `source`, and where it ends; in order
   * @throws CounterError NAME_TOO_LONG, COUNT_OVERFLOW; the tally then needs a reset()
   */
  addOnes(source: Uint8Array, edges: Uint32Array, count: number): void {
    const { kernel, nameBytesMax } = this
    for (let from = 0; from < count; ) {
      // As many as fit are copied in one go, with what lies between them.
      const start = edges[from * 2]!
      const input = kernel.area + this.inputOffset
      let to = from
      for (; to < count && to - from < WORDS_MAX; to++) {
        const nameStart = edges[to * 2]!
        const nameEnd = edges[to * 2 + 1]!
        if (nameEnd - nameStart > nameBytesMax) throw nameTooLong('a name', nameBytesMax)
        if (nameEnd - start > nameBytesMax + INPUT_BYTES) break
        kernel.edges[(to - from) * 2] = input + nameStart - start
        kernel.edges[(to - from) * 2 + 1] = input + nameEnd - start
      }
      kernel.bytes.set(source.subarray(start, edges[to * 2 - 1]!), input)
      kernel.take(to - from, 1)
      this.added += to - from
      if (kernel.overflow) throw countOverflow()
      from = to
    }
  }

  /** Takes a part of the kernel's memory, which starts with the open word unless `spaces` has that. */
  private scan(input: number, to: number): void {
    const { kernel, spaces } = this
    let at = input
    let open = to
    let unscanned = at
    while (at < to) {
      if (!this.foreign) {
        open = kernel.scan(at, to)
        if (kernel.tooLong !== 0) throw this.tooLong(kernel.tooLong - input)
        if (kernel.limit === to) break
        // A text that is hardly ever ASCII stays with the tokenizer for longer each time.
        this.foreignBytes = open - at < 256 ? Math.min(this.foreignBytes * 2 + 1, SLICE_BYTES) : 0
        this.foreign = true
        at = open
        unscanned = kernel.limit
        spaces.start(this.inputStart + at - input)
      }
      const end = this.foreignEnd(kernel.bytes, unscanned, to)
      for (; at < end; at += SLICE_BYTES) {
        spaces.scan(kernel.bytes, at, Math.min(at + SLICE_BYTES, end))
        this.takeBlock()
      }
      at = open = unscanned = end
    }
    this.openBytes = to - open
    if (this.openBytes > this.nameBytesMax) throw this.tooLong(open - input)
    if (this.openBytes > 0 && open > input) kernel.bytes.copyWithin(input, open, to)
    this.inputStart += open - input
    if (kernel.overflow) throw countOverflow()
  }

  /** Where the kernel can go on: behind ASCII white space, which no sequence contains. Else the end, and the word stays open. */
  private foreignEnd(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from + this.foreignBytes; at < to; at++) {
      const byte = bytes[at]!
      if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) {
        this.foreign = false
        return at + 1
      }
    }
    return to
  }

  private takeBlock(): void {
    this.block.take()
    if (this.kernel.overflow) throw countOverflow()
  }

  /** Forgets the text, but not what it counted. */
  private forget(): void {
    this.block.clear()
    this.boundaries?.reset()
    this.openBytes = 0
    this.inputStart = 0
    this.foreign = false
    this.foreignBytes = 0
  }

  /** Writes a name to the start of the kernel's area, and returns how many bytes it has. */
  private write(name: string): number {
    const { nameBytesMax } = this
    const { bytes, area } = this.kernel
    if (name.length === 0) {
      throw new CounterError('NAME_INVALID', 'a name is empty', { fix: `Send a name of 1 to ${nameBytesMax} bytes.` })
    }
    if (name.length > nameBytesMax) throw nameTooLong('a name', nameBytesMax)
    for (let at = 0; at < name.length; at++) {
      const unit = name.charCodeAt(at)
      if (unit >= 0x80) {
        const encoded = nameBytes(name)
        if (encoded.length > nameBytesMax) throw nameTooLong('a name', nameBytesMax)
        bytes.set(encoded, area)
        return encoded.length
      }
      bytes[area + at] = unit
    }
    return name.length
  }

  private tooLong(offset: number): CounterError {
    return nameTooLong(`the word at byte ${this.inputStart + offset} of the text`, this.nameBytesMax)
  }
}

/** What is thrown when a plus or a minus would pass 2^64 - 1. */
function countOverflow(): CounterError {
  return new CounterError('COUNT_OVERFLOW', 'the counts of one name add up to more than 2^64 - 1', {
    fix: 'Send smaller increments.',
  })
}
