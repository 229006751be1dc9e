// Replicas, and how far each is known.
// A replica is one life of a node: (node id, incarnation). It alone writes its column, with sequence numbers 1, 2, 3, ...
// A vector says of each replica the number up to which everything is known; replicas it does not name are at 0.

import { assert } from '../base/assert.ts'
import type { ByteReader, ByteWriter } from '../base/bytes.ts'

/** Sequence numbers end here: a million writes a second reach it in 142 years. The codec needs one spare bit. */
export const SEQ_MAX = 2 ** 52 - 1
/** Node ids are integers in [0, NODE_MAX]. */
export const NODE_MAX = 2 ** 31 - 1
/** What an original node says of its slot n is kept under the node id SLOT_BASE + n, n below SLOTS_MAX; docs/decisions/0008. */
export const SLOT_BASE = 2 ** 31
export const SLOTS_MAX = 2 ** 16
/** The incarnation of a node's folded column; docs/decisions/0007. */
export const FOLDED = 1
/** Incarnations from here on are made of the content of an imported list; those of nodes are below for the next hundred years. */
export const LIST_INCARNATIONS = 2 ** 52
/** Bytes that an entry of an encoded vector takes at least. */
const ENTRY_BYTES_MIN = 3

export interface ReplicaId {
  /** The node id, in [0, NODE_MAX], or that of a slot, in [SLOT_BASE, SLOT_BASE + SLOTS_MAX). */
  readonly node: number
  /** In [0, 2^53). 0 is reserved for what was imported from the original system, which knows no incarnations. */
  readonly incarnation: number
}

/** The place of a write in the history of its column. Whoever knows it knows all that the same replica wrote before. */
export interface WriteAt {
  readonly replica: ReplicaId
  readonly seq: number
}

/** Whether the column is one of a node's own writes, each a number: not one of imports or slots, or a folded one. */
export const isWriter = ({ node, incarnation }: ReplicaId): boolean =>
  node <= NODE_MAX && incarnation > FOLDED && incarnation < LIST_INCARNATIONS

export const replicaKey = (replica: ReplicaId): string => `${replica.node}.${replica.incarnation}`

export class VersionVector {
  readonly #entries = new Map<string, { replica: ReplicaId; seq: number }>()
  /** By node, up to which incarnation all are folded: the number of the folded column. Those have no entries any more. */
  readonly #marks = new Map<number, number>()

  /** The number up to which the replica is known; SEQ_MAX of an incarnation that is folded. */
  get(replica: ReplicaId): number {
    return this.isFolded(replica) ? SEQ_MAX : (this.#entries.get(replicaKey(replica))?.seq ?? 0)
  }

  /** Raises the replica's number to `seq`; a lower one changes nothing. */
  raise(replica: ReplicaId, seq: number): void {
    assert(seq >= 0 && seq <= SEQ_MAX, 'a sequence number is in [0, 2^52)')
    if (seq <= this.get(replica)) return
    this.#entries.set(replicaKey(replica), { replica, seq })
    if (replica.incarnation === FOLDED && replica.node <= NODE_MAX) this.#fold(replica.node, seq)
  }

  #fold(node: number, mark: number): void {
    this.#marks.set(node, mark)
    for (const { replica } of this) if (this.isFolded(replica) && replica.node === node) this.#entries.delete(replicaKey(replica))
  }

  /** Whether the incarnation is one of those that the node's folded column includes as a whole. */
  isFolded({ node, incarnation }: ReplicaId): boolean {
    return incarnation > FOLDED && incarnation <= (this.#marks.get(node) ?? 0)
  }

  merge(other: VersionVector): void {
    for (const { replica, seq } of other) this.raise(replica, seq)
  }

  copy(): VersionVector {
    const copy = new VersionVector()
    // Entries are replaced and never changed, so both may have them.
    for (const [key, entry] of this.#entries) copy.#entries.set(key, entry)
    for (const [node, mark] of this.#marks) copy.#marks.set(node, mark)
    return copy
  }

  /** Whether all that `other` knows is known here. */
  covers(other: VersionVector): boolean {
    for (const { replica, seq } of other) if (this.get(replica) < seq) return false
    return true
  }

  equals(other: VersionVector): boolean {
    return this.covers(other) && other.covers(this)
  }

  /** How many writes are known here and not to `other`. */
  changesBeyond(other: VersionVector): number {
    let changes = 0
    for (const { replica, seq } of this) {
      const beyond = Math.max(0, seq - other.get(replica))
      // The number of a folded column is an incarnation, and a fold is one change.
      changes += replica.incarnation === FOLDED ? Math.min(beyond, 1) : beyond
    }
    return changes
  }

  /** The greatest incarnation of a node that is known and was not made of a list; 0 when there is none. */
  incarnationOf(node: number): number {
    let greatest = this.#marks.get(node) ?? 0
    for (const { replica } of this) {
      if (replica.node === node && replica.incarnation < LIST_INCARNATIONS) greatest = Math.max(greatest, replica.incarnation)
    }
    return greatest
  }

  get size(): number {
    return this.#entries.size
  }

  [Symbol.iterator](): IterableIterator<{ replica: ReplicaId; seq: number }> {
    return this.#entries.values()
  }
}

/** Appends the vector: how many entries, and of each node, incarnation and sequence number. */
export function encodeVector(writer: ByteWriter, vector: VersionVector): void {
  writer.varint(vector.size)
  for (const { replica, seq } of vector) {
    writer.varint(replica.node)
    writer.varint(replica.incarnation)
    writer.varint(seq)
  }
}

/** Reads what encodeVector has written. @throws CounterError with the reader's code when it is malformed */
export function decodeVector(reader: ByteReader): VersionVector {
  const vector = new VersionVector()
  decodeVectorInto(reader, vector)
  return vector
}

/** Joins what encodeVector has written into `vector`. @throws as decodeVector */
export function decodeVectorInto(reader: ByteReader, vector: VersionVector): void {
  const count = reader.varint()
  if (count * ENTRY_BYTES_MIN > reader.left) reader.fail(`vector of ${count} entries does not fit`)
  for (let index = 0; index < count; index++) {
    const replica = readReplica(reader)
    vector.raise(replica, readSeq(reader))
  }
}

export function readReplica(reader: ByteReader): ReplicaId {
  const node = reader.varint()
  if (node > NODE_MAX && (node < SLOT_BASE || node >= SLOT_BASE + SLOTS_MAX)) reader.fail(`node id ${node}`)
  return { node, incarnation: reader.varint() }
}

export function readSeq(reader: ByteReader): number {
  const seq = reader.varint()
  if (seq > SEQ_MAX) reader.fail(`sequence number ${seq}`)
  return seq
}
