// What a mover asks of a replica of a shard. Each request may be repeated, arrive late or twice: all that changes anything is fenced by the tag of
// a map, and says what is to be, never what is to be added. The shapes are those of JSON; numbers that count travel as digits.

import type { PlainSlotMap } from '../cluster/index.ts'

/** How far something that a replica has written is known: node, incarnation, sequence number. */
export type Known = readonly [node: number, incarnation: number, seq: number]

/** A replica as it sees itself. */
export interface View {
  readonly node: number
  /** The map that it keeps and which shard it is; undefined: none. */
  readonly kept: { readonly map: PlainSlotMap; readonly shard: number } | undefined
  /** Node ids of its cluster, its own included, but for those that have left. */
  readonly members: readonly number[]
  /** All that it knows, on disk. */
  readonly known: readonly Known[]
  readonly names: number
  readonly items: number
  /** Names that it knows by key alone, as from an import: nobody can say their slots. */
  readonly nameless: number
  /** Writes that another replica has counted too, and that are still to be taken back here. */
  readonly withdrawalsDue: number
  /** Bytes that names and items take in memory. */
  readonly tableBytes: number
}

/** Counters with their values, and items with their tenants; null: no such item. */
export interface Contents {
  readonly counters: readonly (readonly [name: string, digits: string])[]
  readonly items: readonly (readonly [id: string, tenant: string | null])[]
}

export interface Page extends Contents {
  /** Where the next page begins, for this life of the replica; null: there is none. */
  readonly next: number | null
}

/** What tells the contents of the slots on their way from any other: how many, and the sum of a digest of each. */
export interface Digest {
  readonly counters: number
  readonly items: number
  readonly sum: string
}

/** The replies that a replica keeps under a key of an aggregator. */
export interface Counted {
  /** Of each, the version of the map under which it was given. */
  readonly versions: readonly number[]
  /** Whether one of them came in several pieces. */
  readonly pieces: boolean
  /** What the first one says; '' where there is none. */
  readonly body: string
}

export interface KeepRequest {
  readonly map: PlainSlotMap
  readonly shard: number
  /** The tag of the map that the replica has to keep now; null: any older one. */
  readonly after: string | null
}

export interface ShardPort {
  /** Where it is, for messages. */
  readonly url: string
  look(): Promise<View>
  /** Resolves when the replica keeps the map, durably, and no write under an older one is under way. */
  keep(request: KeepRequest): Promise<void>
  /** Whether the replica knows all of this, durably, within its time. */
  know(known: readonly Known[]): Promise<boolean>
  /** What the replica holds of the slots on their way. */
  take(request: { readonly tag: string; readonly from: number }): Promise<Page>
  /** What it holds of these, whatever that is. */
  find(request: { readonly tag: string; readonly names: readonly string[]; readonly ids: readonly string[] }): Promise<Contents>
  /** Makes what the replica holds be this; of what is not named nothing is said. Resolves when it is durable. */
  put(request: { readonly tag: string } & Contents): Promise<void>
  digest(request: { readonly tag: string }): Promise<Digest>
}
