// Requests while slots move. A shard that is not, or not now, the one to ask says so and has done nothing: then the map is looked at again, and
// what is left goes to whom it belongs by then. A client notices a delay.

import type { Clock } from '../base/clock.ts'
import { type SlotMap, slotOf, slotOfKey } from '../cluster/index.ts'
import { type Calls, onceOf, type Target, type WriteAsk } from './calls.ts'
import { countedBy, type Replies, readReplies, tenuresOf } from './counted.ts'
import type { ShardGroup } from './group.ts'
import type { Part } from './part.ts'
import type { Piece } from './pieces.ts'
import type { Prober } from './probe.ts'
import { cut, type Entry, entriesOf, nameInPath, resplit } from './resplit.ts'
import type { Writes } from './writes.ts'

export interface SteadyOptions {
  readonly calls: Calls
  readonly groups: readonly ShardGroup[]
  readonly writes: Writes
  readonly prober: Prober
  /** How long a request goes on, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
}

/** While the map stays as it is. */
const PAUSE_MS = 20
const encoder = new TextEncoder()

export class Steady {
  readonly #options: SteadyOptions
  /** Groups that are being looked at. */
  readonly #looks = new Map<ShardGroup, Promise<void>>()

  constructor(options: SteadyOptions) {
    this.#options = options
  }

