// A virtual cluster of nodes with the etcd engine: one store, ways to it and between the nodes that delay and lose, all on one clock and one
// seed. Nothing moves by itself.

import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { EtcdSequencer, type EtcdSequencerOptions } from '../../lib/sequence/etcd.ts'
import type { ConsensusKv } from '../../lib/sequence/kv.ts'
import { drained, VirtualClock } from '../support/virtual-clock.ts'
import { MemoryKv, MemoryStore } from './memory-kv.ts'

export interface VirtualOptions {
  readonly nodes?: number
  readonly seed?: number
  readonly keyTtlMs?: number
  readonly keysMax?: number
  readonly compactRevisions?: number
  /** Puts something between an engine and its way to the store. */
  readonly between?: (kv: ConsensusKv) => ConsensusKv
}

export interface VirtualNode {
  readonly node: number
  readonly kv: MemoryKv
  readonly engine: EtcdSequencer
}

/** How many of a thousand calls between nodes have this happen to them. */
export interface CallTroubles {
  lost: number
  unanswered: number
  /** They come so late that nobody waits any more. */
  late: number
}

const LOGGER = { debug() {}, info() {}, warn() {}, error() {} }

export class VirtualEtcd {
  readonly clock = new VirtualClock()
  readonly store = new MemoryStore(this.clock)
  readonly random: Random
  readonly options: VirtualOptions
  nodes: VirtualNode[]
  calls: CallTroubles = { lost: 0, unanswered: 0, late: 0 }
  /** Nodes that are not told to be alive, as those would be that think so of each other. */
  readonly thoughtDead = new Map<number, Set<number>>()
  callCount = 0

  constructor(options: VirtualOptions = {}) {
    this.options = options
    this.random = seededRandom(options.seed ?? 1)
    this.nodes = Array.from({ length: options.nodes ?? 3 }, (_, node) => this.start(node))
  }

  start(node: number): VirtualNode {
    const { keyTtlMs = 3_600_000, keysMax = 100_000, compactRevisions = 0, between = (kv) => kv } = this.options
    const kv = new MemoryKv(this.store, this.clock, this.random)
    const options: EtcdSequencerOptions = {
      kv: between(kv),
      peers: {
        self: node,
        live: () => this.nodes.map((other) => other.node).filter((other) => !this.thoughtDead.get(node)?.has(other)),
        call: (other, payload, timeoutMs) => this.#call(node, other, payload, timeoutMs),
      },
      clock: this.clock,
      random: this.random,
      logger: LOGGER,
      prefix: 'counter/',
      timeoutMs: 5000,
      keyTtlMs,
      keysMax,
      compactRevisions,
    }
    return { node, kv, engine: new EtcdSequencer(options) }
  }

  /** Carries on until the promise has its answer. @throws when it never will have one */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const watched = promise.finally(() => {
      settled = true
    })
    watched.catch(() => {})
    for (;;) {
      await drained()
      if (settled) return watched
      if (!this.clock.step() && !this.clock.advance()) throw new Error('waits for ever')
    }
  }

  async pass(ms: number): Promise<void> {
    await this.settle(new Promise<void>((resolve) => void this.clock.after(ms, resolve)))
  }

  async #call(from: number, to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    this.callCount++
    const { lost, unanswered, late } = this.calls
    const dice = this.random.uint32() % 1000
    const isUnanswered = dice >= lost && dice < lost + unanswered
    const isLate = dice >= lost + unanswered && dice < lost + unanswered + late
    const bytes = payload.slice()
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(timeoutMs, () => reject(new CounterError('PEER_UNREACHABLE', 'no answer')))
      if (dice < lost) return
      this.clock.after(isLate ? this.random.uint32() % 6000 : 1 + (this.random.uint32() % 3), async () => {
        const target = this.nodes.find(({ node }) => node === to)
        if (target === undefined) return
        const answer = await target.engine.answer(bytes, from)
        if (isUnanswered) return
        this.clock.after(1 + (this.random.uint32() % 3), () => {
          cancel()
          resolve(answer)
        })
      })
    })
  }
}
