// Replicas, and how far each is known.
// A replica is one life of a node: (node id, incarnation). It alone writes its column, with sequence numbers 1, 2, 3, ...
// A vector says of each replica the number up to which everything is known; replicas it does not name are at 0.

import { assert } from '../base/assert.ts'

/** Sequence numbers end here: a million writes a second reach it in 142 years. The codec needs one spare bit. */
export const SEQ_MAX = 2 ** 52 - 1
/** Node ids are integers in [0, NODE_MAX]. */
export const NODE_MAX = 2 ** 31 - 1

export interface ReplicaId {
  /** The node id, in [0, NODE_MAX]. */
  readonly node: number
  /** In [0, 2^53). 0 is reserved for what was imported from the original system, which knows no incarnations. */
  readonly incarnation: number
}

export const replicaKey = (replica: ReplicaId): string => `${replica.node}.${replica.incarnation}`

export class VersionVector {
  readonly #entries = new Map<string, { replica: ReplicaId; seq: number }>()

  get(replica: ReplicaId): number {
    return this.#entries.get(replicaKey(replica))?.seq ?? 0
  }

  /** Raises the replica's number to `seq`; a lower one changes nothing. */
  raise(replica: ReplicaId, seq: number): void {
    assert(seq >= 0 && seq <= SEQ_MAX, 'a sequence number is in [0, 2^52)')
    if (seq > this.get(replica)) this.#entries.set(replicaKey(replica), { replica, seq })
  }

  merge(other: VersionVector): void {
    for (const { replica, seq } of other) this.raise(replica, seq)
  }

  copy(): VersionVector {
    const copy = new VersionVector()
    copy.merge(this)
    return copy
  }

  get size(): number {
    return this.#entries.size
  }

  [Symbol.iterator](): IterableIterator<{ replica: ReplicaId; seq: number }> {
    return this.#entries.values()
  }
}
