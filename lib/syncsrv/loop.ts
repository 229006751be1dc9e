// When members are asked. Each living one once an interval, jittered; at once when it has told of news or when the last answer brought some;
// after failures less and less often. And when others are told: of fresh own writes, unless they are about to ask anyway.
// At most one pull and one nudge to a member are under way.

import { AssertionError } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'
import type { Member } from '../cluster/index.ts'
import type { VersionVector } from '../storage/index.ts'
import { type ExchangeClient, RefusedError } from './exchange-client.ts'
import type { Renewal } from './renewal.ts'
import type { Site } from './site.ts'

/** No pause after failures is longer. */
const BACK_OFF_MS_MAX = 30_000
/** Who was told and does not ask is told again after this, or after an interval if that is longer. */
const TOLD_MS = 1000
/**
 * While each answer brings news, the next is asked for so long after the last at the soonest. Under steady writes this bounds what agreeing costs,
 * as each exchange then carries more; it adds as much to the lag. A single write goes at once, and so does its acknowledgement.
 */
const GATHER_MS = 10

/** What is under way with another member. */
class Partner {
  readonly node: number
  /** Pulls that failed since the last that succeeded. */
  failures = 0
  /** Whether what failed was worth a line in the log already. */
  reported = false
  pulling = false
  /** Whether something came up that the pull under way may have missed. */
  again = false
  nudging = false
  /** Until then the member is expected to ask. */
  expectedUntilMs = Number.NEGATIVE_INFINITY
  /** Its requests that are being answered. */
  answering = 0
  lastMs = Number.NEGATIVE_INFINITY
  dueMs = Number.POSITIVE_INFINITY
  cancel: () => void = () => {}

  constructor(node: number) {
    this.node = node
  }

  /** Whether it is being asked or is going to be. Not so when it has only asked this node so far, while that started. */
  get comesUp(): boolean {
    return this.pulling || this.dueMs < Number.POSITIVE_INFINITY
  }
}

export class Loop {
  readonly #site: Site
  readonly #client: ExchangeClient
  readonly #renewal: Renewal
  readonly #partners = new Map<number, Partner>()
  readonly #running = new Set<Promise<void>>()

