// The state in memory: what other folders may use of it.

export type { Batch } from './batch.ts'
export { AMOUNT_WORDS } from './batch.ts'
export { DELTA_VERSION, DecodedDelta, ITEMS_VERSION, writeBlockHead } from './delta.ts'
export { DIGEST_BUCKETS } from './digest.ts'
export { encodeCells, encodeKnown, type PlainCell } from './encode-cells.ts'
export type { HeardTotals, Hearing } from './heard.ts'
export { STAMP_MAX } from './item-delta.ts'
export type { Item, ItemChange } from './items.ts'
export type { Count, ReplicaOptions } from './replica.ts'
export { Replica } from './replica.ts'
export type { SinceStart, SinceStep } from './since.ts'
export { type Slotted, SlottedView } from './slotted.ts'
export { type TenantCount, TenantList, type TenantPage, type TenantQuery } from './tenant-list.ts'
export type { ChangedTotals } from './totals.ts'
export type { ReplicaId } from './vector.ts'
export {
  decodeVector,
  encodeVector,
  FOLDED,
  LIST_INCARNATIONS,
  NODE_MAX,
  replicaKey,
  SEQ_MAX,
  SLOT_BASE,
  SLOTS_MAX,
  VersionVector,
} from './vector.ts'
