// Writes over shards: each part to the shard that has its names, all at once. A shard counts its part whole or not at all; over shards there is
// no such promise, so that what became of each part is told apart.

import type { SlotMap } from '../cluster/index.ts'
import { type Calls, type OnceOnShards, onceOf, type Target, type WriteAsk } from './calls.ts'
import { fullestOf } from './counted.ts'
import type { ShardGroup } from './group.ts'
import { type Part, partOf } from './part.ts'
import type { Piece } from './pieces.ts'
import { type ShardCall, Unanswered } from './transport.ts'

export interface WritesOptions {
  readonly calls: Calls
  /** By number; there may be more than the map has. */
  readonly groups: readonly ShardGroup[]
  /** For a request to a shard, in milliseconds. */
  readonly timeoutMs: number
  /** What a write that waits for other members may take longer. */
  readonly writeTimeoutMs: number
  /** Where the turns of the total start. */
  readonly turn: number
  /** What a shard has of the total by now, in digits. */
  readonly onTotal: (map: SlotMap, shard: number, digits: string) => void
}

/** What became of pieces. */
export interface Sent {
  readonly parts: Part[]
  /** Those that nothing has become of, because their shard is not the one to ask; the first of each shard has its part among the others. */
  readonly left: readonly Piece[]
}

const INCREMENT: Target = { method: 'POST', path: '/increment' }
const encoder = new TextEncoder()

export class Writes {
  readonly #options: WritesOptions
  #turn: number

  constructor(options: WritesOptions) {
    this.#options = options
    this.#turn = options.turn % options.groups.length
  }

  /** Sends the pieces, each to its shard. When a shard that is needed is known to be out of service, nothing is sent at all. */
  async send(pieces: readonly Piece[], target: Target, ask: WriteAsk): Promise<Sent> {
    const once = onceOf(ask)
    const byShard = new Map<number, Piece[]>()
    for (const piece of pieces) {
      const own = byShard.get(piece.shard)
      if (own === undefined) byShard.set(piece.shard, [piece])
      else own.push(piece)
    }
    const absent = [...byShard.keys()].flatMap((shard) => this.#absent(shard))
    if (absent.length > 0) return { parts: absent, left: [] }
    const sent = await Promise.all(Array.from(byShard, ([shard, own]) => this.#sendTo(shard, own, target, ask, once)))
    return { parts: sent.flatMap(({ parts }) => parts), left: sent.flatMap(({ left }) => left) }
  }

  /** Adds to the total, on any shard that lives, each in its turn; the next one when one certainly has not counted. */
  async addToTotal(delta: bigint | number, ask: WriteAsk): Promise<Part> {
    const { ranges } = this.#options.calls.map
    let part: Part | undefined
    // The turn of a shard that is missing goes to the next one, and the turns go on from there, so that the others share it evenly.
    for (let step = 0; step < ranges.length; step++) {
      this.#turn = (this.#turn + 1) % ranges.length
      // A shard without slots is to be removed, or not in use yet.
      if (ranges[this.#turn]!.length === 0) continue
      part = await this.addToTotalOf(this.#turn, delta, ask)
      if (!isUncounted(part)) break
    }
    return part!
  }

  /** Adds to one shard's part of the total. */
  async addToTotalOf(shard: number, delta: bigint | number, ask: WriteAsk): Promise<Part> {
    const { calls, onTotal } = this.#options
    const [absent] = this.#absent(shard)
    if (absent !== undefined) return absent
    const once = onceOf(ask)
    const { map } = calls
    const body = encoder.encode(`{"value":${delta}}`)
    const part = await this.#write(shard, calls.write(shard, INCREMENT, ask, once, { body }), ask, once)
    const digits = part.state === 'done' && !part.replayed ? /"count":(-?\d+)/.exec(part.body)?.[1] : undefined
    if (digits !== undefined) onTotal(map, shard, digits)
    return part
  }

  /** What a shard says that is asked for the replies it keeps under the key: its home, or who knows most of the others. */
  async counted(shard: number, ask: WriteAsk): Promise<Part> {
    const { calls, groups, timeoutMs } = this.#options
    const once = onceOf(ask)!
    return fullestOf(await groups[shard]!.keyed(calls.counted(shard, ask, once), once.digest, timeoutMs, 0).question())
  }

  /** The pieces of one shard, one after the other, up to the first that fails. */
  async #sendTo(
    shard: number,
    pieces: readonly Piece[],
    target: Target,
    ask: WriteAsk,
    once: OnceOnShards | undefined,
  ): Promise<Sent> {
    const parts: Part[] = []
    for (const [index, piece] of pieces.entries()) {
      const part = await this.#write(shard, this.#options.calls.write(shard, target, ask, once, piece, index), ask, once)
      parts.push(part)
      if (part.state !== 'done') return { parts, left: 'moves' in part ? pieces.slice(index) : [] }
    }
    return { parts, left: [] }
  }

  async #write(shard: number, call: ShardCall, { level }: WriteAsk, once: OnceOnShards | undefined): Promise<Part> {
    const { timeoutMs, writeTimeoutMs, groups } = this.#options
    const group = groups[shard]!
    const waitMs = level === undefined || level === 1 ? 0 : writeTimeoutMs
    const limitMs = timeoutMs + waitMs
    if (once !== undefined) return group.keyed(call, once.digest, limitMs, waitMs).write()
    return partOf(shard, await group.write(call, limitMs), true)
  }

  /** A part for a shard that cannot be asked now; none when it can. */
  #absent(shard: number): Part[] {
    const group = this.#options.groups[shard]!
    if (group.usable().length > 0) return []
    const detail = group.replicas.map(({ trouble }) => trouble).join('; ')
    return [partOf(shard, new Unanswered('unsent', detail), true)]
  }
}

/** Whether another shard may take it: a full disk, too, is that of one shard. */
const isUncounted = (part: Part): boolean =>
  part.state === 'unsent' || part.state === 'busy' || (part.state === 'refused' && part.status === 507)
