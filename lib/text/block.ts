// The words of one slice of a text, between the tokenizer that finds them and the table that counts them.
// A slice at a time keeps both loops short, their data in the first-level cache, and lets the table fetch the
// slots of many words at once. Everything is sized for the longest slice, so neither loop checks for room.

/** Bytes of a text that are tokenized in one go. */
export const SLICE_BYTES = 2048
/** A run of Chinese, Japanese or the like that is segmented in one go, in UTF-16 units: the segmenter slows down on more. */
export const RUN_UNITS = 512
/** Arrays of name bytes have so many bytes to spare, so that comparisons may read four at a time. */
export const SPARE_BYTES = 8

/** Words as they are found: lower-cased bytes in a row, where each ends, its hash. After the last, a word not yet complete. */
export class Block {
  /** Complete words. */
  words = 0
  /** Bytes used, those of the incomplete word included. */
  byteCount = 0
  // Declared, not defined: a field that is first undefined makes the compiler check its class at each use.
  declare readonly bytes: Uint8Array
  declare readonly view: DataView
  declare readonly ends: Uint32Array
  declare readonly hashes: Int32Array

  constructor(byteCapacity: number, wordCapacity: number) {
    this.bytes = new Uint8Array(byteCapacity + SPARE_BYTES)
    this.view = new DataView(this.bytes.buffer)
    this.ends = new Uint32Array(wordCapacity)
    this.hashes = new Int32Array(wordCapacity)
  }

  /** A block with room for the words of any slice, behind an incomplete word from the slices before. */
  static ofSlice(nameBytesMax: number): Block {
    // A byte of text yields at most three, when it is not UTF-8; up to three bytes and a run may be left from before.
    return new Block(nameBytesMax + 3 * (SLICE_BYTES + 3 + RUN_UNITS), SLICE_BYTES + RUN_UNITS)
  }

  /** Where the incomplete word starts. */
  get wordsEnd(): number {
    return this.words === 0 ? 0 : this.ends[this.words - 1]!
  }

  /** Drops the complete words and moves the incomplete one to the front. */
  shift(): void {
    const end = this.wordsEnd
    if (this.byteCount > end) this.bytes.copyWithin(0, end, this.byteCount)
    this.byteCount -= end
    this.words = 0
  }

  clear(): void {
    this.words = 0
    this.byteCount = 0
  }
}
