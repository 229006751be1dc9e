// The local engine: sequences in this node's own log. One writer: changes of a turn, and all that come while a record is being written,
// become the next record, and each is answered when its record is durable. So a flush serves any number of callers, and numbers are
// given in the order in which the calls came.

import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { Draft, type KeptKey, type KeyLimits, LocalBook, type NoteStore } from './local-book.ts'
import { pageOf } from './page.ts'
import {
  checkNumbersAsked,
  checkSequenceName,
  checkSequenceValue,
  keyReused,
  type NextOptions,
  type Numbers,
  SEQUENCE_MAX,
  type SequencePage,
  type Sequencer,
  type SequenceStatus,
  type SequenceValue,
  sequenceBackwards,
  sequenceExhausted,
  sequenceFrozen,
} from './sequencer.ts'

export interface LocalOptions extends KeyLimits {
  readonly notes: NoteStore
  readonly clock: Clock
}

/** A change that waits for its record. It throws what its caller is told. */
interface Job {
  readonly change: (draft: Draft) => unknown
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
}

/** Changes in a record, so that its size is bounded, and changes that wait. */
const RECORD_JOBS_MAX = 1000
const WAITING_MAX = 100_000

const FROZEN = 'the sequences of this node have moved to another engine, or are being moved'

export class LocalSequencer implements Sequencer {
  readonly #options: LocalOptions
  readonly #book: LocalBook
  #waiting: Job[] = []
  #running: Promise<void> | undefined
  #closed = false

  /** @throws CounterError LOG_CORRUPT: a note is of another version */
  constructor(options: LocalOptions) {
    this.#options = options
    this.#book = new LocalBook(options.notes, options)
  }

  async next(name: string, { count = 1, key, signal }: NextOptions = {}): Promise<Numbers> {
    checkSequenceName(name)
    checkNumbersAsked(count, key)
    return this.#change((draft) => {
      if (signal?.aborted) throw new CounterError('SEQUENCE_UNAVAILABLE', 'the call was given up before its turn came')
      const before = key === undefined ? undefined : draft.find(name, key)
      if (before !== undefined) {
        const kept = before.last - before.first + 1
        if (kept !== count) throw keyReused(key!, kept, count)
        return { first: before.first, last: before.last, replayed: true }
      }
      if (draft.frozen) throw sequenceFrozen(FROZEN)
      const value = draft.value(name)
      if (count > SEQUENCE_MAX - value) throw sequenceExhausted(name, value, count)
      const [first, last] = [value + 1, value + count]
      draft.setValue(name, last)
      if (key !== undefined) draft.keep(name, key, first, last)
      return { first, last, replayed: false }
    })
  }

  async get(name: string): Promise<number> {
    checkSequenceName(name)
    this.#checkOpen()
    // What a record under way gives is nobody's yet, and what is in the book is durable.
    const value = this.#book.values.get(name) ?? 0
    await this.#options.notes.settled()
    return value
  }

  async list(page: SequencePage): Promise<{ sequences: SequenceValue[]; more: boolean }> {
    this.#checkOpen()
    const found = await pageOf(this.#book.values, page, this.#options.clock)
    await this.#options.notes.settled()
    return found
  }

  async set(name: string, value: number, { force }: { force: boolean }): Promise<void> {
    checkSequenceName(name)
    checkSequenceValue(value)
    return this.#change((draft) => {
      if (draft.frozen) throw sequenceFrozen(FROZEN)
      const before = draft.value(name)
      if (value < before && !force) throw sequenceBackwards(name, before, value)
      draft.setValue(name, value)
    })
  }

  freeze(): Promise<void> {
    return this.#change((draft) => {
      draft.frozen = true
    })
  }

  thaw(): Promise<void> {
    return this.#change((draft) => {
      draft.frozen = false
    })
  }

  async status(): Promise<SequenceStatus> {
    const frozen = this.#book.frozen
    const detail = frozen
      ? `${FROZEN}.`
      : 'Numbers come from the log of this node alone: when it is down there are none. For numbers that outlive a node, use etcd (COUNTER_ETCD).'
    return { engine: 'local', faultTolerant: false, reachable: !this.#closed, frozen, detail }
  }

  /** The idempotency keys that are remembered, with their numbers, for an engine that goes on from here. */
  keptKeys(): Iterable<KeptKey> {
    return this.#book.keptKeys()
  }

  /** Waits for what is being written; the rest is refused. The store is to be closed after this. */
  async close(): Promise<void> {
    this.#closed = true
    for (const job of this.#waiting.splice(0)) job.reject(closed())
    await this.#running
  }

  #checkOpen(): void {
    if (this.#closed) throw closed()
  }

  async #change<T>(change: (draft: Draft) => T): Promise<T> {
    this.#checkOpen()
    if (this.#waiting.length >= WAITING_MAX) {
      throw new CounterError('SEQUENCE_UNAVAILABLE', `${WAITING_MAX} calls wait for the log already`, {
        fix: 'Try again in a second.',
      })
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject })
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined
      })
    })
  }

  async #run(): Promise<void> {
    // Those who call in this turn join the first record.
    await new Promise<void>((resolve) => this.#options.clock.soon(resolve))
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0, RECORD_JOBS_MAX))
  }

  /** One record. Nobody is told anything, not even a refusal, before all that it rests on is durable. */
  async #write(jobs: readonly Job[]): Promise<void> {
    const { notes, clock } = this.#options
    const draft = new Draft(this.#book, clock.now())
    const answers = jobs.map((job) => answerOf(job, draft))
    const finished = draft.finish()
    try {
      if (finished === undefined) await notes.settled()
      else await notes.keepNotes(finished.changes)
    } catch (error) {
      for (const job of jobs) job.reject(error)
      return
    }
    finished?.apply()
    assert(answers.length === jobs.length, 'every call is answered')
    for (const answer of answers) answer()
  }
}

/** Makes the change, and returns what tells its caller. */
function answerOf({ change, resolve, reject }: Job, draft: Draft): () => void {
  try {
    const result = change(draft) as never
    return () => resolve(result)
  } catch (error) {
    return () => reject(error)
  }
}

const closed = (): CounterError => new CounterError('CLOSED', 'the node is stopping')
