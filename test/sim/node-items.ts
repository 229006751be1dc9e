// Items and notes in the history of one node: clients that change few items of few tenants and read them, and a part of the program that keeps
// notes. What they were told is compared with what is there after each start.

import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import type { ItemChange } from '../../lib/storage/index.ts'
import { nameBytes, once, plainReply } from '../persistence/harness.ts'
import { checkItemCounts, checkTenantList } from './check-items-counts.ts'
import { type AppliedWrite, checkItemsPrefix } from './check-items-prefix.ts'
import { CheckItemsShown } from './check-items-shown.ts'
import { checkNotes, type NoteWrite } from './check-notes.ts'
import type { CheckPlaces } from './check-places.ts'
import { ITEM_IDS, ITEM_TENANTS, itemsOf, type Version } from './item-versions.ts'

/** What the history lends. */
export interface NodeHistory {
  readonly violations: string[]
  readonly places: CheckPlaces
  below(limit: number): number
  chance(percent: number): boolean
  oneOf<T>(items: readonly T[]): T
  happened(what: string): void
  /** Takes a call's promise until it is answered. */
  watch(promise: Promise<unknown>): void
}

const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED'])
const NOTHING_KEPT = new Set(['DISK_FULL', 'LOG_BUSY', 'CLOSED'])
const NOTE = 'sim/first'
const OTHER_NOTE = 'sim/second'

/** Changes of a few items, of which some are deleted; an id may be named twice. */
export function someChanges(dice: Pick<NodeHistory, 'below' | 'chance' | 'oneOf'>): ItemChange[] {
  return Array.from({ length: 1 + dice.below(4) }, () => ({
    id: dice.oneOf(ITEM_IDS),
    tenant: dice.chance(20) ? undefined : dice.oneOf(ITEM_TENANTS),
  }))
}

/** What a write has made of its items, in the turn in which it was made. */
export function writtenNow(store: Store, changes: readonly ItemChange[]): Map<string, Version> {
  const { self } = store
  const place = { ...self, stamp: store.nextStamp() - 1, seq: store.vector().get(self) }
  return new Map(changes.map(({ id, tenant }) => [id, { ...place, tenant }]))
}

export class NodeItems {
  readonly #history: NodeHistory
  readonly #shown = new CheckItemsShown()
  #applied: AppliedWrite[] = []
  #count = 0
  /** The greatest stamp that the process has given or knows. */
  #stamp = 0
  #notes: NoteWrite[] = [{ number: 0, acknowledged: true }]
  #noting = false

  constructor(history: NodeHistory) {
    this.#history = history
  }

