// Shards whose slots move: what other folders may use of it.

export { Custody, type CustodyStore, type CustodyView, type Kept, type Refusal } from './custody.ts'
export { withVersion } from './kept-replies.ts'
export { Mover, type MoverOptions, type Plan, type Survey } from './mover.ts'
export { type Leg, outlookOf } from './outlook.ts'
export type { Contents, Counted, Digest, KeepRequest, Known, Page, ShardPort, View } from './port.ts'
export { type Answering, answerQuestion } from './questions.ts'
export { RemoteReplica, type RemoteTransport } from './remote.ts'
export { type Amounts, type ShardCluster, ShardReplica, type ShardReplicaOptions, type ShardStore } from './replica.ts'
