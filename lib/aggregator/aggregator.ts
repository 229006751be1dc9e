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
import { Steady } from './steady.ts'
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
  readonly #options: AggregatorOptions
  readonly #clock: Clock
  readonly #calls: Calls
  readonly #groups: ShardGroup[]
  readonly #prober: Prober
  readonly #reads: Reads
  readonly #writes: Writes
  readonly #steady: Steady

  constructor(options: AggregatorOptions) {
    const { shards, clock, random, logger, token, timeoutMs, writeTimeoutMs } = options
    this.#clock = clock
    this.#options = options
    const calls = new Calls(SlotMap.even(shards.length), token)
    const groups = shards.map((urls, shard) => this.#groupOf(shard, urls))
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
      onTotal: (map, shard, digits) => reads.noteTotal(map, shard, digits),
    })
    this.#prober = new Prober({
      map: () => calls.map,
      onMap: (map) => this.#adopt(map),
      groups,
      headers: calls.headers,
      intervalMs: PROBE_INTERVAL_MS,
      timeoutMs,
      clock,
      random,
      logger,
      // So that its last total is known when it is gone.
      onAnswer: (group) => {
        if (group.shard < calls.map.shards) void reads.totalOf(group, PROBE_ASK)
      },
    })
    this.#steady = new Steady({ calls, groups, writes: this.#writes, prober: this.#prober, timeoutMs, clock })
  }

  /** The map that requests go by now. */
  get map(): SlotMap {
    return this.#calls.map
  }

  /** Goes by a later version of the map, if all its shards are known. */
  #adopt(map: SlotMap): boolean {
    const { logger } = this.#options
    for (let shard = this.#groups.length; shard < map.shards; shard++) {
      const urls = map.urls[shard]
      if (urls === undefined) return false
      const group = this.#groupOf(shard, urls)
      this.#groups.push(group)
      logger.info({ shard, replicas: urls }, 'there is a shard more')
      void this.#prober.watch(group)
    }
    logger.debug({ map: map.tag }, 'goes by another version of the map of slots')
    this.#calls.map = map
    return true
  }

  #groupOf(shard: number, urls: readonly string[]): ShardGroup {
    const { transport, clock, connectionsMax, hedgeMs } = this.#options
    const replicas = urls.map((url) => new Replica({ url, transport, clock, connectionsMax }))
    return new ShardGroup({ shard, replicas, clock, hedgeMs })
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
    return this.#steady.send(pieces, target, ask)
  }

  /** Adds to the total, on any shard that lives, each in its turn; with a key on the one that has the slot of the key. */
  addToTotal(delta: bigint | number, ask: WriteAsk): Promise<Part> {
    return this.#steady.addToTotal(delta, ask)
  }

  /** The values of counters, in the order asked. */
  values(names: readonly string[], ask: Ask): Promise<GatheredAll> {
    return this.#steady.read(() => this.#reads.values(names, ask), missingOf)
  }

  /** What each shard has of the total, in their order. */
  total(ask: Ask): Promise<GatheredAll> {
    return this.#steady.read(() => this.#reads.total(ask), missingOf)
  }

  /** What each shard has of something that is the sum over all, in their order. @param field that ends the answer with the digits */
  sum(path: string, field: string, ask: Ask): Promise<GatheredAll> {
    return this.#steady.read(() => this.#reads.sum(path, field, ask), missingOf)
  }

  /** The answer of the shard that has the name, as it is. */
  readOne(name: string, path: string, ask: Ask): Promise<Part> {
    return this.#steady.read(
      () => this.#reads.one(this.shardOf(name), path, ask),
      (part) => [part],
    )
  }

  /** The answers of all shards as they are, in their order. */
  readAll(path: string, ask: Ask): Promise<Part[]> {
    return this.#steady.read(
      () => this.#reads.all(path, ask),
      (parts) => parts,
    )
  }
}

const missingOf = ({ missing }: GatheredAll): readonly Part[] => missing
