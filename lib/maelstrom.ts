// A node under Maelstrom (docs/decisions/0010): messages on stdin and stdout instead of the two ports, the same store, log and replication
// behind them. The second composition beside lib/node.ts. Life: wait for `init`, which says who this is; open the store and answer; replicate;
// end with the input.

import type { Clock } from './base/clock.ts'
import type { CounterError } from './base/errors.ts'
import { createNameHash, type NameHash } from './base/hash.ts'
import type { Logger } from './base/log.ts'
import type { Random } from './base/random.ts'
import { Answers } from './maelstrom/answers.ts'
import { Counter, type CounterStore } from './maelstrom/counter.ts'
import { FAULT, Fault, faultBody } from './maelstrom/fault.ts'
import { Mailbox } from './maelstrom/mailbox.ts'
import { type Body, type Message, readLines, readMessage } from './maelstrom/message.ts'
import { addressOf, MessageTransport } from './maelstrom/transport.ts'
import { NODE_MAX } from './storage/index.ts'
import { Replication, type SyncStore } from './syncsrv/index.ts'

export interface MaelstromSettings {
  readonly syncIntervalMs: number
  readonly syncTimeoutMs: number
  readonly joinTimeoutMs: number
  readonly suspectTimeoutMs: number
  readonly digestIntervalMs: number
}

/** What this needs of the store. lib/persistence's Store satisfies it. */
export interface MaelstromStore extends CounterStore, SyncStore {
  readonly recovered: { readonly members: Uint8Array | undefined; readonly incarnationIsNew: boolean }
  readonly failed: Promise<CounterError>
  close(): Promise<void>
}

/** Who a store is opened for. */
export interface MaelstromOpening {
  /** The number in the node's name: 3 of n3. */
  readonly nodeId: number
  /** The node's name, such as n3: all nodes of a machine may share a data directory and have a folder each in it. */
  readonly name: string
  readonly hash: NameHash
  /** To be called once for each log group that settled. */
  readonly onSettled: () => void
}

export interface MaelstromParts {
  readonly settings: MaelstromSettings
  readonly openStore: (opening: MaelstromOpening) => Promise<MaelstromStore>
  readonly input: AsyncIterable<string>
  /** Writes a line with its end. */
  readonly write: (line: string) => void
  readonly logger: Logger
  readonly clock: Clock
  readonly random: Random
}

/**
 * Answers messages until the input ends.
 * @throws CounterError when the store cannot be opened or fails, and NODE_ID_TAKEN
 */
export async function runMaelstrom(parts: MaelstromParts): Promise<void> {
  const node = new MaelstromNode(parts)
  await Promise.race([node.takeAll(), node.failed])
  await node.close()
}

/** What is there when the node knows who it is and has its store. */
interface Running {
  readonly store: MaelstromStore
  readonly replication: Replication
  readonly answers: Answers
  readonly counter: Counter
  /** Whether the start of replication is over, which decides under which incarnation writes are made. */
  joined: boolean
}

class MaelstromNode {
  readonly #parts: MaelstromParts
  #mailbox: Mailbox | undefined
  #opening: Promise<Running> | undefined
  #running: Running | undefined
  #fail!: (error: unknown) => void
  /** Rejects when the node cannot go on. */
  readonly failed: Promise<never>

  constructor(parts: MaelstromParts) {
    this.#parts = parts
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
  }

