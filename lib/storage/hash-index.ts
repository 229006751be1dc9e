// From a hash to the rows that have it: extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979).
// The high bits of a hash choose a segment through the directory, the low bits a slot in it; a slot is two words, hash
// and row + 1, and probing is linear. A full segment alone is split, so the longest pause is the move of one
// segment's entries, some tens of microseconds, however many names there are. Doubling the directory copies one reference a segment.
// Invariant: every segment has a free slot, so that a probe ends.

import { assert } from '../base/assert.ts'

/** Slots of a segment as it starts. */
const SEGMENT_SLOTS = 4096
/** A segment is split above this many entries: four fifths. */
const fillMax = (slots: number): number => Math.floor(slots * 0.8)
/** Directory bits at most. Behind that, only equal hashes are left to overflow a segment, and it grows instead. */
const DEPTH_MAX = 20

export class HashIndex {
  /** For the probing loops of the users: `segments[hash >>> shift]`, two words a slot. */
  segments: Uint32Array[]
  shift: number
  #depth = 1
  /** Per directory entry: how many leading bits all hashes of the segment share; and, at its first entry, its fill. */
  #localDepths: number[] = [1, 1]
  #fills: number[] = [0, 0]

  constructor() {
    this.shift = 32 - this.#depth
    this.segments = [new Uint32Array(SEGMENT_SLOTS * 2), new Uint32Array(SEGMENT_SLOTS * 2)]
  }

  get byteLength(): number {
    let bytes = 0
    for (let entry = 0; entry < this.segments.length; entry += this.#span(entry)) bytes += this.segments[entry]!.byteLength
    return bytes
  }

  /** Adds a row that is not there yet. */
  insert(hash: number, row: number): void {
    let first = this.#firstOf(hash >>> this.shift)
    while (this.#fills[first]! >= fillMax(this.segments[first]!.length / 2)) {
      this.#makeRoom(first)
      first = this.#firstOf(hash >>> this.shift)
    }
    place(this.segments[first]!, hash, row + 1)
    this.#fills[first]!++
  }

  #makeRoom(first: number): void {
    const localDepth = this.#localDepths[first]!
    if (localDepth === DEPTH_MAX) return this.#enlarge(first)
    if (localDepth === this.#depth) {
      this.#doubleDirectory()
      first *= 2
    }
    this.#split(first)
  }

  #split(first: number): void {
    const source = this.segments[first]!
    const depth = this.#localDepths[first]! + 1
    const lower = new Uint32Array(source.length)
    const upper = new Uint32Array(source.length)
    let lowerFill = 0
    let upperFill = 0
    for (let at = 0; at < source.length; at += 2) {
      const mark = source[at + 1]!
      if (mark === 0) continue
      const hash = source[at]!
      if ((hash >>> (32 - depth)) & 1) {
        place(upper, hash, mark)
        upperFill++
      } else {
        place(lower, hash, mark)
        lowerFill++
      }
    }
    const half = this.#span(first) / 2
    this.#setSegment(first, lower, depth, lowerFill)
    this.#setSegment(first + half, upper, depth, upperFill)
  }

  #enlarge(first: number): void {
    const source = this.segments[first]!
    const larger = new Uint32Array(source.length * 2)
    for (let at = 0; at < source.length; at += 2) if (source[at + 1] !== 0) place(larger, source[at]!, source[at + 1]!)
    this.#setSegment(first, larger, DEPTH_MAX, this.#fills[first]!)
  }

  #doubleDirectory(): void {
    const twice = <T>(list: T[]): T[] => list.flatMap((item) => [item, item])
    this.segments = twice(this.segments)
    this.#localDepths = twice(this.#localDepths)
    this.#fills = twice(this.#fills)
    this.#depth++
    this.shift = 32 - this.#depth
    assert(this.segments.length === 2 ** this.#depth, 'the directory has an entry for each value of its bits')
  }

  /** How many directory entries lead to the segment of `entry`. */
  #span(entry: number): number {
    return 2 ** (this.#depth - this.#localDepths[entry]!)
  }

  #firstOf(entry: number): number {
    return entry - (entry % this.#span(entry))
  }

  /** Lets all directory entries of one segment, `first` onwards, lead to it. */
  #setSegment(first: number, segment: Uint32Array, localDepth: number, fill: number): void {
    const end = first + 2 ** (this.#depth - localDepth)
    this.segments.fill(segment, first, end)
    this.#localDepths.fill(localDepth, first, end)
    this.#fills[first] = fill
  }
}

function place(segment: Uint32Array, hash: number, mark: number): void {
  const mask = segment.length - 2
  let at = (hash << 1) & mask
  while (segment[at + 1] !== 0) at = (at + 2) & mask
  segment[at] = hash
  segment[at + 1] = mark
}