  /** Reads until no shard says that it is not the one, or time is up. @param partsOf what was answered, its parts that tell of it */
  async read<T>(read: () => Promise<T>, partsOf: (answer: T) => readonly Part[]): Promise<T> {
    const endMs = this.#endMs()
    for (;;) {
      const answer = await read()
      const moving = partsOf(answer).filter(isMoving)
      if (moving.length === 0 || this.#isOver(endMs)) return answer
      await this.#lookAgain(moving)
    }
  }

  /** Sends the pieces, as Writes.send. */
  async send(pieces: readonly Piece[], target: Target, ask: WriteAsk): Promise<Part[]> {
    if (ask.once !== undefined) return this.#sendOnce(pieces, target, ask)
    const endMs = this.#endMs()
    let { parts, left } = await this.#options.writes.send(pieces, target, ask)
    while (left.length > 0 && !this.#isOver(endMs)) {
      await this.#lookAgain(parts.filter(isMoving))
      const again = await this.#options.writes.send(this.#recut(left, target), target, ask)
      parts = [...parts.filter((part) => !isMoving(part)), ...again.parts]
      left = again.left
    }
    return parts
  }

  /** With a key all pieces may be sent again: those that have been counted are answered by the replies that are kept. */
  async #sendOnce(pieces: readonly Piece[], target: Target, ask: WriteAsk): Promise<Part[]> {
    const endMs = this.#endMs()
    for (;;) {
      const parts =
        this.#options.calls.map.former.length === 0
          ? (await this.#options.writes.send(pieces, target, ask)).parts
          : await this.#sendUncounted(pieces, target, ask)
      const moving = parts.filter(isMoving)
      if (moving.length === 0 || this.#isOver(endMs)) return parts
      await this.#lookAgain(moving)
    }
  }

  /** Sends what no shard has counted that had its slots; slots have moved in the time for which replies are kept. */
  async #sendUncounted(pieces: readonly Piece[], target: Target, ask: WriteAsk): Promise<Part[]> {
    const { map } = this.#options.calls
    const lists = pieces.map(entriesOf)
    const single = lists.includes(undefined)
    const entries: Entry[] = single ? [{ name: nameInPath(target.path), json: '' }] : lists.flatMap((list) => list ?? [])
    const placed = entries.map((entry) => ({ entry, tenures: tenuresOf(map, slotOfName(entry.name)) }))
    const asked = [...new Set(placed.flatMap(({ tenures }) => tenures.map(({ shard }) => shard)))]
    const answers = await Promise.all(asked.map((shard) => this.#options.writes.counted(shard, ask)))
    const replies = new Map<number, Replies>()
    for (const [index, shard] of asked.entries()) {
      const answer = readReplies(answers[index]!)
      // Nothing is sent in this attempt.
      if (answer === undefined) return [answers[index]!.state === 'done' ? noAnswer(shard) : answers[index]!]
      if (answer.pieces) return [piecesMoved(shard)]
      replies.set(shard, answer)
    }
    const counters = new Set<number>()
    const left = placed.filter(({ tenures }) => {
      const shard = countedBy(tenures, replies)
      if (shard !== undefined) counters.add(shard)
      return shard === undefined
    })
    const counted = [...counters].map((shard) => doneBefore(shard, replies.get(shard)!.body))
    if (left.length === 0 && entries.length > 0) return counted
    if (this.#options.calls.map !== map) return [changed(pieces[0]!.shard)]
    const own = single ? [{ shard: placed[0]!.tenures.at(-1)!.shard, body: pieces[0]!.body }] : resplit(pieces, placed, left)
    const next = own.map((piece) => ({ ...piece, attempt: replies.get(piece.shard)!.versions.length }))
    return [...counted, ...(await this.#options.writes.send(next, target, ask)).parts]
  }

  /** Adds to the total; with a key on the shard that has the slot of the key, unless one has counted it that had the slot before. */
  async addToTotal(delta: bigint | number, ask: WriteAsk): Promise<Part> {
    const { calls, writes } = this.#options
    const once = onceOf(ask)
    const add = async (): Promise<Part> => {
      if (once === undefined) return writes.addToTotal(delta, ask)
      const { map } = calls
      const tenures = tenuresOf(map, slotOfKey(once.key))
      const { shard } = tenures.at(-1)!
      const former = new Set(tenures.map((tenure) => tenure.shard).filter((other) => other !== shard))
      const before = await Promise.all([...former].map((other) => this.#countedBefore(other, ask)))
      const found = before.find((part) => part?.state === 'done') ?? before.find((part) => part !== undefined)
      if (found !== undefined) return found
      return calls.map === map ? writes.addToTotalOf(shard, delta, ask) : changed(shard)
    }
    return this.read(add, (part) => [part])
  }

  /** The reply to an addition that a shard keeps; undefined: it keeps none. Or a part that tells why that is not known. */
  async #countedBefore(shard: number, ask: WriteAsk): Promise<Part | undefined> {
    const answer = await this.#options.writes.counted(shard, ask)
    const replies = readReplies(answer)
    if (replies === undefined) return answer.state === 'done' ? noAnswer(shard) : answer
    return replies.versions.length > 0 ? doneBefore(shard, replies.body) : undefined
  }

  #recut(pieces: readonly Piece[], target: Target): Piece[] {
    const { calls } = this.#options
    const entries: Entry[] = []
    const whole: Piece[] = []
    for (const piece of pieces) {
      const own = entriesOf(piece)
      if (own === undefined) whole.push({ ...piece, shard: calls.shardOf(nameInPath(target.path)) })
      else entries.push(...own)
    }
    return [...whole, ...cut(entries, (name) => calls.shardOf(name))]
  }

  /** Asks the shards that have sent somebody away for their maps; waits a moment where that brings nothing new. */
  async #lookAgain(parts: readonly Part[]): Promise<void> {
    const { calls, groups, clock } = this.#options
    const before: SlotMap = calls.map
    await Promise.all([...new Set(parts.map(({ shard }) => shard))].map((shard) => this.#look(groups[shard]!)))
    if (calls.map === before) await new Promise<void>((resolve) => void clock.after(PAUSE_MS, resolve))
  }

  #look(group: ShardGroup): Promise<void> {
    let look = this.#looks.get(group)
    if (look === undefined) {
      look = this.#options.prober.look(group).finally(() => void this.#looks.delete(group))
      this.#looks.set(group, look)
    }
    return look
  }

  #endMs(): number {
    return this.#options.clock.monotonicMs() + this.#options.timeoutMs
  }

  #isOver(endMs: number): boolean {
    return this.#options.clock.monotonicMs() >= endMs
  }
}

export const isMoving = (part: Part): boolean => 'moves' in part

function slotOfName(name: string): number {
  const bytes = encoder.encode(name)
  return slotOf(bytes, 0, bytes.length)
}

const doneBefore = (shard: number, body: string): Part => ({
  shard,
  state: 'done',
  status: 200,
  body,
  session: undefined,
  level: undefined,
  replayed: true,
})

/** Nothing was sent, because what was heard of earlier attempts was of another map. */
const changed = (shard: number): Part => ({
  shard,
  state: 'unsent',
  detail: 'the map of slots has changed meanwhile',
  moves: true,
})

const noAnswer = (shard: number): Part => ({ shard, state: 'unsent', detail: 'its answer about a key is not what was asked for' })

const piecesMoved = (shard: number): Part => ({
  shard,
  state: 'unknown',
  detail: 'it has counted pieces of this request, and slots have moved since: what is left of it can only be read',
})
