// Replication: all parts put together behind the surface that lib/node.ts and the other compositions use.
// Life: the constructor makes the node answer; start() decides the incarnation and begins to ask; stop() ends all of it, and drain() makes
// the node leave. How the parts fit: docs/decisions/0006.

import { CounterError } from '../base/errors.ts'
import { type Accept, type Member, type MemberState, Membership } from '../cluster/index.ts'
import type { ItemChange } from '../storage/index.ts'
import { Acceptance, type Accepted } from './acceptance.ts'
import { type CallOptions, Calls, type Service } from './calls.ts'
import { converse, cutOff, unexpected } from './conversation.ts'
import { ExchangeClient, RefusedError } from './exchange-client.ts'
import { ExchangeServer } from './exchange-server.ts'
import { Folds } from './folds.ts'
import { handOver } from './handover.ts'
import { Join } from './join.ts'
import type { Lag } from './lag.ts'
import { type Level, Levels, type Reached, type WriteAt } from './levels.ts'
import { Loop } from './loop.ts'
import { encodeDrain } from './messages.ts'
import { Renewal } from './renewal.ts'
import { Roster } from './roster.ts'
import { Settling } from './settling.ts'
import { type Counters, type ReplicationOptions, Site } from './site.ts'
import type { Once, StoredReply } from './store.ts'
import type { Answer } from './transport.ts'
import { Upkeep } from './upkeep.ts'

export interface MemberStatus {
  readonly node: number
  readonly incarnation: number
  readonly state: MemberState
  readonly address: string
  readonly publicUrl: string
  readonly self: boolean
  /** How long ago it was last heard directly; undefined: not since the start. */
  readonly heardMsAgo: number | undefined
  /** What this node lacks of what the member has. */
  readonly lacks: Lag | undefined
  /** What the member lacks of what this node has. */
  readonly ahead: Lag | undefined
}

export interface ClusterStatus {
  readonly node: number
  readonly incarnation: number
  readonly draining: boolean
  readonly members: readonly MemberStatus[]
  readonly counters: Readonly<Counters>
  /** Batches of items of other nodes that this one has promised to write. */
  readonly promisedBatches: number
}

export class Replication {
  readonly #site: Site
  readonly #client: ExchangeClient
  readonly #loop: Loop
  readonly #levels: Levels
  readonly #calls: Calls
  readonly #acceptance: Acceptance
  readonly #folds: Folds
  readonly #renewal: Renewal
  readonly #settling: Settling
  readonly #upkeep: Upkeep
  readonly #saved: readonly Member[]
  #draining: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #hasLeft!: () => void
  /** The server side; works from construction on. */
  readonly answer: Answer
  /** Resolves when this node has been drained. */
  readonly left: Promise<void>

