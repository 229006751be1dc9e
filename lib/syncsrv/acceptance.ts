// Batches of items that all members keep, or none: two phases, with this node as the coordinator of what it was sent.
//
//   prepare   every other member that is not dead promises, durably, to write the batch, or says why not
//   decide    enough have: the batch is written here, by one record of the log. This is the commit point, and nothing undoes it
//   commit    those that promised write the very same cells; who misses it gets them by an exchange, like any write
//   abort     too few have: all that may have promised are told to forget it, and forget it by themselves after a while
//
// Invariant: no cell of a batch is anywhere before its record is durable here. docs/decisions/0011.

import { CounterError } from '../base/errors.ts'
import { type Accept, Ballot } from '../cluster/index.ts'
import type { ItemChange } from '../storage/index.ts'
import {
  decodeAbort,
  decodeCommit,
  decodePrepare,
  encodeAbort,
  encodeCommit,
  encodePrepare,
  type Transaction,
} from './acceptance-codec.ts'
import { Prepared } from './acceptance-prepared.ts'
import type { Calls } from './calls.ts'
import { RefusedError } from './exchange-client.ts'
import type { Levels } from './levels.ts'
import { type Site, stopped } from './site.ts'
import type { Once, StoredReply, Written } from './store.ts'

/** What a batch was answered with, and how far it has come. */
export type Accepted = Written & {
  /** Members that are known to have it on disk, this one included. */
  readonly accepted: number
  /** All members, those that are dead included. */
  readonly members: number
}

const PREPARE = 'items/prepare'
const COMMIT = 'items/commit'
const ABORT = 'items/abort'
/** A promise holds this many times as long as its coordinator waits for it. */
const EXPIRY_FACTOR = 3
/** What a commit is answered with: written, or no longer promised and asked for. */
const WRITTEN = Uint8Array.of(1)
const NOT_PROMISED = Uint8Array.of(0)
const NOTHING = new Uint8Array(0)

export interface AcceptanceParts {
  readonly calls: Calls
  readonly levels: Levels
  /** Asks a member for news. */
  readonly pull: (node: number) => void
}

export class Acceptance {
  readonly #site: Site
  readonly #calls: Calls
  readonly #levels: Levels
  readonly #prepared: Prepared
  /** Idempotency keys of batches that are being decided, with the fingerprints of their requests. */
  readonly #keys = new Map<string, Uint8Array>()
  readonly #running = new Set<Promise<unknown>>()
  #transactions = 0