  turn(store: Store): void {
    const { below, chance, watch } = this.#history
    const what = below(100)
    if (what < 55) {
      watch(this.#change(store))
      // What was just made, and is not on disk yet.
      if (chance(40)) watch(this.#read(store))
    } else if (what < 80) watch(this.#read(store))
    else if (!this.#noting) watch(this.#note(store))
  }

  async #change(store: Store): Promise<void> {
    const history = this.#history
    const changes = someChanges(history)
    const name = `items-${this.#count++}`
    const key = history.chance(30) ? once(name) : undefined
    let write: AppliedWrite | undefined
    try {
      const reply = () => {
        write = { name, versions: writtenNow(store, changes), acknowledged: false }
        this.#apply(write, store)
        return plainReply(name)
      }
      const { at, stamp } = await store.changeItems(changes, reply, key)
      history.violations.push(...history.places.given(name, at))
      const [version] = write!.versions.values()
      if (version!.stamp !== stamp || version!.seq !== at.seq) history.violations.push(`${name} was answered with another place`)
      write!.acknowledged = true
      history.happened('items changed')
    } catch (error) {
      this.#refused('a change of items', error)
    }
  }

  #apply(write: AppliedWrite, store: Store): void {
    const { violations } = this.#history
    const [{ stamp }] = [...write.versions.values()] as [Version]
    if (stamp <= this.#stamp) violations.push(`${write.name} is stamped ${stamp}, and ${this.#stamp} was known before`)
    this.#stamp = stamp
    this.#applied.push(write)
    for (const [id, { tenant }] of write.versions) {
      const read = store.item(id)?.tenant
      if (read !== tenant) violations.push(`${write.name} has made item ${id} ${tenant}, and it reads ${read}`)
    }
  }

  /** Reads as the API does: what was found leaves when it is settled. */
  async #read(store: Store): Promise<void> {
    const { violations } = this.#history
    const held = itemsOf(store)
    violations.push(...checkItemCounts(store, held, 'the node'))
    try {
      const { tenants } = await store.tenants({ prefix: '', after: undefined, limit: 10 })
      violations.push(...this.#shown.shown(held))
      // Only what has stood still meanwhile can be compared.
      const now = itemsOf(store)
      if ([...now].every(([id, { stamp }]) => held.get(id)?.stamp === stamp)) {
        violations.push(...checkTenantList(tenants, held, 'the node'))
      }
    } catch (error) {
      if (!(error instanceof CounterError)) violations.push(`a list of tenants threw ${(error as Error).stack}`)
    }
  }

  /** One change of notes at a time: they have no other order. */
  async #note(store: Store): Promise<void> {
    const number = this.#notes.at(-1)!.number + 1
    const note = { number, acknowledged: false }
    this.#notes.push(note)
    this.#noting = true
    const value = nameBytes(`${number}`)
    try {
      await store.keepNotes([
        [NOTE, value],
        [OTHER_NOTE, number % 3 === 0 ? undefined : value],
      ])
      note.acknowledged = true
      this.#history.happened('notes kept')
    } catch (error) {
      // The number is not used again, so that it would be seen if it came back.
      if (NOTHING_KEPT.has((error as CounterError).code))
        this.#notes.splice(this.#notes.indexOf(note), 1, { ...note, refused: true })
      this.#refused('a change of notes', error)
    }
    this.#noting = false
  }

  #refused(what: string, error: unknown): void {
    const code = error instanceof CounterError ? error.code : `${error}`
    this.#history.happened(`write refused ${code}`)
    if (!REFUSALS.has(code)) this.#history.violations.push(`${what} was refused with ${code}: ${(error as Error).stack}`)
  }

  /** The process has died or was closed. */
  ended(): void {
    this.#noting = false
  }

  /** What is known now, to go back to when a backup is restored. */
  save(): () => void {
    const applied = this.#applied.map((write) => ({ ...write }))
    const notes = this.#notes.map((note) => ({ ...note }))
    return () => {
      this.#applied = applied.map((write) => ({ ...write }))
      this.#notes = notes.map((note) => ({ ...note }))
      this.#shown.forget()
    }
  }

  /** After a start, when nothing is under way. @param mayLose whether the newest acknowledged writes may be gone */
  verify(store: Store, mayLose: boolean): void {
    const { violations } = this.#history
    const held = itemsOf(store)
    if (mayLose) this.#shown.forget()
    const kept = checkItemsPrefix(this.#applied, held, mayLose)
    if (typeof kept === 'string') violations.push(kept)
    else this.#applied = this.#applied.slice(0, kept).map((write) => ({ ...write, acknowledged: true }))
    this.#stamp = Math.max(0, ...[...held.values()].map(({ stamp }) => stamp))
    violations.push(...checkItemCounts(store, held, 'the node'), ...this.#shown.shown(held))

    const read = (key: string): string | undefined => {
      const value = store.note(key)
      return value && Buffer.from(value).toString()
    }
    const noted = Number(read(NOTE) ?? 0)
    violations.push(...checkNotes(this.#notes, noted, mayLose))
    const other = noted % 3 === 0 ? undefined : `${noted}`
    if (read(OTHER_NOTE) !== other) violations.push(`notes that were kept together are ${read(NOTE)} and ${read(OTHER_NOTE)}`)
    this.#notes = this.#notes.filter(({ number }) => number <= noted).map((note) => ({ ...note, acknowledged: true }))
    if (this.#notes.length === 0) this.#notes.push({ number: noted, acknowledged: true })
  }
}
