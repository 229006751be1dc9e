// Sequences that a test plays: real ones in memory, which fail on demand.

import { systemClock } from '../../lib/base/clock.ts'
import { CounterError, type ErrorCode } from '../../lib/base/errors.ts'
import type { ApiSequences } from '../../lib/publicapi/index.ts'
import { LocalSequencer, type NextOptions, type SequencePage, type SequenceStatus } from '../../lib/sequence/index.ts'

const NOWHERE = { notesUnder: () => [], keepNotes: async () => {}, settled: () => undefined }

export class FakeSequences implements ApiSequences {
  readonly #local = new LocalSequencer({ notes: NOWHERE, clock: systemClock, keyTtlMs: 3_600_000, keysMax: 1000 })
  /** What the next call throws, with a fix for users. */
  failure: ErrorCode | undefined
  /** What the next call throws that nobody has foreseen. */
  surprise: Error | undefined
  readonly recoveries: Array<{ ahead: number; force: boolean }> = []
  /** What status() says; undefined: what is. */
  said: SequenceStatus | undefined

  async next(name: string, options?: NextOptions) {
    this.#fail()
    return this.#local.next(name, options)
  }

  async get(name: string) {
    this.#fail()
    return this.#local.get(name)
  }

  async list(page: SequencePage) {
    this.#fail()
    return this.#local.list(page)
  }

  async set(name: string, value: number, options: { force: boolean }) {
    this.#fail()
    return this.#local.set(name, value, options)
  }

  async status() {
    return this.said ?? this.#local.status()
  }

  async freeze() {
    this.#fail()
    return this.#local.freeze()
  }

  async thaw() {
    this.#fail()
    return this.#local.thaw()
  }

  async recover(ahead: number, { force }: { force: boolean }) {
    this.#fail()
    this.recoveries.push({ ahead, force })
  }

  async migrate() {
    this.#fail()
    return { sequences: 2, keys: 1, ahead: ['a'] }
  }

  #fail(): void {
    const { failure, surprise } = this
    this.failure = this.surprise = undefined
    if (surprise !== undefined) throw surprise
    if (failure !== undefined) throw new CounterError(failure, `the test fails with ${failure}`, { fix: 'Ask the test.' })
  }
}
