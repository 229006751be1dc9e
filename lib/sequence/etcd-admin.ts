// What is asked of sequences in etcd besides numbers: their values, setting them, freezing, what the engine is like.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Compaction } from './compaction.ts'
import type { KeyLeases } from './key-leases.ts'
import { type ConsensusKv, isDoubtful, type KvMember, type KvStatus, LeaseGoneError } from './kv.ts'
import type { KeptKey } from './local-book.ts'
import { FROZEN_IN_ETCD } from './plan.ts'
import { decodeRecord, EMPTY_RECORD, encodeKeyRecord, encodeRecord, type KeyNames } from './record.ts'
import {
  checkSequenceName,
  checkSequenceValue,
  type SequencePage,
  type SequenceStatus,
  type SequenceValue,
  sequenceBackwards,
  sequenceFrozen,
} from './sequencer.ts'

export interface EtcdAdminOptions {
  readonly kv: ConsensusKv
  readonly names: KeyNames
  readonly leases: KeyLeases
  readonly compaction: Compaction
  readonly clock: Clock
  readonly random: Random
  /** How long a call tries, in milliseconds. */
  readonly timeoutMs: number
}

const PAUSE_MS = 20
const PAUSE_MS_MAX = 200
const TRIES_AT_ONCE = 100
/** How long the state is asked for: long enough to meet a member that answers. */
const STATUS_MS = 1500
/** A page is read in pieces of so many records, which have up to some KiB each. */
const RANGE_MAX = 500

export class EtcdAdmin {
  readonly #options: EtcdAdminOptions
  /** Random, so that no two engines share one. */
  readonly #id: string
  #sets = 0

  constructor(options: EtcdAdminOptions) {
    this.#options = options
    this.#id = Array.from({ length: 4 }, () => options.random.uint32().toString(16).padStart(8, '0')).join('')
  }

  /** A number for a life of the engine of this node, greater than those of all before. @throws CounterError SEQUENCE_UNAVAILABLE */
  async beginLife(node: number): Promise<number> {
    const { kv, names } = this.#options
    try {
      return await this.#insist(async () => {
        const { revision } = await kv.txn({ compare: [], success: [{ key: names.life(node), value: this.#id }], failure: [] })
        return { done: revision }
      })
    } catch (error) {
      if (!(error instanceof CounterError) || error.code !== 'SEQUENCE_UNKNOWN') throw error
      // Whether it was written is all the same: no number was taken.
      throw new CounterError('SEQUENCE_UNAVAILABLE', error.message, {
        cause: error,
        ...(error.fix !== undefined && { fix: error.fix }),
      })
    }
  }

  async get(name: string): Promise<number> {
    checkSequenceName(name)
    const { kv, names } = this.#options
    return this.#insist(async () => {
      const [entry] = (await kv.read([names.value(name)])).entries
      return { done: entry === undefined ? 0 : decodeRecord(entry.key, entry.value).value }
    })
  }

