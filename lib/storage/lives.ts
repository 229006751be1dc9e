// What is known of the lives of a node, which are its incarnations: from the vector, and from all that goes beyond it.

import type { Column } from './column.ts'
import type { Items } from './items.ts'
import type { Replies } from './replies.ts'
import { FOLDED, type ReplicaId, SLOT_BASE, VersionVector } from './vector.ts'

/** What a replica knows. */
export interface Known {
  readonly vector: VersionVector
  readonly columns: readonly Column[]
  readonly items: Items
}

/** The greatest incarnation of the node that is known, in a column or the vector, and was not made of a list; or 0. */
export function greatestIncarnation({ vector, columns, items }: Known, node: number): number {
  const known = vector.copy()
  for (const { replica } of columns) known.raise(replica, 1)
  for (const replica of items.origins) known.raise(replica, 1)
  return known.incarnationOf(node)
}

/**
 * How far anything has come that a life of a node wrote: the greatest number in a cell, an item, a reply or in the vector of each column of the
 * node, and of the columns of slots that this life has heard.
 */
export function traces(known: Known, replies: Replies, { node, incarnation }: ReplicaId): VersionVector {
  const isTheirs = (replica: ReplicaId): boolean =>
    replica.node === node || (replica.node >= SLOT_BASE && replica.incarnation === incarnation)
  const traces = reached(known, isTheirs, isTheirs)
  for (const { replica, seq } of replies.last()) if (isTheirs(replica)) traces.raise(replica, seq)
  return traces
}

/**
 * What is known of a node's incarnations, as folding asks: where single cells of one go beyond the vector, up to where they go; what
 * is folded, as far as the vector says.
 */
export function lives(known: Known, node: number): VersionVector {
  const isTheirs = (replica: ReplicaId): boolean => replica.node === node
  return reached(known, isTheirs, (replica) => isTheirs(replica) && replica.incarnation !== FOLDED)
}

/** The greatest numbers of some replicas, in the vector, in items, and in the cells of those with `isOfCells`. */
function reached(
  { vector, columns, items: { origins, highest } }: Known,
  isTheirs: (replica: ReplicaId) => boolean,
  isOfCells: (replica: ReplicaId) => boolean,
): VersionVector {
  const reached = new VersionVector()
  for (const { replica, seq } of vector) if (isTheirs(replica)) reached.raise(replica, seq)
  for (const { replica, highest } of columns) if (isOfCells(replica)) for (const seq of highest) reached.raise(replica, seq)
  for (const [number, replica] of origins.entries()) if (isTheirs(replica)) reached.raise(replica, highest[number]!)
  return reached
}
