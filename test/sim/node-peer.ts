// A second node beside the one of a history, by the script: it has counted some of the requests that clients sent with a key, and tells of them.
// What it has counted always stays, because it was earlier or cannot be taken back; so the node has to take back what it has counted itself,
// whatever happens to it meanwhile, and the request counts once.

import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { Replica, type ReplicaId, Replies, replicaKey, VersionVector } from '../../lib/storage/index.ts'
import { batchOf, hash, once, plainReply } from '../persistence/harness.ts'
import type { Ledger, Op } from './ledger.ts'

/** As good as never, in milliseconds: what the other node has counted is from long ago. */
export const NEVER_MS = 1e13
const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED'])
export const PEER_BODY = 'of the other node'

export class NodePeer {
  readonly #ledger: Ledger
  readonly #replies = new Replies({ clock: { now: () => 1 }, ttlMs: NEVER_MS, max: 1000 })
  readonly #replica = new Replica({ self: { node: 2, incarnation: 2 }, hash, namesMax: 0, replies: this.#replies })
  /** Under which incarnations the node itself has counted an op. */
  readonly #made = new Map<Op, Set<string>>()
  readonly #told = new Set<Op>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** The node has another member, of which it has heard nothing. */
  started(store: Store): void {
    store.settle([new VersionVector()])
  }

  hasTold(op: Op): boolean {
    return this.#told.has(op)
  }

  /** The node itself has counted the op. */
  made(op: Op, self: ReplicaId): void {
    const made = this.#made.get(op)
    if (made === undefined) this.#made.set(op, new Set([replicaKey(self)]))
    else made.add(replicaKey(self))
  }

  /** Counts the op, unless it has, and tells of all that the node does not know. @returns what is wrong */
  async tell(store: Store, op: Op, amounts: Record<string, number>, tentative: boolean): Promise<string[]> {
    if (!this.#told.has(op)) {
      this.#told.add(op)
      this.#replica.increment(batchOf(amounts), new ByteWriter())
      const origin = { replica: this.#replica.self, seq: this.#replica.seq }
      this.#replies.join({ ...once(op.key!), at: 1, reply: plainReply(PEER_BODY), origin, tentative })
    }
    try {
      await this.#tellAll(store)
      return []
    } catch (error) {
      const code = error instanceof CounterError ? error.code : `${error}`
      return REFUSALS.has(code) ? [] : [`what another node says was refused with ${code}: ${error}`]
    }
  }

  async #tellAll(store: Store): Promise<void> {
    const deltas = Array.from(this.#replica.since(store.vector()), ({ delta }) => delta.slice())
    for (const delta of deltas) await store.merge(delta)
  }

  /** Tells all once more, and has the node look whether it has to take back anything. */
  async retell(store: Store): Promise<void> {
    await this.#tellAll(store)
    store.settle([new VersionVector()])
  }

  /**
   * Each op that was told counts once, and beside it what was counted under an incarnation that was given up. Readings are put to one then, as
   * the ledger knows them.
   */
  check(readings: Map<string, number>, self: ReplicaId): { readonly found: string[]; readonly twice: number } {
    const found: string[] = []
    let twice = 0
    for (const op of this.#ledger.ops) {
      if (!this.#told.has(op)) continue
      const value = readings.get(op.name)!
      const given = [...(this.#made.get(op) ?? [])].filter((replica) => replica !== replicaKey(self)).length
      if (value < 1 || value > 1 + given)
        found.push(`${op.name} was counted by another node too, reads ${value}, should 1 to ${1 + given}`)
      if (value > 1) twice++
      readings.set('hot', readings.get('hot')! + 1 - value)
      readings.set(op.name, 1)
      op.state = 'acknowledged'
      // Its place in the log says nothing of when it came.
      op.order = 0
    }
    return { found, twice }
  }
}
