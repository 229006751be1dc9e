// The home engine: of several nodes one, named by the settings, gives all numbers from its own log; the others pass calls on to it. While
// it is down there are no numbers: nobody is elected in its place. A node without others is its own home.
// What would give a number a second time is refused: a home whose directory was wiped or put back below what any member has heard, and a
// second home. How that is known: home-tenure.ts and docs/decisions/0014.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { HomeCounter, said } from './home-counter.ts'
import { Forward } from './home-forward.ts'
import { Keeper } from './home-keeper.ts'
import { HomeMemory } from './home-memory.ts'
import { decodeRequest, encodeResults, type Operation, type Operations, type Result, type Told } from './home-messages.ts'
import { encodeAgreement, encodeOpinion } from './home-opinions.ts'
import { PAGE_MAX } from './home-parts.ts'
import { type HomePeers, SERVICE } from './home-peers.ts'
import { Teller } from './home-teller.ts'
import { contradicts } from './home-tenure.ts'
import { unavailable } from './home-trouble.ts'
import type { NoteStore } from './local-book.ts'
import type { Migrated } from './migrate.ts'
import {
  checkNumbersAsked,
  checkSequenceName,
  checkSequenceValue,
  type NextOptions,
  type Numbers,
  type SequenceMember,
  type SequencePage,
  type Sequencer,
  type SequenceStatus,
  type SequenceValue,
} from './sequencer.ts'

export interface HomeOptions {
  /** The engine that this node gives numbers from when it is the home. It is closed with this one. */
  readonly local: Sequencer
  readonly notes: NoteStore
  readonly peers: HomePeers
  /** The node that gives the numbers. */
  readonly home: number
  /** There are other nodes to be found: seeds are set, or the settings say that there are several nodes. */
  readonly seeksOthers: boolean
  /** The data directory may be a copy, or may have lost what was acknowledged: every member must agree before numbers are given. */
  readonly doubtful: boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Brings all to the engine that is to take the home's place. @throws CounterError as migrate() */
  readonly migrate: () => Promise<Migrated>
  /** How long the home may take for a call of another node. Higher: rides out pauses, and callers wait longer. */
  readonly callTimeoutMs: number
  /** How long a member may take for a question that changes nothing. */
  readonly askTimeoutMs: number
  /** How often the home tells the others how far the sequences are. */
  readonly intervalMs: number
}

/** What the home engine says of itself without asking anybody. */
export interface HomeHealth {
  readonly home: number
  readonly isHome: boolean
  /** Why this home gives no numbers. */
  readonly trouble: string | undefined
}

const HOW_TO = 'For numbers that go on without any one node, use etcd (COUNTER_ETCD).'

export class HomeSequencer implements Sequencer {
  readonly #options: HomeOptions
  readonly #memory: HomeMemory
  readonly #keeper: Keeper
  readonly #forward: Forward
  readonly #teller: Teller
  readonly #counter: HomeCounter
  #cancel: (() => void) | undefined
  #ticking: Promise<void> = Promise.resolve()
  #started = false
  #closed = false

