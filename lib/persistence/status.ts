// What the store says of itself while it runs: figures for metrics, for operators and for tests. Each is of this moment; what they tell of may
// not be on disk yet.

import type { Replica } from '../storage/index.ts'
import type { KeyedWrites } from './keyed-writes.ts'
import type { Log } from './log.ts'
import type { Snapshots } from './snapshots.ts'

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

/** What the figures are of. */
export interface Reported {
  readonly replica: Replica
  readonly log: Log
  readonly keyed: KeyedWrites
  readonly snapshots: Snapshots
}

export function statusOf({ keyed, log, replica, snapshots }: Reported): StoreStatus {
  const { refusal } = log
  return {
    names: replica.table.rowCount,
    items: replica.items.live,
    tenants: replica.items.tenants.rowCount,
    tableBytes: replica.byteLength,
    replies: replica.replies.size,
    tentativeWrites: replica.tentative.size,
    tentativeBytes: replica.tentative.bytes,
    withdrawalsDue: replica.tentative.lost,
    withdrawals: keyed.withdrawals,
    writable: refusal === undefined,
    refusal: refusal?.message,
    logEnd: log.end,
    logDurable: log.durable,
    logGroups: log.groups,
    logRecords: log.records,
    ...snapshots.status(),
  }
}
