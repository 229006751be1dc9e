// The owner of a sequence: takes batches of all nodes and makes one transaction of those that wait, so that etcd has one write for any number
// of callers. Every transaction compares the revision of the record, writes the record whole, and the record says which batches are in
// it. So of all the transactions that were ever tried from one state at most one succeeds, however often and by whomever they are
// sent, and whoever reads the state after it knows whose that was. Any number of nodes may own a sequence at a time: that costs
// tries, never numbers.

import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Batch, BatchAnswer } from './batch.ts'
import { BATCH_KEYS_MAX } from './batch.ts'
import type { Compaction } from './compaction.ts'
import type { KeyLeases } from './key-leases.ts'
import { type ConsensusKv, isDoubtful, type KvEntry, LeaseGoneError } from './kv.ts'
import { type Known, type Plan, planFor } from './plan.ts'
import {
  decodeKeyRecord,
  decodeRecord,
  EMPTY_RECORD,
  encodeKeyRecord,
  encodeRecord,
  type KeyNames,
  type KeyRecord,
} from './record.ts'

export interface OwnerOptions {
  readonly kv: ConsensusKv
  readonly names: KeyNames
  readonly leases: KeyLeases
  readonly compaction: Compaction
  readonly clock: Clock
  readonly random: Random
}

interface Waiting {
  readonly batch: Batch
  readonly untilMs: number
  readonly resolve: (answer: BatchAnswer) => void
  readonly reject: (error: unknown) => void
}

interface Lane {
  waiting: Waiting[]
  running: boolean
  /** The state after the last transaction: what the next one compares, unless another node was faster. */
  record: Pick<Known, 'record' | 'modRevision'>
}

/** Keys in a transaction, in all: with the record and the mark for frozen ones within TXN_KEYS_MAX. */
const GROUP_KEYS_MAX = 2 * BATCH_KEYS_MAX
/** Sequences whose state is remembered while nobody asks for numbers. */
const LANES_MAX = 10_000
const PAUSE_MS = 10
const PAUSE_MS_MAX = 200

export class Owner {
  readonly #options: OwnerOptions
  readonly #lanes = new Map<string, Lane>()
  #closed = false

  constructor(options: OwnerOptions) {
    this.#options = options
  }

  /**
   * Takes numbers for the batch, unless that was done before, and says which.
   * @throws CounterError SEQUENCE_UNAVAILABLE: this call has taken nothing, and nothing it has sent will; SEQUENCE_UNKNOWN; CLOSED (the former)
   */
  commit(batch: Batch, timeoutMs: number): Promise<BatchAnswer> {
    const { clock } = this.#options
    if (this.#closed) return Promise.reject(closed())
    return new Promise((resolve, reject) => {
      const lane = this.#lane(batch.name)
      lane.waiting.push({ batch, untilMs: clock.monotonicMs() + timeoutMs, resolve, reject })
      if (lane.running) return
      lane.running = true
      // Batches of this turn go together.
      clock.soon(() => void this.#run(batch.name, lane))
    })
  }

  close(): void {
    this.#closed = true
  }

  #lane(name: string): Lane {
    const lane = this.#lanes.get(name) ?? { waiting: [], running: false, record: { record: EMPTY_RECORD, modRevision: 0 } }
    this.#lanes.delete(name)
    this.#lanes.set(name, lane)
    return lane
  }

  async #run(name: string, lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      const group = takeGroup(lane)
      const done = new Set<Waiting>()
      try {
        await this.#commit(name, lane, group, done)
      } catch (error) {
        for (const waiting of group) if (!done.has(waiting)) waiting.reject(error)
      }
    }
    lane.running = false
    for (const [oldest, { running }] of this.#lanes) {
      if (this.#lanes.size <= LANES_MAX) break
      if (!running) this.#lanes.delete(oldest)
    }
  }

