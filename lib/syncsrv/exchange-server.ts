// The answering side. A request is read and checked whole before anything of it is acted on. An exchange is answered with all that the asker's
// vector does not cover, step by step; nothing leaves before it is durable here, and the vector is the last step's.

import { ByteWriter } from '../base/bytes.ts'
import { nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { viewOf } from '../cluster/index.ts'
import type { VersionVector } from '../storage/index.ts'
import {
  type CallRequest,
  type DrainRequest,
  decodeCall,
  decodeDigest,
  decodeDrain,
  decodeExchange,
  decodeProbe,
  type ExchangeRequest,
  encodeCellsInto,
  encodeDone,
  encodeProbed,
  encodeRefusal,
  encodeReturned,
  encodeWelcome,
  type Resume,
  type Sender,
} from './messages.ts'
import { bucketsThatDiffer, digestsOf } from './repair.ts'
import { completeAddress } from './roster.ts'
import type { Site } from './site.ts'
import type { Answer, SyncPath } from './transport.ts'

/** What the rest of replication wants to know of requests. */
export interface ServerEvents {
  /** The node has asked, and is answered from now on. */
  asked(node: number): void
  /** The answer has ended. @param sentCells whether it held any: then the node asks again at once */
  answered(node: number, sentCells: boolean): void
  /** The node has been told to ask this one's member. */
  nudged(node: number): void
  drain(): void
  /** Another part of the program is asked. @throws CounterError, to be told */
  called(service: string, payload: Uint8Array, node: number): Promise<Uint8Array>
}

/** A step that has found nothing is a version and no more. */
const EMPTY_DELTA_BYTES = 1
/** Of a message that is told as the reason of a refusal. Characters: four bytes each fit into the text of one. */
const REASON_LENGTH_MAX = 256

/** Of a process that is known only from the members file. */
const NO_LIFE = '0'.repeat(16)

export class ExchangeServer {
  readonly #site: Site
  readonly #events: ServerEvents

  constructor(site: Site, events: ServerEvents) {
    this.#site = site
    this.#events = events
  }

  readonly answer: Answer = (path, body, from) => this.#counted(path, body, from)

  async *#counted(path: SyncPath, body: Uint8Array, from: string): AsyncGenerator<Uint8Array, void> {
    for await (const message of this.#answer(path, body, from)) {
      // An answer that just ends is seen to be cut off.
      if (this.#site.stop.happened) return
      this.#site.counters.bytesOut += message.length
      yield message
    }
  }

  #answer(path: SyncPath, body: Uint8Array, from: string): AsyncIterable<Uint8Array> {
    this.#site.counters.bytesIn += body.length
    if (path === '/v1/probe') return this.#probe(decodeProbe(body).sender, from)
    if (path === '/v1/drain') return this.#drain(decodeDrain(body))
    if (path === '/v1/digest') return this.#digest(body)
    if (path === '/v1/call') return this.#call(decodeCall(body))
    const request = decodeExchange(body)
    return path === '/v1/nudge' ? this.#nudge(request, from) : this.#exchange(request, from)
  }

  async *#probe(sender: Sender, from: string): AsyncGenerator<Uint8Array, void> {
    const { peers, roster, holdsId, options } = this.#site
    const asker = { ...sender, address: completeAddress(sender.address, from) }
    const holder = peers.holderOf(sender.node, asker) ?? this.#savedHolderOf(asker)
    if (sender.life !== this.#site.life) peers.spoke(asker)
    // Cells count whose vector never came, because the asker's last life ended in the middle of an answer.
    const vector = options.store.tracesOf(sender)
    await options.store.settled()
    yield encodeProbed({ sender: roster.sender(), holdsId, vector, holder })
  }

  /** Where the node id was when this process did not run yet, when that is elsewhere. */
  #savedHolderOf({ node, address }: Sender): Sender | undefined {
    const member = this.#site.roster.find(node)
    if (member === undefined || node === this.#site.options.node) return undefined
    return member.state === 'left' || member.address === address ? undefined : { ...member, life: NO_LIFE }
  }

  async *#drain({ sender, target }: DrainRequest): AsyncGenerator<Uint8Array, void> {
    const refusal = this.#refusalOf(sender)
    if (refusal) return yield refusal
    const { node, incarnation } = this.#site.options.store.self
    // A request that somebody has read and repeats elsewhere, or later, must not drain another one.
    if (target.node !== node || target.incarnation !== incarnation) {
      return yield encodeRefusal({ code: 'NOT_ME', reason: `this is incarnation ${incarnation} of node ${node}`, incarnation: 0 })
    }
    yield await this.#welcome(false)
    this.#events.drain()
  }

  async *#call({ sender, service, payload }: CallRequest): AsyncGenerator<Uint8Array, void> {
    const refusal = this.#refusalOf(sender)
    if (refusal) return yield refusal
    let answer: Uint8Array
    try {
      answer = await this.#events.called(service, payload, sender.node)
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      return yield encodeRefusal({ code: error.code, reason: error.message.slice(0, REASON_LENGTH_MAX), incarnation: 0 })
    }
    yield encodeReturned(answer)
  }

  async *#nudge({ sender, vector, news }: ExchangeRequest, from: string): AsyncGenerator<Uint8Array, void> {
    const refusal = this.#refusalOf(sender)
    // Also who has left may tell that it has.
    if (sender.node !== this.#site.options.node) this.#site.hear(sender, vector, news, from, from)
    if (refusal) return yield refusal
    if (!this.#site.roster.find(sender.node)) return yield this.#full()
    this.#events.nudged(sender.node)
    yield await this.#welcome(false)
  }

  async *#exchange({ sender, vector, news, resume }: ExchangeRequest, from: string): AsyncGenerator<Uint8Array, void> {
    const refusal = this.#refusalOf(sender)
    if (refusal) return yield refusal
    const site = this.#site
    site.hear(sender, vector, news, from, from)
    if (!site.roster.find(sender.node)) return yield this.#full()
    this.#events.asked(sender.node)
    let sentCells = false
    try {
      const start = this.#startOf(resume)
      const own = await site.sharedVector()
      // Who hands over waits for all to know what it knows, whether they fold or not.
      const view = viewOf(site.draining ? [] : site.foldsApart, own, vector)
      yield this.#encodeWelcome(view.own, start !== undefined)
      if (!vector.covers(view.own)) {
        sentCells = true
        const beginning = start ? { ...start, vector: view.shown(start.vector) } : { chunk: 0, vector: view.own }
        yield* this.#cells(site.options.store.since(view.known, beginning))
      }
      yield encodeDone()
    } finally {
      this.#events.answered(sender.node, sentCells)
    }
  }

  /** Where the answer goes on: only where this process began one, whose vector it still knows. */
  #startOf(resume: Resume | undefined): { chunk: number; vector: VersionVector } | undefined {
    const site = this.#site
    if (resume?.life !== site.life || !site.options.store.vector().covers(resume.vector)) return undefined
    return { chunk: resume.chunk, vector: resume.vector }
  }

  async *#digest(body: Uint8Array): AsyncGenerator<Uint8Array, void> {
    const { sender, vector, digests } = decodeDigest(body)
    const refusal = this.#refusalOf(sender)
    if (refusal) return yield refusal
    const site = this.#site
    // Of different states different digests say nothing.
    const own = await digestsOf(site, vector)
    yield await this.#welcome(false)
    if (own !== undefined) yield* this.#cells(cellsOf(site, bucketsThatDiffer(digests, own)))
    yield encodeDone()
  }

  /** Each delta as a message, when it may leave. */
  async *#cells(steps: Iterable<{ delta: Uint8Array; nextChunk: number; cells?: number }>): AsyncGenerator<Uint8Array, void> {
    const { store, clock } = this.#site.options
    const writer = new ByteWriter(1 << 12)
    for (const { delta, nextChunk, cells = 0 } of steps) {
      if (delta.length <= EMPTY_DELTA_BYTES) {
        await nextTurn(clock)
        continue
      }
      const message = encodeCellsInto(writer, nextChunk, delta)
      await (store.settled() ?? nextTurn(clock))
      if (this.#site.stop.happened) return
      this.#site.counters.cellsOut += cells
      yield message
    }
  }

  async #welcome(resumed: boolean): Promise<Uint8Array> {
    return this.#encodeWelcome(await this.#site.sharedVector(), resumed)
  }

  #encodeWelcome(vector: VersionVector, resumed: boolean): Uint8Array {
    const { roster } = this.#site
    return encodeWelcome({ sender: roster.sender(), vector, news: this.#site.news(), resumed })
  }

  /** Who is no member is not answered as one: a start would not ask it. */
  #full(): Uint8Array {
    return encodeRefusal({ code: 'MEMBERS_MAX', reason: 'the cluster has as many members as it takes', incarnation: 0 })
  }

  #refusalOf({ node, incarnation }: Sender): Uint8Array | undefined {
    const { options, roster } = this.#site
    if (node === options.node) {
      return encodeRefusal({
        code: 'NODE_ID_TAKEN',
        reason: `node id ${node} is that of the node at ${options.address}`,
        incarnation: 0,
      })
    }
    if (!roster.removed(node, incarnation)) return undefined
    const reason = `incarnation ${incarnation} of node ${node} has left the cluster`
    return encodeRefusal({ code: 'REMOVED', reason, incarnation: roster.find(node)?.incarnation ?? incarnation })
  }
}

function* cellsOf(site: Site, buckets: readonly boolean[]): Generator<{ delta: Uint8Array; nextChunk: number }, void> {
  if (!buckets.includes(true)) return
  for (const delta of site.options.store.cellsOfBuckets(buckets)) yield { delta, nextChunk: 0 }
}