  async list({ prefix, after, limit }: SequencePage): Promise<{ sequences: SequenceValue[]; more: boolean }> {
    const { kv, names } = this.#options
    const sequences: SequenceValue[] = []
    for (;;) {
      const last = sequences.at(-1)?.name ?? after
      const { entries, more } = await this.#insist(async () => ({
        done: await kv.range({
          prefix: names.values + prefix,
          after: last === undefined ? undefined : names.values + last,
          limit: Math.min(limit - sequences.length, RANGE_MAX),
        }),
      }))
      for (const { key, value } of entries) {
        sequences.push({ name: key.slice(names.values.length), value: decodeRecord(key, value).value })
      }
      if (!more || sequences.length >= limit) return { sequences, more }
    }
  }

  /** The record says who set it last, so a repetition knows that it was done. */
  async set(name: string, value: number, { force }: { force: boolean }): Promise<void> {
    checkSequenceName(name)
    checkSequenceValue(value)
    const { kv, names, compaction } = this.#options
    const key = names.value(name)
    const set = `${this.#id}/${++this.#sets}`
    return this.#insist(async () => {
      let { entries } = await kv.read([key, names.frozen])
      // Who loses tries again at once with what it lost to: a pause would lose again to those who take numbers all the time.
      for (let tries = 0; tries < TRIES_AT_ONCE; tries++) {
        const [entry, frozen] = entries
        const record = entry === undefined ? EMPTY_RECORD : decodeRecord(key, entry.value)
        if (record.set === set) return { done: undefined }
        if (frozen !== undefined) throw sequenceFrozen(FROZEN_IN_ETCD)
        if (value < record.value && !force) throw sequenceBackwards(name, record.value, value)
        const result = await kv.txn({
          compare: [
            { key, modRevision: entry?.modRevision ?? 0 },
            { key: names.frozen, modRevision: 0 },
          ],
          success: [{ key, value: encodeRecord({ ...record, value, set }) }],
          failure: [key, names.frozen],
        })
        compaction.observe(result.revision)
        if (result.succeeded) return { done: undefined }
        entries = result.entries
      }
      return undefined
    })
  }

  /** Repeating it does nothing. */
  async setFrozen(frozen: boolean): Promise<void> {
    const { kv, names } = this.#options
    const key = names.frozen
    return this.#insist(async () => {
      const [entry] = (await kv.read([key])).entries
      if ((entry !== undefined) === frozen) return { done: undefined }
      const { succeeded } = await kv.txn({
        compare: [{ key, modRevision: entry?.modRevision ?? 0 }],
        success: [{ key, value: frozen ? 'frozen' : undefined }],
        failure: [],
      })
      return succeeded ? { done: undefined } : undefined
    })
  }

  /** Each in a transaction of its own that leaves a key alone which is there already, so repeating it does nothing. */
  async adoptKeys(keys: readonly KeptKey[]): Promise<void> {
    const { kv, names, leases } = this.#options
    for (const { name, key: ofCaller, first, last } of keys) {
      const key = names.key(name, ofCaller)
      await this.#insist(async () => {
        const lease = await leases.take(1)
        try {
          await kv.txn({
            compare: [{ key, modRevision: 0 }],
            success: [{ key, value: encodeKeyRecord({ first, last, by: `${this.#id}/adopted` }), lease }],
            failure: [],
          })
        } catch (error) {
          if (error instanceof LeaseGoneError) leases.forget(lease)
          throw error
        }
        return { done: undefined }
      })
    }
  }

  async status(isClosed: boolean): Promise<SequenceStatus> {
    const { kv, names } = this.#options
    if (isClosed) return { ...UNREACHABLE, detail: 'The node is stopping.' }
    try {
      // That a majority answers is known by a linearizable read alone.
      const [{ entries }, status] = await this.#insist(
        async () => ({ done: await Promise.all([kv.read([names.frozen]), kv.status()]) }),
        STATUS_MS,
      )
      const { leader, members, lastIndex } = status
      return {
        engine: 'etcd',
        faultTolerant: outlivesAny(members),
        reachable: true,
        frozen: entries[0] !== undefined,
        members: members.map(({ name, role, address }) => ({ name, role, address })),
        lastIndex,
        ...(leader !== undefined && { leader }),
        detail: entries[0] === undefined ? detailOf(status) : `${FROZEN_IN_ETCD}.`,
      }
    } catch (error) {
      const { message, fix } = error as CounterError
      return { ...UNREACHABLE, detail: [message, fix].filter((text) => text !== undefined).join('. ') }
    }
  }

  /** Tries until there is a result. A transaction that was lost in doubt is settled by what the next try reads. */
  async #insist<T>(attempt: () => Promise<{ done: T } | undefined>, limitMs = this.#options.timeoutMs): Promise<T> {
    const { clock, random } = this.#options
    const untilMs = clock.monotonicMs() + limitMs
    let inDoubt = false
    for (let tries = 0; ; tries++) {
      try {
        const result = await attempt()
        if (result !== undefined) return result.done
        if (clock.monotonicMs() >= untilMs) throw new CounterError('SEQUENCE_UNAVAILABLE', 'other nodes were faster each time')
      } catch (error) {
        if (!(error instanceof CounterError) || !['SEQUENCE_UNAVAILABLE', 'SEQUENCE_UNKNOWN'].includes(error.code)) throw error
        inDoubt ||= isDoubtful(error)
        if (clock.monotonicMs() >= untilMs) throw inDoubt ? unknown(error) : error
      }
      const pauseMs = Math.min(PAUSE_MS * 2 ** tries, PAUSE_MS_MAX)
      await new Promise<void>((resolve) => void clock.after((pauseMs * (1 + random.uint32() / 2 ** 32)) / 2, resolve))
    }
  }
}

const UNREACHABLE = { engine: 'etcd', faultTolerant: false, reachable: false, frozen: false } as const

/** Whether a majority is left when any one more goes. */
function outlivesAny(members: readonly KvMember[]): boolean {
  const voters = members.filter(({ role }) => role !== 'learner')
  const there = voters.filter(({ role }) => role !== 'unreachable').length
  return there - 1 > voters.length / 2
}

function detailOf({ members, alarms, version, bytes }: KvStatus): string {
  if (alarms.length > 0)
    return `etcd has raised ${alarms.join(', ')}: it may refuse writes. Compact, defragment, and disarm the alarm.`
  const away = members.filter(({ role }) => role === 'unreachable').map(({ name }) => name)
  if (away.length > 0) return `Of etcd's ${members.length} members, this node does not reach ${away.join(', ')}.`
  if (members.length < 3)
    return `Numbers come from etcd ${version} with ${members.length} member(s): with three, any one may die.`
  return `Numbers come from etcd ${version}, which has ${members.length} members and uses ${bytes} bytes.`
}

const unknown = (error: CounterError): CounterError =>
  error.code === 'SEQUENCE_UNKNOWN'
    ? error
    : new CounterError('SEQUENCE_UNKNOWN', `it is not known whether it was done: ${error.message}`, {
        ...(error.fix !== undefined && { fix: error.fix }),
      })
