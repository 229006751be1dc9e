// A store as etcd is one, in memory on a virtual clock, and the way to it: requests and answers take time, get lost, or come long after whoever
// asked has given up. One store, a way for each node.

import type { Clock } from '../../lib/base/clock.ts'
import { CounterError } from '../../lib/base/errors.ts'
import type { Random } from '../../lib/base/random.ts'
import type { ConsensusKv, KvEntry, KvRange, KvStatus, KvWrite, Txn, TxnResult } from '../../lib/sequence/kv.ts'
import { LeaseGoneError, TXN_KEYS_MAX } from '../../lib/sequence/kv.ts'
import { compareUtf8 } from '../../lib/sequence/page.ts'

/** How many of a thousand requests have this happen to them. */
export interface KvTroubles {
  /** Surely not carried out, and said so. */
  refused: number
  /** Never carried out; nobody knows. */
  lostRequest: number
  /** Carried out; nobody is told. */
  lostAnswer: number
  /** Carried out up to so many milliseconds later than the deadline. */
  late: number
}

export const NO_TROUBLES: KvTroubles = { refused: 0, lostRequest: 0, lostAnswer: 0, late: 0 }
const DEADLINE_MS = 1000
const LATE_MS = 5000

export class MemoryStore {
  readonly #clock: Clock
  readonly #entries = new Map<string, KvEntry & { lease: string | undefined }>()
  readonly #leases = new Map<string, { untilMs: number; ttlMs: number }>()
  revision = 1
  compactedAt = 0
  #leaseCount = 0
  transactions = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(key: string): KvEntry | undefined {
    this.#expire()
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const { lease, ...rest } = entry
    return rest
  }

