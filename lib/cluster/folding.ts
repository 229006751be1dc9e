// When old incarnations of a node may become one column: when every member was heard to know exactly the same of all of them. Nobody writes
// them any more, so whoever knows the last number of one knows it for good, and what all members know alike nobody can
// still bring as news. The node itself decides for its own; the others fold when they find that they know the very same. Why this
// is enough: docs/decisions/0007.

import { FOLDED, LIST_INCARNATIONS, type ReplicaId, VersionVector } from '../storage/index.ts'
import type { Fold } from './member.ts'

/** So many old incarnations at least, so that a restart does not each time cost a pass over all names. */
export const FOLD_AT_LEAST = 4
/** So many at most, so that it can be told; the rest is for the next one. */
export const FOLD_AT_MOST = 256

/**
 * What the own node may fold of its own old incarnations; undefined when there is too little.
 * @param own what is known here, and where single cells go beyond that, up to where they go
 * @param others what each other member, dead ones too, was last heard to know
 */
export function decideFold(self: ReplicaId, own: VersionVector, others: readonly VersionVector[]): Fold | undefined {
  const { node } = self
  const folded = { node, incarnation: FOLDED }
  // Who has folded more does not say any more what it knew of each: that comes from there, as a whole.
  if (others.some((other) => other.get(folded) > own.get(folded))) return undefined
  const agreed: Array<{ incarnation: number; seq: number }> = []
  for (const { incarnation, seq } of livesOf(own, node)) {
    const replica = { node, incarnation }
    if (incarnation >= self.incarnation || agreed.length === FOLD_AT_MOST) break
    if (others.some((other) => other.get(replica) !== seq)) break
    agreed.push({ incarnation, seq })
  }
  const mark = agreed.at(-1)?.incarnation ?? 0
  // One that only others know of stands between.
  const unknown = others.some((other) =>
    livesOf(other, node).some(({ incarnation }) => incarnation <= mark && own.get({ node, incarnation }) === 0),
  )
  if (agreed.length < FOLD_AT_LEAST || unknown) return undefined
  const base = own.get(folded)
  return { node, mark, finals: base === 0 ? agreed : [{ incarnation: FOLDED, seq: base }, ...agreed] }
}

/**
 * Whether exactly what the fold says is known of the node's incarnations up to its mark, and the folded column that they are added to: who
 * met a wiped node before the others did knows its new ones, and nothing of those that were folded before.
 * @param own as for decideFold
 */
export function admitsFold(own: VersionVector, { node, mark, finals }: Fold): boolean {
  const folded = own.get({ node, incarnation: FOLDED })
  const base = finals.find(({ incarnation }) => incarnation === FOLDED)?.seq ?? 0
  if (folded >= mark || folded < base) return false
  const lives = livesOf(own, node).filter(({ incarnation }) => incarnation <= mark)
  const known = new Map(lives.map(({ incarnation, seq }) => [incarnation, seq]))
  const open = finals.filter(({ incarnation }) => incarnation > FOLDED && !own.isFolded({ node, incarnation }))
  return open.length === known.size && open.every(({ incarnation, seq }) => known.get(incarnation) === seq)
}

/** What an answerer shows to an asker. */
export interface View {
  /** What the answer completes. */
  readonly own: VersionVector
  /** What the asker need not be sent: what it knows, and the folded columns that it makes itself. */
  readonly known: VersionVector
  /** An earlier vector of the answerer, shown in the same way. */
  readonly shown: (vector: VersionVector) => VersionVector
}

/**
 * Who can fold for itself what the answerer has just folded is shown what was before, and counts as one that has the folded column: it
 * is not sent that, and is not told that it has it.
 * @param folds those that the answerer has done or heard
 */
export function viewOf(folds: readonly Fold[], own: VersionVector, asker: VersionVector): View {
  const isDone = (vector: VersionVector, { node, mark }: Fold) => vector.get({ node, incarnation: FOLDED }) === mark
  const apart = folds.filter((fold) => isDone(own, fold) && admitsFold(asker, fold))
  const shown = (vector: VersionVector): VersionVector =>
    apart.reduce((before, fold) => (isDone(before, fold) ? beforeFold(before, asker, fold) : before), vector)
  const known = asker.copy()
  for (const { node, mark } of apart) known.raise({ node, incarnation: FOLDED }, mark)
  return { own: shown(own), known, shown }
}

/** What `known`, which has folded, was before, as the asker understands it. */
function beforeFold(known: VersionVector, asker: VersionVector, { node, finals }: Fold): VersionVector {
  const folded = { node, incarnation: FOLDED }
  const before = new VersionVector()
  for (const { replica, seq } of known) if (replica.node !== node || replica.incarnation !== FOLDED) before.raise(replica, seq)
  before.raise(folded, asker.get(folded))
  for (const { incarnation, seq } of finals) before.raise({ node, incarnation }, seq)
  return before
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
