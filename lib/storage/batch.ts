// What a write brings to the table: distinct names and what to add to each, as plain arrays.
// It is filled by lib/text (a tally of a text, or named increments), which knows nothing of this folder: the shape is the seam.

/** Distinct names and their increments. The arrays may be longer than `count` asks for; the rest is scratch. */
export interface Batch {
  /** How many names there are. */
  readonly count: number
  /** The names' UTF-8 bytes, one directly after the other, in order. */
  readonly names: Uint8Array
  /** `ends[i]` is where name i ends in `names`; it starts where name i - 1 ends. */
  readonly ends: Uint32Array
  /** `hashes[i]` is hashName of name i, under the same NameHash as the table. */
  readonly hashes: Uint32Array
  /** Four words a name: plus low, plus high, minus low, minus high. Each pair is a uint64. */
  readonly amounts: Uint32Array
  /** Whether any minus is above zero. */
  readonly subtracts: boolean
}

/** Words of `amounts` a name takes. */
export const AMOUNT_WORDS = 4
