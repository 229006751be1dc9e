// What a replica holds by slots of names: the counters and items of some slots, for a copy of them, and which items do not count for their
// tenants here, because their slots are another's. Made when somebody asks for slots; a replica that is no shard pays nothing.

import type { Replica } from './replica.ts'
import { RowSlots, SLOT_ROWS_STEP, type SlotOf } from './row-slots.ts'
import type { Count } from './values.ts'

/** Positions of items begin here; those of counters are below. */
const ITEMS_FROM = 2 ** 40

/** Something in one of the slots. `next` is the position behind it. */
export type Slotted =
  | { readonly kind: 'counter'; readonly name: Uint8Array; readonly value: Count; readonly next: number }
  | { readonly kind: 'item'; readonly id: Uint8Array; readonly tenant: Uint8Array; readonly next: number }

export class SlottedView {
  readonly #replica: Replica
  readonly #names: RowSlots
  readonly #ids: RowSlots
  #hidden: Uint8Array | undefined

  constructor(replica: Replica, slotOf: SlotOf) {
    this.#replica = replica
    this.#names = new RowSlots(replica.table, slotOf)
    this.#ids = new RowSlots(replica.items.ids, slotOf)
  }

  /** Names that are known by their key alone, of which nobody can say the slot. Cost: a probe a row, none without such rows. */
  get nameless(): number {
    return this.#replica.table.keyedCount - this.#replica.claimedCount()
  }

  /**
   * The counters that are not 0 and the items in the slots that are flagged, from a position on; undefined when a step is done. Positions hold
   * for this life of the process.
   */
  *in(flags: Uint8Array, from = 0): Generator<Slotted | undefined, void> {
    yield* this.#steps(this.#names.catchUp())
    yield* this.#steps(this.#ids.catchUp())
    const { table, items } = this.#replica
    for (let row = from; row < table.rowCount; row++) {
      if (row % SLOT_ROWS_STEP === 0) yield undefined
      if (flags[this.#names.at(row)] !== 1 || table.nameLength(row) === 0) continue
      const name = table.nameOf(row)
      const value = this.#replica.value(name)
      if (value !== 0) yield { kind: 'counter', name, value, next: row + 1 }
    }
    for (let row = Math.max(0, from - ITEMS_FROM); row < items.ids.rowCount; row++) {
      if (row % SLOT_ROWS_STEP === 0) yield undefined
      const tenant = flags[this.#ids.at(row)] === 1 ? items.cells.tenantOf(row) : 0
      if (tenant === 0) continue
      yield { kind: 'item', id: items.ids.nameOf(row), tenant: items.tenants.nameOf(tenant - 1), next: ITEMS_FROM + row + 1 }
    }
  }

  /**
   * From now on items in the slots that are flagged do not count for their tenants; undefined: all count.
   * Cost: a look at each row of an item, and a change for each in a slot that is hidden or shown by this.
   */
  hide(flags: Uint8Array | undefined): void {
    const before = this.#hidden
    if (before === undefined && flags === undefined) return
    const changed = new Uint8Array(2 ** 16)
    for (let slot = 0; slot < changed.length; slot++) changed[slot] = (before?.[slot] ?? 0) === (flags?.[slot] ?? 0) ? 0 : 1
    this.#hidden = flags
    const isHidden = flags && ((row: number): boolean => flags[this.#ids.at(row)] === 1)
    this.#replica.items.hide(isHidden, this.#ids.rowsIn(changed))
  }

  *#steps(steps: Generator<void, void>): Generator<undefined, void> {
    for (const _ of steps) yield undefined
  }
}