  constructor(options: ReplicationOptions) {
    this.#saved = options.savedMembers === undefined ? [] : Membership.decode(options.savedMembers)
    const site = siteOf(options, this.#saved)
    this.#site = site
    this.#renewal = new Renewal(site)
    this.#client = new ExchangeClient(site)
    this.#loop = new Loop(site, this.#client, this.#renewal)
    this.#levels = new Levels(site)
    this.#calls = new Calls(site)
    this.#acceptance = new Acceptance(site, {
      calls: this.#calls,
      levels: this.#levels,
      pull: (node) => this.#loop.pull(node),
    })
    this.#folds = new Folds(site)
    this.#settling = new Settling(site)
    this.#upkeep = new Upkeep(site, { loop: this.#loop, renewal: this.#renewal, folds: this.#folds, settling: this.#settling })
    const server = new ExchangeServer(site, {
      asked: (node) => this.#loop.asked(node),
      answered: (node, sentCells) => this.#loop.answered(node, sentCells),
      nudged: (node) => this.#loop.nudged(node),
      drain: () => {
        this.drain().catch(() => {})
      },
      called: (service, payload, node) => this.#calls.answer(service, payload, node),
    })
    this.answer = server.answer
    this.left = new Promise((resolve) => {
      this.#hasLeft = resolve
    })
  }

  /**
   * Decides whether the incarnation may be resumed, and begins to ask the other members.
   * @throws CounterError NODE_ID_TAKEN; CLOSED when it is stopped meanwhile; what SyncStore.renew throws
   */
  async start(): Promise<void> {
    const { options, roster } = this.#site
    const own = this.#saved.find(({ node }) => node === options.node)
    const hadLeft = own?.state === 'left' && own.incarnation >= options.store.self.incarnation
    const join = new Join(this.#site, {
      members: this.#saved.filter(({ node, state }) => node !== options.node && state !== 'left').map(({ node }) => node),
      renew: hadLeft ? 'the last one has left the cluster' : undefined,
      resumed: !options.incarnationIsNew,
    })
    await join.run()
    options.logger.info({ incarnation: roster.self.incarnation, members: roster.size }, 'replicates')
    this.#site.started = true
    this.#settling.look()
    this.#loop.refresh()
    this.#upkeep.start()
  }

  /** To be called when a log group has settled: tells the others when there are own writes that they lack. Cheap when not. */
  nudge(): void {
    this.#levels.lookHere()
    this.#loop.nudge()
  }

  /** Resolves when the write is held by as many members as the level says, or time is up. Never rejects. */
  waitFor(at: WriteAt, level: Level, timeoutMs: number): Promise<Reached> {
    return this.#levels.waitFor(at, level, timeoutMs)
  }

  /** From now on calls of the service are answered. */
  serve(service: string, answer: Service): void {
    this.#calls.serve(service, answer)
  }

  /** Asks another part of the program on a member; see Calls.call. */
  call(node: number, service: string, payload: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return this.#calls.call(node, service, payload, options)
  }

  /**
   * Changes items when enough members accept it: on all of them, or nowhere. Resolves when it is durable here and, as far as they answer
   * in time, on those that accepted; the others get it by exchanges.
   * @throws (as a rejection) AcceptanceRefused; CounterError BATCH_TOO_LARGE, ITEMS_MAX, KEY_IN_FLIGHT, KEY_REUSED, DISK_FULL, LOG_BUSY,
   *   DRAINING, STARTING, CLOSED: this node cannot: nothing was kept anywhere; LOG_FAILED: unknown
   */
  acceptItems(
    changes: readonly ItemChange[],
    accept: Exclude<Accept, 'one'>,
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Accepted> {
    return this.#acceptance.accept(changes, accept, reply, once)
  }

  /** The node is about to end: from now on it promises other nodes nothing that it could not do any more. */
  end(): void {
    this.#acceptance.end()
  }

  /** Whether this node knows the entries, durably, in time. @throws CounterError LOG_FAILED (as a rejection) */
  waitUntilKnown(entries: readonly WriteAt[], timeoutMs: number): Promise<boolean> {
    return this.#levels.waitUntilKnown(entries, timeoutMs, () => this.#loop.pullAll())
  }

  status(): ClusterStatus {
    const { options, roster, counters, draining } = this.#site
    const { node, incarnation } = roster.self
    return {
      node,
      incarnation,
      draining,
      members: roster.list().map((member) => this.#statusOf(member)),
      counters: { ...counters, hiddenCells: options.store.hiddenCells },
      promisedBatches: this.#acceptance.promised,
    }
  }

  #statusOf({ node, incarnation, state, address, publicUrl }: Member): MemberStatus {
    const { options, peers, trail, nowMs } = this.#site
    const self = node === options.node
    const peer = self ? undefined : peers.find(node)
    const known = options.store.vector()
    trail.add(nowMs, known)
    return {
      node,
      incarnation,
      state,
      address,
      publicUrl,
      self,
      heardMsAgo: peer && nowMs - peer.heardMs,
      lacks: peer?.trail.lagOf(nowMs, known),
      ahead: peer && trail.lagOf(nowMs, peer.vector),
    }
  }

  /** Whether the node id is or was that of a member. */
  hasMember(node: number): boolean {
    const { options, roster } = this.#site
    return node === options.node || roster.find(node) !== undefined
  }

  /** Refuses writes, hands over all counts and leaves. Resolves when that is done. @throws CounterError CLOSED */
  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  /** What fails is logged here: whoever asked for it has been answered long ago. */
  async #drain(): Promise<void> {
    const { options, stop } = this.#site
    try {
      await handOver(this.#site, this.#loop)
    } catch (error) {
      const fix = 'what it has counted is on its disk; stop it, see to what is named here, and start it again'
      if (!stop.happened) options.logger.error({ err: error, fix }, 'could not hand over its counts, and has not left')
      throw error
    }
    this.#hasLeft()
  }

  /**
   * The last sync of a node that ends: tells the others, and waits until all that are not taken for dead hold what this node holds now.
   * Resolves with those that do not after `timeoutMs`. @throws what SyncStore.settled rejects with
   */
  async settle(timeoutMs: number): Promise<number[]> {
    const vector = await this.#site.sharedVector()
    const lacking = await this.#levels.waitUntilHeld(vector, 0)
    if (lacking.length === 0 || timeoutMs <= 0) return lacking
    void this.#loop.tellAll()
    return this.#levels.waitUntilHeld(vector, timeoutMs)
  }

  /**
   * Takes out a member that is dead for good. Resolves when the members file says so.
   * @throws CounterError MEMBER_UNKNOWN, MEMBER_ALIVE, at once; what SyncStore.saveMembers throws (as a rejection)
   */
  remove(node: number): Promise<void> {
    this.#site.roster.remove(node)
    const saved = Promise.resolve(this.#site.roster.saved())
    this.#site.peers.forget(node)
    this.#loop.refresh()
    this.#levels.look()
    this.#settling.look()
    void this.#loop.tellAll()
    // The roster has logged it, for who does not wait.
    saved.catch(() => {})
    return saved
  }

  /** Asks a member to drain itself. @throws CounterError MEMBER_UNKNOWN, PEER_UNREACHABLE, PEER_REFUSED */
  async requestDrain(node: number): Promise<void> {
    const { roster, options } = this.#site
    if (node === options.node) {
      this.drain().catch(() => {})
      return
    }
    const member = roster.find(node)
    if (member === undefined || member.state === 'left') {
      throw new CounterError('MEMBER_UNKNOWN', `node ${node} is no member`, { fix: 'list the members, and name one of them' })
    }
    const { address } = member
    if (!roster.mayContact(member)) throw new CounterError('PEER_UNREACHABLE', `the address of node ${node} may not be contacted`)
    const sender = roster.sender()
    for await (const message of converse(this.#site, address, '/v1/drain', encodeDrain({ sender, target: member }))) {
      if (message.kind === 'refusal') throw new RefusedError(address, message, sender.incarnation)
      if (message.kind !== 'welcome') unexpected(address, '/v1/drain', message)
      return
    }
    cutOff(address, '/v1/drain')
  }

  /** Ends all that is under way, and answers nothing more. Resolves when nothing is left running. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#site.stop.now()
    await Promise.allSettled([
      this.#loop.stop(),
      this.#upkeep.stop(),
      this.#draining,
      this.#renewal.settled(),
      this.#folds.settled(),
      this.#acceptance.settled(),
    ])
  }
}

function siteOf(options: ReplicationOptions, saved: readonly Member[]): Site {
  const { store, clock, random, logger, node, address, publicUrl, mayContact } = options
  const life = Array.from({ length: 2 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
  const { incarnation } = store.self
  const own = saved.find((member) => member.node === node && member.incarnation === incarnation)
  const self: Member = { node, incarnation, edition: (own?.edition ?? 0) + 1, state: 'alive', address, publicUrl }
  const membership = new Membership({ self, suspectMs: options.suspectMs })
  membership.heard(
    clock.monotonicMs(),
    saved.filter((member) => member.node !== node || member.incarnation > incarnation),
  )
  const hasFile = options.savedMembers !== undefined
  return new Site({ options, life, roster: new Roster({ membership, store, clock, logger, life, mayContact, hasFile }) })
}
