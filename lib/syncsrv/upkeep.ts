// What replication does now and then: time goes on for the membership, new members become partners, seeds that are nobody yet are asked who
// they are, a node id in two hands is looked into, what can be folded is, and digests are compared.

import { CounterError } from '../base/errors.ts'
import type { Folds } from './folds.ts'
import type { Loop } from './loop.ts'
import { holdsOwnId, introduce, probe } from './probe.ts'
import type { Renewal } from './renewal.ts'
import { chooseEqual, compareWith } from './repair.ts'
import type { Site } from './site.ts'

/** Who has found members asks the seeds this much less often. */
const SEEDS_EVERY = 10

export class Upkeep {
  readonly #site: Site
  readonly #loop: Loop
  readonly #renewal: Renewal
  readonly #folds: Folds
  readonly #tasks: Promise<void>[] = []

  constructor(site: Site, parts: { loop: Loop; renewal: Renewal; folds: Folds }) {
    this.#site = site
    this.#loop = parts.loop
    this.#renewal = parts.renewal
    this.#folds = parts.folds
  }

  start(): void {
    const { digestIntervalMs } = this.#site.options
    this.#tasks.push(this.#everyInterval(), this.#askSeeds())
    if (digestIntervalMs > 0) this.#tasks.push(this.#compareDigests())
  }

  /** The site has been stopped. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#tasks)
  }

  async #everyInterval(): Promise<void> {
    const { roster, options, trail, stop } = this.#site
    while (!stop.happened) {
      trail.add(this.#site.nowMs, options.store.vector())
      roster.tick()
      if (!this.#site.draining) {
        if (roster.isRemoved) this.#renewal.removed(roster.self.incarnation)
        await this.#lookIntoConflict()
        this.#folds.consider()
        this.#loop.refresh()
      }
      this.#loop.nudge()
      await this.#site.pause(options.intervalMs)
    }
  }

  /** Others say of this node id what cannot be of this process. */
  async #lookIntoConflict(): Promise<void> {
    const { roster, options } = this.#site
    const { conflict } = roster
    if (conflict === undefined) return
    const holder = roster.mayContact(conflict) ? await holdsOwnId(this.#site, conflict.address) : undefined
    if (holder === undefined) {
      if (conflict.incarnation > roster.self.incarnation) this.#renewal.surpassed(conflict.incarnation)
      else roster.conflictSettled()
      return
    }
    // Two lives that write one column lose counts; from now on each has its own.
    if (conflict.incarnation === roster.self.incarnation) this.#renewal.surpassed(conflict.incarnation)
    const fix =
      'stop one of the two and give it another COUNTER_NODE_ID; no count is lost, but members hear only the one started last'
    const fields = { code: 'NODE_ID_TAKEN', node: options.node, address: conflict.address, fix }
    options.logger.error(fields, 'another running node has the id of this one')
    roster.conflictSettled()
  }

  async #askSeeds(): Promise<void> {
    const { options, roster, stop } = this.#site
    while (!stop.happened) {
      const addresses = this.#site.draining ? [] : await this.#site.orStopped(options.seeds()).catch(() => [])
      const known = new Set([options.address, ...roster.others().map(({ address }) => address)])
      await Promise.all(addresses.filter((address) => !known.has(address)).map((address) => this.#askSeed(address)))
      const pauses = roster.others().length === 0 ? 1 : SEEDS_EVERY
      await this.#site.pause(this.#site.jittered(options.intervalMs * pauses))
    }
  }

  async #askSeed(address: string): Promise<void> {
    const { options, life } = this.#site
    try {
      const probed = await probe(this.#site, address)
      if (probed.sender.life === life || probed.sender.node === options.node) return
      introduce(this.#site, probed, address)
      this.#loop.refresh()
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      options.logger.debug({ err: error, address }, 'a seed does not answer')
    }
  }

  async #compareDigests(): Promise<void> {
    const { options, stop } = this.#site
    let compared = true
    while (!stop.happened) {
      await this.#site.pause(this.#site.jittered(compared ? options.digestIntervalMs : options.intervalMs))
      const member = this.#site.draining || stop.happened ? undefined : chooseEqual(this.#site)
      try {
        compared = member !== undefined && (await compareWith(this.#site, member))
      } catch (error) {
        if (!(error instanceof CounterError)) throw error
        compared = true
        options.logger.debug({ err: error, ...member }, 'digests could not be compared')
      }
    }
  }
}
