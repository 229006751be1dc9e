// Rule 3 at a start. A node may write on in the column that its directory holds only when nobody can know more of it: all members of the last
// known membership answer, and none does. Otherwise it takes a new incarnation. And no two processes live with one node id: whoever comes
// later refuses to start. docs/PROTOCOL.md, section 4.

import { CounterError } from '../base/errors.ts'
import { FOLDED, LIST_INCARNATIONS, SLOT_BASE, type VersionVector } from '../storage/index.ts'
import type { Probed, Sender } from './messages.ts'
import { introduce, probe } from './probe.ts'
import { hostOfAddress } from './roster.ts'
import type { Site } from './site.ts'

/** Between two attempts to reach who did not answer. */
const RETRY_MS = 250

export interface JoinPlan {
  /** Nodes that must answer for the incarnation to be resumed. */
  readonly members: readonly number[]
  /** Why a new incarnation is due in any case, as a clause; undefined: it may be resumed. */
  readonly renew: string | undefined
  /** Whether the incarnation was resumed by the store, and so needs the answers. */
  readonly resumed: boolean
}

export class Join {
  readonly #site: Site
  readonly #plan: JoinPlan
  readonly #missing: Set<number>
  readonly #answered = new Set<string>()
  /** The greatest own incarnation that was heard of. */
  #above: number
  #knowsMore: string | undefined
  /** Where another process was with the own node id, and may still be. */
  #unproven: string | undefined

  constructor(site: Site, plan: JoinPlan) {
    this.#site = site
    this.#plan = plan
    this.#missing = new Set(plan.members)
    this.#above = site.roster.incarnationFloor
  }

