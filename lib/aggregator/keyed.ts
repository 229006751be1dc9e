// A write with a key over the replicas of a shard. Each key has a home among them, which is asked first; when that does not answer for it the
// others are, one after the other, and are told that it may have been counted already (Counter-Failover). What two of them have counted under one
// key counts once as soon as they have heard of each other (docs/decisions/0017).
// Invariant: nobody but the home is ever asked without that header, by no aggregator and in no attempt; so at most one replica counts for good.

import type { Clock } from '../base/clock.ts'
import { type Part, partOf } from './part.ts'
import type { Replica } from './replica.ts'
import { heard, type ShardCall, Unanswered } from './transport.ts'

export interface KeyedOptions {
  readonly shard: number
  /** All replicas, the home of the key first and then in the order of failover. */
  readonly order: readonly Replica[]
  readonly clock: Clock
  /** For all replicas together, in milliseconds. */
  readonly timeoutMs: number
  /** What of that any one may need to wait for other members. */
  readonly waitMs: number
}

/** While others are left to be asked a replica has its share of the time, but so many milliseconds: a flush of a slow disk is no hang. */
const SHARE_MS_MIN = 250
/** A replica whose answer was lost is asked again, so often: it most likely has the reply, and elsewhere the write would count twice for a while. */
const REPEATS_MAX = 2
/** An attempt with less time than this is of no use, nor is one with less than a quarter of all the time. */
const ATTEMPT_MS_MIN = 100
/** A replica that is still writing the first request with the key is asked again after this. */
const IN_FLIGHT_PAUSE_MS = 50
const FAILOVER = { 'counter-failover': 'true' }

export class KeyedCall {
  readonly #options: KeyedOptions
  readonly #call: ShardCall
  readonly #endMs: number
  readonly #leastMs: number
  /** Those that may have counted, with what they were heard to say. */
  readonly #doubts = new Map<Replica, Part>()

  constructor(call: ShardCall, options: KeyedOptions) {
    this.#call = call
    this.#options = options
    this.#endMs = options.clock.monotonicMs() + options.timeoutMs
    this.#leastMs = Math.min(ATTEMPT_MS_MIN, options.timeoutMs / 4)
  }

  /** What became of the write in this attempt: `unknown` as soon as any replica may have counted and none has said what became of the key. */
  async write(): Promise<Part> {
    let last: Part | undefined
    for (const [index, replica] of this.#options.order.entries()) {
      if (replica.state !== 'up') continue
      if (last !== undefined && this.#leftMs < this.#leastMs) break
      last = await this.#ask(replica, this.#shareMs(this.#upBehind(index)))
      if (this.#settles(last, replica)) return last
    }
    const doubts = [...this.#doubts.values()]
    return doubts.find(({ state }) => state === 'unknown') ?? doubts[0] ?? last ?? this.#nobody()
  }

  /** A question about the key: what the home says; when it says nothing, what each of the others says, or one part that tells why nobody did. */
  async question(): Promise<Part[]> {
    const [home, ...others] = this.#options.order
    const up = others.filter(({ state }) => state === 'up')
    let first: Part | undefined
    if (home!.state === 'up') {
      first = await this.#ask(home!, up.length === 0 ? this.#leftMs : this.#leftMs / 2)
      if (first.state === 'done' || 'moves' in first) return [first]
    }
    const parts = await Promise.all(up.map((replica) => this.#ask(replica, this.#leftMs)))
    const answers = parts.filter(({ state }) => state === 'done')
    return answers.length > 0 ? answers : [first ?? parts[0] ?? this.#nobody()]
  }

  /** Asks one replica until it has answered, or its share of the time is over. */
  async #ask(replica: Replica, shareMs: number): Promise<Part> {
    const { shard, order, clock } = this.#options
    const call = replica === order[0] ? this.#call : { ...this.#call, headers: { ...this.#call.headers, ...FAILOVER } }
    const endMs = clock.monotonicMs() + shareMs
    for (let repeats = 0; ; ) {
      const answer = await heard(replica.call(call, Math.max(1, endMs - clock.monotonicMs())))
      const part = partOf(shard, answer, true)
      const inFlight = isInFlight(part)
      if (part.state !== 'unknown' && !inFlight) return part
      // What may have been counted once stays so, whatever becomes of a repetition.
      if (this.#doubts.get(replica)?.state !== 'unknown') this.#doubts.set(replica, part)
      const leftMs = endMs - clock.monotonicMs() - (inFlight ? IN_FLIGHT_PAUSE_MS : 0)
      if (leftMs < this.#leastMs) return part
      if (inFlight) await new Promise<void>((resolve) => void clock.after(IN_FLIGHT_PAUSE_MS, resolve))
      // A replica that says itself that something went wrong is in trouble, and others may be well.
      else if (!(answer instanceof Unanswered) || repeats++ === REPEATS_MAX) return part
    }
  }

  /** Whether nobody else needs to be asked. */
  #settles(part: Part, replica: Replica): boolean {
    const doubted = this.#doubts.has(replica)
    switch (part.state) {
      case 'done':
        return true
      case 'refused':
        // Who knows the key as another request's knows what became of it.
        if (part.status === 422) return true
        if (part.status === 507 || isInFlight(part)) return false
        // One replica does not speak for another; of its own earlier attempt it speaks, as it looks for the key first.
        if (this.#doubts.size > (doubted ? 1 : 0)) return false
        return !doubted || (part.status < 500 && part.status !== 408)
      case 'busy':
        return this.#doubts.size === 0 && replica.state === 'up'
      case 'unsent':
        return this.#doubts.size === 0 && 'moves' in part
      case 'unknown':
        return false
    }
  }

  /** @param others that are to be asked afterwards */
  #shareMs(others: number): number {
    const { waitMs } = this.#options
    const leftMs = this.#leftMs
    if (others === 0) return leftMs
    return Math.min(leftMs, waitMs + Math.max(SHARE_MS_MIN, (leftMs - waitMs) / (others + 1)))
  }

  #upBehind(index: number): number {
    return this.#options.order.filter(({ state }, other) => other > index && state === 'up').length
  }

  get #leftMs(): number {
    return this.#endMs - this.#options.clock.monotonicMs()
  }

  #nobody(): Part {
    const { shard, order } = this.#options
    return { shard, state: 'unsent', detail: order.map(({ trouble }) => trouble).join('; ') }
  }
}

/** Whether the replica is still writing an earlier request with the key. */
const isInFlight = (part: Part): boolean =>
  part.state === 'refused' && part.status === 409 && /"type":"\/problems\/key-in-flight"/.test(part.body)
