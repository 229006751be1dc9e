// Claims: which node ids are in use, and where the nodes that hold them are found. Each lies in etcd under a lease that its node keeps alive, so
// it goes when the node does; of two nodes with one id, one gets it.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { ConsensusKv } from './kv.ts'
import { KeyNames } from './record.ts'

export interface ClaimsOptions {
  readonly kv: ConsensusKv
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** How long a claim outlives its node, in milliseconds; renewed three times in it. Longer rides out longer outages of etcd. */
  readonly ttlMs: number
  /** Another node has the id: this one was away for longer than `ttlMs`. It should end. */
  readonly onLost: (error: CounterError) => void
}

export interface Claim {
  readonly node: number
  /** Base URL of the sync port. */
  readonly address: string
}

/** More nodes than that are not listed. */
const CLAIMS_MAX = 1000
const POLL_MS = 500

export class Claims {
  readonly #options: ClaimsOptions
  readonly #names: KeyNames
  /** Random: tells the claims of this process from those of others, also of its node's former one. */
  readonly #holder: string
  #claim: Claim | undefined
  #lease: string | undefined
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: ClaimsOptions) {
    this.#options = options
    this.#names = new KeyNames(options.prefix)
    this.#holder = Array.from({ length: 4 }, () => options.random.uint32().toString(16).padStart(8, '0')).join('')
  }

  /**
   * Takes the node id. One that was held until just now is waited for: its lease ends when its node is gone.
   * @throws CounterError NODE_ID_TAKEN: another node holds it; SEQUENCE_UNAVAILABLE: etcd does not answer; CLOSED
   */
  async claim(claim: Claim): Promise<void> {
    const { clock, ttlMs } = this.#options
    this.#claim = claim
    const untilMs = clock.monotonicMs() + ttlMs + 2 * POLL_MS
    for (;;) {
      if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
      const holder = await this.#take(claim).catch(retried)
      if (holder === undefined) break
      if (clock.monotonicMs() >= untilMs) throw holder instanceof CounterError ? holder : taken(claim.node, holder.address)
      await new Promise<void>((resolve) => void clock.after(POLL_MS, resolve))
    }
    this.#renewLater()
  }

  /** All nodes that hold a claim now. @throws CounterError SEQUENCE_UNAVAILABLE */
  async list(): Promise<Claim[]> {
    const { entries } = await this.#options.kv.range({ prefix: this.#names.nodes, limit: CLAIMS_MAX })
    return entries.flatMap(({ value }) => decodeClaim(value) ?? [])
  }

  /** Gives the id back, so that whoever comes next need not wait. The store is not closed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    if (this.#lease !== undefined) await this.#options.kv.revokeLease(this.#lease).catch(() => {})
  }

  /** Undefined when the id is ours; else who has it. */
  async #take(claim: Claim): Promise<Claim | undefined> {
    const { kv, ttlMs } = this.#options
    const key = this.#names.nodes + claim.node
    this.#lease ??= await kv.grantLease(Math.max(Math.ceil(ttlMs / 1000), 1))
    // A lease that went while we tried is no help.
    if (!(await kv.keepAlive(this.#lease))) {
      this.#lease = undefined
      return this.#take(claim)
    }
    const value = JSON.stringify({ ...claim, holder: this.#holder })
    const { succeeded, entries } = await kv.txn({
      compare: [{ key, modRevision: 0 }],
      success: [{ key, value, lease: this.#lease }],
      failure: [key],
    })
    if (succeeded) return undefined
    const there = entries[0] === undefined ? undefined : decodeClaim(entries[0].value)
    if (there === undefined) return { ...claim, address: 'an unknown address' }
    // A transaction whose answer was lost has done it.
    return there.holder === this.#holder ? undefined : there
  }

  #renewLater(): void {
    const { clock, ttlMs } = this.#options
    this.#cancel = clock.after(ttlMs / 3, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { kv, logger, onLost } = this.#options
    const claim = this.#claim!
    try {
      const isHeld = this.#lease !== undefined && (await kv.keepAlive(this.#lease))
      if (!isHeld && !this.#closed) {
        this.#lease = undefined
        const holder = await this.#take(claim)
        if (holder !== undefined) return onLost(taken(claim.node, holder.address))
        logger.warn({ node: claim.node }, 'the claim on the node id in etcd had ended, and was taken again')
      }
    } catch (error) {
      logger.warn({ node: claim.node }, `the claim on the node id in etcd could not be renewed: ${error}`)
    }
    if (!this.#closed) this.#renewLater()
  }
}

function decodeClaim(text: string): (Claim & { holder: string }) | undefined {
  try {
    const { node, address, holder } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isSafeInteger(node) || typeof address !== 'string' || typeof holder !== 'string') return undefined
    return { node: node as number, address, holder }
  } catch {
    return undefined
  }
}

/** Whatever etcd could not do is tried again. */
function retried(error: unknown): CounterError {
  if (error instanceof CounterError && error.code.startsWith('SEQUENCE_')) return error
  throw error
}

const taken = (node: number, address: string): CounterError =>
  new CounterError('NODE_ID_TAKEN', `another node that runs has claimed the node id ${node} in etcd: ${address}`, {
    fix: 'Give this node an id of its own (COUNTER_NODE_ID), or stop the other one.',
  })
