// The way of a batch into the store. Batches come in scratch memory, whose lease ends as soon as the store has taken the batch, before it is
// durable: what waits for the disk holds no scratch.

import type { Tally } from '../text/index.ts'
import type { WriteAt } from './cluster.ts'
import type { Scratch } from './intake.ts'
import type { Fingerprint } from './once.ts'
import type { ApiStore, StoredReply } from './store.ts'

/** `at` is undefined when there was nothing to count. */
export type WriteReply = StoredReply & {
  readonly replayed: boolean
  readonly at?: WriteAt
  /** Further headers of this reply; one that is given again has none. */
  readonly headers?: Readonly<Record<string, string>>
}

export class Writer {
  readonly #store: ApiStore
  readonly #scratch: Scratch

  constructor(store: ApiStore, scratch: Scratch) {
    this.#store = store
    this.#scratch = scratch
  }

  /**
   * Counts a batch, once, and resolves when it is durable. Takes the tally back in any case.
   * @param reply makes the reply in the turn of the change, so that it can show the new value
   */
  async write(tally: Tally, reply: () => StoredReply, fingerprint: Fingerprint | undefined): Promise<WriteReply> {
    let done: Promise<WriteReply>
    try {
      const once = fingerprint?.once()
      const seen = once === undefined ? undefined : this.#store.replay(once)
      if (seen !== undefined) {
        done = seen
      } else if (once === undefined && tally.count === 0) {
        return { ...reply(), replayed: false }
      } else {
        for (let wait = this.#store.admit(tally, once); wait !== undefined; wait = this.#store.admit(tally, once)) await wait
        done = this.#store.increment(tally, reply, once)
      }
    } finally {
      this.#scratch.release(tally)
    }
    return done
  }
}