  txn({ compare, success, failure }: Txn): TxnResult {
    this.#expire()
    this.transactions++
    for (const list of [compare, success, failure])
      if (list.length > TXN_KEYS_MAX) throw new Error('too many operations in a transaction')
    if (new Set(success.map(({ key }) => key)).size !== success.length) throw new Error('duplicate key given in txn request')
    const holds = compare.every(({ key, modRevision }) => (this.#entries.get(key)?.modRevision ?? 0) === modRevision)
    if (!holds) return { succeeded: false, revision: this.revision, entries: failure.map((key) => this.get(key)) }
    for (const { lease } of success)
      if (lease !== undefined && !this.#leases.has(lease)) throw new LeaseGoneError('lease not found')
    if (success.length > 0) this.revision++
    for (const write of success) this.#write(write)
    return { succeeded: true, revision: this.revision, entries: [] }
  }

  range({ prefix, after, limit }: KvRange): { entries: KvEntry[]; more: boolean; revision: number } {
    this.#expire()
    const keys = [...this.#entries.keys()]
      .filter((key) => key.startsWith(prefix) && (after === undefined || compareUtf8(key, after) > 0))
      .sort(compareUtf8)
    const entries = keys.slice(0, limit).map((key) => this.get(key)!)
    return { entries, more: keys.length > limit, revision: this.revision }
  }

  grantLease(ttlSeconds: number): string {
    const lease = String(++this.#leaseCount)
    this.#leases.set(lease, { untilMs: this.#clock.monotonicMs() + ttlSeconds * 1000, ttlMs: ttlSeconds * 1000 })
    return lease
  }

  keepAlive(lease: string): boolean {
    this.#expire()
    const kept = this.#leases.get(lease)
    if (kept !== undefined) kept.untilMs = this.#clock.monotonicMs() + kept.ttlMs
    return kept !== undefined
  }

  revokeLease(lease: string): void {
    this.#leases.delete(lease)
    for (const [key, entry] of this.#entries) if (entry.lease === lease) this.#entries.delete(key)
    this.revision++
  }

  get leaseCount(): number {
    return this.#leases.size
  }

  #expire(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [lease, { untilMs }] of this.#leases) if (untilMs <= nowMs) this.revokeLease(lease)
  }

  #write({ key, value, lease }: KvWrite): void {
    if (value === undefined) this.#entries.delete(key)
    else {
      const createRevision = this.#entries.get(key)?.createRevision ?? this.revision
      this.#entries.set(key, { key, value, createRevision, modRevision: this.revision, lease })
    }
  }
}

/** A node's way to the store. */
export class MemoryKv implements ConsensusKv {
  readonly #store: MemoryStore
  readonly #clock: Clock
  readonly #random: Random
  troubles: KvTroubles = NO_TROUBLES
  /** Nothing gets through, as behind a cut; whoever asks waits for the deadline. */
  isCut = false
  #closed = false

  constructor(store: MemoryStore, clock: Clock, random: Random) {
    this.#store = store
    this.#clock = clock
    this.#random = random
  }

  txn(txn: Txn): Promise<TxnResult> {
    return this.#carry(() => this.#store.txn(txn), 'SEQUENCE_UNKNOWN')
  }

  read(keys: readonly string[]): Promise<{ entries: (KvEntry | undefined)[]; revision: number }> {
    return this.#carry(() => ({ entries: keys.map((key) => this.#store.get(key)), revision: this.#store.revision }))
  }

  range(range: KvRange): Promise<{ entries: KvEntry[]; more: boolean; revision: number }> {
    return this.#carry(() => this.#store.range(range))
  }

  grantLease(ttlSeconds: number): Promise<string> {
    return this.#carry(() => this.#store.grantLease(ttlSeconds))
  }

  keepAlive(lease: string): Promise<boolean> {
    return this.#carry(() => this.#store.keepAlive(lease))
  }

  revokeLease(lease: string): Promise<void> {
    return this.#carry(() => this.#store.revokeLease(lease), 'SEQUENCE_UNKNOWN')
  }

  compact(revision: number): Promise<void> {
    return this.#carry(() => {
      this.#store.compactedAt = revision
    }, 'SEQUENCE_UNKNOWN')
  }

  status(): Promise<KvStatus> {
    return this.#carry(() => ({
      members: ['a', 'b', 'c'].map((name, index) => ({
        name,
        address: '',
        role: index === 0 ? ('leader' as const) : ('follower' as const),
      })),
      leader: 'a',
      lastIndex: this.#store.revision,
      version: 'memory',
      bytes: 0,
      alarms: [],
    }))
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** Carries a request there and its answer back. */
  #carry<T>(action: () => T, unknown: 'SEQUENCE_UNAVAILABLE' | 'SEQUENCE_UNKNOWN' = 'SEQUENCE_UNAVAILABLE'): Promise<T> {
    if (this.#closed) return Promise.reject(new CounterError('CLOSED', 'the store is closed'))
    return new Promise((resolve, reject) => {
      const { refused, lostRequest, lostAnswer, late } = this.troubles
      const dice = this.#random.uint32() % 1000
      if (dice < refused) return reject(new CounterError('SEQUENCE_UNAVAILABLE', 'refused'))
      const isLost = this.isCut || (dice >= refused && dice < refused + lostRequest)
      const isUnanswered = dice >= refused + lostRequest && dice < refused + lostRequest + lostAnswer
      const isLate = dice >= refused + lostRequest + lostAnswer && dice < refused + lostRequest + lostAnswer + late
      const thereMs = isLate ? this.#random.uint32() % LATE_MS : 1 + (this.#random.uint32() % 4)
      const cancel = this.#clock.after(DEADLINE_MS, () => reject(new CounterError(unknown, 'no answer in time')))
      if (isLost) return
      this.#clock.after(thereMs, () => {
        let result: T
        try {
          result = action()
        } catch (error) {
          cancel()
          return reject(error)
        }
        if (isUnanswered) return
        this.#clock.after(1 + (this.#random.uint32() % 4), () => {
          if (this.isCut) return
          cancel()
          resolve(result)
        })
      })
    })
  }
}
