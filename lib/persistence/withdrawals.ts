// Tentative writes that are taken back: what one has added is subtracted again in a write of its own, and in the same log record it ceases to be
// tentative. So a crash leaves both undone or both done. Which writes: lib/storage/tentative.ts.

import { ByteReader } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { type Batch, decodeBatch, opposite, type Replica, type TentativeWrite } from '../storage/index.ts'
import { RECORD_WITHDRAWAL } from './frame.ts'
import type { Log } from './log.ts'

export interface WithdrawalsOptions {
  readonly replica: Replica
  readonly log: Log
  readonly logger: Logger
  /** As Store.admit. */
  readonly admit: (batch: Batch) => Promise<void> | undefined
}

const encoder = new TextEncoder()

export class Withdrawals {
  readonly #options: WithdrawalsOptions
  #running: Promise<void> | undefined
  /** Writes that were taken back since the start. */
  count = 0

  constructor(options: WithdrawalsOptions) {
    this.#options = options
  }

  /** Takes back what is to be taken back. Never rejects: while nothing can be written it is left for the next call. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const { logger, replica } = this.#options
    for (let write = replica.tentative.next(); write !== undefined; write = replica.tentative.next()) {
      const { key } = write.kept
      try {
        await this.#withdraw(write)
      } catch (error) {
        if (!(error instanceof CounterError)) throw error
        if (error.code !== 'COUNT_OVERFLOW') return
        replica.tentative.end(write)
        logger.error({ key, code: error.code }, `a write that two nodes have counted stays counted twice: ${error.message}`)
      }
    }
  }

  async #withdraw(write: TentativeWrite): Promise<void> {
    const { admit, log, logger, replica } = this.#options
    const { key, origin } = write.kept
    const batch = opposite(decodeBatch(batchReader(write.batch), replica.table.hash))
    for (let wait = admit(batch); wait !== undefined; wait = admit(batch)) await wait
    // A new incarnation may have been opened meanwhile.
    if (replica.tentative.next() !== write) return
    log.append(RECORD_WITHDRAWAL, (writer) => {
      writer.sized(encoder.encode(key))
      writer.varint(origin.replica.node)
      writer.varint(origin.replica.incarnation)
      writer.varint(origin.seq)
      replica.increment(batch, writer)
    })
    replica.tentative.end(write)
    this.count++
    logger.debug({ key }, 'a write with an Idempotency-Key was taken back here, because another node has counted it too')
  }
}

const batchReader = (bytes: Uint8Array): ByteReader =>
  new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'batch of a tentative write')