  constructor(site: Site, client: ExchangeClient, renewal: Renewal) {
    this.#site = site
    this.#client = client
    this.#renewal = renewal
    site.onHeard((node) => this.#heard(node))
  }

  /** Makes the partners those that are members now. New ones are asked at once. */
  refresh(): void {
    const others = new Set(this.#site.roster.others().map(({ node }) => node))
    for (const node of others) if (!this.#partners.get(node)?.comesUp) this.pull(node)
    for (const [node, { cancel }] of this.#partners) {
      if (others.has(node)) continue
      cancel()
      this.#partners.delete(node)
    }
  }

  /**
   * Asks a member now, or again when it is being asked. A node that hands over only asks once an interval: what it knows has to stand
   * still for a moment, so that all can be seen to know it, and it has to grow, or two that leave at once wait for each other for ever.
   */
  pull(node: number): void {
    if (!this.#mayPull) return
    const partner = this.#partnerOf(node)
    if (this.#site.draining && partner.comesUp && this.#site.nowMs < partner.dueMs) return
    if (partner.pulling) partner.again = true
    else this.#run(this.#pull(partner))
  }

  pullAll(): void {
    for (const { node } of this.#site.roster.others()) this.pull(node)
  }

  /** Tells those who lack own writes. Cheap when all know or are about to ask. */
  nudge(): void {
    let own: VersionVector | undefined
    for (const partner of this.#partners.values()) {
      if (partner.failures > 0 || !this.#mayNudge(partner)) continue
      own ??= this.#site.options.store.vector()
      if (this.#lacks(partner.node, own)) this.#run(this.#nudge(partner))
    }
  }

  /** Tells all members, whether they lack anything or not. Resolves with the nodes that have heard it. */
  async tellAll(): Promise<number[]> {
    const others = this.#site.roster.others().filter((member) => this.#site.roster.mayContact(member))
    const told = await Promise.all(others.map(async (member) => ((await this.tell(member)) ? member.node : undefined)))
    return told.filter((node) => node !== undefined)
  }

  /** The member asks, and is being answered. */
  asked(node: number): void {
    const partner = this.#partnerOf(node)
    partner.answering++
    partner.expectedUntilMs = Number.NEGATIVE_INFINITY
  }

  /** The answer has ended. A member that was given cells asks again at once. */
  answered(node: number, sentCells: boolean): void {
    const partner = this.#partnerOf(node)
    // It may be a new partner, when the member left meanwhile and came back.
    partner.answering = Math.max(0, partner.answering - 1)
    if (sentCells) this.#expect(partner)
    else if (this.#site.started) this.nudge()
  }

  /** The member has told what it knows. */
  nudged(node: number): void {
    const peer = this.#site.peers.find(node)
    if (peer && !this.#site.options.store.vector().covers(peer.vector)) this.pull(node)
  }

  /** Resolves when nothing is under way any more. The site has been stopped. */
  async stop(): Promise<void> {
    for (const { cancel } of this.#partners.values()) cancel()
    await Promise.allSettled(this.#running)
  }

  get #mayPull(): boolean {
    return this.#site.started && !this.#site.stop.happened
  }

  #partnerOf(node: number): Partner {
    let partner = this.#partners.get(node)
    if (partner === undefined) {
      partner = new Partner(node)
      this.#partners.set(node, partner)
    }
    return partner
  }

  /** Who can reach this node can perhaps be reached again. */
  #heard(node: number): void {
    const partner = this.#partners.get(node)
    if (partner === undefined) return this.#mayPull ? this.refresh() : undefined
    if (partner.failures === 0 || partner.pulling) return
    const soonMs = Math.max(this.#site.nowMs, partner.lastMs + this.#site.options.intervalMs)
    if (soonMs < partner.dueMs) this.#schedule(partner, soonMs - this.#site.nowMs)
  }

  #schedule(partner: Partner, delayMs: number): void {
    partner.cancel()
    if (this.#site.stop.happened) return
    partner.dueMs = this.#site.nowMs + delayMs
    partner.cancel = this.#site.options.clock.after(delayMs, () => {
      // Real timers come up to a millisecond early; it is due all the same.
      partner.dueMs = Number.NEGATIVE_INFINITY
      this.pull(partner.node)
    })
  }

  #run(task: Promise<void>): void {
    this.#running.add(task)
    task.finally(() => this.#running.delete(task))
  }

  async #pull(partner: Partner): Promise<void> {
    partner.pulling = true
    partner.cancel()
    try {
      let roseBefore = false
      for (let more = true; more && this.#mayPull; ) {
        const member = this.#site.roster.find(partner.node)
        if (member === undefined || member.state === 'left' || !this.#site.roster.mayContact(member)) break
        partner.again = false
        partner.lastMs = this.#site.nowMs
        const { rose } = await this.#client.pull(member)
        partner.failures = 0
        partner.reported = false
        more = !this.#site.draining && (rose || (partner.again && this.#isBehind(partner.node)))
        const waitMs = partner.lastMs + GATHER_MS - this.#site.nowMs
        if (more && rose && roseBefore && waitMs > 0) await this.#site.pause(waitMs)
        roseBefore = rose
      }
    } catch (error) {
      partner.failures++
      this.#failed(partner, error)
    } finally {
      partner.pulling = false
      if (this.#partners.get(partner.node) === partner) this.#schedule(partner, this.#pauseOf(partner))
    }
  }

  #pauseOf({ failures }: Partner): number {
    const { intervalMs } = this.#site.options
    const backOffMs = Math.max(intervalMs, Math.min(BACK_OFF_MS_MAX, intervalMs * 2 ** Math.min(failures, 30)))
    return this.#site.jittered(backOffMs)
  }

  #isBehind(node: number): boolean {
    const peer = this.#site.peers.find(node)
    return peer !== undefined && !this.#site.options.store.vector().covers(peer.vector)
  }

  async #nudge(partner: Partner): Promise<void> {
    const member = this.#site.roster.find(partner.node)
    if (member === undefined || member.state === 'left' || !this.#site.roster.mayContact(member)) return
    this.#expect(partner)
    partner.nudging = true
    await this.tell(member)
    partner.nudging = false
  }

  /** Whether the member has heard. */
  async tell(member: Pick<Member, 'node' | 'address'>): Promise<boolean> {
    try {
      await this.#client.nudge(member)
      return true
    } catch (error) {
      this.#failedTo(member.node, error)
      return false
    }
  }

  #mayNudge({ nudging, answering, expectedUntilMs }: Partner): boolean {
    const { started, stop, nowMs } = this.#site
    return started && !stop.happened && !nudging && answering === 0 && nowMs >= expectedUntilMs
  }

  #expect(partner: Partner): void {
    partner.expectedUntilMs = this.#site.nowMs + Math.max(TOLD_MS, this.#site.options.intervalMs)
  }

  /** Whether the member lacks own writes; of a node that hands over, anything. */
  #lacks(node: number, own: VersionVector): boolean {
    const known = this.#site.peers.find(node)?.vector
    if (this.#site.draining) return known === undefined || !known.covers(own)
    const { self } = this.#site.options.store
    return own.get(self) > (known?.get(self) ?? 0)
  }

  /** Counts and logs a failed pull. Faults of our own disk are not held against the member. */
  #failed(partner: Partner, error: unknown): void {
    if (!this.#failedTo(partner.node, error)) return
    this.#site.roster.missed(partner.node)
    const unreachable = error instanceof CounterError && error.code === 'PEER_UNREACHABLE'
    if (unreachable || partner.reported) return
    partner.reported = true
    this.#site.options.logger.warn({ err: error, member: partner.node }, 'a member does not give what this node lacks')
  }

  /** Whether a failure is the member's. @throws what is a fault of this program */
  #failedTo(node: number, error: unknown): boolean {
    const { logger } = this.#site.options
    if (error instanceof AssertionError) throw error
    if (error instanceof CounterError && error.code === 'CLOSED') return false
    this.#site.counters.failures++
    logger.debug({ err: error, member: node }, 'a request to a member failed')
    if (error instanceof RefusedError && error.why === 'REMOVED') {
      this.#renewal.removed(error.incarnation)
      return false
    }
    const code = error instanceof CounterError ? error.code : ''
    if (/^(PEER_|SYNC_)/.test(code) || code === 'DELTA_INVALID') return true
    logger.warn({ err: error, member: node }, 'what a member gives cannot be kept at the moment')
    return false
  }
}
