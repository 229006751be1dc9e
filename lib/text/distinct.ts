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
const BITS_KEPT = 17
const NAMES_KEPT = 1 << (BITS_KEPT - 1)
const BYTES_KEPT = 1 << 20
const NAMES_MIN = 1 << (BITS_MIN - 1)
const BYTES_MIN = 1 << 14
/** From this power on the table is larger than a second-level cache, and fetching slots ahead pays. */
const BITS_TOUCHED = 16

export class DistinctNames {
  count = 0
  subtracts = false
  names!: Uint8Array
  /** `ends[i]` is where name i ends in `names`. */
  ends!: Uint32Array
  hashes!: Uint32Array
  amounts!: Uint32Array

  private view!: DataView
  /** Name i is `bounds[i]` to `bounds[i + 1]`; `ends` is this without its first. */
  private bounds!: Uint32Array
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
    this.tables.length = Math.min(this.tables.length, BITS_KEPT - BITS_MIN + 1)
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
    const wordCount = block.words
    this.reserve(wordCount, block.byteCount)
    const { slots, bounds, names, view, amounts, hashes } = this
    const { ends, bytes, view: blockView, hashes: blockHashes } = block
    const shift = 32 - this.bits
    const mask = slots.length - 1

    if (this.bits >= BITS_TOUCHED) {
      let touched = 0
      for (let word = 0; word < wordCount; word++) touched ^= slots[(blockHashes[word]! >>> shift) << 1]!
      this.touched = touched
    }

    let count = this.count
    let name = 0
    let end = 0
    for (let word = 0; word < wordCount; word++) {
      const hash = blockHashes[word]!
      const start = end
      end = ends[word]!
      const length = end - start
      let slot = (hash >>> shift) << 1
      for (;;) {
        name = slots[slot + 1]! - 1
        if (name < 0) {
          // A new name.
          name = count++
          slots[slot] = hash
          slots[slot + 1] = count
          const base = bounds[name]!
          for (let byte = 0; byte < length; byte++) names[base + byte] = bytes[start + byte]!
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
          const base = bounds[name]!
          if (bounds[name + 1]! - base === length && same(view, base, blockView, start, length)) {
            const amount = name * AMOUNT_WORDS
            const low = (amounts[amount]! + step) >>> 0
            amounts[amount] = low
            if (low < step) this.carry(amount)
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

  private carry(amount: number): void {
    if (this.amounts[amount + 1] === 0xffffffff) throw countOverflow()
    this.amounts[amount + 1]!++
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
    this.allocateNames(Math.max(names.length * 2, bytes))
    this.names.set(names)
  }

  private growRows(count: number): void {
    const { bounds, hashes, amounts } = this
    this.allocateRows(Math.max(hashes.length * 2, count))
    this.bounds.set(bounds)
    this.hashes.set(hashes)
    this.amounts.set(amounts)
  }

  private growTable(): void {
    const from = this.slots
    const to = this.tableOf(++this.bits)
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
    assert(bits <= 30, 'a tally has at most 2^29 names')
    return (this.tables[bits - BITS_MIN] ??= new Int32Array(2 << bits))
  }

  private allocateNames(bytes: number): void {
    assert(bytes < 2 ** 32, 'the names of a tally take less than 4 GB')
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

/** Whether `length` bytes, above 0, are the same in both places. Reads up to three bytes more, which both must have. */
function same(ours: DataView, our: number, theirs: DataView, their: number, length: number): boolean {
  let rest = length
  while (rest > 4) {
    if (ours.getInt32(our, true) !== theirs.getInt32(their, true)) return false
    our += 4
    their += 4
    rest -= 4
  }
  // Little-endian: the bytes that count are the low ones.
  return (ours.getInt32(our, true) ^ theirs.getInt32(their, true)) << (32 - rest * 8) === 0
}

/** What is thrown when a plus or a minus would pass 2^64 - 1. */
export function countOverflow(): CounterError {
  return new CounterError('COUNT_OVERFLOW', 'the counts of one name add up to more than 2^64 - 1', {
    fix: 'Send smaller increments.',
  })
}
