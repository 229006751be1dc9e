// What an API over shards needs of the router behind it. lib/aggregator has it. What became of a request to a shard is data here and no error,
// because the other shards may have done well.

import type { SlotMap } from '../../cluster/index.ts'
import type { Batch } from '../../storage/index.ts'
import type { WriteLevel } from '../cluster.ts'
import type { Once } from '../store.ts'

/** What goes along with each request of a client. */
export interface Ask {
  /** The request id. */
  readonly id: string
  /** Of each shard, its own part of the session. */
  readonly session: ReadonlyMap<number, string>
}

export interface WriteAsk extends Ask {
  readonly once: Once | undefined
  readonly level: WriteLevel | undefined
}

/** What became of one request to a shard. */
export type Part = { readonly shard: number } & (
  | {
      readonly state: 'done'
      readonly status: number
      readonly body: string
      readonly session: string | undefined
      readonly level: string | undefined
      readonly replayed: boolean
    }
  /** The shard says no, in a problem document. */
  | { readonly state: 'refused'; readonly status: number; readonly body: string; readonly retryAfter: string | undefined }
  /** Nothing was counted: it was not sent, or the shard is not in service. */
  | { readonly state: 'unsent' | 'busy'; readonly detail: string }
  /** It was sent and not answered; it may have been counted. */
  | { readonly state: 'unknown'; readonly detail: string }
)

export interface LastKnown {
  readonly digits: string
  readonly ageMs: number
}

/** A value as digits; undefined where the shard is missing, with what was last seen. */
export interface Gathered {
  readonly value: string | undefined
  readonly lastKnown: LastKnown | undefined
  readonly shard: number
}

export interface GatheredAll {
  readonly values: readonly Gathered[]
  readonly missing: readonly Part[]
  readonly refused: Part | undefined
  readonly sessions: ReadonlyMap<number, string>
}

export interface ShardView {
  readonly shard: number
  readonly replicas: readonly {
    readonly url: string
    readonly state: 'unknown' | 'up' | 'down' | 'conflict'
    readonly detail: string
    readonly stateMs: number
    readonly underWay: number
    readonly waiting: number
  }[]
}

/** A part of a write: of which shard it is, and its body, if it has one. */
export interface ShardPiece {
  readonly shard: number
  readonly body: Uint8Array | undefined
}

/** What is asked of each shard that has a part in a write. */
export interface ShardTarget {
  readonly method: 'POST' | 'DELETE'
  /** With its query. */
  readonly path: string
}

export interface ApiShards {
  readonly map: SlotMap
  view(): readonly ShardView[]
  /** The shard that has a name, or the item of an id. */
  shardOf(name: string): number
  /** Names as bodies of `POST /v1/increments`, by shard. The batch may be used again when it has resolved. */
  split(batch: Batch): readonly ShardPiece[] | Promise<readonly ShardPiece[]>
  /**
   * When a shard that is needed is known to be out of service, nothing is sent, and the parts are those of such shards alone. Several pieces of one
   * shard are sent in order, up to the first that fails.
   */
  send(pieces: readonly ShardPiece[], target: ShardTarget, ask: WriteAsk): Promise<readonly Part[]>
  addToTotal(delta: number | bigint, ask: WriteAsk): Promise<Part>
  values(names: readonly string[], ask: Ask): Promise<GatheredAll>
  total(ask: Ask): Promise<GatheredAll>
  /** What each shard has of something that is the sum over all, in their order. @param field that ends the answer with the digits */
  sum(path: string, field: string, ask: Ask): Promise<GatheredAll>
  readOne(name: string, path: string, ask: Ask): Promise<Part>
  readAll(path: string, ask: Ask): Promise<readonly Part[]>
}
