// The map of slots that this node keeps as a shard, as a note of the store: on disk before anybody is told that it is kept.

import { CounterError } from '../base/errors.ts'
import { SlotMap } from '../cluster/index.ts'
import type { ApiSlots, KeptSlots } from '../publicapi/index.ts'

/** What this needs of the store. */
export interface SlotsStore {
  note(key: string): Uint8Array | undefined
  keepNotes(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void>
}

const KEY = 'slots'

export function createKeptSlots(store: SlotsStore): ApiSlots {
  let kept = read(store.note(KEY))
  /** What is being kept, so that two at a time do not both come first. */
  let keeping: Promise<void> | undefined
  return {
    kept: () => kept,

    async keep(slots) {
      while (keeping !== undefined) await keeping.catch(() => {})
      if (kept !== undefined) {
        if (kept.map.tag === slots.map.tag && kept.shard === slots.shard) return
        throw new CounterError(
          'SLOTS_CONFLICT',
          `this node is shard ${kept.shard} of the map ${kept.map.tag}, and was to be shard ${slots.shard} of ${slots.map.tag}`,
          { fix: 'Name the shards in COUNTER_SHARDS as they were first named: as many, and in the same order.' },
        )
      }
      const note = new TextEncoder().encode(JSON.stringify({ ...slots.map.plain(), shard: slots.shard }))
      keeping = store.keepNotes([[KEY, note]])
      try {
        await keeping
        kept = slots
      } finally {
        keeping = undefined
      }
    },
  }
}

function read(note: Uint8Array | undefined): KeptSlots | undefined {
  if (note === undefined) return undefined
  const plain = JSON.parse(new TextDecoder().decode(note)) as { shard: number }
  return { map: SlotMap.read(plain), shard: plain.shard }
}
