// When old incarnations of a node may become one column: when every member was heard to know exactly the same of all of them. Nobody writes
// them any more, so whoever knows the last number of one knows it for good, and what all members know alike nobody can
// still bring as news. The node itself decides for its own; the others fold when they find that they know the very same. Why this
// is enough: docs/decisions/0007.

import { FOLDED, LIST_INCARNATIONS, type ReplicaId, type VersionVector } from '../storage/index.ts'
import type { Fold } from './member.ts'

/** So many old incarnations at least, so that a restart does not each time cost a pass over all names. */
export const FOLD_AT_LEAST = 4

/**
 * What the own node may fold of its own old incarnations; undefined when there is too little.
 * @param others what each other member, dead ones too, was last heard to know
 */
export function decideFold(self: ReplicaId, own: VersionVector, others: readonly VersionVector[]): Fold | undefined {
  const old = livesOf(own, self.node).filter(({ incarnation }) => incarnation < self.incarnation)
  const agreed: Array<{ incarnation: number; seq: number }> = []
  for (const { incarnation, seq } of old) {
    const replica = { node: self.node, incarnation }
    if (others.some((other) => !other.isFolded(replica) && other.get(replica) !== seq)) break
    agreed.push({ incarnation, seq })
  }
  const mark = agreed.at(-1)?.incarnation ?? 0
  // One that only others know of stands between.
  const unknown = others.some((other) =>
    livesOf(other, self.node).some(({ incarnation }) => incarnation <= mark && own.get({ node: self.node, incarnation }) === 0),
  )
  if (agreed.length < FOLD_AT_LEAST || unknown) return undefined
  return { node: self.node, mark, finals: agreed }
}

/** Whether exactly what the fold says is known of the node's incarnations up to its mark. */
export function admitsFold(own: VersionVector, { node, mark, finals }: Fold): boolean {
  const lives = livesOf(own, node).filter(({ incarnation }) => incarnation <= mark)
  if (own.get({ node, incarnation: FOLDED }) >= mark) return false
  const known = new Map(lives.map(({ incarnation, seq }) => [incarnation, seq]))
  const open = finals.filter(({ incarnation }) => !own.isFolded({ node, incarnation }))
  return open.length === known.size && open.every(({ incarnation, seq }) => known.get(incarnation) === seq)
}

/** The node's incarnations that may be folded and are not, ascending. */
function livesOf(vector: VersionVector, node: number): Array<{ incarnation: number; seq: number }> {
  const lives: Array<{ incarnation: number; seq: number }> = []
  for (const { replica, seq } of vector) {
    const { incarnation } = replica
    if (replica.node === node && incarnation > FOLDED && incarnation < LIST_INCARNATIONS) lives.push({ incarnation, seq })
  }
  return lives.sort((left, right) => left.incarnation - right.incarnation)
}
