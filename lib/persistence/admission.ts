// Whether a write may be made: nobody has refused writes, no new incarnation is due, the log has room for the most that the write can take,
// and the names of a large batch have rows. What is admitted can be written in the same turn of the event loop, and only then: in the next
// one the room may be another's.

import { type Clock, nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { type Batch, batchBytesMax, type ItemChange, type Once, type Replica } from '../storage/index.ts'
import { RECORD_HEADER_BYTES } from './frame.ts'
import type { Log } from './log.ts'
import type { Renewal } from './renewal.ts'

export interface AdmissionOptions {
  readonly replica: Replica
  readonly log: Log
  readonly renewal: Renewal
  readonly clock: Clock
}

/** Batches with more names than this get their new rows in slices, over several turns. */
const SLICE_NAMES = 8192
/** Bytes of a delta around its names and cells, and of a reply record around its texts, at most. */
const DELTA_HEAD_BYTES = 128
/** Bytes of a name's length and of its cell, at most. */
const CELL_BYTES_MAX = 3 + 10 + 10
/** Bytes of an item's two lengths, and of its cell, at most. */
const ITEM_BYTES_MAX = 2 * 3 + 4 * 10
/** Room kept for a reply record, without the name that the reply to a single increment shows. */
const REPLY_BYTES_MAX = 4096 + 512
/** Bytes that JSON makes of one byte of a name at most: \u0001. */
const ESCAPED_BYTES_MAX = 6

export class Admission {
  readonly #replica: Replica
  readonly #log: Log
  readonly #renewal: Renewal
  readonly #clock: Clock
  /** Large batches whose names all have rows. */
  readonly #spread = new WeakSet<Batch>()
  #refusal: Error | undefined

  constructor({ clock, log, renewal, replica }: AdmissionOptions) {
    this.#replica = replica
    this.#log = log
    this.#renewal = renewal
    this.#clock = clock
  }

  /** See Store.refuseWrites. */
  refuse(error: Error | undefined): void {
    this.#refusal = error
  }

  /** See Store.admit. */
  admit(batch: Batch, once?: Once): Promise<void> | undefined {
    if (this.#refusal) throw this.#refusal
    return this.#admitBatch(batch, once)
  }

  /** As admit, of changes of items. */
  admitItems(changes: readonly ItemChange[]): Promise<void> | undefined {
    if (this.#refusal) throw this.#refusal
    return this.#admitBytes(itemsBytes(changes))
  }

  /** As admit. A node that leaves takes no writes of clients, and still sets right what it has counted. */
  admitWithdrawal(batch: Batch): Promise<void> | undefined {
    const refusal = this.#refusal
    if (refusal && !(refusal instanceof CounterError && refusal.code === 'DRAINING')) throw refusal
    return this.#admitBatch(batch)
  }

  /** The batch is written in this turn; when it is admitted again it may hold other names. */
  spend(batch: Batch): void {
    this.#spread.delete(batch)
  }

  #admitBatch(batch: Batch, once?: Once): Promise<void> | undefined {
    const nameBytes = nameBytesOf(batch)
    const inReply = batch.count === 1 ? nameBytes * ESCAPED_BYTES_MAX : 0
    const kept = once === undefined ? 0 : batchBytesMax(batch.count, nameBytes)
    const wait = this.#admitBytes(nameBytes + batch.count * CELL_BYTES_MAX + inReply + kept)
    if (wait) return wait
    if (batch.count > SLICE_NAMES && !this.#spread.has(batch)) return this.#spreadNames(batch)
    return undefined
  }

  /** The same of a delta with so many bytes of names and cells. */
  #admitBytes(content: number): Promise<void> | undefined {
    if (this.#renewal.isDue) return this.#renewal.complete()
    const bytes = content + RECORD_HEADER_BYTES + DELTA_HEAD_BYTES + REPLY_BYTES_MAX
    return this.#log.hasRoom(bytes) ? undefined : this.#log.makeRoom(bytes)
  }

  /** Gives all names of a large batch rows, a slice a turn, so that the increment itself is short. */
  async #spreadNames(batch: Batch): Promise<void> {
    let missing = 0
    for (let from = 0; from < batch.count; from += SLICE_NAMES) {
      missing += this.#replica.countMissing(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(this.#clock)
    }
    this.#replica.checkNamesMax(missing)
    // A few can be added by the increment itself.
    for (let from = 0; missing > SLICE_NAMES && from < batch.count; from += SLICE_NAMES) {
      this.#replica.addNames(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(this.#clock)
    }
    this.#spread.add(batch)
  }
}

const nameBytesOf = ({ count, ends }: Batch): number => (count === 0 ? 0 : ends[count - 1]!)

function itemsBytes(changes: readonly ItemChange[]): number {
  let bytes = 0
  for (const { id, tenant = '' } of changes) bytes += ITEM_BYTES_MAX + Buffer.byteLength(id) + Buffer.byteLength(tenant)
  return bytes
}
