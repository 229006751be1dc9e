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
    const { admit, logger, replica } = this.#options
    for (let due = replica.tentative.due(); due.length > 0; due = replica.tentative.due()) {
      for (const write of due) {
        const batch = opposite(decodeBatch(batchReader(write.batch), replica.table.hash))
        try {
          for (let wait = admit(batch); wait !== undefined; wait = admit(batch)) await wait
        } catch {
          // The disk is full or fails, or the node stops: who owns the log says so.
          return
        }
        // A new incarnation may have been opened meanwhile.
        if (!replica.tentative.isDue(write)) continue
        const { key } = write.kept
        try {
          this.#withdraw(write, batch)
          logger.debug({ key }, 'a write with an Idempotency-Key was taken back here, because another node has counted it too')
        } catch (error) {
          if (!(error instanceof CounterError) || error.code !== 'COUNT_OVERFLOW') throw error
          replica.tentative.end(write)
          logger.error({ key, code: error.code }, `a write that two nodes have counted stays counted twice: ${error.message}`)
        }
      }
    }
  }

  #withdraw(write: TentativeWrite, batch: Batch): void {
    const { log, replica } = this.#options
    const { key, origin } = write.kept
    log.append(RECORD_WITHDRAWAL, (writer) => {
      writer.sized(encoder.encode(key))
      writer.varint(origin.replica.node)
      writer.varint(origin.replica.incarnation)
      writer.varint(origin.seq)
      replica.increment(batch, writer)
    })
    replica.tentative.end(write)
    this.count++
  }
}

const batchReader = (bytes: Uint8Array): ByteReader =>
  new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'batch of a tentative write')
