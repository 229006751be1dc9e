// The versions of a map: what a step of a move makes of it, and which step is next. Pure: whoever drives a move keeps nothing, looks at the map
// and does what it says, so that a crash of it is mended by anybody who looks again.
//
//   nothing moves --freeze--> copy --handOver--> settle --release--> nothing moves, or the next slots
//                               \------release (given up)------/
//
// In `copy` the slots belong to the source, in `settle` to the target; in neither does anybody take writes to them, so that those who still go by
// the version before read the same values as those who go by the next.

import { assert } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'
import { type Former, flagsOf, type Moving, PARTS_MAX, SlotMap, type SlotRange } from './slot-map.ts'
import { SLOTS } from './slots.ts'
import { closedPart } from './total-parts.ts'

/** Slots that are to go from one shard to another. */
export interface Batch {
  readonly ranges: readonly SlotRange[]
  readonly from: number
  readonly to: number
}

/**
 * The next version, in which the slots are on their way; of those that settle, in which they have arrived. With the last slots of a shard goes its
 * part of the total. @throws CounterError SLOTS_CONFLICT when the map has no room for that
 */
export function freeze(map: SlotMap, batch: Batch, nodes: Pick<Moving, 'sender' | 'receiver'>): SlotMap {
  assert(map.moving?.phase !== 'copy', 'one move at a time')
  const { ranges, from } = batch
  const flags = flagsOf(ranges)
  const isLast = map.sizeOf(from) === flags.reduce((sum, flag) => sum + flag, 0)
  if (isLast && map.parts.length === PARTS_MAX) throw full(from)
  const part = isLast ? { part: closedPart(from, map.eraOf(from), (slot) => flags[slot] === 1) } : {}
  return SlotMap.read({ ...map.plain(), version: map.version + 1, moving: { phase: 'copy', ...batch, ...nodes, ...part } })
}

/** The next version, in which what is on its way belongs to the target. Former owners are kept for `keepMs`. */
export function handOver(map: SlotMap, nowMs: number, keepMs: number): SlotMap {
  const { moving } = map
  assert(moving?.phase === 'copy', 'only a copy is handed over')
  const version = map.version + 1
  const flags = flagsOf(moving.ranges)
  const ownerOf = (slot: number): number => (flags[slot] === 1 ? moving.to : map.shardOf(slot))
  const former: Former[] = map.former.filter(({ atMs }) => nowMs - atMs <= keepMs)
  former.push({ version, ranges: moving.ranges, shard: moving.from, atMs: Math.max(0, Math.floor(nowMs)) })
  const plain = map.plain()
  const shards = plain.shards.map((entry) => ({ ...entry, ranges: rangesWhere((slot) => ownerOf(slot) === entry.shard) }))
  const parts = moving.part === undefined ? map.parts : [...map.parts, moving.part]
  return SlotMap.read({ ...plain, version, shards, former, parts, moving: { ...moving, phase: 'settle' } })
}

/** The next version, in which nobody asks a shard any more that has had slots; undefined when there is none, or its time is not over. */
export function forget(map: SlotMap, shard: number, nowMs: number, keepMs: number): SlotMap | undefined {
  const former = map.former.filter((entry) => entry.shard !== shard)
  const isOver = map.former.every((entry) => entry.shard !== shard || nowMs - entry.atMs > keepMs)
  if (former.length === map.former.length || !isOver) return undefined
  return SlotMap.read({ ...map.plain(), version: map.version + 1, former })
}

/** The next version, in which nothing is on its way: it has arrived, or it stays where it was. */
export function release(map: SlotMap): SlotMap {
  return SlotMap.read({ ...map.plain(), version: map.version + 1, moving: undefined })
}

/** The next version, with one shard more, which has no slots yet. */
export function widen(map: SlotMap, urls: readonly string[]): SlotMap {
  const plain = map.plain()
  return SlotMap.read({
    ...plain,
    version: map.version + 1,
    shards: [...plain.shards, { shard: map.shards, ranges: [], urls }],
  })
}

/**
 * The next slots to move until the shards in `members` have as many slots each and no other has any; undefined when it is so.
 * @param slotsMax slots of a batch at most
 */
export function nextBatch(map: SlotMap, members: readonly number[], slotsMax: number): Batch | undefined {
  const excess = excessOf(map, members)
  const from = excess.indexOf(Math.max(...excess))
  const to = excess.indexOf(Math.min(...excess))
  const size = Math.min(slotsMax, excess[from]!, -excess[to]!)
  if (size <= 0) return undefined
  return { ranges: lastSlots(map.ranges[from]!, size), from, to }
}

/** How many slots have to move until then. */
export function slotsToMove(map: SlotMap, members: readonly number[]): number {
  return excessOf(map, members).reduce((sum, excess) => sum + Math.max(0, excess), 0)
}

/** By how many slots each shard has more than its share. Those that have most get what does not divide, so that least has to move. */
function excessOf(map: SlotMap, members: readonly number[]): number[] {
  assert(members.length > 0, 'somebody has the slots')
  const sizes = map.ranges.map((_, shard) => map.sizeOf(shard))
  const share = Math.floor(SLOTS / members.length)
  const order = [...members].sort((a, b) => sizes[b]! - sizes[a]! || a - b)
  const shares = new Map(order.map((shard, place) => [shard, share + (place < SLOTS % members.length ? 1 : 0)]))
  return sizes.map((size, shard) => size - (shares.get(shard) ?? 0))
}

function lastSlots(ranges: readonly SlotRange[], size: number): SlotRange[] {
  const taken: SlotRange[] = []
  let left = size
  for (let index = ranges.length - 1; left > 0; index--) {
    const [first, last] = ranges[index]!
    const from = Math.max(first, last - left + 1)
    taken.unshift([from, last])
    left -= last - from + 1
  }
  return taken
}

function rangesWhere(isIn: (slot: number) => boolean): SlotRange[] {
  const ranges: SlotRange[] = []
  let first = -1
  for (let slot = 0; slot <= SLOTS; slot++) {
    const inside = slot < SLOTS && isIn(slot)
    if (inside && first < 0) first = slot
    if (inside || first < 0) continue
    ranges.push([first, slot - 1])
    first = -1
  }
  return ranges
}

const full = (shard: number): CounterError =>
  new CounterError(
    'SLOTS_CONFLICT',
    `shards were emptied ${PARTS_MAX} times, and the map has no room for one part of the total more`,
    {
      fix: `let shard ${shard} run on with the slots that it has left`,
    },
  )
