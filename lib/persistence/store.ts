// The store: a replica and its log behind one gate, and all that other folders may ask of them. A write changes the table and appends to the
// log in one turn of the event loop; whoever wrote, and whoever read what was written, waits until the log has it. So an answer that is
// promised here may leave the process when the promise resolves, and what is read at once only after settled().
// Walk of a write: admit (admission.ts), increment (own-writes.ts: table, log), then the caller waits; see docs/ARCHITECTURE.md.

import type { ByteWriter } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import {
  type Batch,
  type ChangedTotals,
  type Count,
  type HeardTotals,
  type Hearing,
  type Item,
  type ItemChange,
  type Once,
  type PlainCell,
  type Replica,
  type ReplicaId,
  type SinceStart,
  type SinceStep,
  SlottedView,
  type StoredReply,
  type TenantPage,
  type TenantQuery,
  type VersionVector,
  type WriteAt,
} from '../storage/index.ts'
import { Admission } from './admission.ts'
import { diskFull, isDiskFull } from './disk.ts'
import { RECORD_HEADER_BYTES, RECORD_NOTES } from './frame.ts'
import { KeyedWrites } from './keyed-writes.ts'
import type { Lock } from './lock.ts'
import type { Log } from './log.ts'
import { MembersFile } from './members.ts'
import { Merges } from './merges.ts'
import { type NoteChange, type Notes, noteBytes } from './notes.ts'
import { type Incremented, type ItemsChanged, OwnWrites } from './own-writes.ts'
import { Renewal } from './renewal.ts'
import type { Snapshots } from './snapshots.ts'
import { type Recovered, type StoreOptions, type StoreParts, start } from './start.ts'
import { type StoreStatus, statusOf } from './status.ts'
import { TenantPages } from './tenant-pages.ts'

export class Store {
  readonly #clock: Clock
  readonly #replica: Replica
  readonly #notes: Notes
  readonly #log: Log
  readonly #lock: Lock
  readonly #snapshots: Snapshots
  readonly #renewal: Renewal
  readonly #admission: Admission
  readonly #keyed: KeyedWrites
  readonly #writes: OwnWrites
  readonly #merges: Merges
  readonly #tenantPages: TenantPages
  readonly #members: MembersFile
  readonly #hiddenBefore: number
  #closing: Promise<void> | undefined
  /** What the start found and did. */
  readonly recovered: Recovered
  /** Resolves when the store cannot go on; the process should then end. */
  readonly failed: Promise<CounterError>

  private constructor({ failed, lock, log, notes, options, recovered, renewalDue, replica, snapshots }: StoreParts) {
    const { clock, itemsAheadMsMax, logger, tentativeBytesMax } = options
    const renewal = new Renewal(options, replica, log)
    if (renewalDue) renewal.ask('the disk was full when the node started', 0)
    const admission = new Admission({ replica, log, renewal, clock })
    const admit = (batch: Batch) => admission.admitWithdrawal(batch)
    const keyed = new KeyedWrites({ replica, log, logger, admit, tentativeBytesMax })
    this.#clock = clock
    this.#replica = replica
    this.#notes = notes
    this.#log = log
    this.#lock = lock
    this.#snapshots = snapshots
    this.#renewal = renewal
    this.#admission = admission
    this.#keyed = keyed
    this.#writes = new OwnWrites({ replica, log, keyed })
    this.#merges = new Merges({ replica, log, renewal, keyed, clock, itemsAheadMsMax })
    this.#tenantPages = new TenantPages({ replica, log, clock })
    this.#members = new MembersFile(options)
    this.#hiddenBefore = replica.hiddenCells
    this.recovered = recovered
    this.failed = failed
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
    return this.#admission.admit(batch, once)
  }

  /** As admit, of changes of items. */
  admitItems(changes: readonly ItemChange[]): Promise<void> | undefined {
    return this.#admission.admitItems(changes)
  }

  /** From now on writes are refused with this error; undefined: they are taken again. */
  refuseWrites(error: Error | undefined): void {
    this.#admission.refuse(error)
  }

