// The words of one slice of a text, between a tokenizer that finds them and the kernel that counts them.
// A slice at a time keeps their data in the first-level cache. Everything is sized for the longest slice, so that no
// tokenizer checks for room. The bytes lie in the kernel's memory.

import { type Kernel, WORDS_MAX } from './kernel.ts'

/** Bytes of a text that are tokenized in one go. */
export const SLICE_BYTES = 2048
/** A run of Chinese, Japanese or the like that is segmented in one go, in UTF-16 units: the segmenter slows down on more. */
export const RUN_UNITS = WORDS_MAX - SLICE_BYTES

/** Bytes of the kernel's memory that a block takes. */
export function blockBytes(nameBytesMax: number): number {
  // A byte of text yields at most three, when it is not UTF-8; up to three bytes and a run may be left from before.
  return nameBytesMax + 3 * (SLICE_BYTES + 3 + RUN_UNITS)
}

/** Words as they are found: lower-cased bytes in a row, and where each starts and ends. After the last, a word not yet complete. */
export class Block {
  /** Complete words. */
  words = 0
  /** Where the incomplete word starts, and where it ends so far. */
  wordStart = 0
  end = 0
  private readonly kernel: Kernel
  /** Where the block lies in the kernel's area. */
  private readonly offset: number

  constructor(kernel: Kernel, offset: number) {
    this.kernel = kernel
    this.offset = offset
    this.clear()
  }

  /** Positions are those of the kernel's whole memory, whose view changes whenever it grows. */
  get bytes(): Uint8Array {
    return this.kernel.bytes
  }

  /** Completes the open word. */
  endWord(): void {
    const { edges } = this.kernel
    edges[this.words * 2] = this.wordStart
    edges[this.words * 2 + 1] = this.end
    this.words++
    this.wordStart = this.end
  }

  /** Counts the complete words once each, drops them and moves the incomplete one to the front. */
  take(): void {
    if (this.words === 0) return
    this.kernel.take(this.words, 1)
    const { wordStart, end } = this
    this.clear()
    this.bytes.copyWithin(this.wordStart, wordStart, end)
    this.end += end - wordStart
  }

  clear(): void {
    this.words = 0
    this.wordStart = this.end = this.kernel.area + this.offset
  }
}
