// The store: a replica and its log behind one gate. A write changes the table and appends to the log in one turn of the event
// loop; whoever wrote, and whoever read what was written, waits until the log has it. Here alone lives that barrier.
// Walk of a write: admit (room, names), increment (table, log), then the caller waits; see docs/ARCHITECTURE.md.

import { assert } from '../base/assert.ts'
import { ByteReader, type ByteWriter } from '../base/bytes.ts'
import { nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import {
  type Batch,
  batchBytesMax,
  type ChangedTotals,
  type Count,
  DELTA_VERSION,
  DecodedDelta,
  type HeardTotals,
  type Hearing,
  type Item,
  type ItemChange,
  type KeptReply,
  type Once,
  type PlainCell,
  type Replica,
  type ReplicaId,
  readReply,
  type SinceStart,
  type SinceStep,
  SlottedView,
  type StoredReply,
  TenantList,
  type TenantPage,
  type TenantQuery,
  type VersionVector,
  type WriteAt,
} from '../storage/index.ts'
import { diskFull, isDiskFull } from './disk.ts'
import { RECORD_DELTA, RECORD_FOLD, RECORD_HEADER_BYTES, RECORD_MOVE, RECORD_NOTES, RECORD_ONCE } from './frame.ts'
import { writeIdentity } from './identity.ts'
import { KeyedWrites } from './keyed-writes.ts'
import type { Lock } from './lock.ts'
import type { Log } from './log.ts'
import { writeMembers } from './members.ts'
import { type NoteChange, type Notes, noteBytes } from './notes.ts'
import { Renewal } from './renewal.ts'
import type { Snapshots } from './snapshots.ts'
import { type Recovered, type StoreOptions, type StoreParts, start } from './start.ts'

/** What the store says of itself while it runs. */
export interface StoreStatus {
  readonly names: number
  /** Items that are not deleted, and tenants that have or had any. */
  readonly items: number
  readonly tenants: number
  /** Bytes of the arrays of names and items. */
  readonly tableBytes: number
  readonly replies: number
  /** Writes with idempotency keys that may still be taken back, and the bytes they take; how many are to be, and were since the start. */
  readonly tentativeWrites: number
  readonly tentativeBytes: number
  readonly withdrawalsDue: number
  readonly withdrawals: number
  /** Whether writes are accepted, and why not. */
  readonly writable: boolean
  readonly refusal: string | undefined
  /** Log position of the next frame, and up to where the log is on disk. */
  readonly logEnd: number
  readonly logDurable: number
  /** Frames and records written since the start. */
  readonly logGroups: number
  readonly logRecords: number
  /** Log position that the last snapshot replays from, and when it was made (wall clock, 0 for never). */
  readonly snapshotFrom: number
  readonly snapshotAt: number
  /** How long the last snapshot took, and its size. */
  readonly snapshotMs: number
  readonly snapshotBytes: number
  /** Whether the last attempt at a snapshot failed. */
  readonly snapshotFailed: boolean
}

/** What an increment is answered with: the reply, and the write's place; of a reply given again, that of the write it was given to. */
export type Incremented = StoredReply & { readonly replayed: boolean; readonly at: WriteAt }

/** The same of a change of items, with the stamp that they were given; 0 of a reply given again. */
export type ItemsChanged = Incremented & { readonly stamp: number }

/** Batches with more names than this get their new rows in slices, over several turns. */
const SLICE_NAMES = 8192
/** Bytes of a delta around its names and cells, and of a reply record around its texts, at most. */
const DELTA_HEAD_BYTES = 128
/** Bytes of a name's length and of its cell, at most. */
const CELL_BYTES_MAX = 3 + 10 + 10
/** Bytes of an item's two lengths, and of its cell, at most. */
const ITEM_BYTES_MAX = 2 * 3 + 4 * 10
/** Room kept for a reply record, without the name that the reply to a single increment shows. */
const REPLY_BYTES_MAX = 4096 + 512
/** Room for the record of a fold, or of a move. */
const FOLD_BYTES_MAX = RECORD_HEADER_BYTES + 30
/** Bytes that JSON makes of one byte of a name at most: \u0001. */
const ESCAPED_BYTES_MAX = 6
const MICROSECONDS = 1000

export class Store {
  readonly #options: StoreOptions
  readonly #replica: Replica
  readonly #notes: Notes
  readonly #log: Log
  readonly #lock: Lock
  readonly #snapshots: Snapshots
  /** Large batches whose names all have rows. */
  readonly #spread = new WeakSet<Batch>()
  /** Scratch of merge(). */
  readonly #decoded = new DecodedDelta()
  readonly #tenantList: TenantList
  #listing: Promise<unknown> = Promise.resolve()
  readonly #hiddenBefore: number
  #closing: Promise<void> | undefined
  #refusal: Error | undefined
  readonly #renewal: Renewal
  readonly #keyed: KeyedWrites
  #savingMembers: Promise<void> = Promise.resolve()
  /** What the start found and did. */
  readonly recovered: Recovered
  /** Resolves when the store cannot go on; the process should then end. */
  readonly failed: Promise<CounterError>

  private constructor(parts: StoreParts) {
    this.#options = parts.options
    this.#replica = parts.replica
    this.#notes = parts.notes
    this.#log = parts.log
    this.#lock = parts.lock
    this.#snapshots = parts.snapshots
    this.#tenantList = new TenantList(parts.replica.items)
    this.#hiddenBefore = parts.replica.hiddenCells
    this.#renewal = new Renewal(parts.options, parts.replica, (to) => this.#move(to))
    const { replica, log } = parts
    const { logger, tentativeBytesMax } = parts.options
    const admit = (batch: Batch) => this.#admitWithdrawal(batch)
    this.#keyed = new KeyedWrites({ replica, log, logger, admit, tentativeBytesMax })
    if (parts.renewalDue) this.#renewal.ask('the disk was full when the node started', 0)
    this.recovered = parts.recovered
    this.failed = parts.failed
  }

  /**
   * Locks the directory, recovers what is in it, decides the incarnation and opens the log.
   * @throws CounterError DIRECTORY_LOCKED, LOG_CORRUPT, SNAPSHOT_CORRUPT, IDENTITY_INVALID, ...; nothing is changed then
   */
  static async open(options: StoreOptions): Promise<Store> {
    await options.disk.ensureDirectory(options.directory)
    const lock = await options.lock(options.directory)
    try {
      return new Store(await start(options, lock))
    } catch (error) {
      await lock.release()
      throw isDiskFull(error) ? diskFull(error) : error
    }
  }

  /**
   * undefined: the batch can be written now, in this turn. A promise: wait for it, then ask again.
   * @param once what increment will be given
   * @throws (or rejects with) CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, NAMES_MAX, CLOSED, or what refuseWrites was given
   */
  admit(batch: Batch, once?: Once): Promise<void> | undefined {
    if (this.#refusal) throw this.#refusal
    return this.#admitBatch(batch, once)
  }

  /** A node that leaves takes no writes of clients, and still sets right what it has counted. */
  #admitWithdrawal(batch: Batch): Promise<void> | undefined {
    const refusal = this.#refusal
    if (refusal && !(refusal instanceof CounterError && refusal.code === 'DRAINING')) throw refusal
    return this.#admitBatch(batch)
  }

  #admitBatch(batch: Batch, once?: Once): Promise<void> | undefined {
    const nameBytes = nameBytesOf(batch)
    const inReply = batch.count === 1 ? nameBytes * ESCAPED_BYTES_MAX : 0
    const kept = once === undefined ? 0 : batchBytesMax(batch.count, nameBytes)
    const wait = this.#admitBytes(nameBytes + batch.count * CELL_BYTES_MAX + inReply + kept)
    if (wait) return wait
    if (batch.count > SLICE_NAMES && !this.#spread.has(batch)) return this.#spreadNames(batch)
    return undefined
  }

  /** The same of a delta with so many bytes of names and cells. */
  #admitBytes(content: number): Promise<void> | undefined {
    if (this.#renewal.isDue) return this.#renew()
    const bytes = content + RECORD_HEADER_BYTES + DELTA_HEAD_BYTES + REPLY_BYTES_MAX
    return this.#log.hasRoom(bytes) ? undefined : this.#log.makeRoom(bytes)
  }

  /** As admit, of changes of items. */
  admitItems(changes: readonly ItemChange[]): Promise<void> | undefined {
    if (this.#refusal) throw this.#refusal
    return this.#admitBytes(itemsBytes(changes))
  }

  /** Gives all names of a large batch rows, a slice a turn, so that the increment itself is short. */
  async #spreadNames(batch: Batch): Promise<void> {
    const { clock } = this.#options
    let missing = 0
    for (let from = 0; from < batch.count; from += SLICE_NAMES) {
      missing += this.#replica.countMissing(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(clock)
    }
    this.#replica.checkNamesMax(missing)
    // A few can be added by the increment itself.
    for (let from = 0; missing > SLICE_NAMES && from < batch.count; from += SLICE_NAMES) {
      this.#replica.addNames(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(clock)
    }
    this.#spread.add(batch)
  }

  /**
   * Adds a batch that was admitted in this turn. All state changes happen in the call; the batch may be reused when it returns.
   * @param reply makes the reply, after the change; it is kept when `once` is given
   * @returns the reply and the write's place, when they may leave the process
   * @throws (as a rejection) CounterError NAMES_MAX, COUNT_OVERFLOW, KEY_IN_FLIGHT, KEY_REUSED, KEYS_UNSETTLED: nothing was changed;
   *   LOG_FAILED: unknown
   */
  increment(batch: Batch, reply: () => StoredReply, once?: Once): Promise<Incremented> {
    this.#spread.delete(batch)
    return this.#write((writer) => this.#replica.increment(batch, writer), reply, once, batch)
  }

  /**
   * Changes items, all of them in one turn, when there is room. Of an id that is named twice the last counts.
   * @param reply makes the reply, after the change; it is kept when `once` is given
   * @returns the reply, the write's place and its stamp, when they may leave the process
   * @throws (as a rejection) CounterError ITEMS_MAX, KEY_IN_FLIGHT, KEY_REUSED, DISK_FULL, LOG_BUSY, CLOSED, or what refuseWrites was given:
   *   nothing was changed; LOG_FAILED: unknown
   */
  async changeItems(changes: readonly ItemChange[], reply: () => StoredReply, once?: Once): Promise<ItemsChanged> {
    for (let wait = this.admitItems(changes); wait !== undefined; wait = this.admitItems(changes)) await wait
    let stamp = 0
    const change = (writer: ByteWriter): void => {
      stamp = this.#replica.changeItems(changes, this.#options.clock.now(), writer)
    }
    const changed = await this.#write(change, reply, once)
    return { ...changed, stamp }
  }

  /** What changeItems would stamp changes with now. */
  nextStamp(): number {
    return this.#replica.items.nextStamp(this.#options.clock.now())
  }

  /** The delta that a change of items has written, or that it writes when it is given this place and stamp. */
  itemsDelta(changes: readonly ItemChange[], at: WriteAt, stamp: number): Uint8Array {
    return this.#replica.itemsDelta(changes, at.replica, at.seq, stamp)
  }

  /** Writes a delta of the own column, in this turn. @param batch what it adds, when that can be subtracted again */
  async #write(change: (writer: ByteWriter) => void, reply: () => StoredReply, once?: Once, batch?: Batch): Promise<Incremented> {
    const earlier = once && this.replay(once, batch)
    if (earlier) return earlier
    if (once === undefined) {
      this.#log.append(RECORD_DELTA, change)
      const at = this.#at
      const answer = reply()
      await this.#log.settled()
      return { ...answer, replayed: false, at }
    }
    const kept = this.#keyed.write(change, reply, once, batch)
    const at = this.#at
    await this.#log.settled()
    this.#keyed.landed(kept)
    return { ...kept.reply, replayed: false, at }
  }

  /** The place of the newest own write. */
  get #at(): WriteAt {
    return { replica: this.#replica.self, seq: this.#replica.seq }
  }

  /**
   * The reply that was given to the same request before, or undefined.
   * @param batch what the request adds, where that is known: then the reply is found a little earlier
   * @throws CounterError KEY_IN_FLIGHT, KEY_REUSED
   */
  replay(once: Once, batch?: Batch): Promise<Incremented> | undefined {
    const kept = this.#keyed.find(once, batch)
    return kept && this.#again(kept)
  }

  async #again({ reply, origin }: KeptReply): Promise<Incremented> {
    const at = origin ?? this.#at
    await this.#log.settled()
    return { ...reply, replayed: true, at }
  }

  /** The reply that is kept under a key, to whatever request. It may leave the process only after settled(). */
  keptReply(key: string): StoredReply | undefined {
    return this.#replica.replies.peek(key)?.reply
  }

  /**
   * Joins an encoded delta and logs the same bytes. Resolves when they are acknowledged.
   * News of the own column means that it was written elsewhere too, so a new incarnation is then opened.
   * @returns how many cells were news
   * @throws (as a rejection) CounterError DELTA_INVALID, CLOCK_AHEAD, DISK_FULL, LOG_BUSY: nothing was changed; LOG_FAILED: unknown
   */
  async merge(delta: Uint8Array): Promise<number> {
    const replica = this.#replica
    const bytes = delta.length + RECORD_HEADER_BYTES
    for (;;) {
      while (!this.#log.hasRoom(bytes)) await this.#log.makeRoom(bytes)
      this.#decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
      this.#checkStamps()
      const mark = replica.outlivedBy(this.#decoded)
      if (mark === 0) break
      this.#renewal.ask('the others take the last one for an old one', mark, { moves: true })
      await this.#renew()
    }
    const { ownNews, seq } = replica
    const news = replica.merge(this.#decoded)
    this.#log.append(RECORD_DELTA, (writer) => writer.raw(delta))
    if (replica.seq > seq || replica.ownNews > ownNews) await this.renew('the last one was written elsewhere too')
    const withdrawn = this.#keyed.withdraw()
    if (withdrawn) await withdrawn
    await this.#log.settled()
    return news
  }

  /**
   * Says what the other members know. Writes with an idempotency key that all of them know are not taken back any more.
   * @param known of each other member, as far as all that it had counted by then is known here; nothing of one that was not heard yet
   */
  settle(known: readonly VersionVector[]): void {
    this.#keyed.settle(known)
  }

  /** Of a change that is stamped far ahead nobody could say for long which is the last. */
  #checkStamps(): void {
    this.checkStamp(this.#decoded.items.stampMax)
  }

  /** @throws CounterError CLOCK_AHEAD when items with this stamp would not be merged; 0 is none */
  checkStamp(stamp: number): void {
    const aheadMs = stamp / MICROSECONDS - this.#options.clock.now()
    if (stamp === 0 || aheadMs <= this.#options.itemsAheadMsMax) return
    throw new CounterError(
      'CLOCK_AHEAD',
      `items are stamped ${Math.round(aheadMs / 1000)} s ahead of the clock here, ${this.#options.itemsAheadMsMax / 1000} s are taken at most`,
      {
        fix: 'set the clocks of all nodes, best by NTP; the items are taken as soon as this clock has come near to their stamps',
      },
    )
  }

  /**
   * Puts what the own column holds under a new incarnation, durably. The others have folded incarnations up to one that is not below the
   * present one, and would pass over what it has written: the directory was wiped and the clock has gone back.
   */
  async #move(to: number): Promise<void> {
    while (!this.#log.hasRoom(FOLD_BYTES_MAX)) await this.#log.makeRoom(FOLD_BYTES_MAX)
    const { node, incarnation } = this.self
    if (!this.#replica.move(node, incarnation, to)) return
    this.#log.append(RECORD_MOVE, (writer) => {
      writer.varint(node)
      writer.varint(incarnation)
      writer.varint(to)
    })
    await this.#log.settled()
  }

  /**
   * Folds all incarnations of `node` up to `mark` into one column, in slices. The caller has made sure that all members know all
   * of them. Resolves when it is acknowledged; before that it may be lost, and is then to be done again.
   * @throws (as a rejection) CounterError COUNT_OVERFLOW, DISK_FULL, LOG_BUSY, LOG_FAILED, CLOSED: no value has changed
   */
  async fold(node: number, mark: number): Promise<void> {
    const { node: own, incarnation } = this.self
    assert(node !== own || mark < incarnation, 'the own column is not folded')
    const steps = this.#replica.fold(node, mark)
    try {
      for (;;) {
        while (!this.#log.hasRoom(FOLD_BYTES_MAX)) await this.#log.makeRoom(FOLD_BYTES_MAX)
        if (steps.next().done) break
        await nextTurn(this.#options.clock)
      }
    } finally {
      steps.return()
    }
    this.#log.append(RECORD_FOLD, (writer) => {
      writer.varint(node)
      writer.varint(mark)
    })
    await this.#log.settled()
  }

  /** Digests of all cells by bucket. They may leave the process only after settled(). See lib/storage/digest.ts. */
  digests(): Generator<void, Uint32Array> {
    return this.#replica.digests()
  }

  /** All cells of the buckets that are set, as deltas without a vector. They may leave the process only after settled(). */
  cellsOfBuckets(buckets: readonly boolean[]): Generator<Uint8Array, void> {
    return this.#replica.cellsOfBuckets(buckets)
  }

  /** Of the cells, as they would stand in the column of `replica`, those that say more than what is known. */
  newCells(replica: ReplicaId, cells: readonly PlainCell[]): PlainCell[] {
    return this.#replica.newCells(replica, cells)
  }

  /** A note of this node. It may leave the process only after settled(). */
  note(key: string): Uint8Array | undefined {
    return this.#notes.get(key)
  }

  /** Notes whose keys start with `prefix`, in no order. They may leave the process only after settled(). */
  notesUnder(prefix: string): Iterable<[key: string, value: Uint8Array]> {
    return this.#notes.under(prefix)
  }

  /**
   * Changes notes of this node: all of them in the turn in which there is room for them, and in one log record. The values are not to be
   * changed afterwards. Resolves when they are durable.
   * @throws (as a rejection) CounterError DISK_FULL, LOG_BUSY, CLOSED: nothing was changed; LOG_FAILED: unknown
   */
  async keepNotes(changes: readonly NoteChange[]): Promise<void> {
    const bytes = noteBytes(changes) + RECORD_HEADER_BYTES
    while (!this.#log.hasRoom(bytes)) await this.#log.makeRoom(bytes)
    this.#log.append(RECORD_NOTES, (writer) => this.#notes.change(changes, writer))
    await this.#log.settled()
  }

  /** Keeps a reply record that another node has given; `record` is as a snapshot holds it. */
  async mergeReply(record: Uint8Array): Promise<void> {
    const bytes = record.length + 1 + RECORD_HEADER_BYTES
    while (!this.#log.hasRoom(bytes)) await this.#log.makeRoom(bytes)
    this.#log.append(RECORD_ONCE, (writer) => {
      writer.raw(record)
      writer.uint8(DELTA_VERSION)
    })
    await this.#log.settled()
    this.#replica.joinReply(
      readReply(new ByteReader(record, 0, record.length, 'DELTA_INVALID', 'reply record'), undefined, false),
    )
  }

  /**
   * Goes on under a new incarnation, greater than all that are known of this node id and than `above`. No write is taken from
   * the call on until it is durable; when it cannot be made so, the next write tries again.
   * @param why a clause for the log: "because ..." is put before it
   * @param isWhole whether nothing speaks against that all is here which the present incarnation has written
   * @throws (as a rejection) CounterError DISK_FULL, CLOSED, or what the disk throws
   */
  async renew(why: string, above = 0, isWhole = false): Promise<void> {
    this.#renewal.ask(why, above, { isWhole })
    await this.#renew()
  }

  #renew(): Promise<void> {
    return this.#closing ? Promise.reject(closed()) : this.#renewal.complete()
  }

  /** From now on writes are refused with this error; undefined: they are taken again. */
  refuseWrites(error: Error | undefined): void {
    this.#refusal = error
  }

  /** Makes the members file say this, durably. `bytes` may be reused. @throws (as a rejection) CounterError DISK_FULL, CLOSED */
  saveMembers(bytes: Uint8Array): Promise<void> {
    if (this.#closing) return Promise.reject(closed())
    const copy = bytes.slice()
    const { directory, disk } = this.#options
    const saved = this.#savingMembers.then(() => writeMembers(disk, directory, copy).catch(sayDiskFull))
    this.#savingMembers = saved.catch(() => {})
    return saved
  }

  /** A copy of what is known of each replica, own column included. It may leave the process only after settled(). */
  vector(): VersionVector {
    return this.#replica.vector()
  }

  /** How far anything has come here that a life of a node wrote, see Replica.tracesOf. It may leave only after settled(). */
  tracesOf(self: ReplicaId): VersionVector {
    return this.#replica.tracesOf(self)
  }

  /** What is known of a node's incarnations, see Replica.livesOf. */
  livesOf(node: number): VersionVector {
    return this.#replica.livesOf(node)
  }

  /** The cells that `known` does not cover, see Replica.since. They may leave the process only after settled(). */
  since(known: VersionVector, start?: SinceStart): Generator<SinceStep, void> {
    return this.#replica.since(known, start)
  }

  /** Cells that were news although the vector covered them, since the start: what only digests find. */
  get hiddenCells(): number {
    return this.#replica.hiddenCells - this.#hiddenBefore
  }

  /** The value of a name, 0 when it was never counted. It may leave the process only after settled(). */
  value(name: Uint8Array): Count {
    return this.#replica.value(name)
  }

  /** The item, unless it was never there or is deleted. It may leave the process only after settled(). */
  item(id: string): Item | undefined {
    return this.#replica.items.find(id)
  }

  /** How many items a tenant has. It may leave the process only after settled(). Cost: a probe. */
  tenantCount(tenant: string): number {
    return this.#replica.items.countOf(tenant)
  }

  /** Tenants that have items, by the bytes of their names. Resolves when it may leave the process. */
  tenants(query: TenantQuery): Promise<TenantPage> {
    const listing = this.#listing.then(async () => {
      const steps = this.#tenantList.page(query)
      for (;;) {
        const { done, value } = steps.next()
        if (done) return value
        await nextTurn(this.#options.clock)
      }
    })
    this.#listing = listing
    return listing.then(async (page) => {
      await this.#log.settled()
      return page
    })
  }

  /** What is held by slots of names, see SlottedView. It may leave the process only after settled(). */
  slotted(slotOf: (bytes: Uint8Array, start: number, end: number) => number): SlottedView {
    return new SlottedView(this.#replica, slotOf)
  }

  /** How many of these ids the node has never heard of, each counted once. Cost: a probe an id. */
  newItems(changes: readonly ItemChange[]): number {
    return this.#replica.items.countMissing(changes)
  }

  /** @throws CounterError ITEMS_MAX when `more` new items would be too many */
  checkItemsMax(more: number): void {
    this.#replica.items.checkItemsMax(more)
  }

  /** What an original node has said, as a delta to be merged before this is called again. See Replica.hear. */
  hear(heard: HeardTotals, isOurs: (node: number) => boolean): Hearing {
    return this.#replica.hear(heard, isOurs)
  }

  /** Totals by key of what `known` does not cover. They may leave the process only after settled(). See Replica.changedTotals. */
  changedTotals(known: VersionVector): Generator<ChangedTotals, void> {
    return this.#replica.changedTotals(known)
  }

  /** undefined when all that value() has shown is acknowledged; else a promise for it. Rejects when the log failed. */
  settled(): Promise<void> | undefined {
    return this.#log.settled()
  }

  /** Who writes the own column. */
  get self(): ReplicaId {
    return this.#replica.self
  }

  status(): StoreStatus {
    const refusal = this.#log.refusal
    return {
      names: this.#replica.table.rowCount,
      items: this.#replica.items.live,
      tenants: this.#replica.items.tenants.rowCount,
      tableBytes: this.#replica.byteLength,
      replies: this.#replica.replies.size,
      tentativeWrites: this.#replica.tentative.size,
      tentativeBytes: this.#replica.tentative.bytes,
      withdrawalsDue: this.#replica.tentative.lost,
      withdrawals: this.#keyed.withdrawals,
      writable: refusal === undefined,
      refusal: refusal?.message,
      logEnd: this.#log.end,
      logDurable: this.#log.durable,
      logGroups: this.#log.groups,
      logRecords: this.#log.records,
      ...this.#snapshots.status(),
    }
  }

  /** Takes a snapshot now. Resolves when it is published. */
  snapshot(): Promise<void> {
    return this.#snapshots.take()
  }

  /** The state as a backup, in pieces; each may leave the process. */
  backup(): AsyncGenerator<Uint8Array, void> {
    return this.#snapshots.backup()
  }

  /** Stops taking writes, brings all that was acknowledged to disk, and lets go of the directory. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      await this.#renewal.rest()
      await this.#savingMembers
      await this.#snapshots.close()
      await this.#log.close()
      await this.#endCleanly()
    } finally {
      await this.#lock.release()
    }
  }

  /** All is on disk, whatever the mode is, so the next start may resume the incarnation. When this fails it opens a new one. */
  async #endCleanly(): Promise<void> {
    const { directory, disk, fsync, logger } = this.#options
    if (fsync === 'always') return
    await writeIdentity(disk, directory, this.#replica.self, false).catch((error) => {
      logger.warn({ directory }, `the next start opens a new incarnation, because the end could not be noted: ${error}`)
    })
  }
}

const nameBytesOf = ({ count, ends }: Batch): number => (count === 0 ? 0 : ends[count - 1]!)

function itemsBytes(changes: readonly ItemChange[]): number {
  let bytes = 0
  for (const { id, tenant = '' } of changes) bytes += ITEM_BYTES_MAX + Buffer.byteLength(id) + Buffer.byteLength(tenant)
  return bytes
}

const closed = (): CounterError => new CounterError('CLOSED', 'the node is stopping')

function sayDiskFull(error: unknown): never {
  throw isDiskFull(error) ? diskFull(error) : error
}
