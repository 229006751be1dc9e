// What replication needs of the store behind it. lib/persistence's Store satisfies it.

import type { ItemChange, Once, ReplicaId, SinceStart, SinceStep, StoredReply, VersionVector, WriteAt } from '../storage/index.ts'

export type { Once, SinceStart, SinceStep, StoredReply }

/** What a write is answered with, and its place; of a reply given again, that of the write it was given to. */
export type Written = StoredReply & { readonly replayed: boolean; readonly at: WriteAt }

/** What batches of items that all members keep, or none, need of the store. */
export interface BatchStore {
  /**
   * undefined: there is room to write the changes now. A promise: wait for it, then ask again.
   * @throws (or rejects with) CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, CLOSED, or what refuseWrites was given
   */
  admitItems(changes: readonly ItemChange[]): Promise<void> | undefined
  /**
   * Changes items, in one turn and one log record. Resolves when it is durable.
   * @throws (as a rejection) CounterError; but for LOG_FAILED nothing was changed
   */
  changeItems(
    changes: readonly ItemChange[],
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Written & { readonly stamp: number }>
  /** The reply kept for `once`, if there is one. @throws CounterError KEY_IN_FLIGHT, KEY_REUSED */
  replay(once: Once): Promise<Written> | undefined
  /** The delta that changeItems has written, when it gave the changes this place and stamp. */
  itemsDelta(changes: readonly ItemChange[], at: WriteAt, stamp: number): Uint8Array
  /** How many of the ids were never heard of, each counted once. */
  newItems(changes: readonly ItemChange[]): number
  /** @throws CounterError ITEMS_MAX when `more` new ids would be too many */
  checkItemsMax(more: number): void
  /** What changeItems would stamp changes with now. */
  nextStamp(): number
  /** @throws CounterError CLOCK_AHEAD when items with the stamp would not be merged */
  checkStamp(stamp: number): void
  /** Notes whose keys start with `prefix`, in no order. */
  notesUnder(prefix: string): Iterable<[key: string, value: Uint8Array]>
  /** Changes notes; undefined takes one away. Resolves when it is durable. @throws CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, CLOSED */
  keepNotes(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void>
}

export interface SyncStore extends BatchStore {
  /** Who writes the own column now. */
  readonly self: ReplicaId
  /** A copy of what is known of each replica, own column included. It may leave only after settled(). */
  vector(): VersionVector
  /**
   * How far anything has come here that a life of a node wrote: the greatest sequence number, in the vector or in a single cell, of each
   * column of the node, and of the columns of slots that this life has heard. It may leave only after settled().
   */
  tracesOf(self: ReplicaId): VersionVector
  /**
   * Says what the other members know: writes with idempotency keys that all of them know are not taken back any more.
   * @param known of each other member, as far as all that it had counted by then is known here; nothing of one that was not heard yet
   */
  settle(known: readonly VersionVector[]): void
  /** What is known of a node's incarnations; where single cells of one go beyond the vector, up to where they go. */
  livesOf(node: number): VersionVector
  /** undefined when all that is known is acknowledged; else a promise for it. Rejects when the log failed. */
  settled(): Promise<void> | undefined
  /**
   * The cells that `known` does not cover, a few milliseconds of work a step; the last step's delta is the vector alone.
   * Deltas may hold what is not acknowledged yet: await settled() before they leave.
   */
  since(known: VersionVector, start?: SinceStart): Generator<SinceStep, void>
  /**
   * Joins an encoded delta, logs the same bytes and resolves with how many cells were news when it is acknowledged.
   * @throws CounterError DELTA_INVALID, DISK_FULL, LOG_BUSY: nothing was changed; LOG_FAILED: unknown
   */
  merge(delta: Uint8Array): Promise<number>
  /** Cells that were news although the vector covered them, since the start: what only digests find. */
  readonly hiddenCells: number
  /**
   * Goes on under a new incarnation, greater than all known of this node id and than `above`. No write is taken in between.
   * Durable when it resolves.
   * @param why a clause for the log: "because ..." is put before it
   * @param isWhole whether nothing speaks against that all is here which the present incarnation has written
   */
  renew(why: string, above?: number, isWhole?: boolean): Promise<void>
  /** Makes the members file say this, durably. */
  saveMembers(bytes: Uint8Array): Promise<void>
  /** Digests of all cells by bucket (DIGEST_BUCKETS pairs of words), a few milliseconds of work a step. */
  digests(): Generator<void, Uint32Array>
  /** All cells of the buckets that are set, as deltas without a vector. */
  cellsOfBuckets(buckets: readonly boolean[]): Generator<Uint8Array, void>
  /** Folds all incarnations of `node` up to `mark` into one column, in slices; see docs/decisions/0007. */
  fold(node: number, mark: number): Promise<void>
  /** From now on writes are refused with this error; undefined: they are taken again. */
  refuseWrites(error: Error | undefined): void
}
