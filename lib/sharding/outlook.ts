// What a run would move, before anything is: by pairs of shards, with estimates of names and bytes, as slots have about as much each.

import { freeze, handOver, nextBatch, release, SLOTS, type SlotMap } from '../cluster/index.ts'
import type { Survey } from './mover.ts'

export interface Leg {
  readonly from: number
  readonly to: number
  readonly slots: number
  /** About so many names and items, and bytes of memory at the target. */
  readonly names: number
  readonly bytes: number
}

const NODES = { sender: 0, receiver: 0 }

/** The legs of a run that gives each of the members an even share. */
export function outlookOf({ map: start, seen }: Survey, members: readonly number[]): Leg[] {
  const slots = new Map<string, { from: number; to: number; slots: number }>()
  let map: SlotMap = start.moving === undefined ? start : release(start)
  for (let batch = nextBatch(map, members, SLOTS); batch !== undefined; batch = nextBatch(map, members, SLOTS)) {
    const { from, to, ranges } = batch
    const size = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
    const leg = slots.get(`${from} ${to}`) ?? { from, to, slots: 0 }
    leg.slots += size
    slots.set(`${from} ${to}`, leg)
    map = release(handOver(freeze(map, batch, NODES), 0, 0))
  }
  return [...slots.values()].map((leg) => {
    const view = seen[leg.from]![0]?.view
    const share = leg.slots / Math.max(1, start.sizeOf(leg.from))
    const about = (total: number): number => Math.round(total * share)
    return { ...leg, names: about((view?.names ?? 0) + (view?.items ?? 0)), bytes: about(view?.tableBytes ?? 0) }
  })
}
