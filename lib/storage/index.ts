// The state in memory: what other folders may use of it.

export type { Batch } from './batch.ts'
export { AMOUNT_WORDS } from './batch.ts'
export { batchBytesMax, decodeBatch, encodeBatch, opposite } from './batch-codec.ts'
export { BLOCK_COLUMNS_MAX, DELTA_VERSION, DecodedDelta, ITEMS_VERSION, writeBlockHead } from './delta.ts'
export { DIGEST_BUCKETS } from './digest.ts'
export { encodeCells, encodeKnown, type PlainCell } from './encode-cells.ts'
export type { HeardTotals, Hearing } from './heard.ts'
export { STAMP_MAX } from './item-delta.ts'
export type { Item, ItemChange } from './items.ts'
export { indexLoaded } from './load-index.ts'
export type { ReplicaOptions } from './replica.ts'
export { Replica } from './replica.ts'
export type { KeptReply, Once, PlacedReply, RepliesOptions, StoredReply } from './replies.ts'
export { Replies } from './replies.ts'
export { readPlaced, readReply, writePlaced, writeReply } from './reply-codec.ts'
export type { SinceStart, SinceStep } from './since.ts'
export { type Slotted, SlottedView } from './slotted.ts'
export { type TenantCount, TenantList, type TenantPage, type TenantQuery } from './tenant-list.ts'
export { Tentative, type TentativeWrite } from './tentative.ts'
export type { ChangedTotals } from './totals.ts'
export type { Count } from './values.ts'
export type { ReplicaId, WriteAt } from './vector.ts'
export {
  decodeVector,
  encodeVector,
  FOLDED,
  isWriter,
  LIST_INCARNATIONS,
  NODE_MAX,
  readReplica,
  readSeq,
  replicaKey,
  SEQ_MAX,
  SLOT_BASE,
  SLOTS_MAX,
  VersionVector,
} from './vector.ts'
