// Distinct names and what to add to each, in flat arrays: names in order of arrival, and a hash table from name to its number.
// The table is open addressing with linear probing over pairs (hash, number + 1); a name's home is given by the high
// bits of its hash, so that growing reads the old slots and writes the new ones in order, without a cache miss a name.
// Tables of all sizes used so far are kept, each all zero but the one in use: a small text works in a small table
// that stays in the cache, whatever came before it, and reset() costs as much as the last text was large.

import { assert } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'
import { type Block, SPARE_BYTES } from './block.ts'

/** Words of `amounts` a name takes: plus low, plus high, minus low, minus high. */
const AMOUNT_WORDS = 4
/** The smallest table has two to this power slots; it is left when it is half full. */
const BITS_MIN = 10
/** What reset() keeps: tables up to this power, so many names, so many bytes of them. */
const BITS_KEPT = 16
const NAMES_KEPT = 1 << (BITS_KEPT - 1)
const BYTES_KEPT = 1 << 20
const NAMES_MIN = 1 << (BITS_MIN - 1)
const BYTES_MIN = 1 << 14
/** Offsets are signed 32-bit integers. */
const BYTES_MAX = 2 ** 31 - 1
/** Everything grows fourfold: fresh memory costs nothing until it is touched, and what is copied is a third and not the whole. */
const GROWTH = 4
/** From this power on the table is larger than a second-level cache, and fetching slots ahead pays. */
const BITS_TOUCHED = 16

/** Which bits of four bytes belong to a name that has `index - 4` bytes from there on. */
const MASKS = Int32Array.from({ length: 32 }, (_, index) => (index <= 4 ? 0 : index >= 8 ? -1 : ~(-1 << ((index - 4) * 8))))

export class DistinctNames {
  count = 0
  subtracts = false
  // Declared, not defined: a field that is first undefined makes the compiler check its class at each use.
  declare names: Uint8Array
  /** `ends[i]` is where name i ends in `names`. */
  declare ends: Uint32Array
  declare hashes: Uint32Array
  declare amounts: Uint32Array

  declare private view: DataView
  /** Name i is `bounds[i]` to `bounds[i + 1]`; `ends` is this without its first. */
  declare private bounds: Uint32Array
  private bits = BITS_MIN
  private readonly tables: Int32Array[] = []
  private slots = this.tableOf(BITS_MIN)
  /** Keeps the compiler from dropping the loop that fetches slots ahead. */
  touched = 0

  constructor() {
    this.allocateNames(BYTES_MIN)
    this.allocateRows(NAMES_MIN)
  }

  reset(): void {
    this.slots.fill(0)
    this.tables.length = Math.min(this.tables.length, ((BITS_KEPT - BITS_MIN) >> 1) + 1)
    this.bits = BITS_MIN
    this.slots = this.tableOf(BITS_MIN)
    this.count = 0
    this.subtracts = false
    if (this.names.length > BYTES_KEPT) this.allocateNames(BYTES_MIN)
    if (this.hashes.length > NAMES_KEPT) this.allocateRows(NAMES_MIN)
  }

  /**
   * Finds or adds each complete word of the block, and adds `step`, 0 or 1, to its plus.
   * Returns the number of the last one's name. Cost: one probe a word; no allocation but growth.
   */
  take(block: Block, step: number): number {
    // `| 0` tells the compiler that these are 32-bit integers, so that it keeps them as such through the loop.
    const wordCount = block.words | 0
    this.reserve(wordCount, block.byteCount)
    const { slots, bounds, view, amounts, hashes } = this
    const { ends, view: blockView, hashes: blockHashes } = block
    const shift = (32 - this.bits) | 0
    const mask = (slots.length - 1) | 0

    if (this.bits >= BITS_TOUCHED) {
      let touched = 0
      for (let word = 0; word < wordCount; word++) touched ^= slots[(blockHashes[word]! >>> shift) << 1]!
      this.touched = touched
    }

    let count = this.count | 0
    let name = 0
    let end = 0
    for (let word = 0; word < wordCount; word++) {
      const hash = blockHashes[word]!
      const start = end
      end = ends[word]! | 0
      const length = (end - start) | 0
      let slot = (hash >>> shift) << 1
      for (;;) {
        name = (slots[slot + 1]! - 1) | 0
        if (name < 0) {
          // A new name.
          name = count
          count = (count + 1) | 0
          slots[slot] = hash
          slots[slot + 1] = count
          const base = bounds[name]! | 0
          for (let byte = 0; byte < length; byte = (byte + 8) | 0) {
            view.setInt32(base + byte, blockView.getInt32(start + byte, true), true)
            view.setInt32(base + byte + 4, blockView.getInt32(start + byte + 4, true), true)
          }
          bounds[count] = base + length
          hashes[name] = hash
          const amount = name * AMOUNT_WORDS
          amounts[amount] = step
          amounts[amount + 1] = 0
          amounts[amount + 2] = 0
          amounts[amount + 3] = 0
          break
        }
        if (slots[slot] === hash) {
          const base = bounds[name]! | 0
          if (((bounds[name + 1]! - base) | 0) === length && same(view, base, blockView, start, length)) {
            const amount = name * AMOUNT_WORDS
            const low = (amounts[amount]! + step) >>> 0
            amounts[amount] = low
            if (low < step) {
              if (amounts[amount + 1] === 0xffffffff) throw countOverflow()
              amounts[amount + 1]!++
            }
            break
          }
        }
        slot = (slot + 2) & mask
      }
    }
    this.count = count
    return name
  }

