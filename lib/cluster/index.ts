// Who belongs to the cluster, who of them answers, and which shard has which names: what other folders may use of it.

export { type Accept, AcceptanceRefused, Ballot, type BallotOptions, type Refusal } from './ballot.ts'
export type { View } from './folding.ts'
export { admitsFold, decideFold, FOLD_AT_LEAST, FOLD_AT_MOST, viewOf } from './folding.ts'
export type { Fold, Member, MemberState } from './member.ts'
export {
  ADDRESS_BYTES_MAX,
  EDITION_MAX,
  MEMBERS_MAX,
  readAddress,
  readMember,
  readMembers,
  writeMember,
  writeMembers,
} from './members.ts'
export type { MembershipOptions } from './membership.ts'
export { Membership } from './membership.ts'
export { slotOfKey, slotsOfBatch, slotsOfIds } from './named-slots.ts'
export type { Former, Moving, PlainSlotMap, SlotRange } from './slot-map.ts'
export { flagsOf, SHARDS_MAX, SlotMap } from './slot-map.ts'
export { type Batch, forget, freeze, handOver, nextBatch, release, slotsToMove, widen } from './slot-moves.ts'
export { SLOTS, slotOf } from './slots.ts'
export { eraOf, hasPart, isPart, openPart, TOTAL_NAME } from './total-parts.ts'
