// The own incarnation while the node runs: the change to a new one, and what the next start is told of it. From the moment a new one is due
// until the identity that names it is on disk, no write is taken, so no number of the old column is given out that another may have used.
// What fails is tried again by the next write.

import { CounterError } from '../base/errors.ts'
import type { Replica } from '../storage/index.ts'
import { diskFull, isDiskFull } from './disk.ts'
import { RECORD_HEADER_BYTES, RECORD_MOVE } from './frame.ts'
import { newIncarnation, writeIdentity } from './identity.ts'
import type { Log } from './log.ts'
import type { StoreOptions } from './start.ts'

/** Room for the record of a move. */
const MOVE_BYTES_MAX = RECORD_HEADER_BYTES + 30

export class Renewal {
  readonly #options: StoreOptions
  readonly #replica: Replica
  readonly #log: Log
  #due: { readonly why: string; readonly above: number; readonly moves: boolean; readonly isWhole: boolean } | undefined
  #running: Promise<void> | undefined
  #closed = false

  constructor(options: StoreOptions, replica: Replica, log: Log) {
    this.#options = options
    this.#replica = replica
    this.#log = log
  }

  /** Whether no write may be taken until complete() has resolved. */
  get isDue(): boolean {
    return this.#due !== undefined
  }

  /**
   * From now on a new incarnation is due, greater than all that are known of this node id and than `above`.
   * @param moves whether the own column goes with it, when the present incarnation is not above `above`
   * @param isWhole whether nothing speaks against that all is here which the present incarnation has written
   */
  ask(why: string, above: number, { moves = false, isWhole = false } = {}): void {
    const before = this.#due
    this.#due = {
      why,
      above: Math.max(above, before?.above ?? 0),
      moves: moves || (before?.moves ?? false),
      isWhole: isWhole && (before?.isWhole ?? true),
    }
  }

  /** See Store.renew. */
  async renew(why: string, above = 0, isWhole = false): Promise<void> {
    this.ask(why, above, { isWhole })
    await this.complete()
  }

  /** Resolves when what is due is done. @throws (as a rejection) CounterError DISK_FULL, CLOSED, or what the disk throws */
  complete(): Promise<void> {
    if (this.#closed) return Promise.reject(new CounterError('CLOSED', 'the node is stopping'))
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Begins nothing more. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running?.catch(() => {})
  }

  async #run(): Promise<void> {
    const { clock, directory, disk, fsync, logger, nodeId, random } = this.#options
    for (let due = this.#due; due !== undefined; due = this.#due) {
      const above = Math.max(due.above, this.#replica.greatestIncarnation(nodeId))
      const self = { node: nodeId, incarnation: newIncarnation(clock, random, above) }
      if (due.moves) await this.#move(self.incarnation)
      await writeIdentity(disk, directory, self, fsync !== 'always').catch((error) => {
        throw isDiskFull(error) ? diskFull(error) : error
      })
      // Asked for while the identity was written: what is in the own column must not be left behind.
      if (this.#due?.moves && !due.moves) continue
      this.#replica.become(self, due.isWhole && this.#due?.isWhole === true)
      logger.warn({ directory }, `goes on under a new incarnation, because ${due.why}; all counts are kept`)
      // What has come meanwhile may know of one that is greater still.
      const greatest = Math.max(this.#due?.above ?? 0, this.#replica.greatestIncarnation(nodeId))
      if (greatest <= self.incarnation) this.#due = undefined
    }
  }

  /**
   * Puts what the own column holds under a new incarnation, durably. The others have folded incarnations up to one that is not below the
   * present one, and would pass over what it has written: the directory was wiped and the clock has gone back.
   */
  async #move(to: number): Promise<void> {
    while (!this.#log.hasRoom(MOVE_BYTES_MAX)) await this.#log.makeRoom(MOVE_BYTES_MAX)
    const { node, incarnation } = this.#replica.self
    if (!this.#replica.move(node, incarnation, to)) return
    this.#log.append(RECORD_MOVE, (writer) => {
      writer.varint(node)
      writer.varint(incarnation)
      writer.varint(to)
    })
    await this.#log.settled()
  }

  /** All is on disk, whatever the mode is, so the next start may resume the incarnation. When this fails it opens a new one. */
  async endCleanly(): Promise<void> {
    const { directory, disk, fsync, logger } = this.#options
    if (fsync === 'always') return
    await writeIdentity(disk, directory, this.#replica.self, false).catch((error) => {
      logger.warn({ directory }, `the next start opens a new incarnation, because the end could not be noted: ${error}`)
    })
  }
}
