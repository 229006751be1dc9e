// Tentative writes: own writes with an idempotency key that can still be taken back. A client that got no answer from one node asks another, which
// may not know the key yet; then both have counted it. Each tells the other of the key with what it has counted. Of all writes under one key one
// stays: one that cannot be taken back, else the first (by wall clock, then node, incarnation and number). Everybody orders them alike, so
// everybody else withdraws: subtracts what it had added, once the cells of the one that stays are here: nobody ever shows neither.
// A write stays tentative until it is settled: each member knows of it, so that none will count the key any more, and all that they had counted
// before they knew is known here. docs/decisions/0017.

import type { KeptReply, PlacedReply, Replies } from './replies.ts'
import type { ReplicaId, VersionVector, WriteAt } from './vector.ts'

export interface TentativeWrite {
  readonly kept: PlacedReply
  /** What it has added: see batch-codec.ts. */
  readonly batch: Uint8Array
}

/** Whether all that a write at a place has added is here; `batch` is the same that it has added. */
export type Holds = (at: WriteAt, batch: Uint8Array) => boolean

/** Bytes of the objects around a write, about. */
const ENTRY_BYTES = 500

export class Tentative {
  readonly #replies: Replies
  /** By key, in the order of the writes. */
  readonly #writes = new Map<string, TentativeWrite>()
  readonly #holds: Holds
  /** Those that have lost, and against which others. */
  readonly #lost = new Map<TentativeWrite, WriteAt[]>()
  /** An incarnation that was given up, and the number of its last write: what it made tentative is not taken back until this is confirmed. */
  #former: WriteAt | undefined
  /** Bytes that they take, about. */
  bytes = 0

  constructor(replies: Replies, holds: Holds) {
    this.#replies = replies
    this.#holds = holds
  }

  get size(): number {
    return this.#writes.size
  }

  /** How many are to be withdrawn, now or when the others are here. */
  get lost(): number {
    return this.#lost.size
  }

  /** Bytes that a write takes with a batch of so many. */
  static bytesOf(batchBytes: number): number {
    return ENTRY_BYTES + batchBytes
  }

  /** One that was made here, or read from the disk, where others with its key may be known already. */
  add(write: TentativeWrite): void {
    const { key } = write.kept
    // Only after the key was forgotten: that one stays as it is.
    this.#forget(this.#writes.get(key))
    this.#writes.set(key, write)
    this.bytes += Tentative.bytesOf(write.batch.length)
    for (const other of this.#replies.ofKey(key)) this.#compare(write, other)
  }

  /** Another reply is known. */
  heard(kept: KeptReply): void {
    const write = this.#writes.get(kept.key)
    if (write !== undefined) this.#compare(write, kept)
  }

  #compare(write: TentativeWrite, other: KeptReply): void {
    if (other.origin === undefined || !this.#isSame(write.kept, other) || !precedes(other, write.kept)) return
    const others = this.#lost.get(write)
    if (others === undefined) this.#lost.set(write, [other.origin])
    else others.push(other.origin)
  }

  /** Whether both answer one request; a key may be used for another one later. */
  #isSame(left: KeptReply, right: KeptReply): boolean {
    return Buffer.compare(left.fingerprint, right.fingerprint) === 0 && Math.abs(left.at - right.at) <= this.#replies.ttlMs
  }

  /** Those that are to be withdrawn now. Cost: a look at the cells of each that has lost. */
  due(): TentativeWrite[] {
    return Array.from(this.#lost.keys()).filter((write) => this.isDue(write))
  }

  /** Whether it has lost against one that is here. Of one that is not, the disk may be lost before it comes. */
  isDue(write: TentativeWrite): boolean {
    if (this.#former !== undefined && isOf(write, this.#former)) return false
    return this.#lost.get(write)?.some((other) => this.#holds(other, write.batch)) ?? false
  }

  /** It has been withdrawn, or cannot be. */
  end(write: TentativeWrite): void {
    this.#forget(write)
  }

  /** The write at a place has been withdrawn: as a log says. */
  withdrawn(at: WriteAt, key: string): void {
    const write = this.#writes.get(key)
    if (write !== undefined && isSameWrite(write.kept.origin, at)) this.#forget(write)
  }

  /**
   * Lets go of those that are settled. One that has lost against others of which nobody knows any more stays.
   * @param known what each other member knows, as far as all that it had counted by then is known here
   */
  settle(known: readonly VersionVector[]): void {
    for (const write of this.#writes.values()) {
      const { replica, seq } = write.kept.origin
      if (known.some((vector) => vector.get(replica) < seq)) break
      if (!this.isDue(write)) this.#forget(write)
    }
  }

  /**
   * The own incarnation has been given up because not everybody could be asked whether it has written more than is known here, such as
   * withdrawals. Nothing is taken back until they have been.
   * @param last its last write
   */
  suspend(last: WriteAt): void {
    for (const write of this.#writes.values()) if (!isOf(write, last)) this.#forget(write)
    this.#former = last
  }

  /** The incarnation that was given up, and its last write that was known then; undefined: nothing waits. */
  get suspended(): WriteAt | undefined {
    return this.#former
  }

  /** Nobody knows more of the incarnation that was given up. */
  resume(): void {
    this.#former = undefined
  }

  /** All of them stay as they are: under another incarnation nobody can say any more which have been withdrawn. */
  clear(): void {
    this.#writes.clear()
    this.#lost.clear()
    this.#former = undefined
    this.bytes = 0
  }

  /** Those that `known` does not cover, by their replies. */
  *since(known: VersionVector): Generator<PlacedReply, void> {
    for (const { kept } of this.#writes.values()) if (kept.origin.seq > known.get(kept.origin.replica)) yield kept
  }

  [Symbol.iterator](): IterableIterator<TentativeWrite> {
    return this.#writes.values()
  }

  #forget(write: TentativeWrite | undefined): void {
    if (write === undefined || this.#writes.get(write.kept.key) !== write) return
    this.#writes.delete(write.kept.key)
    this.#lost.delete(write)
    this.bytes -= Tentative.bytesOf(write.batch.length)
  }
}

const isOf = ({ kept }: TentativeWrite, { replica }: WriteAt): boolean => compareReplicas(kept.origin.replica, replica) === 0

/** Whether `left` stays rather than `right`, which is tentative. */
function precedes(left: KeptReply, right: KeptReply): boolean {
  if (!left.tentative) return !isSameWrite(left.origin!, right.origin!)
  return compare(left, right) < 0
}

function compare(left: KeptReply, right: KeptReply): number {
  return left.at - right.at || comparePlaces(left.origin!, right.origin!)
}

const comparePlaces = (left: WriteAt, right: WriteAt): number =>
  compareReplicas(left.replica, right.replica) || left.seq - right.seq

const compareReplicas = (left: ReplicaId, right: ReplicaId): number =>
  left.node - right.node || left.incarnation - right.incarnation

const isSameWrite = (left: WriteAt, right: WriteAt): boolean => comparePlaces(left, right) === 0
