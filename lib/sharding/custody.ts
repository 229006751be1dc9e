// What a replica keeps as a shard: the map of slots, on its disk; and which names it therefore takes writes for. The map is a note of the store. A
// map counts from the turn in which the note is in the log: what is shown or written afterwards is on disk after it.

import { CounterError } from '../base/errors.ts'
import { SLOTS, SlotMap } from '../cluster/index.ts'

/** A map, and which of its shards this node is. */
export interface Kept {
  readonly map: SlotMap
  readonly shard: number
  /** What a request under this map says: the tag of the map and the number of the shard. */
  readonly tag: string
}

/** What this needs of the store. */
export interface CustodyStore {
  note(key: string): Uint8Array | undefined
  keepNotes(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void>
  settled(): Promise<void> | undefined
}

/** What is shown of what the node holds. */
export interface CustodyView {
  /** From now on items in these slots do not count for their tenants. */
  hide(slots: Uint8Array | undefined): void
}

/** Why a write is not taken: the slots are another's, or they are on their way. */
export type Refusal = 'moved' | 'frozen' | undefined

const KEY = 'slots'
const NAME_AS_BEFORE = 'Name the shards in COUNTER_SHARDS as they were first named: as many, and in the same order.'

export class Custody {
  readonly #store: CustodyStore
  readonly #view: CustodyView
  #note: Uint8Array | undefined
  #kept: Kept | undefined
  #keeping: Promise<void> | undefined
  /** Writes that were taken and are not in the log yet. */
  readonly #writes = new Set<Promise<unknown>>()

  constructor(store: CustodyStore, view: CustodyView) {
    this.#store = store
    this.#view = view
    void this.kept
  }

  /** undefined: the node is no shard. Cost: a look at the notes. */
  get kept(): Kept | undefined {
    const note = this.#store.note(KEY)
    if (note !== this.#note) {
      this.#note = note
      this.#kept = note && read(note)
      this.#view.hide(this.#kept && notOwned(this.#kept))
    }
    return this.#kept
  }

  /**
   * Keeps a map instead of an older one. Resolves when it is durable, and no write that was taken under an older one is under way.
   * @param after the tag of the map that has to be kept now; undefined: any older one
   * @throws CounterError SLOTS_CONFLICT; what Store.keepNotes throws
   */
  async keep(map: SlotMap, shard: number, after?: string): Promise<void> {
    while (this.#keeping !== undefined) await this.#keeping.catch(() => {})
    const { kept } = this
    if (kept === undefined || kept.map.tag !== map.tag || kept.shard !== shard) {
      if (kept !== undefined) checkSuccessor(kept, map, shard, after)
      const note = new TextEncoder().encode(JSON.stringify({ ...map.plain(), shard }))
      this.#keeping = this.#store.keepNotes([[KEY, note]])
      try {
        await this.#keeping
      } finally {
        this.#keeping = undefined
      }
      void this.kept
    }
    await this.#store.settled()
    await Promise.allSettled(this.#writes)
    await this.#store.settled()
  }

  /**
   * Whether a write may be taken now, to names in these slots; SLOTS and an era stand for the shard's open part of the total in that era. Before
   * anything has moved every write is: who goes by the map has looked at it, and nobody relies on what others count past it.
   */
  refusal(slots: Iterable<number>): Refusal {
    const { kept } = this
    if (kept === undefined || kept.map.version === 1) return undefined
    const { map, shard } = kept
    for (const slot of slots) {
      if (slot >= SLOTS) {
        const refusal = refusalOfPart(kept, slot - SLOTS)
        if (refusal !== undefined) return refusal
      } else if (map.isMoving(slot)) return 'frozen'
      else if (map.shardOf(slot) !== shard) return 'moved'
    }
    return undefined
  }

  /** From the turn in which refusal() has let it pass until it is in the log, a map that is kept meanwhile waits for the write. */
  track<T>(write: Promise<T>): Promise<T> {
    if (this.#kept === undefined) return write
    const forget = (): void => void this.#writes.delete(write)
    this.#writes.add(write)
    write.then(forget, forget)
    return write
  }
}

/** A part that goes with the last slots, or has gone, is added to no more. */
function refusalOfPart({ map, shard }: Kept, era: number): Refusal {
  const { moving } = map
  if (moving?.phase === 'copy' && moving.from === shard && moving.part !== undefined) return 'frozen'
  return map.eraOf(shard) === era && map.ranges[shard]!.length > 0 ? undefined : 'moved'
}

/** Who keeps a version keeps no other one under its number, and none that is older. */
function checkSuccessor(kept: Kept, map: SlotMap, shard: number, after: string | undefined): void {
  const is = `this node is shard ${kept.shard} of the map ${kept.map.tag}, and was to be shard ${shard} of ${map.tag}`
  if (kept.shard !== shard) {
    throw new CounterError('SLOTS_CONFLICT', is, { fix: NAME_AS_BEFORE })
  }
  if (map.version > kept.map.version && (after === undefined || after === kept.map.tag)) return
  const fix = map.version === kept.map.version ? NAME_AS_BEFORE : 'Look at the map again: it has changed meanwhile.'
  throw new CounterError('SLOTS_CONFLICT', is, { fix })
}

/** Before anything has moved all that is here belongs here. */
function notOwned({ map, shard }: Kept): Uint8Array | undefined {
  if (map.version === 1) return undefined
  const flags = new Uint8Array(SLOTS)
  for (let slot = 0; slot < SLOTS; slot++) flags[slot] = map.shardOf(slot) === shard ? 0 : 1
  return flags
}

function read(note: Uint8Array): Kept {
  const plain = JSON.parse(new TextDecoder().decode(note)) as { shard: number }
  const map = SlotMap.read(plain)
  return { map, shard: plain.shard, tag: `${map.tag}/${plain.shard}` }
}