  /**
   * Asks, decides, and renews where that is the decision.
   * @throws CounterError NODE_ID_TAKEN; CLOSED when the node stops meanwhile
   */
  async run(): Promise<void> {
    const { store, clock, joinTimeoutMs, logger } = this.#site.options
    const endMs = clock.monotonicMs() + joinTimeoutMs
    const mustWait = this.#plan.resumed && this.#plan.renew === undefined
    for (let round = 0; ; round++) {
      const leftMs = endMs - clock.monotonicMs()
      if (leftMs <= 0 && round > 0) break
      await this.#askAll(Math.max(1, leftMs))
      if (this.#missing.size === 0 || !mustWait || this.#knowsMore) break
      await this.#site.pause(Math.min(RETRY_MS, Math.max(1, endMs - clock.monotonicMs())))
      if (this.#site.stop.happened) throw new CounterError('CLOSED', 'the node was stopped while it started')
    }
    await this.#askRivals()
    const why = this.#reason()
    if (why === undefined) return
    await store.renew(why, this.#above, this.#isWhole)
    logger.info({ incarnation: this.#site.roster.self.incarnation }, 'starts under a new incarnation')
  }

  /** Whether nothing was heard that speaks against that this node has all of its last incarnation. */
  get #isWhole(): boolean {
    const { renew, resumed } = this.#plan
    const isLast = this.#above <= this.#site.options.store.self.incarnation
    return resumed && renew === undefined && isLast && !this.#knowsMore && !this.#unproven
  }

  #reason(): string | undefined {
    const { renew, resumed } = this.#plan
    if (renew) return renew
    if (this.#knowsMore) return this.#knowsMore
    if (this.#above > this.#site.options.store.self.incarnation) return 'other nodes know of a later incarnation of this node'
    if (!resumed) return undefined
    if (this.#unproven)
      return `a process with this node id was at ${this.#unproven} and does not answer; it may still write in the last one`
    if (this.#missing.size === 0) return undefined
    const nodes = [...this.#missing].sort((a, b) => a - b).join(', ')
    return `not every member has answered (node ${nodes} has not), and it may know more of the last one than this node`
  }

  /** One round: all members that have not answered yet, at the addresses where they were, and the seeds, where they may be now. */
  async #askAll(leftMs: number): Promise<void> {
    const { roster, options } = this.#site
    const members = roster.others().filter((member) => this.#missing.has(member.node) && roster.mayContact(member))
    const seeds = await this.#site.orStopped(options.seeds())
    const addresses = new Set([...members.map(({ address }) => address), ...seeds])
    const timeoutMs = Math.min(options.requestTimeoutMs, leftMs)
    const unanswered = [...addresses].filter((address) => !this.#answered.has(address))
    await Promise.all(unanswered.map((address) => this.#ask(address, timeoutMs)))
  }

  async #ask(address: string, timeoutMs: number): Promise<void> {
    let probed: Probed
    try {
      probed = await probe(this.#site, address, timeoutMs)
    } catch (error) {
      if (error instanceof CounterError && error.code !== 'CLOSED') {
        this.#site.options.logger.debug({ err: error, address }, 'an address does not answer at the start')
        return
      }
      throw error
    }
    const { sender, holder, vector } = probed
    this.#answered.add(address)
    if (sender.life === this.#site.life) return
    if (sender.node === this.#site.options.node) return this.#yieldTo(probed, address)
    introduce(this.#site, probed, address)
    this.#missing.delete(sender.node)
    this.#compare(sender.node, vector)
    if (holder) await this.#askHolder(holder)
  }

  /**
   * Who has asked this node under its own id meanwhile, and perhaps was not there yet when this one asked. In the turn in which there is
   * nobody more of them the id is this process's.
   */
  async #askRivals(): Promise<void> {
    const { peers, life, options } = this.#site
    const asked = new Set<string>()
    for (;;) {
      const rival = peers.holderOf(options.node, { life, address: options.address })
      if (rival === undefined || asked.has(rival.life)) break
      asked.add(rival.life)
      const unproven = this.#unproven
      await this.#askHolder(rival)
      // It was answered, and so it yields, and may be gone already.
      if (rival.life > life) this.#unproven = unproven
    }
    this.#site.holdsId = true
  }

  /** Where somebody was with the own node id: it is gone, it answers, or nobody knows; then it may be writing in the column. */
  async #askHolder({ node, address }: Sender): Promise<void> {
    try {
      if (!this.#site.roster.mayContact({ node, address }))
        throw new CounterError('PEER_UNREACHABLE', 'its address is not allowed')
      const probed = await this.#site.orStopped(probe(this.#site, address))
      if (probed.sender.node === node && probed.sender.life !== this.#site.life) this.#yieldTo(probed, address)
    } catch (error) {
      if (!(error instanceof CounterError) || !/^(PEER|SYNC)_/.test(error.code)) throw error
      this.#unproven = address
    }
  }

  #compare(node: number, theirs: VersionVector): void {
    const { store, node: own } = this.#site.options
    const known = store.vector()
    for (const { replica, seq } of theirs) {
      const { incarnation } = replica
      // Slots of the original that this life has heard are own columns too.
      const isSlot = replica.node >= SLOT_BASE && incarnation === store.self.incarnation
      if (replica.node !== own && !isSlot) continue
      if (incarnation === FOLDED) {
        // Its sequence numbers are the incarnations that went into it.
        this.#above = Math.max(this.#above, seq)
        if (seq >= store.self.incarnation) this.#knowsMore = `node ${node} has folded the last one, as an old one`
        continue
      }
      if (incarnation < LIST_INCARNATIONS) this.#above = Math.max(this.#above, incarnation)
      const here = known.get(replica)
      if (here < seq)
        this.#knowsMore = `node ${node} knows ${seq} writes of incarnation ${incarnation}, the data directory ${here}`
    }
  }

  /** Another process has the node id. Of two that both start the one with the lesser life goes on. @throws CounterError NODE_ID_TAKEN */
  #yieldTo({ sender, holdsId }: Probed, address: string): void {
    if (!holdsId && sender.life > this.#site.life) return
    const host = hostOfAddress(address)
    throw new CounterError('NODE_ID_TAKEN', `node id ${sender.node} is that of a running node at ${address}`, {
      fix: `give this node another COUNTER_NODE_ID, or stop the one on ${host || address} first`,
    })
  }
}
