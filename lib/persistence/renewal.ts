// The change to a new incarnation while the node runs. From the moment it is due until the identity that names it is on disk, no
// write is taken, so no number of the old column is given out that another may have used. What fails is tried again by the next write.

import type { Replica } from '../storage/index.ts'
import { diskFull, isDiskFull } from './disk.ts'
import { newIncarnation, writeIdentity } from './identity.ts'
import type { StoreOptions } from './start.ts'

export class Renewal {
  readonly #options: StoreOptions
  readonly #replica: Replica
  readonly #move: (to: number) => Promise<void>
  #due: { readonly why: string; readonly above: number; readonly moves: boolean; readonly isWhole: boolean } | undefined
  #running: Promise<void> | undefined

  /** @param move puts what the own column holds under a new incarnation, durably, before the identity names that */
  constructor(options: StoreOptions, replica: Replica, move: (to: number) => Promise<void>) {
    this.#options = options
    this.#replica = replica
    this.#move = move
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

  /** Resolves when what is due is done. @throws (as a rejection) CounterError DISK_FULL, or what the disk throws */
  complete(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Resolves when nothing is under way. */
  async rest(): Promise<void> {
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
}