  /**
   * Adds a batch that was admitted in this turn. All state changes happen in the call; the batch may be reused when it returns.
   * @param reply makes the reply, after the change; it is kept when `once` is given
   * @returns the reply and the write's place, when they may leave the process
   * @throws (as a rejection) CounterError NAMES_MAX, COUNT_OVERFLOW, KEY_IN_FLIGHT, KEY_REUSED, KEYS_UNSETTLED: nothing was changed;
   *   LOG_FAILED: unknown
   */
  increment(batch: Batch, reply: () => StoredReply, once?: Once): Promise<Incremented> {
    this.#admission.spend(batch)
    return this.#writes.write((writer) => this.#replica.increment(batch, writer), reply, once, batch)
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
      stamp = this.#replica.changeItems(changes, this.#clock.now(), writer)
    }
    const changed = await this.#writes.write(change, reply, once)
    return { ...changed, stamp }
  }

  /** What changeItems would stamp changes with now. */
  nextStamp(): number {
    return this.#replica.items.nextStamp(this.#clock.now())
  }

  /** The delta that a change of items has written, or that it writes when it is given this place and stamp. */
  itemsDelta(changes: readonly ItemChange[], at: WriteAt, stamp: number): Uint8Array {
    return this.#replica.itemsDelta(changes, at.replica, at.seq, stamp)
  }

  /**
   * The reply that was given to the same request before, or undefined.
   * @param batch what the request adds, where that is known: then the reply is found a little earlier
   * @throws CounterError KEY_IN_FLIGHT, KEY_REUSED
   */
  replay(once: Once, batch?: Batch): Promise<Incremented> | undefined {
    return this.#writes.replay(once, batch)
  }

  /**
   * Joins an encoded delta and logs the same bytes. Resolves when they are acknowledged.
   * News of the own column means that it was written elsewhere too, so a new incarnation is then opened.
   * @returns how many cells were news
   * @throws (as a rejection) CounterError DELTA_INVALID, CLOCK_AHEAD, DISK_FULL, LOG_BUSY: nothing was changed; LOG_FAILED: unknown
   */
  merge(delta: Uint8Array): Promise<number> {
    return this.#merges.merge(delta)
  }

  /** Keeps a reply record that another node has given; `record` is as a snapshot holds it. */
  mergeReply(record: Uint8Array): Promise<void> {
    return this.#merges.mergeReply(record)
  }

  /** @throws CounterError CLOCK_AHEAD when items with this stamp would not be merged; 0 is none */
  checkStamp(stamp: number): void {
    this.#merges.checkStamp(stamp)
  }

  /**
   * Says what the other members know. Writes with an idempotency key that all of them know are not taken back any more.
   * @param known of each other member, as far as all that it had counted by then is known here; nothing of one that was not heard yet
   */
  settle(known: readonly VersionVector[]): void {
    this.#keyed.settle(known)
  }

  /**
   * Folds all incarnations of `node` up to `mark` into one column, in slices. The caller has made sure that all members know all
   * of them. Resolves when it is acknowledged; before that it may be lost, and is then to be done again.
   * @throws (as a rejection) CounterError COUNT_OVERFLOW, DISK_FULL, LOG_BUSY, LOG_FAILED, CLOSED: no value has changed
   */
  fold(node: number, mark: number): Promise<void> {
    return this.#merges.fold(node, mark)
  }

  /** What an original node has said, as a delta to be merged before this is called again. See Replica.hear. */
  hear(heard: HeardTotals, isOurs: (node: number) => boolean): Hearing {
    return this.#replica.hear(heard, isOurs)
  }

  /**
   * Goes on under a new incarnation, greater than all that are known of this node id and than `above`. No write is taken from
   * the call on until it is durable; when it cannot be made so, the next write tries again.
   * @param why a clause for the log: "because ..." is put before it
   * @param isWhole whether nothing speaks against that all is here which the present incarnation has written
   * @throws (as a rejection) CounterError DISK_FULL, CLOSED, or what the disk throws
   */
  renew(why: string, above = 0, isWhole = false): Promise<void> {
    return this.#renewal.renew(why, above, isWhole)
  }

  /** Makes the members file say this, durably. `bytes` may be reused. @throws (as a rejection) CounterError DISK_FULL, CLOSED */
  saveMembers(bytes: Uint8Array): Promise<void> {
    if (this.#closing) return Promise.reject(new CounterError('CLOSED', 'the node is stopping'))
    return this.#members.save(bytes)
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

  /** A note of this node. It may leave the process only after settled(). */
  note(key: string): Uint8Array | undefined {
    return this.#notes.get(key)
  }

  /** Notes whose keys start with `prefix`, in no order. They may leave the process only after settled(). */
  notesUnder(prefix: string): Iterable<[key: string, value: Uint8Array]> {
    return this.#notes.under(prefix)
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
    return this.#tenantPages.page(query)
  }

  /** How many of these ids the node has never heard of, each counted once. Cost: a probe an id. */
  newItems(changes: readonly ItemChange[]): number {
    return this.#replica.items.countMissing(changes)
  }

  /** @throws CounterError ITEMS_MAX when `more` new items would be too many */
  checkItemsMax(more: number): void {
    this.#replica.items.checkItemsMax(more)
  }

  /** The reply that is kept under a key, to whatever request. It may leave the process only after settled(). */
  keptReply(key: string): StoredReply | undefined {
    return this.#replica.replies.peek(key)?.reply
  }

  /** Who writes the own column. */
  get self(): ReplicaId {
    return this.#replica.self
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

  /** Totals by key of what `known` does not cover. They may leave the process only after settled(). See Replica.changedTotals. */
  changedTotals(known: VersionVector): Generator<ChangedTotals, void> {
    return this.#replica.changedTotals(known)
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

  /** What is held by slots of names, see SlottedView. It may leave the process only after settled(). */
  slotted(slotOf: (bytes: Uint8Array, start: number, end: number) => number): SlottedView {
    return new SlottedView(this.#replica, slotOf)
  }

  /** undefined when all that value() has shown is acknowledged; else a promise for it. Rejects when the log failed. */
  settled(): Promise<void> | undefined {
    return this.#log.settled()
  }

  /** Cells that were news although the vector covered them, since the start: what only digests find. */
  get hiddenCells(): number {
    return this.#replica.hiddenCells - this.#hiddenBefore
  }

  status(): StoreStatus {
    return statusOf({ replica: this.#replica, log: this.#log, keyed: this.#keyed, snapshots: this.#snapshots })
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
      await this.#renewal.close()
      await this.#members.rest()
      await this.#snapshots.close()
      await this.#log.close()
      await this.#renewal.endCleanly()
    } finally {
      await this.#lock.release()
    }
  }
}
