// Whether this node may give numbers out: it asks every member what it knows, judges, and keeps what it decided before it acts on it. Where
// the settings name another home it answers when it is asked, and lays down what it has.

import { assert } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Gate } from './home-gate.ts'
import type { HomeMemory } from './home-memory.ts'
import { encodeRequest } from './home-messages.ts'
import { decodeOpinion, type OpinionPage, opinionOf } from './home-opinions.ts'
import { PAGE_MAX } from './home-parts.ts'
import { type HomePeers, SERVICE } from './home-peers.ts'
import { type Evidence, judge, lastOf, type Mark, type Opinion, type Tenure, type Verdict } from './home-tenure.ts'
import { troubleOf, unavailable } from './home-trouble.ts'
import { SEQUENCE_MAX, type Sequencer } from './sequencer.ts'

export interface KeeperOptions {
  readonly local: Sequencer
  readonly memory: HomeMemory
  readonly peers: HomePeers
  /** The node that the settings name. */
  readonly home: number
  /** There are other nodes to be found: seeds are set, or the settings say that there are several nodes. */
  readonly seeksOthers: boolean
  /** The data directory may be a copy, or may have lost what was acknowledged. */
  readonly doubtful: boolean
  readonly askTimeoutMs: number
  readonly random: Random
  readonly logger: Logger
}

