// What this layer needs of the cluster behind the node. lib/node.ts fills it from replication; a node on its own is a cluster
// of one member.

import type { Accept, MemberState } from '../cluster/index.ts'
import type { ItemChange, WriteAt } from '../storage/index.ts'
import type { Incremented, Once, StoredReply } from './store.ts'

export type { WriteAt }

/** How many members must have a write on disk before it is answered: this one, more than half of all, or all. */
export type WriteLevel = 1 | 'majority' | 'all'

/** What became of a batch of items that members were asked to take. */
export type Accepted = Incremented & {
  /** Members that have taken it, this one included. */
  readonly accepted: number
  /** All members, also those that were not asked because they are dead. */
  readonly members: number
}

/** How far a write has come. */
export interface Reached {
  /** Members that have it on disk, this one included. */
  readonly reached: number
  /** All members, also those that do not answer. */
  readonly members: number
  readonly met: boolean
}

export interface Lag {
  readonly changes: number
  /** For how long there has been a lag; 0 when there is none. */
  readonly seconds: number
}

export interface MemberStatus {
  readonly node: number
  readonly incarnation: number
  readonly state: MemberState
  /** Base URL of its sync port. */
  readonly address: string
  /** Base URL of its public port, '' when it is not known. */
  readonly publicUrl: string
  readonly self: boolean
  /** undefined: never since this node started. */
  readonly heardMsAgo: number | undefined
  /** What this node lacks of what it has. undefined: not known. */
  readonly lacks: Lag | undefined
  /** What it lacks of what this node has. undefined: not known. */
  readonly ahead: Lag | undefined
}

export interface ClusterStatus {
  readonly node: number
  readonly incarnation: number
  /** This node hands over what it has and takes no more writes. */
  readonly draining: boolean
  readonly members: readonly MemberStatus[]
}

export interface ApiCluster {
  /** How long a write waits for other members, in milliseconds. */
  readonly writeTimeoutMs: number
  /** How long a read waits for the state of its session, in milliseconds. */
  readonly sessionTimeoutMs: number
  status(): ClusterStatus
  /** Resolves when enough members have the write on disk, or after `timeoutMs` with what was reached. Never rejects. */
  waitFor(at: WriteAt, level: WriteLevel, timeoutMs: number): Promise<Reached>
  /** Whether this node knows all these writes, and has them on disk, within `timeoutMs`. @throws CounterError LOG_FAILED */
  waitUntilKnown(entries: readonly WriteAt[], timeoutMs: number): Promise<boolean>
  /**
   * Changes items on enough members or on none: each is asked whether it takes the batch, and only then it is kept.
   * @throws AcceptanceRefused: nothing was kept anywhere; CounterError BATCH_TOO_LARGE, and what changeItems() throws
   */
  acceptItems(
    changes: readonly ItemChange[],
    accept: Exclude<Accept, 'one'>,
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Accepted>
  /**
   * Tells a member, this one too, to hand over and leave. Resolves when it has been told; status() shows how it goes on.
   * @throws CounterError MEMBER_UNKNOWN, PEER_UNREACHABLE, PEER_REFUSED
   */
  drain(node: number): Promise<void>
  /**
   * Makes a member that is gone for good one no longer. Resolves when that is on disk.
   * @throws CounterError MEMBER_UNKNOWN, MEMBER_ALIVE, DISK_FULL
   */
  remove(node: number): Promise<void>
}
