// The public port. What other folders may use of it.

export type { ApiOptions } from './app.ts'
export { createApi } from './app.ts'
export type { Api, AppOptions } from './assembly.ts'
export { findAssets } from './assets.ts'
export type {
  Accepted,
  ApiCluster,
  ClusterStatus,
  Lag,
  MemberStatus,
  Reached,
  WriteAt,
  WriteLevel,
} from './cluster.ts'
export type { ApiLogger } from './endpoint.ts'
export type { Metrics } from './metrics.ts'
export { createMetrics } from './metrics.ts'
export { openapi } from './openapi.ts'
export type { Readiness, ReadinessCheck } from './operating.ts'
export type { ItemsCompat } from './original-items.ts'
export type { ApiSequences } from './sequences.ts'
export type { Listening, PublicServerOptions, ServerTimeouts } from './server.ts'
export { PublicServer } from './server.ts'
export type { ApiShard } from './shard.ts'
export type { ShardsApiOptions } from './shards/app.ts'
export { createShardsApi } from './shards/app.ts'
export type { ApiShards } from './shards/router.ts'
export type { ApiSlots, KeptSlots } from './slots.ts'
export type { ApiStore, Incremented, Once, StoredReply, TenantsFound, TenantsPage } from './store.ts'
