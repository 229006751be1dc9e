// A shard: one replica, or a group of replicas that are one cluster and so hold the same counts. One of them is asked, and no two are ever
// added up. Reads go on to the next that lives, beside a slow one too. Writes go on only while it is certain that they were not counted; those
// with a key go on whatever became of them (keyed.ts).

import type { Clock } from '../base/clock.ts'
import { KeyedCall } from './keyed.ts'
import type { Replica } from './replica.ts'
import { type Heard, heard, type ShardCall, Unanswered } from './transport.ts'

export interface GroupOptions {
  readonly shard: number
  readonly replicas: readonly Replica[]
  readonly clock: Clock
  /** After so long a read asks a second replica beside the first, in milliseconds; 0: never. */
  readonly hedgeMs: number
}

/** Of a hundred reads, so many may ask a second replica. */
const HEDGE_PERCENT = 10
const HEDGES_MAX = 20

export class ShardGroup {
  readonly shard: number
  readonly replicas: readonly Replica[]
  readonly #clock: Clock
  readonly #hedgeMs: number
  /** In hundredths: each read earns HEDGE_PERCENT, a hedge costs 100. */
  #hedgeBudget = HEDGES_MAX * 100

  constructor({ shard, replicas, clock, hedgeMs }: GroupOptions) {
    this.shard = shard
    this.replicas = replicas
    this.#clock = clock
    this.#hedgeMs = hedgeMs
  }

  /** Those that may be asked, the preferred one first. */
  usable(): Replica[] {
    return this.replicas.filter(({ state }) => state === 'up')
  }

  /**
   * All replicas in the order in which they are asked about a key, its home first: the same whether they live or not, and in whatever order they
   * are named. One that is added takes over its share of the keys, and no other key changes its home (rendezvous hashing: Thaler and Ravishankar,
   * 1998).
   * @param digest of the key
   */
  orderOf(digest: Uint8Array): Replica[] {
    const weights = new Map(this.replicas.map((replica) => [replica, weightOf(digest, replica.url)] as const))
    return this.replicas.toSorted((left, right) => weights.get(right)! - weights.get(left)! || (left.url < right.url ? 1 : -1))
  }

  /**
   * A write with a key, or a question about one.
   * @param timeoutMs for all replicas together
   * @param waitMs what of that any one may need to wait for other members
   */
  keyed(call: ShardCall, digest: Uint8Array, timeoutMs: number, waitMs: number): KeyedCall {
    return new KeyedCall(call, { shard: this.shard, order: this.orderOf(digest), clock: this.#clock, timeoutMs, waitMs })
  }

  /** The first good answer of any replica; the last bad one when there is none. Never rejects. */
  read(call: ShardCall, timeoutMs: number): Promise<Heard> {
    const order = this.usable()
    if (order.length === 0) return Promise.resolve(this.#nobody())
    const endMs = this.#clock.monotonicMs() + timeoutMs
    this.#hedgeBudget = Math.min(HEDGES_MAX * 100, this.#hedgeBudget + HEDGE_PERCENT)
    if (order.length === 1) return heard(order[0]!.call(call, timeoutMs))

    return new Promise((resolve) => {
      const aborters: AbortController[] = []
      let next = 0
      let underWay = 0
      let settled = false
      const settle = (answer: Heard): void => {
        settled = true
        cancelHedge()
        resolve(answer)
        for (const aborter of aborters) aborter.abort()
      }
      const ask = (): void => {
        const aborter = new AbortController()
        aborters.push(aborter)
        underWay++
        void heard(order[next++]!.call(call, endMs - this.#clock.monotonicMs(), aborter.signal)).then((answer) => {
          underWay--
          if (settled) return
          const isLast = next === order.length || this.#clock.monotonicMs() >= endMs
          if (!isAnother(answer) || (isLast && underWay === 0)) settle(answer)
          else if (!isLast) ask()
        })
      }
      const hedge = (): void => {
        if (settled || next === order.length || this.#hedgeBudget < 100) return
        this.#hedgeBudget -= 100
        ask()
      }
      let cancelHedge = (): void => {}
      if (this.#hedgeMs > 0 && this.#hedgeMs < timeoutMs) cancelHedge = this.#clock.after(this.#hedgeMs, hedge)
      ask()
    })
  }

  /** A write without a key: the next replica is asked as long as the last one certainly has not counted. Never rejects. */
  async write(call: ShardCall, timeoutMs: number): Promise<Heard> {
    const endMs = this.#clock.monotonicMs() + timeoutMs
    let answer: Heard = this.#nobody()
    for (const replica of this.usable()) {
      const leftMs = endMs - this.#clock.monotonicMs()
      if (leftMs <= 0) break
      answer = await heard(replica.call(call, leftMs))
      if (!isUncounted(answer)) break
    }
    return answer
  }

  #nobody(): Unanswered {
    return new Unanswered('unsent', this.replicas.map(({ trouble }) => trouble).join('; '))
  }
}

/** Whether another replica may do better: no answer, one of a node in trouble, or of one that lags behind a session. */
const isAnother = (answer: Heard): boolean =>
  answer instanceof Unanswered || answer.status >= 500 || answer.status === 412 || answer.status === 421

/** Whether it is certain that the write was not counted, and that another replica may take it. */
function isUncounted(answer: Heard): boolean {
  if (answer instanceof Unanswered) return answer.silence !== 'unknown'
  const passing = answer.status === 503 || answer.status === 507 || answer.status === 421
  return passing && /"applied":"no"/.test(answer.body)
}

/** FNV-1a of the address and the digest, mixed as in MurmurHash3 so that addresses that differ little weigh differently. */
function weightOf(digest: Uint8Array, url: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < url.length; at++) hash = Math.imul(hash ^ url.charCodeAt(at), 0x01000193)
  for (const byte of digest) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
