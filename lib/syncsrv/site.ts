// What the parts of replication share: what the node is made of, what it knows of the others, and the one place where everything heard
// from another member is taken in (`hear`), from requests and answers alike.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Fold } from '../cluster/index.ts'
import type { VersionVector } from '../storage/index.ts'
import { Trail } from './lag.ts'
import type { News, Sender } from './messages.ts'
import { Peers } from './peers.ts'
import type { Roster } from './roster.ts'
import { Stop } from './stop.ts'
import type { SyncStore } from './store.ts'
import type { Transport } from './transport.ts'

export interface ReplicationOptions {
  readonly store: SyncStore
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The node id. */
  readonly node: number
  /** Base URL of the own sync port; ":PORT" when the host that others reach it by is not known. */
  readonly address: string
  /** Base URL of the own public port, '' when it is not known. */
  readonly publicUrl: string
  /** Base URLs of nodes to join, this one perhaps among them. Asked again and again. */
  readonly seeds: () => Promise<readonly string[]>
  /** Whether an address that was learned may be contacted; `from` is the IP address that the node's own request came from. */
  readonly mayContact: (address: string, from?: string) => boolean
  /** The members file's content; undefined: there is none, and the node never had a peer. */
  readonly savedMembers: Uint8Array | undefined
  /** Whether the store opened with a new incarnation. */
  readonly incarnationIsNew: boolean
  /** How often each living member is asked, in milliseconds. */
  readonly intervalMs: number
  /** How long the next message of an answer may take, in milliseconds. */
  readonly requestTimeoutMs: number
  /** How long a start waits for the answers of all members, in milliseconds. */
  readonly joinTimeoutMs: number
  /** How long a member stays suspect before it is dead, in milliseconds. */
  readonly suspectMs: number
  /** How often digests are compared with a member, in milliseconds; 0 for never. */
  readonly digestIntervalMs: number
  /** How long a batch of items waits for the members that must accept it, in milliseconds. */
  readonly acceptTimeoutMs: number
  /** How long it waits, once it is kept here, until they have it on disk too, in milliseconds. */
  readonly confirmTimeoutMs: number
}

/** What has happened since the start. */
export interface Counters {
  /** Exchanges that came to their end, as the asker. */
  exchanges: number
  cellsIn: number
  cellsOut: number
  bytesIn: number
  bytesOut: number
  /** Requests to others that failed. */
  failures: number
  hiddenCells: number
  folds: number
  /** Batches of items that this node has put to the vote. */
  batchesCommitted: number
  batchesAborted: number
  /** Promises to write a batch of another node that were dropped because nothing was heard of it any more. */
  preparesExpired: number
}

export interface SiteParts {
  readonly options: ReplicationOptions
  readonly roster: Roster
  readonly life: string
}

export class Site {
  readonly options: ReplicationOptions
  readonly roster: Roster
  readonly life: string
  readonly peers = new Peers()
  readonly counters: Counters = {
    exchanges: 0,
    cellsIn: 0,
    cellsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    failures: 0,
    hiddenCells: 0,
    folds: 0,
    batchesCommitted: 0,
    batchesAborted: 0,
    preparesExpired: 0,
  }
  /** What this node has known when. */
  readonly trail = new Trail()
  /** The folds that are told to others, the newest of each node. */
  folds: readonly Fold[] = []
  /** Those of which the folded column is not sent to members that can make it themselves. */
  foldsApart: readonly Fold[] = []
  /** Whether the node id is this process's: another that starts with it yields, whatever its life. */
  holdsId = false
  /** Whether the start is over, and writes are taken. */
  started = false
  /** Set while this node hands over what it has: it then asks only once an interval. */
  draining = false
  /** The end of all that is under way. */
  readonly stop = new Stop()
  readonly #listeners: ((node: number, news: News) => void)[] = []

  constructor({ options, roster, life }: SiteParts) {
    this.options = options
    this.roster = roster
    this.life = life
  }

  get nowMs(): number {
    return this.options.clock.monotonicMs()
  }

  news(): News {
    return { members: this.roster.list(), folds: this.folds }
  }

  /** Calls `listener` each time a member was heard; its vector is in `peers` then. */
  onHeard(listener: (node: number, news: News) => void): void {
    this.#listeners.push(listener)
  }

  /**
   * Takes in what a member says in a request or an answer. What it knows is forgotten when it says that it has left.
   * @param host that it came from or was reached by, '' when unknown
   * @param from the IP address a request came from, '' when unknown or when this is an answer
   */
  hear(sender: Sender, vector: VersionVector, news: News, host: string, from = ''): void {
    this.roster.heard(sender, news.members, host, from)
    const member = this.roster.find(sender.node)
    // Of one that is too many nothing is kept, or node ids without end would fill the memory.
    if (member === undefined) return
    this.peers.spoke({ ...sender, address: member.address })
    if (member.state === 'left') this.peers.forget(sender.node)
    else this.peers.heard(this.nowMs, sender, vector)
    for (const listener of this.#listeners) listener(sender.node, news)
  }

  /** What this node knows, once it may leave: it is durable, and the members file names whoever it goes to. */
  async sharedVector(): Promise<VersionVector> {
    await this.roster.saved()
    const vector = this.options.store.vector()
    this.trail.add(this.nowMs, vector)
    await this.options.store.settled()
    return vector
  }

  /** `promise`, or a rejection with CLOSED when the node stops before. */
  orStopped<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.stop.happened) reject(stopped())
      const forget = this.stop.on(() => reject(stopped()))
      promise.then(resolve, reject).finally(forget)
    })
  }

  /** Resolves after `ms`, or when the node stops. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.stop.happened) return resolve()
      const forget = this.stop.on(() => {
        cancel()
        resolve()
      })
      const cancel = this.options.clock.after(ms, () => {
        forget()
        resolve()
      })
    })
  }

  /** About `ms`: between three and five quarters of it, so that nodes do not fall into step. */
  jittered(ms: number): number {
    return ms * (0.75 + this.options.random.uint32() / 2 ** 33)
  }
}

export const stopped = (): CounterError => new CounterError('CLOSED', 'replication has been stopped')
