// Items: id -> tenant, or deleted. The last update wins: of two changes of an id the one with the greater stamp stays, everywhere.
// How many items a tenant has is kept as they change. Stamps are hybrid: the wall clock in microseconds, but always above every stamp
// that is known, so that a change made after another was seen is later than it, whatever the clocks say.
// Items stay as rows when they are deleted, with their stamp: an older change that comes late must not bring them back.
// Some items may be hidden: they do not count for their tenants, because their slots are another shard's.
// Invariant: counts[tenant] is the number of rows whose tenant it is and that are not hidden; #clock is at or above every stamp in a row.

import { CounterError } from '../base/errors.ts'
import { hashName, type NameHash } from '../base/hash.ts'
import { utf8 } from '../base/utf8.ts'
import { ItemCells } from './item-cells.ts'
import type { DecodedItems } from './item-delta.ts'
import { STAMP_MAX } from './item-delta.ts'
import { ItemLog } from './item-log.ts'
import { compareStamps } from './item-order.ts'
import { LOOKUP_NAMES, Lookup, NO_ROW, Table } from './table.ts'
import { TEXTS_MAX, TextLookup } from './text-lookup.ts'
import { type ReplicaId, replicaKey } from './vector.ts'

/** A change of an item: its tenant from now on; undefined: it is deleted. */
export interface ItemChange {
  readonly id: string
  readonly tenant: string | undefined
}

export interface Item {
  readonly id: string
  readonly tenant: string
  /** When it was last changed, in microseconds since 1970. */
  readonly stamp: number
}

const MICROSECONDS = 1000

export class Items {
  readonly ids: Table
  readonly tenants: Table
  readonly cells = new ItemCells()
  readonly log = new ItemLog(this.cells)
  /** Who has written items, by index, and of each the greatest number of such a write. */
  readonly origins: ReplicaId[] = []
  readonly highest: number[] = []
  readonly #originNumbers = new Map<string, number>()
  readonly #itemsMax: number
  readonly #lookup = new Lookup()
  readonly #idTexts: TextLookup
  readonly #tenantTexts: TextLookup
  /** Of the changes that are looked at, the place of the tenant among its texts. */
  readonly #tenantPlaces = new Uint8Array(TEXTS_MAX)
  /** Items of each tenant, by its row. */
  #counts = new Float64Array(64)
  #isHidden: ((row: number) => boolean) | undefined
  /** The greatest stamp that is known. */
  #clock = 0
  /** Items that are not deleted. */
  live = 0

  /** @param itemsMax ids at most, from which on a change of a new one is refused; 0 for no limit. Merged ones are never refused */
  constructor(hash: NameHash, itemsMax: number) {
    this.ids = new Table(hash)
    this.tenants = new Table(hash)
    this.#idTexts = new TextLookup(this.ids)
    this.#tenantTexts = new TextLookup(this.tenants)
    this.#itemsMax = itemsMax
  }

  get byteLength(): number {
    const { ids, tenants, cells, log } = this
    return ids.byteLength + tenants.byteLength + cells.byteLength + log.byteLength + this.#counts.byteLength
  }

