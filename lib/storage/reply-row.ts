// The replies to the writes of one replica, by rising sequence number. Mostly they come in that order and go in that order.

import type { PlacedReply } from './replies.ts'
import type { ReplicaId } from './vector.ts'

/** So many places at the front are left empty before the row is made anew. */
const EMPTY_MAX = 1024

export class ReplyRow {
  readonly replica: ReplicaId
  #kept: PlacedReply[] = []
  /** Where the first one is. */
  #first = 0

  constructor(replica: ReplicaId) {
    this.replica = replica
  }

  get isEmpty(): boolean {
    return this.#first === this.#kept.length
  }

  /** The sequence number of the last one. */
  get lastSeq(): number {
    return seqOf(this.#kept.at(-1)!)
  }

  add(kept: PlacedReply): void {
    if (this.isEmpty || this.lastSeq < seqOf(kept)) this.#kept.push(kept)
    else this.#kept.splice(this.#firstBeyond(seqOf(kept)), 0, kept)
  }

  remove(kept: PlacedReply): void {
    const row = this.#kept
    if (row[this.#first] !== kept) {
      row.splice(row.indexOf(kept, this.#first), 1)
      return
    }
    this.#first++
    if (this.#first < EMPTY_MAX || this.#first < row.length / 2) return
    this.#kept = row.slice(this.#first)
    this.#first = 0
  }

  /** Those of writes after `seq`, as a copy. */
  beyond(seq: number): PlacedReply[] {
    return this.#kept.slice(this.#firstBeyond(seq))
  }

  #firstBeyond(seq: number): number {
    let from = this.#first
    let to = this.#kept.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (seqOf(this.#kept[middle]!) > seq) to = middle
      else from = middle + 1
    }
    return from
  }
}

const seqOf = ({ origin }: PlacedReply): number => origin.seq
