// A write level means what it says: when it is met, so many disks hold the increment.

import type { ClusterOp } from './cluster-ledger.ts'

export interface Reached {
  readonly reached: number
  readonly members: number
  readonly met: boolean
}

/** @param membersLeast how many members the node must know of by then */
export function checkLevel(
  op: Pick<ClusterOp, 'name' | 'level' | 'everHeld'>,
  { reached, members, met }: Reached,
  membersLeast: number,
): string[] {
  if (!met) return []
  const needed = op.level === 'all' ? members : op.level === 'majority' ? Math.floor(members / 2) + 1 : 1
  const found: string[] = []
  if (members < membersLeast) found.push(`${op.name} counted ${members} members, and there are ${membersLeast}`)
  if (reached < needed) found.push(`${op.name} met ${op.level} of ${members} with ${reached}`)
  if (op.everHeld.size < Math.max(needed, reached)) {
    found.push(`${op.name} met ${op.level} of ${members} with ${reached}, and ${op.everHeld.size} disks held it`)
  }
  return found
}
