// From a hash to the rows that have it: extendible hashing (Fagin, Nievergelt, Pippenger, Strong, 1979).
// The high bits of a hash choose a segment through the directory, the low bits a slot in it; a slot is two words, hash
// and row + 1, and probing is linear. A full segment alone is split, so the longest pause is the move of one
// segment's entries, some tens of microseconds, however many names there are. Doubling the directory copies one reference a segment.
// Invariant: every segment has a free slot, so that a probe ends.

import { assert } from '../base/assert.ts'

/** Words of a segment as it starts: 4,096 slots of two. */
const SEGMENT_WORDS = 8192
/** A segment is split above this many entries: four fifths of its slots. */
const fillMax = (words: number): number => Math.floor(words * 0.4)
/** Of what a segment takes, how much it is expected to take when room is reserved: few then have to be split by chance. */
const RESERVED_FILL = 0.9
/** Directory bits at most. Behind that, only equal hashes are left to overflow a segment, and it grows instead. */
const DEPTH_MAX = 20

export class HashIndex {
  /** For the probing loops of the users: `segments[hash >>> shift]`, two words a slot. */
  segments: Uint32Array[]
  shift: number
  #depth = 1
  /** Per directory entry: how many leading bits all hashes of the segment share; and, at its first entry, its fill. */
  #localDepths = Uint8Array.of(1, 1)
  #fills = new Uint32Array(2)
  /** The entries of a segment that is being split. */
  readonly #moved = new Uint32Array(SEGMENT_WORDS)

  constructor() {
    this.shift = 32 - this.#depth
    this.segments = [new Uint32Array(SEGMENT_WORDS), new Uint32Array(SEGMENT_WORDS)]
  }

  get byteLength(): number {
    let bytes = 0
    for (let entry = 0; entry < this.segments.length; entry += this.#span(entry)) bytes += this.segments[entry]!.byteLength
    return bytes
  }

  /** Makes room for so many rows at once, in an index without any. */
  reserve(rows: number): void {
    assert(
      this.#fills.every((fill) => fill === 0),
      'room is reserved before the first row',
    )
    let depth = 1
    while (depth < DEPTH_MAX && rows / 2 ** depth > fillMax(SEGMENT_WORDS) * RESERVED_FILL) depth++
    this.segments = Array.from({ length: 2 ** depth }, () => new Uint32Array(SEGMENT_WORDS))
    this.shift = 32 - depth
    this.#depth = depth
    this.#localDepths = new Uint8Array(2 ** depth).fill(depth)
    this.#fills = new Uint32Array(2 ** depth)
  }

  /** Adds a row that is not there yet. */
  insert(hash: number, row: number): void {
    let first = this.#firstOf(hash >>> this.shift)
    while (this.#fills[first]! >= fillMax(this.segments[first]!.length)) {
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

  /** Moves the entries with the next bit set to a segment of their own; the others are placed anew where they were. */
  #split(first: number): void {
    const lower = this.segments[first]!
    const upper = new Uint32Array(SEGMENT_WORDS)
    const moved = this.#moved
    const depth = this.#localDepths[first]! + 1
    const bit = 32 - depth
    let upperFill = 0
    assert(lower.length === SEGMENT_WORDS, 'only segments of the first size are split')
    moved.set(lower)
    lower.fill(0)
    for (let at = 0; at < SEGMENT_WORDS; at += 2) {
      const mark = moved[at + 1]!
      if (mark === 0) continue
      const hash = moved[at]!
      const up = (hash >>> bit) & 1
      upperFill += up
      place(up === 1 ? upper : lower, hash, mark)
    }
    const half = this.#span(first) / 2
    this.#setSegment(first, lower, depth, this.#fills[first]! - upperFill)
    this.#setSegment(first + half, upper, depth, upperFill)
  }

  #enlarge(first: number): void {
    const source = this.segments[first]!
    const larger = new Uint32Array(source.length * 2)
    for (let at = 0; at < source.length; at += 2) if (source[at + 1] !== 0) place(larger, source[at]!, source[at + 1]!)
    this.#setSegment(first, larger, DEPTH_MAX, this.#fills[first]!)
  }

  #doubleDirectory(): void {
    const length = this.segments.length
    const segments = new Array<Uint32Array>(length * 2)
    const localDepths = new Uint8Array(length * 2)
    const fills = new Uint32Array(length * 2)
    for (let entry = 0; entry < length; entry++) {
      segments[entry * 2] = segments[entry * 2 + 1] = this.segments[entry]!
      localDepths[entry * 2] = localDepths[entry * 2 + 1] = this.#localDepths[entry]!
      // The fill is kept at a segment's first entry, and twice a first entry is one again.
      fills[entry * 2] = this.#fills[entry]!
    }
    this.segments = segments
    this.#localDepths = localDepths
    this.#fills = fills
    this.#depth++
    this.shift = 32 - this.#depth
  }

  /** How many directory entries lead to the segment of `entry`. */
  #span(entry: number): number {
    return 1 << (this.#depth - this.#localDepths[entry]!)
  }

  #firstOf(entry: number): number {
    return entry & -this.#span(entry)
  }

  /** Lets all directory entries of one segment, `first` onwards, lead to it. */
  #setSegment(first: number, segment: Uint32Array, localDepth: number, fill: number): void {
    const end = first + (1 << (this.#depth - localDepth))
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
