// Writes with an idempotency key: the reply lies in the log record of the change, so that a retry finds it after any crash. In a cluster what was
// added lies there too, because another node may have counted the same key; docs/decisions/0017.

import { ByteWriter } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import {
  type Batch,
  encodeBatch,
  type KeptReply,
  type Once,
  type Replica,
  type StoredReply,
  Tentative,
  type VersionVector,
  writeReply,
} from '../storage/index.ts'
import { RECORD_DELTA, RECORD_ONCE, RECORD_TENTATIVE } from './frame.ts'
import type { Log } from './log.ts'
import { Withdrawals, type WithdrawalsOptions } from './withdrawals.ts'

export interface KeyedWritesOptions extends WithdrawalsOptions {
  /** Writes that can be taken back take about so many bytes at most. */
  readonly tentativeBytesMax: number
}

/** The share of the room for tentative writes that first attempts may take. */
const FIRST_SHARE = 0.5

export class KeyedWrites {
  readonly #replica: Replica
  readonly #log: Log
  readonly #tentativeBytesMax: number
  readonly #withdrawals: Withdrawals
  /** Whether there are other members, which may count what was counted here. */
  #hasOthers = false

  constructor(options: KeyedWritesOptions) {
    this.#replica = options.replica
    this.#log = options.log
    this.#tentativeBytesMax = options.tentativeBytesMax
    this.#withdrawals = new Withdrawals(options)
  }

  /** Writes that were taken back since the start. */
  get withdrawals(): number {
    return this.#withdrawals.count
  }

  /**
   * The reply that was given to the same request before, or undefined.
   * @param batch what the request adds, where that is known: then the reply is found a little earlier
   * @throws CounterError KEY_IN_FLIGHT, KEY_REUSED
   */
  find(once: Once, batch?: Batch): KeptReply | undefined {
    const replica = this.#replica
    return replica.replies.find(once, (at) => (batch ? replica.holds(at, batch) : replica.knows(at)))
  }

  /**
   * Makes a change and logs it, in this turn, with the reply; `landed` says that it is on disk.
   * @param change of the own column, which appends its delta
   * @param batch what it adds, when that can be subtracted again
   * @throws CounterError KEYS_UNSETTLED, or what `change` throws: nothing was changed
   */
  write(change: (writer: ByteWriter) => void, reply: () => StoredReply, once: Once, batch?: Batch): KeptReply {
    const keptBatch = batch && this.#keptBatch(batch, once)
    // The reply lies before the delta in the record but is made after it, so the delta is made aside first.
    const aside = new ByteWriter()
    change(aside)
    let answer: StoredReply
    try {
      answer = reply()
    } catch (error) {
      // A fault of ours; the counts have moved all the same, and the log must know.
      this.#log.append(RECORD_DELTA, (writer) => writer.raw(aside.written()))
      throw error
    }
    const { replies, tentative, self, seq } = this.#replica
    const kept = replies.add(once, answer, { replica: self, seq }, keptBatch !== undefined)
    this.#log.append(keptBatch === undefined ? RECORD_ONCE : RECORD_TENTATIVE, (writer) => {
      if (keptBatch !== undefined) writer.sized(keptBatch)
      writeReply(writer, kept)
      writer.raw(aside.written())
    })
    if (keptBatch !== undefined) tentative.add({ kept, batch: keptBatch })
    return kept
  }

  landed(kept: KeptReply): void {
    this.#replica.replies.landed(kept)
  }

  /**
   * The batch, when its write can be taken back: there are others who may count it too, and not too many such writes are kept already. Half
   * of the room is for those that others may have counted before.
   * @throws CounterError KEYS_UNSETTLED when there are too many and others may have counted this one
   */
  #keptBatch(batch: Batch, { key, failover: isTold }: Once): Uint8Array | undefined {
    if (!this.#hasOthers) return undefined
    const { replies, tentative } = this.#replica
    const bytesMax = this.#tentativeBytesMax
    // One that is known, and was not given again, has come here before what was counted.
    const failover = isTold || replies.peek(key) !== undefined
    const bytes = encodeBatch(batch)
    if (tentative.bytes + Tentative.bytesOf(bytes.length) <= bytesMax * (failover ? 1 : FIRST_SHARE)) return bytes
    if (!failover) return undefined
    throw new CounterError(
      'KEYS_UNSETTLED',
      `${tentative.size} writes with an Idempotency-Key wait for a member that has not been heard for long, and take ${tentative.bytes} bytes; ` +
        `at ${bytesMax} no write is taken that another node may have counted already`,
      {
        fix: 'start the member that is missing, or remove it for good: counter cluster remove; or raise COUNTER_TENTATIVE_BYTES_MAX',
      },
    )
  }

  /** See Replica.settle. What is to be taken back and could not be yet is tried again. */
  settle(known: readonly VersionVector[]): void {
    this.#hasOthers = known.length > 0
    this.#replica.settle(known)
    void this.withdraw()
  }

  /** Takes back what is to be; undefined: there is nothing. Never rejects. */
  withdraw(): Promise<void> | undefined {
    return this.#replica.tentative.lost > 0 ? this.#withdrawals.run() : undefined
  }
}
