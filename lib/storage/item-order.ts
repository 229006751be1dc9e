// Which of two changes of one item is the later. The order is total and the same on all nodes: by stamp, then by node; of one node's by
// incarnation and number of the write, so that a life that was put under a new incarnation is sent on; and at last by what is said.

import type { DecodedItems } from './item-delta.ts'
import type { Items } from './items.ts'
import type { ReplicaId } from './vector.ts'

/** Above 0 when what the row holds is later than item `item` of the delta, 0 when they are the same. A row that was never set is earliest. */
export function compareStamps(items: Items, row: number, delta: DecodedItems, item: number, theirs: ReplicaId): number {
  const { cells } = items
  const stamp = cells.stampOf(row)
  if (stamp !== delta.stamp[item]!) return stamp - delta.stamp[item]!
  const ours = items.origins[cells.originOf(row)]!
  if (ours.node !== theirs.node) return ours.node - theirs.node
  if (ours.incarnation !== theirs.incarnation) return ours.incarnation - theirs.incarnation
  if (cells.seqOf(row) !== delta.seq[item]!) return cells.seqOf(row) - delta.seq[item]!
  return compareTenants(items, cells.tenantOf(row), delta, delta.tenant[item]!)
}

/** Deleted is later than any tenant. They differ only when two processes had one identity. */
function compareTenants({ tenants }: Items, ours: number, delta: DecodedItems, theirs: number): number {
  if (ours === 0 || theirs === 0) return theirs - ours
  const [from, to] = [delta.tenantFrom[theirs - 1]!, delta.tenantTo[theirs - 1]!]
  if (tenants.isNamed(ours - 1, delta.bytes, from, to)) return 0
  return Buffer.compare(tenants.nameOf(ours - 1), delta.bytes.subarray(from, to))
}
