// Items that a vector does not cover, as encoded deltas, each with whole writes: who joins one has all of a write or nothing of it.
// The walk goes over the log of changes as it was at its beginning. A row that changes meanwhile has left its entry behind; what it is now
// goes along in its place, so that all the deltas together hold at least what was known at the beginning.

import { ByteWriter } from '../base/bytes.ts'
import { ITEMS_VERSION, PART_ITEMS } from './delta.ts'
import { writeItems } from './item-delta.ts'
import { LOG_CHUNK } from './item-log.ts'
import type { Items } from './items.ts'
import type { VersionVector } from './vector.ts'

/** A delta ends with the write with which its items, or the bytes of their ids, reach this. */
const STEP_ITEMS = 4096
const STEP_BYTES = 1 << 20
/** Entries that are looked at in a step. */
const STEP_LOOKS = 1 << 17

export interface ItemStep {
  /** Scratch, to be used before the next step. Undefined: a step's work has found nothing. */
  readonly delta: Uint8Array | undefined
  readonly items: number
  /** The place in the log to go on from. */
  readonly next: number
}

/**
 * The items written by what `known` does not cover, in steps of a few milliseconds.
 * @param from the place to begin at: 0, or what a step of the same process has given as `next`
 */
export function* itemsSince(items: Items, known: VersionVector, from: number): Generator<ItemStep, void> {
  const { log, cells } = items
  const beyond = items.origins.map((replica) => known.get(replica))
  const isNewer = (row: number): boolean => cells.seqOf(row) > (beyond[cells.originOf(row)] ?? 0)
  const writer = new ByteWriter(1 << 12)
  const step = new Step(items)
  let end = log.end
  let { cleanings } = log
  let looks = 0
  for (let place = Math.max(from, log.first); place < end; ) {
    if (log.cleanings !== cleanings) {
      // Rows were moved to the end that may not have been given yet.
      cleanings = log.cleanings
      end = log.end
      place = Math.max(place, log.first)
      continue
    }
    looks++
    if (place % LOG_CHUNK === 0 && !log.hasNewer(place, beyond)) {
      place = Math.min(end, place + LOG_CHUNK)
    } else {
      const row = log.rowAt(place)
      if (cells.placeOf(row) !== place) step.left.push(row)
      place = cells.placeOf(row) === place && isNewer(row) ? step.take(place) : place + 1
      // Also what stood among the rows of a write, and those of the writes that go along.
      for (let left = step.left.pop(); left !== undefined; left = step.left.pop()) {
        const at = cells.placeOf(left)
        if (at >= end && isNewer(left)) step.takeLate(log.startOf(at))
      }
    }
    if (!step.isFull && looks < STEP_LOOKS) continue
    yield { delta: step.write(writer), items: step.count, next: place }
    step.clear()
    looks = 0
  }
  if (step.count > 0) yield { delta: step.write(writer), items: step.count, next: end }
}

/** The rows of a delta. */
class Step {
  readonly #items: Items
  #rows = new Uint32Array(STEP_ITEMS)
  #bytes = 0
  /** Places of the first rows of writes that were given out of their order. */
  readonly #late = new Set<number>()
  /** Rows that have left an entry behind which a walk or a write came upon. */
  readonly left: number[] = []
  count = 0

  constructor(items: Items) {
    this.#items = items
  }

  get isFull(): boolean {
    return this.count >= STEP_ITEMS || this.#bytes >= STEP_BYTES
  }

  clear(): void {
    this.count = 0
    this.#bytes = 0
  }

  /** Takes the write whose first row has its entry at `place`. Returns the place behind its last. */
  take(place: number): number {
    const { log, cells } = this.#items
    const first = log.rowAt(place)
    for (; place < log.end; place++) {
      const row = log.rowAt(place)
      if (cells.placeOf(row) !== place) this.left.push(row)
      else if (log.isSameWrite(row, first)) this.#add(row)
      else break
    }
    return place
  }

  takeLate(place: number): void {
    if (this.#late.has(place)) return
    this.#late.add(place)
    this.take(place)
  }

  #add(row: number): void {
    if (this.count === this.#rows.length) {
      const rows = new Uint32Array(this.#rows.length * 2)
      rows.set(this.#rows)
      this.#rows = rows
    }
    this.#rows[this.count++] = row
    this.#bytes += this.#items.ids.nameLength(row)
  }

  write(writer: ByteWriter): Uint8Array | undefined {
    if (this.count === 0) return undefined
    writer.length = 0
    writer.uint8(ITEMS_VERSION)
    writer.uint8(PART_ITEMS)
    writeItems(writer, this.#items, this.#rows.subarray(0, this.count), false)
    return writer.written()
  }
}