  async takeAll(): Promise<void> {
    for await (const line of readLines(this.#parts.input)) {
      const message = readMessage(line)
      if (message === undefined) this.#parts.logger.warn({ line: line.slice(0, 200) }, 'a line that is no message is passed over')
      else if (message.body.in_reply_to !== undefined) this.#mailbox?.take(message.body)
      else this.#take(message)
    }
  }

  async close(): Promise<void> {
    const running = await this.#opening?.catch(() => undefined)
    running?.answers.close()
    await running?.replication.stop()
    await running?.store.close()
  }

  #take(message: Message): void {
    // A node that does not know its name answers under the one it was called by.
    const mailbox = this.#mailbox ?? this.#mailboxOf(message.dest)
    this.#answer(message).then(
      (answer) => mailbox.reply(message, answer),
      (error) => {
        const body = faultBody(error)
        if (body.code === FAULT.crash)
          this.#parts.logger.error({ err: error, type: message.body.type }, 'a message could not be answered')
        mailbox.reply(message, body)
      },
    )
  }

  async #answer(message: Message): Promise<Body> {
    switch (message.body.type) {
      case 'init':
        return this.#init(message.body)
      // Who is whose neighbour in a broadcast; members find each other by themselves.
      case 'topology':
        return { type: 'topology_ok' }
      case 'add':
        if (!this.#started().joined)
          throw new Fault(FAULT.unavailable, 'the node is still asking the others what they have of it')
        return this.#started().counter.add(message.body)
      case 'read':
        return this.#started().counter.read()
      case 'sync':
        return this.#started().answers.begin(message)
      case 'sync_next':
        return this.#started().answers.next(message)
      default:
        throw new Fault(FAULT.notSupported, `no such message: ${message.body.type}`)
    }
  }

  #started(): Running {
    if (this.#running === undefined) throw new Fault(FAULT.unavailable, 'the node has no store yet')
    return this.#running
  }

  /** Opens the store. It is answered before the other members are asked for anything: they may wait for their own `init`. */
  async #init({ node_id, node_ids }: Body): Promise<Body> {
    const nodeId = numberOf(node_id)
    if (!Array.isArray(node_ids) || !node_ids.every((id) => numberOf(id) !== undefined) || nodeId === undefined) {
      throw new Fault(
        FAULT.malformed,
        `node_id and node_ids should be of the form n1, n2, ..., got ${JSON.stringify({ node_id, node_ids })}`,
      )
    }
    const name = node_id as string
    if (this.#mailbox !== undefined && this.#mailbox.id !== name) {
      throw new Fault(FAULT.malformed, `the node is ${this.#mailbox.id} already`)
    }
    this.#mailbox ??= this.#mailboxOf(name)
    this.#opening ??= this.#open(nodeId, name, node_ids as string[], this.#mailbox)
    this.#opening.catch(this.#fail)
    await this.#opening
    return { type: 'init_ok' }
  }

  async #open(nodeId: number, name: string, names: readonly string[], mailbox: Mailbox): Promise<Running> {
    const { settings, logger, clock, random, openStore } = this.#parts
    const hash = createNameHash(random)
    const store = await openStore({ nodeId, name, hash, onSettled: () => this.#running?.replication.nudge() })
    store.failed.then(this.#fail)
    const addresses = names.map(addressOf)
    const replication = new Replication({
      store,
      transport: new MessageTransport(mailbox),
      clock,
      random,
      logger,
      node: nodeId,
      address: addressOf(name),
      publicUrl: '',
      seeds: async () => addresses.filter((address) => address !== addressOf(name)),
      mayContact: (address) => addresses.includes(address),
      savedMembers: store.recovered.members,
      incarnationIsNew: store.recovered.incarnationIsNew,
      intervalMs: settings.syncIntervalMs,
      requestTimeoutMs: settings.syncTimeoutMs,
      joinTimeoutMs: settings.joinTimeoutMs,
      suspectMs: settings.suspectTimeoutMs,
      digestIntervalMs: settings.digestIntervalMs,
      acceptTimeoutMs: settings.syncTimeoutMs,
      confirmTimeoutMs: settings.syncTimeoutMs,
    })
    const running: Running = {
      store,
      replication,
      answers: new Answers(replication.answer, clock),
      counter: new Counter(store, hash),
      joined: false,
    }
    this.#running = running
    replication.start().then(() => {
      running.joined = true
      logger.info({ name, incarnation: store.self.incarnation }, 'takes writes')
    }, this.#fail)
    return running
  }

  #mailboxOf(id: string): Mailbox {
    const { clock, random, write } = this.#parts
    return new Mailbox({ id, clock, random, write })
  }
}

/** 3 of n3; undefined for what is no such name. */
function numberOf(name: unknown): number | undefined {
  const digits = typeof name === 'string' ? /^n([1-9]\d{0,9}|0)$/.exec(name)?.[1] : undefined
  return digits !== undefined && Number(digits) <= NODE_MAX ? Number(digits) : undefined
}