  /** Tries until each of the group has its answer, or its time is over. */
  async #commit(name: string, lane: Lane, group: readonly Waiting[], done: Set<Waiting>): Promise<void> {
    const { compaction } = this.#options
    let known: Known = { ...lane.record, read: undefined }
    // Whether a transaction that was sent may still succeed, or has without our knowing.
    let inDoubt = false
    let failure: unknown
    for (let tries = 0; ; tries++) {
      const left = this.#stillIn(group, done, (late) => outOfTime(late.batch.name, inDoubt, failure))
      if (left.length === 0) return
      const batches = left.map(({ batch }) => batch)
      const plan = planFor(batches, known)
      try {
        const result = await this.#try(name, batches, known, plan)
        if (result.revision > 0) compaction.observe(result.revision)
        if (result.known === undefined) {
          assert(plan !== undefined, 'what was done was planned')
          if (plan.write !== undefined) lane.record = { record: plan.write.record, modRevision: result.revision }
          for (const [index, waiting] of left.entries()) {
            done.add(waiting)
            waiting.resolve(plan.answers[index]!)
          }
          return
        }
        // What was sent compares a revision that is past: it has succeeded, and is in the record, or never will.
        if (result.known.modRevision !== known.modRevision) inDoubt = false
        known = result.known
        // No pause: what is known is fresh, and who waits now loses to those who do not.
        lane.record = { record: known.record, modRevision: known.modRevision }
      } catch (error) {
        if (error instanceof LeaseGoneError) continue
        if (!(error instanceof CounterError)) throw error
        failure = error
        if (isDoubtful(error)) inDoubt = true
        await this.#pause(Math.min(PAUSE_MS * 2 ** tries, PAUSE_MS_MAX))
      }
    }
  }

  /** Those of the group that have no answer yet; whose time is over, or all when this closes, get one now. */
  #stillIn(group: readonly Waiting[], done: Set<Waiting>, why: (late: Waiting) => CounterError): Waiting[] {
    const nowMs = this.#options.clock.monotonicMs()
    return group.filter((waiting) => {
      if (done.has(waiting)) return false
      if (nowMs < waiting.untilMs && !this.#closed) return true
      done.add(waiting)
      waiting.reject(why(waiting))
      return false
    })
  }

  /**
   * Carries out the plan, or reads what it needs. Without `known` the plan's answers hold; with it they do not, and that is the state now.
   * `revision` is that of the store, 0 when it was not asked.
   */
  async #try(name: string, batches: readonly Batch[], { modRevision }: Known, plan: Plan | undefined) {
    const { kv, names, leases } = this.#options
    const keys = batches.flatMap((batch) => batch.keyed.map(({ key }) => key))
    const value = names.value(name)
    const all = [value, names.frozen, ...keys.map((key) => names.key(name, key))]
    if (plan === undefined) {
      const { entries, revision } = await kv.read(all)
      return { revision, known: knownFrom(keys, entries) }
    }
    if (plan.write === undefined) return { revision: 0, known: undefined }
    const { record, keys: taking } = plan.write
    const lease = taking.length > 0 ? await leases.take(taking.length) : undefined
    try {
      const { succeeded, revision, entries } = await kv.txn({
        compare: [
          { key: value, modRevision },
          { key: names.frozen, modRevision: 0 },
          ...taking.map(({ key }) => ({ key: names.key(name, key), modRevision: 0 })),
        ],
        success: [
          { key: value, value: encodeRecord(record) },
          ...taking.map((kept) => ({ key: names.key(name, kept.key), value: encodeKeyRecord(kept), lease })),
        ],
        failure: all,
      })
      return { revision, known: succeeded ? undefined : knownFrom(keys, entries) }
    } catch (error) {
      if (error instanceof LeaseGoneError && lease !== undefined) leases.forget(lease)
      throw error
    }
  }

  #pause(ms: number): Promise<void> {
    const { clock, random } = this.#options
    return new Promise((resolve) => void clock.after((ms * (1 + random.uint32() / 2 ** 32)) / 2, resolve))
  }
}

/** Those that came first and fit together: no key twice, and no two of one node, of which the later hides the earlier. */
function takeGroup(lane: Lane): Waiting[] {
  const group: Waiting[] = []
  const keys = new Set<string>()
  const nodes = new Set<number>()
  lane.waiting = lane.waiting.filter((waiting) => {
    const { batch } = waiting
    const fits = keys.size + batch.keyed.length <= GROUP_KEYS_MAX && !batch.keyed.some(({ key }) => keys.has(key))
    // A later one of the same node waits for an earlier one, also for one that does not fit.
    const isLater = nodes.has(batch.node)
    nodes.add(batch.node)
    if (!fits || isLater) return true
    for (const { key } of batch.keyed) keys.add(key)
    group.push(waiting)
    return false
  })
  return group
}

/** The state from the entries of the record, the mark for frozen ones, and the keys. @throws CounterError SEQUENCE_UNAVAILABLE */
function knownFrom(keys: readonly string[], [value, frozen, ...kept]: readonly (KvEntry | undefined)[]): Known {
  const found = new Map<string, KeyRecord>()
  for (const [index, entry] of kept.entries()) {
    if (entry !== undefined) found.set(keys[index]!, decodeKeyRecord(entry.key, entry.value))
  }
  return {
    record: value === undefined ? EMPTY_RECORD : decodeRecord(value.key, value.value),
    modRevision: value?.modRevision ?? 0,
    read: { frozen: frozen !== undefined, keys: found },
  }
}

function outOfTime(name: string, inDoubt: boolean, failure: unknown): CounterError {
  const why =
    failure instanceof CounterError
      ? failure.message
      : 'the time was over before its turn came, or other nodes were faster each time'
  const options = failure instanceof CounterError && failure.fix !== undefined ? { fix: failure.fix, cause: failure } : {}
  return inDoubt
    ? new CounterError('SEQUENCE_UNKNOWN', `it is not known whether numbers of "${name}" were taken: ${why}`, options)
    : new CounterError('SEQUENCE_UNAVAILABLE', `no number of "${name}" could be taken: ${why}`, options)
}

const closed = (): CounterError => new CounterError('CLOSED', 'the node is stopping')
