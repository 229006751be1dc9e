// A cluster that a test plays: what the others have, and what each call was asked.

import { CounterError, type ErrorCode } from '../../lib/base/errors.ts'
import { type Accept, AcceptanceRefused, type Refusal } from '../../lib/cluster/index.ts'
import type {
  Accepted,
  ApiCluster,
  ApiStore,
  ClusterStatus,
  MemberStatus,
  Once,
  Reached,
  StoredReply,
  WriteAt,
  WriteLevel,
} from '../../lib/publicapi/index.ts'
import type { ItemChange } from '../../lib/storage/index.ts'

const NONE = { changes: 0, seconds: 0 }

/** A member other than the answering node, alive and without lag. */
export const peer = (node: number, more: Partial<MemberStatus> = {}): MemberStatus => ({
  node,
  incarnation: 40 + node,
  state: 'alive',
  self: false,
  address: `http://10.0.0.${node}:3001`,
  publicUrl: `http://10.0.0.${node}:3000`,
  heardMsAgo: 250,
  lacks: NONE,
  ahead: NONE,
  ...more,
})

export class FakeCluster implements ApiCluster {
  readonly writeTimeoutMs = 5000
  readonly sessionTimeoutMs = 2000
  draining = false
  members: MemberStatus[] = [
    peer(2),
    peer(1, { self: true, incarnation: 40, heardMsAgo: undefined, lacks: undefined, ahead: undefined }),
    peer(3),
  ]
  /** How many members get to have each write. */
  reached = 3
  /** Whether sessions become known in time. */
  known: boolean | Promise<boolean> = true
  readonly waits: Array<{ at: WriteAt; level: WriteLevel; timeoutMs: number }> = []
  readonly sessions: Array<{ entries: readonly WriteAt[]; timeoutMs: number }> = []
  readonly orders: string[] = []
  /** Where accepted items go. */
  readonly #store: ApiStore
  /** What each batch asked for. */
  readonly acceptances: Accept[] = []
  /** Who refuses batches of items. */
  readonly refusals: Refusal[] = []
  /** What the next order throws. */
  refusal: ErrorCode | undefined

  constructor(store: ApiStore) {
    this.#store = store
  }

  async acceptItems(
    changes: readonly ItemChange[],
    accept: 'majority' | 'all',
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Accepted> {
    this.acceptances.push(accept)
    const { length: members } = this.members
    const accepted = members - this.refusals.length
    if (accepted < (accept === 'all' ? members : Math.floor(members / 2) + 1)) throw new AcceptanceRefused(this.refusals)
    return { ...(await this.#store.changeItems(changes, reply, once)), accepted, members }
  }

  status(): ClusterStatus {
    return { node: 1, incarnation: 40, draining: this.draining, members: this.members }
  }

  async waitFor(at: WriteAt, level: WriteLevel, timeoutMs: number): Promise<Reached> {
    this.waits.push({ at, level, timeoutMs })
    const members = this.members.filter(({ state }) => state !== 'left').length
    const needed = level === 'all' ? members : level === 1 ? 1 : Math.floor(members / 2) + 1
    return { reached: this.reached, members, met: this.reached >= needed }
  }

  async waitUntilKnown(entries: readonly WriteAt[], timeoutMs: number): Promise<boolean> {
    this.sessions.push({ entries, timeoutMs })
    return this.known
  }

  async drain(node: number): Promise<void> {
    this.#order(`drain ${node}`)
  }

  async remove(node: number): Promise<void> {
    this.#order(`remove ${node}`)
  }

  #order(order: string): void {
    if (this.refusal !== undefined) throw new CounterError(this.refusal, `the test refuses to ${order}`)
    this.orders.push(order)
  }
}
