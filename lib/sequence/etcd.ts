// The etcd engine: sequences in a store that a majority of its members agrees on, so that any one node and any one member may die. A node
// gathers its callers into batches and sends each to the sequence's owner, which makes one transaction for all that came meanwhile
// (docs/decisions/0012). When the owner does not answer, the node makes the transaction itself.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import {
  type Batch,
  type BatchAnswer,
  decodeAnswer,
  decodeBatch,
  encodeAnswer,
  encodeBatch,
  errorOf,
  refusedBy,
} from './batch.ts'
import { Callers, type Wanted } from './callers.ts'
import { Compaction } from './compaction.ts'
import { EtcdAdmin } from './etcd-admin.ts'
import { KeyLeases } from './key-leases.ts'
import { type ConsensusKv, isDoubtful } from './kv.ts'
import type { KeptKey, KeyLimits } from './local-book.ts'
import { Owner } from './owner.ts'
import { rendezvousOrder, type SequencePeers } from './peers.ts'
import { KeyNames } from './record.ts'
import {
  checkNumbersAsked,
  checkSequenceName,
  type NextOptions,
  type Numbers,
  type SequencePage,
  type Sequencer,
  type SequenceStatus,
  type SequenceValue,
} from './sequencer.ts'

export interface EtcdSequencerOptions extends KeyLimits {
  readonly kv: ConsensusKv
  readonly peers: SequencePeers
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** All keys in the store begin with it. Clusters that share etcd have different ones. */
  readonly prefix: string
  /** How long a call tries, in milliseconds. More rides out longer elections; callers wait that long when etcd is down. */
  readonly timeoutMs: number
  /** See CompactionOptions. */
  readonly compactRevisions: number
}

/** How long the owner may take, before the node does it itself; and how long another is asked then. */
const OWNER_MS = 1500
const AVOID_MS = 3000

export class EtcdSequencer implements Sequencer {
  readonly #options: EtcdSequencerOptions
  readonly #admin: EtcdAdmin
  readonly #owner: Owner
  readonly #callers = new Map<string, Callers>()
  /** See Batch.life. */
  #life: Promise<number> | undefined
  #batches = 0
  /** Nodes that have not answered, and until when they are not asked, in monotonic milliseconds. */
  readonly #avoided = new Map<number, number>()
  #closed = false

  constructor(options: EtcdSequencerOptions) {
    const { kv, random, clock, logger, compactRevisions: revisions } = options
    const names = new KeyNames(options.prefix)
    this.#options = options
    const compaction = new Compaction({ kv, names, logger, revisions })
    const leases = new KeyLeases({ ...options, names })
    this.#admin = new EtcdAdmin({ ...options, names, leases, compaction })
    this.#owner = new Owner({ kv, names, leases, compaction, clock, random })
  }

