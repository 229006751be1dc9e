// Living with the original: nodes of both systems count side by side and come to the same totals (docs/decisions/0008, docs/PROTOCOL.md).
// What an original node pushes is kept as slots, durably before it gets its 200. What has changed here is pushed to the
// originals named as seeds, and everything after a failure, a lost connection and now and then, as they may forget.
// Invariants: nothing is pushed that is not acknowledged; bodies are heard one after the other, as each takes the next numbers.

import { type Clock, nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { type ChangedTotals, type HeardTotals, type Hearing, type ReplicaId, SLOTS_MAX, VersionVector } from '../storage/index.ts'
import { LegacyReader, LegacyWriter } from './legacy-codec.ts'
import type { LegacyPost } from './legacy-post.ts'

/** What this needs of the store. */
export interface LegacyStore {
  readonly self: ReplicaId
  vector(): VersionVector
  settled(): Promise<void> | undefined
  merge(delta: Uint8Array): Promise<number>
  hear(heard: HeardTotals, isOurs: (node: number) => boolean): Hearing
  changedTotals(known: VersionVector): Generator<ChangedTotals, void>
}

export interface LegacyBridgeOptions {
  readonly store: LegacyStore
  /** Base URLs of the originals' sync ports, with `legacy+` before them or without. */
  readonly seeds: readonly string[]
  /** Whether a node id is that of a member: what originals say of it is an echo. */
  readonly isOurs: (node: number) => boolean
  /** How often is looked whether there is something to push, in milliseconds. */
  readonly intervalMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly post: LegacyPost
}

/** Since the start. */
export interface LegacyCounters {
  bodiesIn: number
  entriesIn: number
  /** Totals that were more than what was known, totals of our own nodes, and totals of slots too high to be kept. */
  news: number
  echoes: number
  beyond: number
  bodiesOut: number
  entriesOut: number
  bytesOut: number
  /** Pushes of everything, and pushes that failed. */
  fullPushes: number
  failures: number
}

/** A body that is pushed is closed when it has this many entries or bytes. */
const BODY_ENTRIES = 16_384
const BODY_BYTES = 1 << 20
/**
 * Slots of an entry at least. An original whose node id is as great as the length of an entry that it first hears of a key cannot
 * count that key any more (it grows its list one short), so entries are as long as the greatest slot that was heard of, and this.
 */
const WIDTH_MIN = 16
/** And at most for that reason: anybody may speak of a high slot. */
const WIDTH_MAX = 256
/** Everything is pushed again after this, because an original that was killed has forgotten its last second. */
const FULL_PUSH_MS = 5 * 60_000
/** And after a new connection was needed, which an original that has restarted is known by; but not more often than this. */
const FULL_PUSH_MS_MIN = 30_000
const BACK_OFF_MS_MAX = 30_000

interface Seed {
  readonly url: string
  /** What it has taken; undefined: nothing that is known of. */
  known: VersionVector | undefined
  /** When everything was pushed last, and is to be pushed again. */
  fullAtMs: number
  fullDueMs: number
  failures: number
  cancel: () => void
  running: Promise<void>
}

export class LegacyBridge {
  readonly counters: LegacyCounters = {
    bodiesIn: 0,
    entriesIn: 0,
    news: 0,
    echoes: 0,
    beyond: 0,
    bodiesOut: 0,
    entriesOut: 0,
    bytesOut: 0,
    fullPushes: 0,
    failures: 0,
  }
  readonly #options: LegacyBridgeOptions
  readonly #seeds: readonly Seed[]
  /** Resolves when the body before has been heard. */
  #heard: Promise<void> = Promise.resolve()
  /** Between start and stop. */
  #open = false

  constructor(options: LegacyBridgeOptions) {
    this.#options = options
    this.#seeds = options.seeds.map((seed) => ({
      url: seed.replace(/^legacy\+/, ''),
      known: undefined,
      fullAtMs: 0,
      fullDueMs: 0,
      failures: 0,
      cancel: () => {},
      running: Promise.resolve(),
    }))
  }

  /**
   * Takes the body of an original's POST /sync. Resolves when all of it is acknowledged.
   * @param body not to be changed before that
   * @throws (as a rejection) CounterError SYNC_INVALID, CLOSED: nothing was taken; DISK_FULL, LOG_BUSY: a part may have been
   */
  async accept(body: Uint8Array): Promise<void> {
    const { clock, store } = this.#options
    if (!this.#open) throw new CounterError('CLOSED', 'this node does not listen to the original yet, or any more')
    const checked = new LegacyReader(body)
    while (checked.next()) await nextTurn(clock)
    const heard = this.#heard.then(() => this.#hear(body))
    this.#heard = heard.catch(() => {})
    await heard
    await store.settled()
    this.counters.bodiesIn++
    this.counters.entriesIn += checked.entries
    this.counters.beyond += checked.beyond
  }

  async #hear(body: Uint8Array): Promise<void> {
    const { clock, isOurs, store } = this.#options
    const reader = new LegacyReader(body)
    while (reader.next()) {
      const { delta, news, echoes } = store.hear(reader, isOurs)
      this.counters.news += news
      this.counters.echoes += echoes
      await (delta === undefined ? nextTurn(clock) : store.merge(delta))
    }
  }

  /** Begins to listen and to push. Before that it must be certain under which incarnation this node writes. */
  start(): void {
    this.#open = true
    const { intervalMs, logger, store } = this.#options
    if (this.#seeds.length > 0 && store.self.node >= SLOTS_MAX) {
      logger.warn(
        { node: store.self.node },
        `what this node counts cannot be told to the original: node ids there are below ${SLOTS_MAX}`,
      )
    }
    for (const seed of this.#seeds) this.#after(seed, this.#jitter(intervalMs) / 2)
  }

  /** Resolves when a push that is under way has ended, of which no further body is sent, and what came in has been heard. */
  async stop(): Promise<void> {
    this.#open = false
    for (const seed of this.#seeds) seed.cancel()
    await Promise.all([this.#heard, ...this.#seeds.map(({ running }) => running)])
  }

  #after(seed: Seed, delayMs: number): void {
    if (!this.#open) return
    seed.cancel = this.#options.clock.after(delayMs, () => {
      seed.running = this.#turn(seed)
    })
  }

  async #turn(seed: Seed): Promise<void> {
    const { intervalMs, logger } = this.#options
    try {
      await this.#pushNews(seed)
      if (seed.failures > 0) logger.info({ seed: seed.url }, 'a node of the original takes what it is told again')
      seed.failures = 0
      this.#after(seed, this.#jitter(intervalMs))
    } catch (error) {
      seed.known = undefined
      seed.failures++
      this.counters.failures++
      if (seed.failures === 1) {
        logger.warn({ err: error, seed: seed.url }, 'a node of the original cannot be told what has changed; it is tried again')
      }
      this.#after(seed, this.#jitter(Math.min(BACK_OFF_MS_MAX, intervalMs * 2 ** Math.min(seed.failures, 20))))
    }
  }

  /** Pushes what has changed since the last push that was taken, if anything has; or everything, when that is due. */
  async #pushNews(seed: Seed): Promise<void> {
    const { clock, store } = this.#options
    const vector = store.vector()
    const everything = seed.known === undefined || clock.monotonicMs() >= seed.fullDueMs
    if (!everything && seed.known!.covers(vector)) return
    if (!(await this.#push(seed, everything ? new VersionVector() : seed.known!))) return
    seed.known = vector
    if (!everything) return
    seed.fullAtMs = clock.monotonicMs()
    seed.fullDueMs = seed.fullAtMs + FULL_PUSH_MS
    this.counters.fullPushes++
  }

  /** Whether all was pushed; false when it was stopped. */
  async #push(seed: Seed, known: VersionVector): Promise<boolean> {
    const { clock, store } = this.#options
    const writer = new LegacyWriter(BODY_BYTES, BODY_ENTRIES)
    for (const { count, keys, ends, slots, words, width } of store.changedTotals(known)) {
      const slotCount = Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, width))
      for (let index = 0; index < count; index++) {
        const from = index === 0 ? 0 : ends[index - 1]!
        writer.add(keys[index * 2]!, keys[index * 2 + 1]!, slots, words, from, ends[index]!, slotCount)
        if (writer.full) await this.#send(seed, writer)
        if (!this.#open) return false
      }
      await nextTurn(clock)
      if (!this.#open) return false
    }
    if (writer.entries > 0) await this.#send(seed, writer)
    return true
  }

  async #send(seed: Seed, writer: LegacyWriter): Promise<void> {
    const { post, store } = this.#options
    await store.settled()
    const body = writer.body()
    const { reused } = await post(`${seed.url}/sync`, body)
    if (!reused && seed.known !== undefined) seed.fullDueMs = Math.min(seed.fullDueMs, seed.fullAtMs + FULL_PUSH_MS_MIN)
    this.counters.bodiesOut++
    this.counters.entriesOut += writer.entries
    this.counters.bytesOut += body.length
    writer.clear()
  }

  /** Between half of it and all of it. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#options.random.uint32() / 2 ** 33)
  }
}
