// The asking side: one pull. What comes is joined message by message; what was joined before a cut is kept, and the next pull goes on behind it.

import { CounterError } from '../base/errors.ts'
import type { Member } from '../cluster/index.ts'
import { converse, cutOff, unexpected } from './conversation.ts'
import { encodeExchange, type Refusal, type Resume, type Welcome } from './messages.ts'
import { hostOfAddress } from './roster.ts'
import type { Site } from './site.ts'

const PATH = '/v1/exchange'

export interface Pulled {
  /** Whether this node knows more than it did when it asked; then the other is to hear it. */
  readonly rose: boolean
}

/** A member that does not want to speak with this node. */
export class RefusedError extends CounterError {
  /** As in the refusal: REMOVED, NODE_ID_TAKEN, or one that a later version may know. */
  readonly why: string
  readonly reason: string
  /** The incarnation that was refused. */
  readonly incarnation: number

  constructor(address: string, { code, reason }: Refusal, incarnation: number) {
    super('PEER_REFUSED', `${address} refuses: ${reason} (${code})`)
    this.why = code
    this.reason = reason
    this.incarnation = incarnation
  }
}

export class ExchangeClient {
  readonly #site: Site
  /** Of answers that were cut off, by node. */
  readonly #resumes = new Map<number, Resume>()

  constructor(site: Site) {
    this.#site = site
  }

  /**
   * Asks a member for what this node lacks, and joins it.
   * @throws CounterError as converse, RefusedError, and what SyncStore.merge throws
   */
  async pull({ node, address }: Member): Promise<Pulled> {
    const site = this.#site
    const known = await site.orStopped(site.sharedVector())
    const sender = site.roster.sender()
    const resume = this.#resumes.get(node)
    const body = encodeExchange({ sender, vector: known, news: site.news(), resume })
    let welcome: Welcome | undefined
    let news = 0
    for await (const message of converse(site, address, PATH, body)) {
      if (message.kind === 'refusal') throw this.#refused(address, message, sender.incarnation)
      if (message.kind === 'welcome' && welcome === undefined) {
        welcome = message
        this.#welcomed(node, welcome, address)
      } else if (message.kind === 'cells' && welcome !== undefined) {
        news += await this.#join(node, message.delta, message.nextChunk)
      } else if (message.kind === 'done' && welcome !== undefined) {
        this.#resumes.delete(node)
        site.counters.exchanges++
        const rose = !known.covers(welcome.vector) && site.options.store.vector().covers(welcome.vector)
        return { rose: rose || news > 0 }
      } else unexpected(address, PATH, message)
    }
    return cutOff(address, PATH)
  }

  /** Says at an address who this node is and what it knows; hears the same. @throws as pull */
  async nudge({ node, address }: Pick<Member, 'node' | 'address'>): Promise<void> {
    const site = this.#site
    const vector = await site.orStopped(site.sharedVector())
    const sender = site.roster.sender()
    const body = encodeExchange({ sender, vector, news: site.news(), resume: undefined })
    for await (const message of converse(site, address, '/v1/nudge', body)) {
      if (message.kind === 'refusal') throw this.#refused(address, message, sender.incarnation)
      if (message.kind !== 'welcome') unexpected(address, '/v1/nudge', message)
      this.#hear(node, message, address)
      return
    }
    cutOff(address, '/v1/nudge')
  }

  /** What has left, and must be passed by a new incarnation, may not be known here: the directory may be a new one, under a clock that went back. */
  #refused(address: string, refusal: Refusal, incarnation: number): RefusedError {
    if (refusal.code === 'REMOVED') this.#site.roster.removedUpTo(Math.max(incarnation, refusal.incarnation))
    return new RefusedError(address, refusal, incarnation)
  }

  #welcomed(node: number, welcome: Welcome, address: string): void {
    this.#hear(node, welcome, address)
    const before = this.#resumes.get(node)
    if (welcome.resumed && before) return
    this.#resumes.set(node, { life: welcome.sender.life, chunk: 0, vector: welcome.vector })
  }

  #hear(node: number, { sender, vector, news }: Welcome, address: string): void {
    if (sender.node !== node) {
      throw new CounterError('PEER_REFUSED', `node ${sender.node} answers at ${address}, expected node ${node}`)
    }
    this.#site.hear(sender, vector, news, hostOfAddress(address))
  }

  async #join(node: number, delta: Uint8Array, nextChunk: number): Promise<number> {
    const news = await this.#site.orStopped(this.#site.options.store.merge(delta)).catch((error: unknown) => {
      // What follows will not be taken until the clocks have met; counts that have changed meanwhile are, when it begins anew.
      if (error instanceof CounterError && error.code === 'CLOCK_AHEAD') this.#resumes.delete(node)
      throw error
    })
    this.#site.counters.cellsIn += news
    const resume = this.#resumes.get(node)
    if (resume) this.#resumes.set(node, { ...resume, chunk: nextChunk })
    return news
  }
}
