// The slots of many names, one after the other, as long as somebody asks.

import { type Names, SLOTS, slotOf } from './slots.ts'
import { eraOf } from './total-parts.ts'

const encoder = new TextEncoder()

/**
 * Of a batch's names. The open part of a shard's total has none: in its place stands SLOTS and its era.
 * @param key the idempotency key, where there is one: an addition to the total is then also in the slot of the key
 */
export function* slotsOfBatch({ count, names, ends }: Names, key?: string): Generator<number, void> {
  for (let index = 0, start = 0; index < count; index++) {
    const end = ends[index]!
    const era = eraOf(names.subarray(start, end))
    if (era === undefined) yield slotOf(names, start, end)
    else {
      yield SLOTS + era
      if (key !== undefined) yield slotOfKey(key)
    }
    start = end
  }
}

/** Of the ids of items. */
export function* slotsOfIds(ids: readonly string[]): Generator<number, void> {
  for (const id of ids) yield slotOfText(id)
}

/** Which shard takes an addition to the total with a key, so that a retry finds it: the one that has the slot of the key. */
export const slotOfKey = (key: string): number => slotOfText(key)

function slotOfText(text: string): number {
  const bytes = encoder.encode(text)
  return slotOf(bytes, 0, bytes.length)
}
