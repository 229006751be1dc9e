// The router over shards: a request becomes parts for the shards that have its names; what comes back is gathered. It holds connections and
// what it last saw, and nothing that matters, so that any number may run.

import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { SlotMap } from '../cluster/index.ts'
import type { Batch } from '../storage/index.ts'
import { type Ask, Calls, type Target, type WriteAsk } from './calls.ts'
import { ShardGroup } from './group.ts'
import type { Part } from './part.ts'
import { type NamesPiece, type Piece, split } from './pieces.ts'
import { Prober } from './probe.ts'
import { type GatheredAll, Reads } from './reads.ts'
import { Replica, type ReplicaState } from './replica.ts'
import type { ShardTransport } from './transport.ts'
import { Writes } from './writes.ts'

export interface AggregatorOptions {
  /** The base URLs of each shard's replicas. */
  readonly shards: readonly (readonly string[])[]
  readonly transport: ShardTransport
  /** The bearer token of the shards. */
  readonly token: string | undefined
  /** For a request to a shard, in milliseconds. */
  readonly timeoutMs: number
  /** What a write that waits for other members may take longer. */
  readonly writeTimeoutMs: number
  readonly hedgeMs: number
  /** Connections to one replica. */
  readonly connectionsMax: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface ShardView {
  readonly shard: number
  readonly replicas: readonly {
    readonly url: string
    readonly state: ReplicaState
    readonly detail: string
    readonly stateMs: number
    readonly underWay: number
    readonly waiting: number
  }[]
}

/** How often each replica is asked whether it is there. */
const PROBE_INTERVAL_MS = 1_000
const PROBE_ASK: Ask = { id: 'probe', session: new Map() }

export class Aggregator {
  readonly map: SlotMap
  readonly #clock: Clock
  readonly #calls: Calls
  readonly #groups: readonly ShardGroup[]
  readonly #prober: Prober
  readonly #reads: Reads
  readonly #writes: Writes

  constructor(options: AggregatorOptions) {
    const { shards, transport, clock, random, logger, connectionsMax, hedgeMs, token, timeoutMs, writeTimeoutMs } = options
    this.#clock = clock
    this.map = SlotMap.even(shards.length)
    const calls = new Calls(this.map, token)
    const groups = shards.map((urls, shard) => {
      const replicas = urls.map((url) => new Replica({ url, transport, clock, connectionsMax }))
      return new ShardGroup({ shard, replicas, clock, hedgeMs })
    })
    const reads = new Reads({ calls, groups, timeoutMs, clock })
    this.#calls = calls
    this.#groups = groups
    this.#reads = reads
    this.#writes = new Writes({
      calls,
      groups,
      timeoutMs,
      writeTimeoutMs,
      turn: random.uint32(),
      onTotal: (shard, digits) => reads.noteTotal(shard, digits),
    })
    this.#prober = new Prober({
      map: this.map,
      groups,
      headers: calls.headers,
      intervalMs: PROBE_INTERVAL_MS,
      timeoutMs,
      clock,
      random,
      logger,
      // So that its last total is known when it is gone.
      onAnswer: (group) => void reads.totalOf(group, PROBE_ASK),
    })
  }

  /** Resolves when each replica has been asked once whether it is there. */
  start(): Promise<void> {
    return this.#prober.start()
  }

  stop(): void {
    this.#prober.stop()
  }

  view(): ShardView[] {
    return this.#groups.map(({ shard, replicas }) => ({
      shard,
      replicas: replicas.map(({ url, state, detail, stateMs, gate }) => {
        return { url, state, detail, stateMs, underWay: gate.taken, waiting: gate.waiting }
      }),
    }))
  }

  /** The names of a batch by shard. The batch may be used again when it has resolved. */
  split(batch: Batch): NamesPiece[] | Promise<NamesPiece[]> {
    const steps = split(batch, this.map)
    const first = steps.next()
    if (first.done) return first.value
    return new Promise((resolve, reject) => {
      const go = (): void => {
        try {
          const step = steps.next()
          if (step.done) resolve(step.value)
          else this.#clock.soon(go)
        } catch (error) {
          reject(error)
        }
      }
      this.#clock.soon(go)
    })
  }

  /** The shard that has a name, or the item of an id. */
  shardOf(name: string): number {
    return this.#calls.shardOf(name)
  }

  /** Sends the pieces, each to its shard. When a shard that is needed is known to be out of service, nothing is sent at all. */
  send(pieces: readonly Piece[], target: Target, ask: WriteAsk): Promise<Part[]> {
    return this.#writes.send(pieces, target, ask)
  }

  /** Adds to the total, on any shard that lives, each in its turn. */
  addToTotal(delta: bigint | number, ask: WriteAsk): Promise<Part> {
    return this.#writes.addToTotal(delta, ask)
  }

  /** The values of counters, in the order asked. */
  values(names: readonly string[], ask: Ask): Promise<GatheredAll> {
    return this.#reads.values(names, ask)
  }

  /** What each shard has of the total, in their order. */
  total(ask: Ask): Promise<GatheredAll> {
    return this.#reads.total(ask)
  }

  /** What each shard has of something that is the sum over all, in their order. @param field that ends the answer with the digits */
  sum(path: string, field: string, ask: Ask): Promise<GatheredAll> {
    return this.#reads.sum(path, field, ask)
  }

  /** The answer of one shard as it is. */
  readOne(shard: number, path: string, ask: Ask): Promise<Part> {
    return this.#reads.one(shard, path, ask)
  }

  /** The answers of all shards as they are, in their order. */
  readAll(path: string, ask: Ask): Promise<Part[]> {
    return this.#reads.all(path, ask)
  }
}
