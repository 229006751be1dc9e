// Those who wait for numbers of one sequence on one node. They are gathered into batches, one under way at a time: who calls while it is under
// way goes with the next. So a node asks the owner once a round trip, however many call.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { BATCH_KEYS_MAX, type BatchAnswer, errorOf, isRefused, type Refused } from './batch.ts'
import type { NextOptions, Numbers } from './sequencer.ts'

/** What a batch asks for, and until when an answer is of use. */
export interface Wanted {
  readonly plain: number
  readonly keyed: readonly { readonly key: string; readonly count: number }[]
  readonly untilMs: number
}

export interface CallersOptions {
  readonly clock: Clock
  /** @throws CounterError SEQUENCE_UNAVAILABLE when surely nothing was taken, CLOSED the same; anything else: unknown */
  readonly deliver: (wanted: Wanted) => Promise<BatchAnswer>
  /** Nobody waits any more. */
  readonly onIdle: () => void
}

interface Call {
  readonly count: number
  readonly key: string | undefined
  readonly untilMs: number
  /** It goes alone: with others it asked for more than is left. */
  alone: boolean
  /** Whether it is in the batch under way. */
  isSent: boolean
  isDone: boolean
  readonly resolve: (numbers: Numbers) => void
  readonly reject: (error: unknown) => void
}

/** Calls in a batch without keys; and calls that wait. */
const BATCH_CALLS_MAX = 10_000
const WAITING_MAX = 100_000

export class Callers {
  readonly #options: CallersOptions
  #waiting: Call[] = []
  #isRunning = false

  constructor(options: CallersOptions) {
    this.#options = options
  }

  next(count: number, key: string | undefined, untilMs: number, signal: NextOptions['signal']): Promise<Numbers> {
    if (signal?.aborted) return Promise.reject(givenUp(false))
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(new CounterError('SEQUENCE_UNAVAILABLE', `${WAITING_MAX} calls wait for etcd already`))
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        call.isDone = true
        signal?.removeEventListener('abort', aborted)
      }
      const call: Call = {
        count,
        key,
        untilMs,
        alone: false,
        isSent: false,
        isDone: false,
        resolve: (numbers) => {
          settle()
          resolve(numbers)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      const aborted = (): void => call.reject(givenUp(call.isSent))
      signal?.addEventListener('abort', aborted)
      this.#waiting.push(call)
      if (this.#isRunning) return
      this.#isRunning = true
      // Those who call in this turn go together.
      this.#options.clock.soon(() => void this.#run())
    })
  }

  /** Refuses those who wait; the batch under way ends by itself. */
  close(): void {
    for (const call of this.#waiting.splice(0)) call.reject(new CounterError('CLOSED', 'the node is stopping'))
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take()
      if (batch.length > 0) await this.#deliver(batch)
    }
    this.#isRunning = false
    this.#options.onIdle()
  }

  /** The next batch. Who gave up is left out, and whose time is over is told. */
  #take(): Call[] {
    const nowMs = this.#options.clock.monotonicMs()
    const keys = new Set<string>()
    const batch: Call[] = []
    const rest: Call[] = []
    for (const call of this.#waiting) {
      if (call.isDone) continue
      if (call.untilMs <= nowMs)
        call.reject(new CounterError('SEQUENCE_UNAVAILABLE', 'etcd did not answer the calls before this one in time'))
      else if (batch.length === 0 || fits(call, batch, keys)) {
        batch.push(call)
        call.isSent = true
        if (call.key !== undefined) keys.add(call.key)
      } else rest.push(call)
    }
    this.#waiting = rest
    return batch
  }

  async #deliver(batch: readonly Call[]): Promise<void> {
    const { clock, deliver } = this.#options
    const keyed = batch.flatMap(({ key, count }) => (key === undefined ? [] : [{ key, count }]))
    const plain = batch.reduce((sum, { key, count }) => (key === undefined ? sum + count : sum), 0)
    const untilMs = batch.reduce((first, call) => Math.min(first, call.untilMs), Number.POSITIVE_INFINITY)
    try {
      this.#share(batch, await deliver({ plain, keyed, untilMs }))
    } catch (error) {
      // Who came later has time left, when surely nothing was taken.
      const mayGoOn = error instanceof CounterError && error.code === 'SEQUENCE_UNAVAILABLE' && clock.monotonicMs() >= untilMs
      const later = batch.filter((call) => mayGoOn && call.untilMs > clock.monotonicMs())
      for (const call of batch) if (!call.isDone && !later.includes(call)) call.reject(error)
      this.#putBack(later)
    }
  }

  #share(batch: readonly Call[], { plain, keyed }: BatchAnswer): void {
    const again: Call[] = []
    let next = isRefused(plain) ? 0 : plain
    let keys = 0
    for (const call of batch) {
      const answer: Numbers | Refused =
        call.key !== undefined
          ? keyed[keys++]!
          : isRefused(plain)
            ? plain
            : { first: next, last: (next += call.count) - 1, replayed: false }
      if (!isRefused(answer)) call.resolve(answer)
      else if (answer.refused === 'SEQUENCE_EXHAUSTED' && batch.length > 1) again.push(call)
      else call.reject(errorOf(answer))
    }
    // What was too much together may not be for one of them.
    for (const call of again) call.alone = true
    this.#putBack(again)
  }

  #putBack(calls: readonly Call[]): void {
    for (const call of calls) call.isSent = false
    this.#waiting = [...calls, ...this.#waiting]
  }
}

const fits = (call: Call, batch: readonly Call[], keys: ReadonlySet<string>): boolean =>
  !call.alone &&
  !batch[0]!.alone &&
  batch.length < BATCH_CALLS_MAX &&
  (call.key === undefined || (keys.size < BATCH_KEYS_MAX && !keys.has(call.key)))

const givenUp = (isSent: boolean): CounterError =>
  isSent
    ? new CounterError('SEQUENCE_UNKNOWN', 'the call was given up while it was under way; numbers may have been taken')
    : new CounterError('SEQUENCE_UNAVAILABLE', 'the call was given up before its turn came')
