// Claims: which node ids are in use, and where the nodes that hold them are found. Each lies in etcd under a lease that its node keeps alive, so
// it goes when the node does; of two nodes with one id, one gets it. A node that was killed and is back need not wait for its own former
// claim: it is known by its data directory.

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
  /** Of the data directory, random: who has it may take over what its former process has claimed. Without it the end of that is waited for. */
  readonly directory?: string | undefined
  /** How long a claim outlives its node, in milliseconds; renewed three times in it. Longer rides out longer outages of etcd. */
  readonly ttlMs: number
  /** Another process has the id: this one was away for longer than `ttlMs`, or its directory was copied. It should end. */
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
  /** Of this process, random. */
  readonly #life: string
  #claim: Claim | undefined
  #lease: string | undefined
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: ClaimsOptions) {
    this.#options = options
    this.#names = new KeyNames(options.prefix)
    this.#life = Array.from({ length: 4 }, () => options.random.uint32().toString(16).padStart(8, '0')).join('')
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
    return entries.flatMap(({ value }) => {
      const held = decodeClaim(value)
      return held === undefined ? [] : [{ node: held.node, address: held.address }]
    })
  }

  /** Gives the id back, so that whoever comes next need not wait. The store is not closed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    if (this.#lease !== undefined) await this.#options.kv.revokeLease(this.#lease).catch(() => {})
  }

  /** Undefined when the id is ours; else who has it. */
  async #take(claim: Claim): Promise<Held | undefined> {
    const { kv, ttlMs, directory = this.#life } = this.#options
    const key = this.#names.nodes + claim.node
    this.#lease ??= await kv.grantLease(Math.max(Math.ceil(ttlMs / 1000), 1))
    // A lease that went while we tried is no help.
    if (!(await kv.keepAlive(this.#lease))) {
      this.#lease = undefined
      return this.#take(claim)
    }
    const value = JSON.stringify({ node: claim.node, address: claim.address, directory, life: this.#life })
    const success = [{ key, value, lease: this.#lease }]
    for (let modRevision = 0; ; ) {
      const { succeeded, entries } = await kv.txn({ compare: [{ key, modRevision }], success, failure: [key] })
      if (succeeded) return undefined
      const [entry] = entries
      if (entry === undefined) {
        // It has ended between the last try and this one.
        modRevision = 0
        continue
      }
      const there = decodeClaim(entry.value)
      if (there === undefined) return { ...claim, address: 'an unknown address', directory: '', life: '' }
      // A transaction whose answer was lost has done it.
      if (there.life === this.#life) return undefined
      if (there.directory !== directory) return there
      modRevision = entry.modRevision
    }
  }

  #renewLater(): void {
    const { clock, ttlMs } = this.#options
    this.#cancel = clock.after(ttlMs / 3, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { kv, logger, onLost } = this.#options
    const claim = this.#claim!
    try {
      const isKept = this.#lease !== undefined && (await kv.keepAlive(this.#lease))
      const [entry] = (await kv.read([this.#names.nodes + claim.node])).entries
      const there = entry && decodeClaim(entry.value)
      // Whoever has the same directory and came later has taken it over.
      if (there !== undefined && there.life !== this.#life) return onLost(taken(claim.node, there.address))
      if ((!isKept || there === undefined) && !this.#closed) {
        if (!isKept) this.#lease = undefined
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

interface Held extends Claim {
  readonly directory: string
  readonly life: string
}

function decodeClaim(text: string): Held | undefined {
  try {
    const { node, address, directory, life } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isSafeInteger(node) || typeof address !== 'string') return undefined
    if (typeof directory !== 'string' || typeof life !== 'string') return undefined
    return { node: node as number, address, directory, life }
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
