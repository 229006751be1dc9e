// Writes of the own column. The change, its log record and what it is answered with are made in one turn of the event loop; the answer may
// leave the process when the record is on disk.

import type { ByteWriter } from '../base/bytes.ts'
import type { Batch, KeptReply, Once, Replica, StoredReply, WriteAt } from '../storage/index.ts'
import { RECORD_DELTA } from './frame.ts'
import type { KeyedWrites } from './keyed-writes.ts'
import type { Log } from './log.ts'

/** What an increment is answered with: the reply, and the write's place; of a reply given again, that of the write it was given to. */
export type Incremented = StoredReply & { readonly replayed: boolean; readonly at: WriteAt }

/** The same of a change of items, with the stamp that they were given; 0 of a reply given again. */
export type ItemsChanged = Incremented & { readonly stamp: number }

export interface OwnWritesOptions {
  readonly replica: Replica
  readonly log: Log
  readonly keyed: KeyedWrites
}

export class OwnWrites {
  readonly #replica: Replica
  readonly #log: Log
  readonly #keyed: KeyedWrites

  constructor({ keyed, log, replica }: OwnWritesOptions) {
    this.#replica = replica
    this.#log = log
    this.#keyed = keyed
  }

  /**
   * Makes a change that was admitted in this turn, unless its key was answered before. All state changes happen in the call.
   * @param change of the own column, which appends its delta
   * @param reply makes the reply, after the change; it is kept when `once` is given
   * @param batch what the change adds, when that can be subtracted again
   * @returns the reply and the write's place, when they may leave the process
   * @throws (as a rejection) CounterError KEY_IN_FLIGHT, KEY_REUSED, KEYS_UNSETTLED, or what `change` throws: nothing was changed;
   *   LOG_FAILED: unknown
   */
  async write(change: (writer: ByteWriter) => void, reply: () => StoredReply, once?: Once, batch?: Batch): Promise<Incremented> {
    const earlier = once && this.replay(once, batch)
    if (earlier) return earlier
    if (once === undefined) {
      this.#log.append(RECORD_DELTA, change)
      const at = this.#at
      const answer = reply()
      await this.#log.settled()
      return { ...answer, replayed: false, at }
    }
    const kept = this.#keyed.write(change, reply, once, batch)
    const at = this.#at
    await this.#log.settled()
    this.#keyed.landed(kept)
    return { ...kept.reply, replayed: false, at }
  }

  /** See Store.replay. */
  replay(once: Once, batch?: Batch): Promise<Incremented> | undefined {
    const kept = this.#keyed.find(once, batch)
    return kept && this.#again(kept)
  }

  async #again({ reply, origin }: KeptReply): Promise<Incremented> {
    const at = origin ?? this.#at
    await this.#log.settled()
    return { ...reply, replayed: true, at }
  }

  /** The place of the newest own write. */
  get #at(): WriteAt {
    return { replica: this.#replica.self, seq: this.#replica.seq }
  }
}