  constructor(site: Site, { calls, levels, pull }: AcceptanceParts) {
    this.#site = site
    this.#calls = calls
    this.#levels = levels
    this.#prepared = new Prepared(site, pull)
    calls.serve(PREPARE, async (payload, node) => {
      const value = payload.slice()
      const prepare = decodePrepare(value)
      checkOwn(prepare.transaction, node)
      await this.#prepared.prepare(prepare, value)
      return NOTHING
    })
    calls.serve(COMMIT, async (payload, node) => {
      const commit = decodeCommit(payload)
      checkOwn(commit.transaction, node)
      return (await this.#prepared.commit(commit)) ? WRITTEN : NOT_PROMISED
    })
    calls.serve(ABORT, async (payload, node) => {
      const transaction = decodeAbort(payload)
      checkOwn(transaction, node)
      await this.#prepared.abort(transaction)
      return NOTHING
    })
  }

  /** Batches that this node has promised others to write, and of which it has not heard what became. */
  get promised(): number {
    return this.#prepared.size
  }

  /** From now on this node promises nothing to others: it is about to end. */
  end(): void {
    this.#prepared.end()
  }

  /** As Replication.acceptItems. */
  async accept(
    changes: readonly ItemChange[],
    accept: Exclude<Accept, 'one'>,
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Accepted> {
    const earlier = once && this.#site.options.store.replay(once)
    if (earlier) return this.#again(await earlier)
    if (once === undefined) return this.#track(this.#decide(changes, accept, reply))
    this.#begin(once)
    try {
      return await this.#track(this.#decide(changes, accept, reply, once))
    } finally {
      this.#keys.delete(once.key)
    }
  }

  /** Resolves when nothing is under way any more. The site has been stopped. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running, this.#prepared.settled()])
  }

  /** A second request with a key must not be voted on beside the first: room that is promised to the first may be refused to it. */
  #begin({ key, fingerprint }: Once): void {
    const under = this.#keys.get(key)
    if (under === undefined) {
      this.#keys.set(key, fingerprint)
    } else if (Buffer.compare(under, fingerprint) === 0) {
      throw new CounterError('KEY_IN_FLIGHT', `the request with the Idempotency-Key '${key}' is still being decided`, {
        fix: 'try again in a second',
      })
    } else {
      throw new CounterError('KEY_REUSED', `the Idempotency-Key '${key}' was used with another request`, {
        fix: 'use a new key for a new request, or send the same request again',
      })
    }
  }

  async #decide(
    changes: readonly ItemChange[],
    accept: 'majority' | 'all',
    reply: () => StoredReply,
    once?: Once,
  ): Promise<Accepted> {
    const { store, acceptTimeoutMs } = this.#site.options
    const transaction = this.#newTransaction()
    const expiryMs = Math.ceil(acceptTimeoutMs * EXPIRY_FACTOR)
    const prepare = encodePrepare({ transaction, expiryMs, stamp: store.nextStamp(), changes })
    const release = await this.#prepared.promise(changes, prepare.length)
    let ballot: Ballot
    let written: Written & { readonly stamp: number }
    try {
      ballot = await this.#vote(accept, prepare)
      if (ballot.verdict === 'refused') {
        this.#abort(transaction, ballot)
        if (this.#site.stop.happened) throw stopped()
        throw ballot.refused()
      }
      written = await this.#write(transaction, ballot, () => store.changeItems(changes, reply, once))
    } finally {
      release()
    }
    if (written.replayed) {
      this.#abort(transaction, ballot)
      return this.#again(written)
    }
    this.#site.counters.batchesCommitted++
    const { stamp, ...kept } = written
    const confirmed = await this.#commit(ballot, encodeCommit({ transaction, at: kept.at, stamp }))
    return { ...kept, accepted: confirmed + 1, members: this.#site.roster.size }
  }

  /** Asks all that are not dead, until the verdict is there or time is up. */
  async #vote(accept: 'majority' | 'all', prepare: Uint8Array): Promise<Ballot> {
    const { clock, acceptTimeoutMs } = this.#site.options
    // Who is told of own writes has to be named in the members file.
    await this.#site.roster.saved()
    const others = this.#site.roster.others()
    const asked = others.filter(({ state }) => state !== 'dead').map(({ node }) => node)
    const absent = others.filter(({ state }) => state === 'dead').map(({ node }) => node)
    const ballot = new Ballot({ accept, asked, absent })
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (ballot.verdict === 'open') return
        cancel()
        resolve(ballot)
      }
      const cancel = clock.after(acceptTimeoutMs, () => {
        ballot.close('PEER_UNREACHABLE', `no answer within ${acceptTimeoutMs} ms`)
        look()
      })
      for (const node of asked) {
        this.#calls
          .call(node, PREPARE, prepare, { timeoutMs: acceptTimeoutMs })
          .then(
            () => ballot.accept(node),
            (error: unknown) => ballot.refuse({ node, ...refusalOf(error) }),
          )
          .then(look, reject)
      }
      look()
    })
  }

  /** The commit point. What it throws leaves nothing anywhere, but for a log that failed: that is not known before the next start. */
  async #write<T>(transaction: Transaction, ballot: Ballot, write: () => Promise<T>): Promise<T> {
    try {
      return await write()
    } catch (error) {
      const isUnknown = !(error instanceof CounterError) || error.code === 'LOG_FAILED'
      if (!isUnknown) this.#abort(transaction, ballot)
      throw error
    }
  }

  /**
   * Tells all that were asked. Resolves with how many have it on disk, when all that promised do or when a client is not
   * to wait any longer. Nothing depends on it: who does not hear of it gets the batch by an exchange.
   */
  #commit(ballot: Ballot, commit: Uint8Array): Promise<number> {
    const { clock, confirmTimeoutMs } = this.#site.options
    const waitedFor = new Set(ballot.accepted)
    let confirmed = 0
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        resolve(confirmed)
      }
      const cancel = clock.after(confirmTimeoutMs, end)
      for (const node of ballot.asked) {
        const told = this.#calls
          .call(node, COMMIT, commit, { timeoutMs: confirmTimeoutMs })
          .then((answer) => {
            if (answer[0] === WRITTEN[0]) confirmed++
          })
          .catch((error) =>
            this.#missed(node, error, 'a member could not be told that a batch is kept; it gets it by an exchange'),
          )
          .finally(() => {
            waitedFor.delete(node)
            if (waitedFor.size === 0) end()
          })
        this.#track(told)
      }
      if (waitedFor.size === 0) end()
    })
  }

  /** Best effort: who does not hear of it forgets the batch when its promise expires. */
  #abort(transaction: Transaction, ballot: Ballot): void {
    this.#site.counters.batchesAborted++
    const { acceptTimeoutMs: timeoutMs } = this.#site.options
    for (const node of ballot.asked) {
      const told = this.#calls.call(node, ABORT, encodeAbort(transaction), { timeoutMs })
      this.#track(told.catch((error) => this.#missed(node, error, 'a member could not be told that nothing comes of a batch')))
    }
  }

  #missed(node: number, error: unknown, message: string): void {
    this.#site.options.logger.debug({ err: error, member: node }, message)
  }

  /** A reply that is given again, with how far all has come that this node has written until now. */
  async #again(written: Written): Promise<Accepted> {
    const { reached, members } = await this.#levels.waitFor(written.at, 1, 0)
    return { ...written, accepted: reached, members }
  }

  #newTransaction(): Transaction {
    const { node, incarnation } = this.#site.options.store.self
    return { node, incarnation, life: this.#site.life, number: ++this.#transactions }
  }

  #track<T>(task: Promise<T>): Promise<T> {
    const forget = (): void => void this.#running.delete(task)
    this.#running.add(task)
    task.then(forget, forget)
    return task
  }
}

/** @throws CounterError SYNC_INVALID: who asks is not the coordinator */
function checkOwn({ node }: Transaction, from: number): void {
  if (node !== from) throw new CounterError('SYNC_INVALID', `node ${from} speaks of a batch of node ${node}`)
}

/** @throws what is a fault of this program */
function refusalOf(error: unknown): { code: string; reason: string } {
  if (error instanceof RefusedError) return { code: error.why, reason: error.reason }
  if (!(error instanceof CounterError)) throw error
  const { code, message } = error
  return { code, reason: code === 'PEER_UNREACHABLE' ? `no answer: ${message}` : message }
}