  /** Answers the others from construction on. @throws CounterError LOG_CORRUPT: a note is of another version */
  constructor(options: HomeOptions) {
    this.#options = options
    const { local, peers, notes, askTimeoutMs } = options
    this.#memory = new HomeMemory(notes)
    const memory = this.#memory
    this.#keeper = new Keeper({ ...options, memory })
    this.#forward = new Forward({ ...options, memory, probeTimeoutMs: askTimeoutMs })
    this.#teller = new Teller({ local, peers, logger: options.logger, timeoutMs: askTimeoutMs })
    this.#counter = new HomeCounter({ ...options, keeper: this.#keeper, teller: this.#teller })
    peers.serve(SERVICE, (payload, node) => this.#answer(payload, node))
  }

  /** To be called when the other nodes can be asked: goes on in the background until it is closed. */
  start(): void {
    this.#started = true
    this.#cancel = this.#options.clock.after(0, () => this.#tick())
  }

  #checkOpen(): void {
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
    if (!this.#started)
      throw new CounterError('STARTING', 'the node asks the others what they know of it before it gives numbers')
  }

  #tick(): void {
    this.#ticking = this.#look()
      .catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'could not note how far the sequences are; tries again')
      })
      .then(() => {
        if (!this.#closed) this.#cancel = this.#options.clock.after(this.#options.intervalMs, () => this.#tick())
      })
  }

  async #look(): Promise<void> {
    const keeper = this.#keeper
    // A cluster that uses no sequences is left in peace.
    const isUsed = this.#memory.tenure !== undefined || keeper.trouble !== undefined
    if (isUsed && keeper.isHome) {
      if (!keeper.serves || keeper.hasNewcomer) await keeper.confirm()
      const { tenure } = keeper
      if (tenure !== undefined && !(await this.#teller.round(tenure)) && tenure === keeper.tenure) keeper.doubt()
    }
    await this.#memory.flush()
  }

  async next(name: string, { count = 1, key, signal }: NextOptions = {}): Promise<Numbers> {
    checkSequenceName(name)
    checkNumbersAsked(count, key)
    const { first, last, replayed } = await this.#carry({ kind: 'next', name, count, key }, 'numbers', signal)
    return { first, last, replayed }
  }

  async get(name: string): Promise<number> {
    checkSequenceName(name)
    return (await this.#carry({ kind: 'get', name }, 'value')).value
  }

  async list({ prefix, after, limit }: SequencePage): Promise<{ sequences: readonly SequenceValue[]; more: boolean }> {
    const page = await this.#carry({ kind: 'list', prefix, after, limit: Math.min(limit, PAGE_MAX) }, 'page')
    return { sequences: page.sequences, more: page.more }
  }

  async set(name: string, value: number, { force }: { force: boolean }): Promise<void> {
    checkSequenceName(name)
    checkSequenceValue(value)
    await this.#carry({ kind: 'set', name, value, force }, 'done')
  }

  async freeze(): Promise<void> {
    await this.#carry({ kind: 'freeze' }, 'done')
  }

  async thaw(): Promise<void> {
    await this.#carry({ kind: 'thaw' }, 'done')
  }

  /**
   * Where a home cannot know what it has given: goes on with each sequence `ahead` above the greatest number that any node has heard of.
   * @param force also when not every member says what it has heard
   * @throws CounterError SEQUENCE_SOUND: nothing is lost; SEQUENCE_UNAVAILABLE: not every member has answered; else as set()
   */
  async recover(ahead: number, { force }: { readonly force: boolean }): Promise<void> {
    checkSequenceValue(ahead)
    await this.#carry({ kind: 'recover', ahead, force }, 'done')
  }

  /**
   * Freezes the sequences and brings them to the engine that takes the home's place; see migrate().
   * @throws CounterError SEQUENCE_UNAVAILABLE, SEQUENCE_FROZEN: nothing was moved; SEQUENCE_UNKNOWN: repeat it
   */
  async migrate(): Promise<Migrated> {
    const { sequences, keys, ahead } = await this.#carry({ kind: 'migrate' }, 'moved')
    return { sequences, keys, ahead }
  }

  health(): HomeHealth {
    const { isHome, trouble } = this.#keeper
    return { home: this.#homeNode, isHome, trouble: isHome ? trouble?.message : undefined }
  }

  async status(): Promise<SequenceStatus> {
    const { peers } = this.#options
    const [frozen, trouble] = await this.#seen()
    const home = this.#homeNode
    if (home === peers.node && peers.members().length === 0) {
      const detail = `Numbers come from the log of this node alone: when it is down there are none. ${HOW_TO}`
      return { engine: 'local', faultTolerant: false, reachable: trouble === undefined, frozen, detail: trouble ?? detail }
    }
    const all = [{ node: peers.node, alive: true, address: '' }, ...peers.members()].sort((a, b) => a.node - b.node)
    const members = all.map(({ node, alive, address }): SequenceMember => {
      const isDown = !alive || (node === home && trouble !== undefined)
      return {
        name: String(node),
        role: isDown ? 'unreachable' : node === home ? 'leader' : 'follower',
        ...(address !== '' && { address }),
      }
    })
    const detail = `Numbers come from node ${home} alone: when it is down there are none. ${HOW_TO}`
    return {
      engine: 'home',
      faultTolerant: false,
      reachable: trouble === undefined,
      frozen,
      leader: String(home),
      members,
      detail: trouble ?? detail,
    }
  }

  async #seen(): Promise<[frozen: boolean, trouble: string | undefined]> {
    try {
      const { frozen, trouble } = await this.#carry({ kind: 'look' }, 'seen')
      return [frozen, trouble]
    } catch (error) {
      return [false, said(error)]
    }
  }

  /** What waits is refused, what is under way ends. The store is to be closed after this. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    await this.#forward.close()
    await this.#ticking
    await this.#options.local.close()
  }

  get #homeNode(): number {
    return this.#keeper.isHome ? this.#options.peers.node : this.#options.home
  }

  async #carry<Kind extends Result['kind']>(
    operation: Operation,
    kind: Kind,
    signal?: AbortSignal,
  ): Promise<Extract<Result, { kind: Kind }>> {
    this.#checkOpen()
    const result = this.#keeper.isHome
      ? await this.#counter.carryOut(operation, signal)
      : await this.#forward.ask(operation, signal)
    if (result.kind === kind) return result as Extract<Result, { kind: Kind }>
    throw new CounterError('SEQUENCE_UNKNOWN', `the home of the sequences answered with ${result.kind}, expected ${kind}`)
  }

  async #answer(payload: Uint8Array, node: number): Promise<Uint8Array> {
    const request = decodeRequest(payload)
    switch (request.kind) {
      case 'operations':
        return this.#answerOperations(request, node)
      case 'ask':
        return encodeOpinion(await this.#keeper.answer(node, request.from))
      case 'tell':
        return encodeAgreement(this.#hear(request, node))
    }
  }

  async #answerOperations({ tenure, operations }: Operations, node: number): Promise<Uint8Array> {
    const { peers, home } = this.#options
    const keeper = this.#keeper
    if (!keeper.isHome) {
      const error = unavailable(
        `node ${peers.node} is not the home of the sequences: by its settings that is node ${home}`,
        'Set COUNTER_SEQUENCE_HOME to the same node on all nodes.',
      )
      return encodeResults({ tenure: undefined, results: operations.map(() => ({ kind: 'failure', error })) })
    }
    this.#checkOpen()
    if (contradicts(tenure, this.#memory.tenure)) {
      this.#options.logger.debug({ node }, 'another node knows of sequences that this home does not know')
      keeper.doubt()
    }
    // That of the end may be a later one, under which values were taken back.
    const before = keeper.tenure
    const results = await Promise.all(operations.map((operation) => this.#resultOf(operation)))
    return encodeResults({ tenure: before, results })
  }

  /** Never rejects: what one operation fails with is its caller's alone. */
  async #resultOf(operation: Operation): Promise<Result> {
    try {
      return await this.#counter.carryOut(operation)
    } catch (error) {
      if (error instanceof CounterError) return { kind: 'failure', error }
      this.#options.logger.error({ err: error }, 'an operation on a sequence failed unexpectedly')
      return { kind: 'failure', error: new CounterError('SEQUENCE_UNKNOWN', `the home of the sequences failed: ${error}`) }
    }
  }

  /** Whether what a home says can be true. */
  #hear({ tenure, values }: Told, node: number): boolean {
    const { home, peers } = this.#options
    if (node !== home || node === peers.node || tenure.home !== node || !this.#memory.learn(tenure)) return false
    let agrees = true
    for (const { name, value } of values) {
      const mark = this.#memory.mark(name)
      if (mark?.term === tenure.term && mark.value > value) agrees = false
      this.#memory.hear(name, tenure.term, value)
    }
    return agrees
  }
}