export class Keeper {
  readonly #options: KeeperOptions
  #serving = false
  #doubtful: boolean
  #trouble: CounterError | undefined
  #confirming: Promise<void> | undefined
  /** Who has answered since the start. */
  readonly #answered = new Set<number>()
  readonly #gate = new Gate()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#doubtful = options.doubtful
  }

  /** Whether the sequences are this node's to give. A node without others has nobody to leave them to. */
  get isHome(): boolean {
    const { peers, home, seeksOthers, memory } = this.#options
    if (peers.node === home) return true
    const isOpen = memory.tenure === undefined || memory.standing.holding === 'holds'
    return !seeksOthers && peers.members().length === 0 && isOpen
  }

  get serves(): boolean {
    return this.#serving && this.isHome
  }

  /** Why this home gives no numbers; undefined when it does, or was not asked yet. */
  get trouble(): CounterError | undefined {
    return this.#serving ? undefined : this.#trouble
  }

  /** Whether there is a member that has not been asked yet: it may know what is not known here. */
  get hasNewcomer(): boolean {
    return this.#options.peers.members().some(({ node, alive }) => alive && !this.#answered.has(node))
  }

  /** Does what only a home may do. @throws what keeps it from it, or from the task */
  run<T>(task: () => Promise<T>): Promise<T> {
    return this.#gate.beside(async () => {
      await this.#checkServes()
      return task()
    })
  }

  /** As run(), while nothing else runs. */
  runAlone<T>(task: () => Promise<T>): Promise<T> {
    return this.#gate.alone(async () => {
      await this.#checkServes()
      return task()
    })
  }

  async #checkServes(): Promise<void> {
    // What is wrong is looked at again in the background.
    if (!this.serves && this.#trouble === undefined) await this.confirm()
    if (!this.serves) throw this.#trouble ?? unavailable('this node is not the home of the sequences any more')
  }

  /** Somebody knows what cannot be if this home has all it had: from now on every member must agree first. */
  doubt(): void {
    this.#serving = false
    this.#doubtful = true
    this.#trouble = undefined
  }

  /** Asks all members and decides. Never rejects: what is wrong is `trouble`. */
  confirm(): Promise<void> {
    this.#confirming ??= this.#confirm().finally(() => {
      this.#confirming = undefined
    })
    return this.#confirming
  }

  async #confirm(): Promise<void> {
    const { logger } = this.#options
    const before = this.#trouble?.message
    try {
      const evidence = await this.#gather()
      await this.#follow(judge(evidence), evidence)
    } catch (error) {
      this.#serving = false
      this.#trouble = error instanceof CounterError ? error : unavailable(`the home of the sequences failed: ${error}`)
    }
    if (this.#trouble !== undefined && this.#trouble.message !== before) {
      logger.warn({ fix: this.#trouble.fix }, `gives no sequence numbers: ${this.#trouble.message}`)
    }
  }

  async #follow(verdict: Verdict, evidence: Evidence): Promise<void> {
    switch (verdict.kind) {
      case 'serve':
        if (evidence.missing.length === 0 && !evidence.lonely) this.#doubtful = false
        this.#serve()
        return
      case 'begin':
        await this.#begin(verdict.term, verdict.from?.marks)
        return
      default:
        this.#serving = false
        this.#trouble = troubleOf(this.#options.peers.node, verdict)
    }
  }

  #serve(): void {
    this.#serving = true
    this.#trouble = undefined
  }

  /** A new tenure, from what the last one has left. */
  async #begin(term: number, from: ReadonlyMap<string, Mark> | undefined): Promise<void> {
    const { local, memory, peers, random, logger } = this.#options
    for (const [name, { value }] of from ?? []) await local.set(name, value, { force: true })
    const life = Array.from({ length: 2 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
    await memory.stand({ tenure: { term, life, home: peers.node }, holding: 'holds' })
    logger.info({ term, sequences: from?.size }, 'is the home of the sequences')
    this.#doubtful = false
    this.#serve()
  }

  async #gather(): Promise<Evidence> {
    const { peers, memory, local, seeksOthers } = this.#options
    await memory.flush()
    // As it was before the others were heard.
    const own = memory.standing
    const expected = new Set(peers.members().map(({ node }) => node))
    const opinions = new Map<number, Opinion>()
    const asked = new Set<number>()
    for (let nodes = [...expected]; nodes.length > 0; nodes = [...expected].filter((node) => !asked.has(node))) {
      for (const node of nodes) asked.add(node)
      for (const opinion of await Promise.all(nodes.map((node) => this.#ask(node)))) {
        if (opinion === undefined) continue
        opinions.set(opinion.node, opinion)
        this.#remember(opinion)
        this.#answered.add(opinion.node)
        // They may know of members that this node has forgotten.
        for (const member of opinion.members) if (member !== peers.node) expected.add(member)
      }
    }
    const values = new Map<string, number>()
    for (const { marks } of opinions.values()) {
      for (const name of marks.keys()) if (!values.has(name)) values.set(name, await local.get(name))
    }
    return {
      self: peers.node,
      own,
      opinions: [...opinions.values()],
      missing: [...expected].filter((node) => !opinions.has(node)),
      lonely: seeksOthers && expected.size === 0,
      doubtful: this.#doubtful,
      givenHere: (name) => values.get(name) ?? 0,
    }
  }

  /** The more nodes know of a number, the more data directories must be lost for it to be forgotten. */
  #remember({ tenure, marks }: Opinion): void {
    const { memory } = this.#options
    if (this.#serving) return
    if (tenure !== undefined) memory.learn(tenure)
    for (const [name, { term, value }] of marks) memory.hear(name, term, value)
  }

  /** All pages of what a member knows; undefined when it does not answer. */
  async #ask(node: number): Promise<Opinion | undefined> {
    const { peers, askTimeoutMs, logger } = this.#options
    const marks = new Map<string, Mark>()
    try {
      for (;;) {
        const payload = encodeRequest({ kind: 'ask', from: marks.size })
        const page = decodeOpinion(await peers.call(node, SERVICE, payload, { timeoutMs: askTimeoutMs }))
        for (const [name, mark] of page.marks) marks.set(name, mark)
        if (page.marks.length === 0 || marks.size >= page.total) return opinionOf(node, page, marks)
      }
    } catch (error) {
      logger.debug({ err: error, node }, 'a member does not say what it knows of the sequences')
      return undefined
    }
  }

  /** What this node tells the one that its settings name. What it holds it cedes to it first, durably. */
  async answer(asker: number, from: number): Promise<OpinionPage> {
    const { home, memory, peers } = this.#options
    if (asker === home && asker !== peers.node && memory.standing.holding === 'holds') await this.#cede()
    // What was heard must not be forgotten after it was told.
    await memory.flush()
    return {
      ...memory.standing,
      home,
      members: [peers.node, ...peers.members().map(({ node }) => node)],
      marks: memory.page(from, PAGE_MAX),
      total: memory.markCount,
    }
  }

  async #cede(): Promise<void> {
    const { memory, local, logger, home } = this.#options
    this.#serving = false
    await this.#gate.alone(async () => {
      const { tenure, holding } = memory.standing
      // Of two questions at a time the second finds it done.
      if (holding !== 'holds') return
      assert(tenure !== undefined, 'who holds the sequences has a tenure')
      for await (const { name, value } of all(local)) memory.hear(name, tenure.term, value)
      await memory.flush()
      await memory.stand({ tenure, holding: 'ceded' })
      logger.info({ home }, 'has given the sequences over to another home')
    })
  }

  /** A new tenure of this same home, within runAlone(): what was heard in the last one holds no more, as when a value is taken back. */
  async refound(): Promise<void> {
    const { tenure } = this.#options.memory.standing
    assert(tenure !== undefined && this.serves, 'this is the home')
    await this.#begin(tenure.term + 1, undefined)
  }

  /**
   * Goes on `ahead` above the greatest number of each sequence that anybody has heard of, where it is not known what was given.
   * @param force also when not every member says what it has heard
   * @throws CounterError SEQUENCE_SOUND: nothing is lost; SEQUENCE_UNAVAILABLE: not every member has answered
   */
  async recover(ahead: number, force: boolean): Promise<void> {
    while (this.#confirming !== undefined) await this.#confirming
    const recovering = this.#recover(ahead, force)
    const done = (): void => {
      this.#confirming = undefined
    }
    this.#confirming = recovering.then(done, done)
    return recovering
  }

  async #recover(ahead: number, force: boolean): Promise<void> {
    const { local, memory } = this.#options
    const evidence = await this.#gather()
    const verdict = judge(evidence)
    if (verdict.kind === 'serve' || verdict.kind === 'begin') {
      await this.#follow(verdict, evidence)
      throw new CounterError('SEQUENCE_SOUND', 'the home of the sequences has all that was given; there is nothing to recover', {
        fix: 'Go on as before. To let one sequence go on higher, set it.',
      })
    }
    if (verdict.kind === 'conflict') throw troubleOf(evidence.self, verdict)
    if ((verdict.kind === 'wait' || evidence.missing.length > 0) && !force) {
      const nodes = evidence.missing.join(', ') || 'any other'
      throw unavailable(`node ${nodes} does not say how far the sequences were`, 'Start it, or go on without it: add --force.')
    }

    const greatest = new Map<string, number>()
    for await (const { name, value } of all(local)) greatest.set(name, value)
    for (const marks of [memory.page(0, Number.POSITIVE_INFINITY), ...evidence.opinions.map((opinion) => opinion.marks)]) {
      for (const [name, { value }] of marks) greatest.set(name, Math.max(value, greatest.get(name) ?? 0))
    }
    for (const [name, value] of greatest) await local.set(name, Math.min(value + ahead, SEQUENCE_MAX), { force: false })
    const terms = [evidence.own, ...evidence.opinions].map(({ tenure }) => tenure?.term ?? 0)
    await this.#begin(Math.max(...terms) + 1, undefined)
    this.#options.logger.warn(
      { ahead, sequences: greatest.size, last: lastOf(evidence) },
      'sequences go on above what was heard of',
    )
  }

  /** What this home gives numbers under; undefined when it gives none just now. */
  get tenure(): Tenure | undefined {
    return this.serves && !this.#gate.isClosed ? this.#options.memory.standing.tenure : undefined
  }
}

async function* all(local: Sequencer) {
  let after: string | undefined
  for (;;) {
    const { sequences, more } = await local.list({ prefix: '', after, limit: PAGE_MAX })
    yield* sequences
    if (!more) return
    after = sequences.at(-1)!.name
  }
}