  async next(name: string, { count = 1, key, signal }: NextOptions = {}): Promise<Numbers> {
    checkSequenceName(name)
    checkNumbersAsked(count, key)
    this.#checkOpen()
    let callers = this.#callers.get(name)
    if (callers === undefined) {
      callers = new Callers({
        clock: this.#options.clock,
        deliver: (wanted) => this.#deliver(name, wanted),
        onIdle: () => this.#callers.delete(name),
      })
      this.#callers.set(name, callers)
    }
    return callers.next(count, key, this.#options.clock.monotonicMs() + this.#options.timeoutMs, signal)
  }

  async get(name: string): Promise<number> {
    this.#checkOpen()
    return this.#admin.get(name)
  }

  async list(page: SequencePage): Promise<{ sequences: SequenceValue[]; more: boolean }> {
    this.#checkOpen()
    return this.#admin.list(page)
  }

  async set(name: string, value: number, options: { force: boolean }): Promise<void> {
    this.#checkOpen()
    return this.#admin.set(name, value, options)
  }

  async freeze(): Promise<void> {
    this.#checkOpen()
    return this.#admin.setFrozen(true)
  }

  async thaw(): Promise<void> {
    this.#checkOpen()
    return this.#admin.setFrozen(false)
  }

  /** Takes over keys that another engine has kept. Those that are there already stay as they are. */
  async adoptKeys(keys: readonly KeptKey[]): Promise<void> {
    this.#checkOpen()
    return this.#admin.adoptKeys(keys)
  }

  async status(): Promise<SequenceStatus> {
    return this.#admin.status(this.#closed)
  }

  /** Answers SequencePeers.call() of another node. Never rejects: what is wrong is in the answer. */
  async answer(payload: Uint8Array, node: number): Promise<Uint8Array> {
    try {
      const { batch, timeoutMs } = decodeBatch(payload, node)
      return encodeAnswer(await this.#owner.commit(batch, Math.min(timeoutMs, this.#options.timeoutMs)))
    } catch (error) {
      if (error instanceof CounterError) return encodeAnswer(refusedBy(error))
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const callers of this.#callers.values()) callers.close()
    this.#owner.close()
    await this.#options.kv.close()
  }

  #checkOpen(): void {
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
  }

  /** @throws CounterError SEQUENCE_UNAVAILABLE */
  #begin(): Promise<number> {
    this.#life ??= this.#admin.beginLife(this.#options.peers.self).catch((error) => {
      this.#life = undefined
      throw error
    })
    return this.#life
  }

  /** Sends a batch to the owner, and again to whoever may be it then, until there is an answer or no time left. */
  async #deliver(name: string, { plain, keyed, untilMs }: Wanted): Promise<BatchAnswer> {
    const { peers, clock } = this.#options
    const batch: Batch = { name, node: peers.self, life: await this.#begin(), number: ++this.#batches, plain, keyed }
    let inDoubt = false
    for (let isFirst = true; ; isFirst = false) {
      const owner = isFirst ? this.#ownerOf(name) : peers.self
      const leftMs = Math.max(untilMs - clock.monotonicMs(), 0)
      try {
        return owner === peers.self
          ? await this.#owner.commit(batch, leftMs)
          : await this.#ask(owner, batch, Math.min(leftMs, OWNER_MS))
      } catch (error) {
        inDoubt ||= isDoubtful(error)
        if (owner === peers.self) throw inDoubt && error instanceof CounterError && !isDoubtful(error) ? unknown(error) : error
        this.#avoided.set(owner, clock.monotonicMs() + AVOID_MS)
      }
    }
  }

  async #ask(owner: number, batch: Batch, timeoutMs: number): Promise<BatchAnswer> {
    let bytes: Uint8Array
    try {
      bytes = await this.#options.peers.call(owner, encodeBatch(batch, timeoutMs), timeoutMs)
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      throw new CounterError(isUnasked(error) ? 'SEQUENCE_UNAVAILABLE' : 'SEQUENCE_UNKNOWN', error.message, { cause: error })
    }
    const answer = decodeAnswer(bytes, batch)
    if ('refused' in answer) throw errorOf(answer)
    return answer
  }

  #ownerOf(name: string): number {
    const { peers, clock } = this.#options
    const nowMs = clock.monotonicMs()
    for (const [node, untilMs] of this.#avoided) if (untilMs <= nowMs) this.#avoided.delete(node)
    return rendezvousOrder(name, peers.live()).find((node) => !this.#avoided.has(node)) ?? peers.self
  }
}

/** The other node was surely not asked, or has no engine that could have done anything. */
const isUnasked = ({ code }: CounterError): boolean => code === 'MEMBER_UNKNOWN' || code === 'SERVICE_UNKNOWN'

const unknown = ({ message, fix }: CounterError): CounterError =>
  new CounterError('SEQUENCE_UNKNOWN', `another node was asked for numbers and did not answer, and then: ${message}`, {
    ...(fix !== undefined && { fix }),
  })
