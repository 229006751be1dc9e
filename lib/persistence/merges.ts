// What changes a replica without being a write of its node: deltas, from other nodes and from files, reply records, and folds of columns. A
// delta is checked whole, then joined and logged as the same bytes in one turn of the event loop; whoever brought it waits until the log has it.
// A delta may say that the own incarnation cannot go on: the others have folded it, or somebody else has written it too. Then a new one is
// opened, before the delta is joined or before it is answered.

import { assert } from '../base/assert.ts'
import { ByteReader } from '../base/bytes.ts'
import { type Clock, nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { DELTA_VERSION, DecodedDelta, type Replica, readReply } from '../storage/index.ts'
import { RECORD_DELTA, RECORD_FOLD, RECORD_HEADER_BYTES, RECORD_ONCE } from './frame.ts'
import type { KeyedWrites } from './keyed-writes.ts'
import type { Log } from './log.ts'
import type { Renewal } from './renewal.ts'

export interface MergesOptions {
  readonly replica: Replica
  readonly log: Log
  readonly renewal: Renewal
  readonly keyed: KeyedWrites
  readonly clock: Clock
  /** How far the stamps of items may be ahead of the clock, in milliseconds. */
  readonly itemsAheadMsMax: number
}

/** Room for the record of a fold. */
const FOLD_BYTES_MAX = RECORD_HEADER_BYTES + 30
const MICROSECONDS = 1000

export class Merges {
  readonly #options: MergesOptions
  /** Scratch of merge(). */
  readonly #decoded = new DecodedDelta()

  constructor(options: MergesOptions) {
    this.#options = options
  }

  /** See Store.merge. */
  async merge(delta: Uint8Array): Promise<number> {
    const { keyed, log, renewal, replica } = this.#options
    const bytes = delta.length + RECORD_HEADER_BYTES
    for (;;) {
      while (!log.hasRoom(bytes)) await log.makeRoom(bytes)
      this.#decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
      this.checkStamp(this.#decoded.items.stampMax)
      const mark = replica.outlivedBy(this.#decoded)
      if (mark === 0) break
      renewal.ask('the others take the last one for an old one', mark, { moves: true })
      await renewal.complete()
    }
    const { ownNews, seq } = replica
    const news = replica.merge(this.#decoded)
    log.append(RECORD_DELTA, (writer) => writer.raw(delta))
    if (replica.seq > seq || replica.ownNews > ownNews) await renewal.renew('the last one was written elsewhere too')
    const withdrawn = keyed.withdraw()
    if (withdrawn) await withdrawn
    await log.settled()
    return news
  }

  /**
   * Of a change that is stamped far ahead nobody could say for long which is the last.
   * @throws CounterError CLOCK_AHEAD when items with this stamp would not be merged; 0 is none
   */
  checkStamp(stamp: number): void {
    const { clock, itemsAheadMsMax } = this.#options
    const aheadMs = stamp / MICROSECONDS - clock.now()
    if (stamp === 0 || aheadMs <= itemsAheadMsMax) return
    throw new CounterError(
      'CLOCK_AHEAD',
      `items are stamped ${Math.round(aheadMs / 1000)} s ahead of the clock here, ${itemsAheadMsMax / 1000} s are taken at most`,
      {
        fix: 'set the clocks of all nodes, best by NTP; the items are taken as soon as this clock has come near to their stamps',
      },
    )
  }

  /** See Store.mergeReply. */
  async mergeReply(record: Uint8Array): Promise<void> {
    const { log, replica } = this.#options
    const bytes = record.length + 1 + RECORD_HEADER_BYTES
    while (!log.hasRoom(bytes)) await log.makeRoom(bytes)
    log.append(RECORD_ONCE, (writer) => {
      writer.raw(record)
      writer.uint8(DELTA_VERSION)
    })
    await log.settled()
    replica.joinReply(readReply(new ByteReader(record, 0, record.length, 'DELTA_INVALID', 'reply record'), undefined, false))
  }

  /** See Store.fold. */
  async fold(node: number, mark: number): Promise<void> {
    const { clock, log, replica } = this.#options
    const { node: own, incarnation } = replica.self
    assert(node !== own || mark < incarnation, 'the own column is not folded')
    const steps = replica.fold(node, mark)
    try {
      for (;;) {
        while (!log.hasRoom(FOLD_BYTES_MAX)) await log.makeRoom(FOLD_BYTES_MAX)
        if (steps.next().done) break
        await nextTurn(clock)
      }
    } finally {
      steps.return()
    }
    log.append(RECORD_FOLD, (writer) => {
      writer.varint(node)
      writer.varint(mark)
    })
    await log.settled()
  }
}
