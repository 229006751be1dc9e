// What replication does now and then: time goes on for the membership, new members become partners, seeds that are nobody yet are asked who
// they are, a node id in two hands is looked into, what can be folded is, and digests are compared.

import { CounterError } from '../base/errors.ts'
import type { Member } from '../cluster/index.ts'
import type { Folds } from './folds.ts'
import type { Loop } from './loop.ts'
import { holdsOwnId, introduce, probe } from './probe.ts'
import type { Renewal } from './renewal.ts'
import { chooseEqual, compareWith } from './repair.ts'
import type { Settling } from './settling.ts'
import type { Site } from './site.ts'

/** Who has found members asks the seeds this much less often. */
const SEEDS_EVERY = 10

export class Upkeep {
  readonly #site: Site
  readonly #loop: Loop
  readonly #renewal: Renewal
  readonly #folds: Folds
  readonly #settling: Settling
  readonly #tasks: Promise<void>[] = []
  /** Why seeds did not answer when that was logged last, by address. */
  readonly #seedFailures = new Map<string, string>()

  constructor(site: Site, parts: { loop: Loop; renewal: Renewal; folds: Folds; settling: Settling }) {
    this.#site = site
    this.#loop = parts.loop
    this.#renewal = parts.renewal
    this.#folds = parts.folds
    this.#settling = parts.settling
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
      }
      this.#loop.refresh()
      this.#settling.look()
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
    const fields = { code: 'NODE_ID_TAKEN', address: conflict.address, fix }
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
      this.#seedFailures.delete(address)
      if (probed.sender.life === life || probed.sender.node === options.node) return
      introduce(this.#site, probed, address)
      this.#loop.refresh()
      this.#settling.look()
      // A seed that has left, was emptied, and began below what has left: nobody asks it, and it knows nobody whom it could ask.
      const { node, incarnation } = probed.sender
      if (this.#site.roster.removed(node, incarnation)) await this.#loop.tell({ node, address })
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      this.#seedFailed(address, error)
    }
  }

  /** Once for each reason: nodes that start together do not find each other at first, and one that is misconfigured never does. */
  #seedFailed(address: string, { code, message, fix }: CounterError): void {
    const { logger } = this.#site.options
    if (code === 'CLOSED' || this.#seedFailures.get(address) === code) return
    this.#seedFailures.set(address, code)
    if (code === 'PEER_UNREACHABLE')
      logger.info({ address }, `a seed does not answer yet, and is asked again and again: ${message}`)
    else logger.warn({ address, code, ...(fix && { fix }) }, `a seed does not let this node join: ${message}`)
  }

  /** What is written meanwhile makes a comparison vain, and each costs a walk over all names: so it is tried less and less often. */
  async #compareDigests(): Promise<void> {
    const { intervalMs, digestIntervalMs } = this.#site.options
    let pauseMs = digestIntervalMs
    let vain = 0
    while (!this.#site.stop.happened) {
      await this.#site.pause(this.#site.jittered(pauseMs))
      const member = this.#site.draining || this.#site.stop.happened ? undefined : chooseEqual(this.#site)
      const isDone = member !== undefined && (await this.#compareWith(member))
      if (member !== undefined) vain = isDone ? 0 : vain + 1
      pauseMs = isDone ? digestIntervalMs : Math.min(digestIntervalMs, intervalMs * 2 ** Math.min(vain, 30))
    }
  }

  /** Whether there is nothing more to be done about a comparison now: it has succeeded or failed. */
  async #compareWith(member: Member): Promise<boolean> {
    try {
      return await compareWith(this.#site, member)
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      this.#site.options.logger.debug({ err: error, member: member.node }, 'digests could not be compared')
      return true
    }
  }
}
