// The router over shards: what other folders may use of it.

export type { AggregatorOptions, ShardView } from './aggregator.ts'
export { Aggregator } from './aggregator.ts'
export type { Ask, Target, WriteAsk } from './calls.ts'
export type { HttpShardsOptions } from './http.ts'
export { HttpShards } from './http.ts'
export type { Part } from './part.ts'
export type { Piece } from './pieces.ts'
export type { Gathered, GatheredAll } from './reads.ts'
export type { LastKnown } from './recent.ts'
export type { ReplicaState } from './replica.ts'
export type { ShardCall, ShardReply, ShardTransport } from './transport.ts'
export { Unanswered } from './transport.ts'
