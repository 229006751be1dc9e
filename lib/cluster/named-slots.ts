// The slots of many names, one after the other, as long as somebody asks.

import { slotOf, TOTAL_NAME } from './slots.ts'

/** Names as a batch has them: one directly after the other, each up to its end. */
export interface Names {
  readonly count: number
  readonly names: Uint8Array
  readonly ends: Uint32Array
}

const encoder = new TextEncoder()
const TOTAL = encoder.encode(TOTAL_NAME)

/** Of a batch's names, but for the total, of which every shard has a part. */
export function* slotsOfBatch({ count, names, ends }: Names): Generator<number, void> {
  for (let index = 0, start = 0; index < count; index++) {
    const end = ends[index]!
    if (!isTotal(names.subarray(start, end))) yield slotOf(names, start, end)
    start = end
  }
}

/** Of the ids of items. */
export function* slotsOfIds(ids: readonly string[]): Generator<number, void> {
  for (const id of ids) {
    const bytes = encoder.encode(id)
    yield slotOf(bytes, 0, bytes.length)
  }
}

export const isTotal = (name: Uint8Array): boolean => name.length === TOTAL.length && Buffer.compare(name, TOTAL) === 0
