// Memory stays bounded: however often nodes renewed their incarnations, once all agree each has but a few columns.

import { FOLD_AT_LEAST } from '../../lib/cluster/folding.ts'

/** Columns of a node: the folded one, old ones that do not pay a fold yet, and the one that it writes. */
const COLUMNS_MAX = 1 + (FOLD_AT_LEAST - 1) + 1

/** @param known node and incarnation of every entry of a vector; @param nodes those that are there to fold */
export function checkFolded(known: readonly string[], nodes: readonly number[]): string[] {
  const found: string[] = []
  for (const node of nodes) {
    const columns = known.filter((replica) => replica.startsWith(`${node}.`))
    if (columns.length > COLUMNS_MAX) found.push(`node ${node} has ${columns.length} columns: ${columns.join(' ')}`)
  }
  return found
}
