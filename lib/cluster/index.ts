// Who belongs to the cluster, and who of them answers: what other folders may use of it.

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