  /** Adds to a name's plus, or to its minus, a uint64 given as two words. */
  add(name: number, minus: boolean, low: number, high: number): void {
    const at = name * AMOUNT_WORDS + (minus ? 2 : 0)
    const lowSum = this.amounts[at]! + low
    const highSum = this.amounts[at + 1]! + high + (lowSum > 0xffffffff ? 1 : 0)
    if (highSum > 0xffffffff) throw countOverflow()
    this.amounts[at] = lowSum
    this.amounts[at + 1] = highSum
    if (minus && (low > 0 || high > 0)) this.subtracts = true
  }

  /** Makes room for so many more names and bytes. */
  private reserve(names: number, bytes: number): void {
    const count = this.count + names
    const byteCount = this.bounds[this.count]! + bytes
    if (byteCount + SPARE_BYTES > this.names.length) this.growNames(byteCount + SPARE_BYTES)
    if (count > this.hashes.length) this.growRows(count)
    while (count * 2 > this.slots.length >>> 1) this.growTable()
  }

  private growNames(bytes: number): void {
    const { names } = this
    assert(bytes <= BYTES_MAX, 'the names of a tally take less than 2 GB')
    this.allocateNames(Math.min(Math.max(names.length * GROWTH, bytes), BYTES_MAX))
    this.names.set(names)
  }

  private growRows(count: number): void {
    const { bounds, hashes, amounts } = this
    this.allocateRows(Math.max(hashes.length * GROWTH, count))
    this.bounds.set(bounds)
    this.hashes.set(hashes)
    this.amounts.set(amounts)
  }

  private growTable(): void {
    const from = this.slots
    this.bits += 2
    const to = this.tableOf(this.bits)
    const shift = 32 - this.bits
    const mask = to.length - 1
    for (let slot = 0; slot < from.length; slot += 2) {
      const number = from[slot + 1]!
      if (number === 0) continue
      const hash = from[slot]!
      let target = (hash >>> shift) << 1
      while (to[target + 1] !== 0) target = (target + 2) & mask
      to[target] = hash
      to[target + 1] = number
    }
    from.fill(0)
    this.slots = to
  }

  private tableOf(bits: number): Int32Array {
    assert(bits <= 28, 'a tally has at most 2^27 names')
    return (this.tables[(bits - BITS_MIN) >> 1] ??= new Int32Array(2 << bits))
  }

  private allocateNames(bytes: number): void {
    this.names = new Uint8Array(bytes)
    this.view = new DataView(this.names.buffer)
  }

  private allocateRows(count: number): void {
    this.bounds = new Uint32Array(count + 1)
    this.ends = this.bounds.subarray(1)
    this.hashes = new Uint32Array(count)
    this.amounts = new Uint32Array(count * AMOUNT_WORDS)
  }
}

/** Whether `length` bytes, above 0, are the same in both places. Reads up to SPARE_BYTES more, which both must have. */
function same(ours: DataView, our: number, theirs: DataView, their: number, length: number): boolean {
  // Most words have at most eight letters; the masks take the place of a branch that nobody could predict.
  let rest = length
  while (rest > 8) {
    const low = ours.getInt32(our, true) ^ theirs.getInt32(their, true)
    const high = ours.getInt32(our + 4, true) ^ theirs.getInt32(their + 4, true)
    if ((low | high) !== 0) return false
    our += 8
    their += 8
    rest -= 8
  }
  const low = (ours.getInt32(our, true) ^ theirs.getInt32(their, true)) & MASKS[rest + 4]!
  const high = (ours.getInt32(our + 4, true) ^ theirs.getInt32(their + 4, true)) & MASKS[rest]!
  return (low | high) === 0
}

/** What is thrown when a plus or a minus would pass 2^64 - 1. */
export function countOverflow(): CounterError {
  return new CounterError('COUNT_OVERFLOW', 'the counts of one name add up to more than 2^64 - 1', {
    fix: 'Send smaller increments.',
  })
}
