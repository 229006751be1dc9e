// Replies to give again: for each idempotency key the reply to the request that first used it. A reply belongs to the write that it answers,
// and goes where that goes: it lies in the same log record, and other nodes are told of it before they are told what was counted. So whoever
// knows a key gives its reply, and counts nothing.
// Bounded two ways, by age and by number; the oldest go first. A key that was forgotten counts as new.

import { CounterError } from '../base/errors.ts'
import { ReplyRow } from './reply-row.ts'
import { type ReplicaId, replicaKey, type VersionVector, type WriteAt } from './vector.ts'

/** A reply as it is given again. An empty content type means a reply without a body. */
export interface StoredReply {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** Who asks: the Idempotency-Key, and the SHA-256 of the method, the path with its query, the content type and the body. */
export interface Once {
  readonly key: string
  readonly fingerprint: Uint8Array
  /** Whether another node may have counted the request already, so that it must be counted here in a way that can be taken back. */
  readonly failover?: boolean
}

/** A reply as it is kept. */
export interface KeptReply {
  readonly key: string
  readonly fingerprint: Uint8Array
  /** When it was given, by the wall clock of the node that gave it, in milliseconds. */
  readonly at: number
  readonly reply: StoredReply
  /** The write that it answers; undefined of one that was taken in from a file that does not say. */
  readonly origin: WriteAt | undefined
  /** Whether the write can be taken back by the node that made it; see tentative.ts. */
  readonly tentative: boolean
}

/** One that says which write it belongs to. */
export type PlacedReply = KeptReply & { readonly origin: WriteAt }

export interface RepliesOptions {
  readonly clock: { now(): number }
  /** How long a reply is given again, in milliseconds of the wall clock. */
  readonly ttlMs: number
  /** How many replies are kept at most. */
  readonly max: number
}

export class Replies {
  readonly #options: RepliesOptions
  /** In the order in which they came. */
  readonly #all = new Set<KeptReply>()
  /** By key, in the order in which they came; more than one where several nodes have counted the same key. */
  readonly #byKey = new Map<string, KeptReply[]>()
  readonly #byReplica = new Map<string, ReplyRow>()
  /** Those whose own record is being written. */
  readonly #inFlight = new Set<KeptReply>()

  constructor(options: RepliesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.size
  }

  /** How far apart two uses of a key may be, in milliseconds, to be the same one. */
  get ttlMs(): number {
    return this.#options.ttlMs
  }

  /**
   * The reply to give again, or undefined when the key is new, or when what was counted under it has not come here: who is answered must find
   * it here, whatever becomes of the node that has told of the reply.
   * @param isHere whether what was written at a place is here
   * @throws CounterError KEY_REUSED when the key came with another request, KEY_IN_FLIGHT when its request is not on disk yet
   */
  find(once: Once, isHere: (at: WriteAt) => boolean): KeptReply | undefined {
    const all = this.ofKey(once.key).filter((kept) => !this.#isExpired(kept))
    const known = all.find(({ origin }) => origin === undefined || isHere(origin))
    const kept = known ?? all[0]
    if (kept === undefined) return undefined
    if (Buffer.compare(kept.fingerprint, once.fingerprint) !== 0) {
      throw new CounterError('KEY_REUSED', `the Idempotency-Key '${once.key}' was used with another request`, {
        fix: 'use a new key for a new request, or send the same request again',
      })
    }
    if (this.#inFlight.has(kept)) {
      throw new CounterError('KEY_IN_FLIGHT', `the request with the Idempotency-Key '${once.key}' is still being written`, {
        fix: 'try again in a second',
      })
    }
    return known
  }

  /** The reply that is kept under a key, to whatever request; it may not be on disk yet, nor what was counted be here. */
  peek(key: string): KeptReply | undefined {
    return this.#byKey.get(key)?.find((kept) => !this.#isExpired(kept))
  }

  /** All that are kept under a key. */
  ofKey(key: string): readonly KeptReply[] {
    return this.#byKey.get(key) ?? []
  }

  /** Keeps the reply to an own write whose record is being written; `landed` says that it is on disk. */
  add(once: Once, reply: StoredReply, origin: WriteAt, tentative: boolean): PlacedReply {
    const { key, fingerprint } = once
    const kept = { key, fingerprint, at: this.#options.clock.now(), reply, origin, tentative }
    this.#inFlight.add(kept)
    this.#keep(kept)
    return kept
  }

  landed(kept: KeptReply): void {
    this.#inFlight.delete(kept)
  }

  /** Keeps a reply from a log record, a snapshot or another node, unless it is known or too old. */
  join(kept: KeptReply): void {
    if (!this.#isExpired(kept) && !this.#knows(kept)) this.#keep(kept)
  }

  #knows({ key, origin }: KeptReply): boolean {
    return this.ofKey(key).some((other) => isSamePlace(other.origin, origin))
  }

  /** Those of writes that `known` does not cover, as far as they are kept. */
  *since(known: VersionVector): Generator<PlacedReply, void> {
    for (const row of this.#byReplica.values()) {
      for (const kept of row.beyond(known.get(row.replica))) if (!this.#isExpired(kept)) yield kept
    }
  }

  /** Those that do not say which write they belong to. */
  *unplaced(): Generator<KeptReply, void> {
    for (const kept of this.#all) if (kept.origin === undefined && !this.#isExpired(kept)) yield kept
  }

  /** Of each replica the last of its writes whose reply is kept. */
  *last(): Generator<WriteAt, void> {
    for (const { replica, lastSeq } of this.#byReplica.values()) yield { replica, seq: lastSeq }
  }

  /** What one incarnation has written is now another's. */
  move(from: ReplicaId, to: ReplicaId): void {
    for (const kept of this.#byReplica.get(replicaKey(from))?.beyond(0) ?? []) {
      this.#drop(kept)
      const next = { ...kept, origin: { replica: to, seq: kept.origin.seq } }
      if (!this.#knows(next)) this.#keep(next)
    }
  }

  #keep(kept: KeptReply): void {
    this.#all.add(kept)
    const same = this.#byKey.get(kept.key)
    if (same === undefined) this.#byKey.set(kept.key, [kept])
    else same.push(kept)
    if (isPlaced(kept)) this.#rowOf(kept.origin.replica).add(kept)
    for (const oldest of this.#all) {
      if (this.#all.size <= this.#options.max && !this.#isExpired(oldest)) break
      this.#drop(oldest)
    }
  }

  #rowOf(replica: ReplicaId): ReplyRow {
    const key = replicaKey(replica)
    let row = this.#byReplica.get(key)
    if (row === undefined) {
      row = new ReplyRow(replica)
      this.#byReplica.set(key, row)
    }
    return row
  }

  #drop(kept: KeptReply): void {
    this.#all.delete(kept)
    const same = this.#byKey.get(kept.key)!
    if (same.length === 1) this.#byKey.delete(kept.key)
    else same.splice(same.indexOf(kept), 1)
    if (!isPlaced(kept)) return
    const row = this.#rowOf(kept.origin.replica)
    row.remove(kept)
    if (row.isEmpty) this.#byReplica.delete(replicaKey(row.replica))
  }

  #isExpired({ at }: KeptReply): boolean {
    return this.#options.clock.now() - at > this.#options.ttlMs
  }
}

const isPlaced = (kept: KeptReply): kept is PlacedReply => kept.origin !== undefined

const isSamePlace = (left: WriteAt | undefined, right: WriteAt | undefined): boolean =>
  left === undefined || right === undefined
    ? left === right
    : left.seq === right.seq && replicaKey(left.replica) === replicaKey(right.replica)
