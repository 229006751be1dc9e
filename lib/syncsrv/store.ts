// What replication needs of the store behind it. lib/persistence's Store satisfies it.

import type { ReplicaId, SinceStart, SinceStep, VersionVector } from '../storage/index.ts'

export type { SinceStart, SinceStep }

export interface SyncStore {
  /** Who writes the own column now. */
  readonly self: ReplicaId
  /** A copy of what is known of each replica, own column included. It may leave only after settled(). */
  vector(): VersionVector
  /**
   * How far anything has come here that a life of a node wrote: the greatest sequence number, in the vector or in a single cell, of each
   * column of the node, and of the columns of slots that this life has heard. It may leave only after settled().
   */
  tracesOf(self: ReplicaId): VersionVector
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
   */
  renew(why: string, above?: number): Promise<void>
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
