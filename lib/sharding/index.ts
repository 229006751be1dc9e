// Shards whose slots move: what other folders may use of it.

export { Custody, type CustodyStore, type Kept, type Refusal, slotsOfBatch, slotsOfNames } from './custody.ts'
export { Mover, type MoverOptions, type Plan } from './mover.ts'
export type { Contents, Digest, KeepRequest, Known, Page, ShardPort, View } from './port.ts'
export { type Amounts, type ShardCluster, ShardReplica, type ShardReplicaOptions, type ShardStore } from './replica.ts'
