// Maelstrom's workloads pn-counter and g-counter on one counter of a store. An `add` is acknowledged when it is on disk, and a `read`
// shows nothing that is not; a g-counter is a pn-counter of which nothing is ever taken away.

import { TextEncoder } from 'node:util'
import type { NameHash } from '../base/hash.ts'
import type { Batch, Count } from '../storage/index.ts'
import { Tally } from '../text/index.ts'
import { FAULT, Fault } from './fault.ts'
import type { Body } from './message.ts'

/** What this needs of the store. lib/persistence's Store satisfies it. */
export interface CounterStore {
  admit(batch: Batch): Promise<void> | undefined
  increment(batch: Batch, reply: () => { status: number; contentType: string; body: string }): Promise<unknown>
  value(name: Uint8Array): Count
  settled(): Promise<void> | undefined
}

/** The one counter of a cluster under Maelstrom. */
export const COUNTER_NAME = 'counter'
const NAME_BYTES = new TextEncoder().encode(COUNTER_NAME)

export class Counter {
  readonly #store: CounterStore
  readonly #tally: Tally

  constructor(store: CounterStore, hash: NameHash) {
    this.#store = store
    this.#tally = new Tally({ hash, nameBytesMax: NAME_BYTES.length })
  }

  /** Resolves when it is durable. @throws Fault, CounterError of the store */
  async add({ delta }: Body): Promise<Body> {
    if (!Number.isSafeInteger(delta)) throw new Fault(FAULT.malformed, `delta should be an integer, got ${JSON.stringify(delta)}`)
    const tally = this.#fill(delta as number)
    for (let full = this.#store.admit(tally); full !== undefined; full = this.#store.admit(this.#fill(delta as number)))
      await full
    await this.#store.increment(tally, () => ({ status: 200, contentType: '', body: '' }))
    return { type: 'add_ok' }
  }

  /** Resolves when what it shows is durable. */
  async read(): Promise<Body> {
    const value = this.#store.value(NAME_BYTES)
    await this.#store.settled()
    return { type: 'read_ok', value }
  }

  #fill(delta: number): Tally {
    this.#tally.reset()
    this.#tally.add(COUNTER_NAME, delta)
    return this.#tally
  }
}