  /** A stamp for a change now, greater than all that are known. @param nowMs the wall clock */
  nextStamp(nowMs: number): number {
    return Math.min(STAMP_MAX, Math.max(Math.floor(nowMs * MICROSECONDS), this.#clock + 1))
  }

  /** How many of the ids were never heard of. */
  countMissing(changes: readonly ItemChange[]): number {
    const missing = new Set<string>()
    for (let first = 0; first < changes.length; first += TEXTS_MAX) {
      const end = Math.min(changes.length, first + TEXTS_MAX)
      this.#findIds(changes, first, end)
      for (let at = first; at < end; at++) if (this.#idTexts.rowAt(at - first) === -1) missing.add(changes[at]!.id)
    }
    return missing.size
  }

  /** @throws CounterError ITEMS_MAX when the new ids of the changes would be too many */
  checkRoom(changes: readonly ItemChange[]): void {
    // Mostly there is room even if all are new, and nobody has to look.
    if (this.#itemsMax === 0 || this.ids.rowCount + changes.length <= this.#itemsMax) return
    this.checkItemsMax(this.countMissing(changes))
  }

  /** @throws CounterError ITEMS_MAX when `more` new ids would be too many */
  checkItemsMax(more: number): void {
    if (this.#itemsMax === 0 || more === 0 || this.ids.rowCount + more <= this.#itemsMax) return
    throw new CounterError(
      'ITEMS_MAX',
      `${more} new items do not fit: the node has ${this.ids.rowCount}, deleted ones included, and takes ${this.#itemsMax} at most`,
      { fix: 'raise COUNTER_ITEMS_MAX (0 is no limit) when the memory allows it; items that exist can still be changed' },
    )
  }

  /**
   * Makes changes under a stamp and a write's number that are greater than all before; of an id that is named twice the last counts.
   * @returns the rows, each once, in order
   */
  change(changes: readonly ItemChange[], replica: ReplicaId, seq: number, stamp: number): Uint32Array {
    const origin = this.originOf(replica)
    const start = this.log.end
    for (let first = 0; first < changes.length; first += TEXTS_MAX) {
      const end = Math.min(changes.length, first + TEXTS_MAX)
      this.#findIds(changes, first, end)
      this.#findTenants(changes, first, end)
      for (let at = first; at < end; at++) {
        const row = this.#idTexts.rowOrNewAt(at - first)
        const tenant = changes[at]!.tenant === undefined ? 0 : this.#tenantTexts.rowOrNewAt(this.#tenantPlaces[at - first]!) + 1
        this.#set(row, tenant, stamp, origin, seq)
      }
    }
    const rows = new Uint32Array(this.log.end - start)
    let count = 0
    for (let place = start; place < this.log.end; place++) {
      const row = this.log.rowAt(place)
      if (this.cells.placeOf(row) === place) rows[count++] = row
    }
    this.log.clean()
    return rows.subarray(0, count)
  }

  #findIds(changes: readonly ItemChange[], first: number, end: number): void {
    const texts = this.#idTexts
    texts.clear()
    for (let at = first; at < end; at++) texts.push(changes[at]!.id)
    texts.find()
  }

  /** Items of one tenant mostly come side by side, and share a place then. */
  #findTenants(changes: readonly ItemChange[], first: number, end: number): void {
    const texts = this.#tenantTexts
    texts.clear()
    let before: string | undefined
    let place = 0
    for (let at = first; at < end; at++) {
      const { tenant } = changes[at]!
      if (tenant === undefined) continue
      if (tenant !== before) place = texts.push(tenant)
      before = tenant
      this.#tenantPlaces[at - first] = place
    }
    texts.find()
  }

  /**
   * Joins the items of a delta.
   * @param joined is called for each item with its origin, whether it was news or not
   * Cost: one probe an item; nothing is allocated when nothing is new.
   */
  merge(delta: DecodedItems, joined: (origin: number, seq: number, isNews: boolean) => void): void {
    if (delta.count === 0) return
    const origins = delta.origins.map((replica) => this.originOf(replica))
    const tenantNumbers = new Uint32Array(delta.tenantCount)
    const { bytes, idFrom, idTo } = delta
    const lookup = this.#lookup
    for (let first = 0; first < delta.count; first += LOOKUP_NAMES) {
      const count = Math.min(LOOKUP_NAMES, delta.count - first)
      for (let index = 0; index < count; index++) {
        lookup.from[index] = idFrom[first + index]!
        lookup.to[index] = idTo[first + index]!
        lookup.hashes[index] = hashName(this.ids.hash, bytes, lookup.from[index]!, lookup.to[index]!)
      }
      lookup.bytes = bytes
      lookup.count = count
      this.ids.findMany(lookup)
      for (let index = 0; index < count; index++) {
        const item = first + index
        let row = lookup.rows[index]!
        if (row === NO_ROW) row = this.#rowOrNew(this.ids, bytes, lookup.from[index]!, lookup.to[index]!)
        const origin = origins[delta.origin[item]!]!
        const isNews = this.#join(row, delta, item, origin, tenantNumbers)
        if (delta.seq[item]! > this.highest[origin]!) this.highest[origin] = delta.seq[item]!
        joined(origin, delta.seq[item]!, isNews)
      }
    }
    if (delta.stampMax > this.#clock) this.#clock = delta.stampMax
    this.log.clean()
  }

  /** @param tenantNumbers of the delta's tenants the row plus 1, where they were needed already */
  #join(row: number, delta: DecodedItems, item: number, origin: number, tenantNumbers: Uint32Array): boolean {
    this.cells.reserve(row)
    if (compareStamps(this, row, delta, item, this.origins[origin]!) >= 0) return false
    const named = delta.tenant[item]!
    let tenant = 0
    if (named > 0) {
      tenant = tenantNumbers[named - 1]!
      if (tenant === 0) {
        tenant = this.#rowOrNew(this.tenants, delta.bytes, delta.tenantFrom[named - 1]!, delta.tenantTo[named - 1]!) + 1
        tenantNumbers[named - 1] = tenant
      }
    }
    this.#set(row, tenant, delta.stamp[item]!, origin, delta.seq[item]!)
    return true
  }

  #set(row: number, tenant: number, stamp: number, origin: number, seq: number): void {
    const { cells } = this
    cells.reserve(row)
    const isNew = cells.stampOf(row) === 0
    const before = isNew ? 0 : cells.tenantOf(row)
    if (before !== tenant) {
      const counts = this.#isHidden === undefined || !this.#isHidden(row)
      if (before === 0) this.live++
      else if (counts) this.#counts[before - 1]!--
      if (tenant === 0) this.live--
      else if (counts) this.#countOne(tenant - 1)
    }
    cells.set(row, tenant, stamp, origin, seq)
    this.log.add(row, isNew)
    if (stamp > this.#clock) this.#clock = stamp
    if (seq > this.highest[origin]!) this.highest[origin] = seq
  }

  /**
   * From now on the items in rows of which this says so do not count for their tenants; undefined: all count.
   * @param changed the rows of which it says something else than before
   */
  hide(isHidden: ((row: number) => boolean) | undefined, changed: Iterable<number>): void {
    this.#isHidden = isHidden
    for (const row of changed) {
      const tenant = this.cells.stampOf(row) === 0 ? 0 : this.cells.tenantOf(row)
      if (tenant === 0) continue
      if (isHidden?.(row)) this.#counts[tenant - 1]!--
      else this.#countOne(tenant - 1)
    }
  }

  #countOne(tenantRow: number): void {
    if (tenantRow >= this.#counts.length) {
      const counts = new Float64Array(Math.max(tenantRow + 1, this.#counts.length * 2))
      counts.set(this.#counts)
      this.#counts = counts
    }
    this.#counts[tenantRow]!++
  }

  /** The index of an origin, made when it is new. */
  originOf(replica: ReplicaId): number {
    const key = replicaKey(replica)
    let number = this.#originNumbers.get(key)
    if (number === undefined) {
      number = this.origins.length
      this.origins.push(replica)
      this.highest.push(0)
      this.#originNumbers.set(key, number)
    }
    return number
  }

  /** What one replica has written is another's from now on. Returns the greatest number of such a write, 0 when there is none. */
  move(from: ReplicaId, to: ReplicaId): number {
    const number = this.#originNumbers.get(replicaKey(from))
    if (number === undefined) return 0
    this.#originNumbers.delete(replicaKey(from))
    this.origins[number] = to
    if (!this.#originNumbers.has(replicaKey(to))) this.#originNumbers.set(replicaKey(to), number)
    return this.highest[number]!
  }

  /** The item, unless it was never there or is deleted. Cost: a probe. */
  find(id: string): Item | undefined {
    const row = this.#idTexts.rowOf(id)
    if (row === -1) return undefined
    const tenant = this.cells.tenantOf(row)
    if (tenant === 0) return undefined
    return { id, tenant: utf8.decode(this.tenants.nameOf(tenant - 1)), stamp: this.cells.stampOf(row) }
  }

  /** How many items the tenant has. Cost: a probe. */
  countOf(tenant: string): number {
    const row = this.#tenantTexts.rowOf(tenant)
    return row === -1 ? 0 : this.countAt(row)
  }

  /** The same of a tenant's row. */
  countAt(tenantRow: number): number {
    return this.#counts[tenantRow] ?? 0
  }

  #rowOrNew(table: Table, bytes: Uint8Array, from: number, to: number): number {
    const hash = hashName(table.hash, bytes, from, to)
    const row = table.find(hash, bytes, from, to)
    return row === -1 ? table.add(hash, bytes, from, to) : row
  }
}
