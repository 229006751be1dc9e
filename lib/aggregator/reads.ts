// Reads over shards: scattered to those that have the names, gathered in the order asked. What a missing shard has is missing, never 0.

import type { Clock } from '../base/clock.ts'
import { SHARDS_MAX, type SlotMap } from '../cluster/index.ts'
import type { Ask, Calls } from './calls.ts'
import { namesQueries, readCounters, readLast } from './gather.ts'
import type { ShardGroup } from './group.ts'
import { type Part, partOf } from './part.ts'
import { type LastKnown, Recent } from './recent.ts'

export interface ReadsOptions {
  readonly calls: Calls
  readonly groups: readonly ShardGroup[]
  /** For a request to a shard, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
}

/** A value as digits; undefined where the shard is missing, with what was last seen. */
export interface Gathered {
  readonly value: string | undefined
  readonly lastKnown: LastKnown | undefined
  readonly shard: number
}

export interface GatheredAll {
  readonly values: readonly Gathered[]
  /** The parts that have nothing to show. */
  readonly missing: readonly Part[]
  /** What a shard refuses is refused as a whole: it is wrong wherever it is sent. */
  readonly refused: Part | undefined
  readonly sessions: ReadonlyMap<number, string>
}

/** Names whose last values are kept. */
const RECENT_MAX = 65_536

export class Reads {
  readonly #options: ReadsOptions
  readonly #recent: Recent
  /** Under the shard's number and its parts: what it had when it had others says nothing. */
  readonly #recentTotals: Recent

  constructor(options: ReadsOptions) {
    const { clock } = options
    this.#options = options
    this.#recent = new Recent({ clock, max: RECENT_MAX })
    this.#recentTotals = new Recent({ clock, max: SHARDS_MAX })
  }

  /** What each shard has of the total, in their order. */
  async total(ask: Ask): Promise<GatheredAll> {
    const { calls, groups } = this.#options
    const { map } = calls
    // One that was emptied has no part of the total any more, and may be gone.
    const holders = groups.filter(({ shard }) => shard < map.shards && map.partsOf(shard).length > 0)
    const all = await Promise.all(holders.map((group) => this.totalOf(group, ask)))
    return gatheredAll(
      all.map(({ gathered }) => gathered),
      all.map(({ part }) => part),
    )
  }

  /** The values of counters, in the order asked. */
  async values(names: readonly string[], ask: Ask): Promise<GatheredAll> {
    const byShard = new Map<number, string[]>()
    const shards = names.map((name) => {
      const shard = this.#options.calls.shardOf(name)
      const own = byShard.get(shard)
      if (own === undefined) byShard.set(shard, [name])
      else own.push(name)
      return shard
    })
    const found = new Map<string, string>()
    const parts: Part[] = []
    await Promise.all(
      Array.from(byShard, ([shard, own]) =>
        Promise.all(
          namesQueries([...new Set(own)]).map(async ({ query, names: asked }) => {
            const part = await this.#read(shard, `/v1/counters?${query}`, ask)
            const values = part.state === 'done' ? readCounters(part.body, asked.length) : undefined
            parts.push(part.state === 'done' && values === undefined ? noAnswer(shard) : part)
            for (const [index, digits] of (values ?? []).entries()) {
              found.set(asked[index]!, digits)
              this.#recent.note(asked[index]!, digits)
            }
          }),
        ),
      ),
    )
    const values = names.map((name, index): Gathered => {
      const value = found.get(name)
      return { value, lastKnown: value === undefined ? this.#recent.find(name) : undefined, shard: shards[index]! }
    })
    return gatheredAll(values, parts)
  }

  /** What each shard has of something that is the sum over all, in their order. @param field that ends the answer with the digits */
  async sum(path: string, field: string, ask: Ask): Promise<GatheredAll> {
    const all = await Promise.all(
      this.#withSlots().map(async ({ shard }) => {
        const part = await this.#read(shard, path, ask)
        const value = part.state === 'done' ? readLast(part.body, field) : undefined
        const key = `${shard} ${path}`
        if (value !== undefined) this.#recent.note(key, value)
        const gathered: Gathered = { value, lastKnown: value === undefined ? this.#recent.find(key) : undefined, shard }
        return { gathered, part: part.state === 'done' && value === undefined ? noAnswer(shard) : part }
      }),
    )
    return gatheredAll(
      all.map(({ gathered }) => gathered),
      all.map(({ part }) => part),
    )
  }

  /** What one shard has of the total; kept for when it is missing. */
  async totalOf(group: ShardGroup, ask: Ask): Promise<{ gathered: Gathered; part: Part }> {
    const { shard } = group
    const { map } = this.#options.calls
    let part = await this.#read(shard, '/total', ask)
    const value = part.state === 'done' ? readLast(part.body, 'total') : undefined
    if (part.state === 'done' && value === undefined) part = noAnswer(shard)
    if (value !== undefined) this.noteTotal(map, shard, value)
    const lastKnown = value === undefined ? this.#recentTotals.find(shareOf(map, shard)) : undefined
    return { gathered: { value, lastKnown, shard }, part }
  }

  /** @param map by which the shard was asked */
  noteTotal(map: SlotMap, shard: number, digits: string): void {
    this.#recentTotals.note(shareOf(map, shard), digits)
  }

  /** The answer of one shard as it is. */
  one(shard: number, path: string, ask: Ask): Promise<Part> {
    return this.#read(shard, path, ask)
  }

  /** The answers of all shards as they are, in their order. */
  all(path: string, ask: Ask): Promise<Part[]> {
    return Promise.all(this.#withSlots().map(({ shard }) => this.#read(shard, path, ask)))
  }

  #withSlots(): ShardGroup[] {
    const { calls, groups } = this.#options
    const { ranges } = calls.map
    return groups.filter(({ shard }) => shard < ranges.length && ranges[shard]!.length > 0)
  }

  async #read(shard: number, path: string, ask: Ask): Promise<Part> {
    const { calls, groups, timeoutMs } = this.#options
    return partOf(shard, await groups[shard]!.read(calls.read(shard, path, ask), timeoutMs), false)
  }
}

function gatheredAll(values: readonly Gathered[], parts: readonly Part[]): GatheredAll {
  const missing = parts.filter(({ state }) => state !== 'done' && state !== 'refused')
  const sessions = new Map<number, string>()
  for (const part of parts) if (part.state === 'done' && part.session !== undefined) sessions.set(part.shard, part.session)
  return { values, missing, refused: parts.find(({ state }) => state === 'refused'), sessions }
}

const shareOf = (map: SlotMap, shard: number): string => `${shard} ${map.partsOf(shard).join()}`

const noAnswer = (shard: number): Part => ({ shard, state: 'unsent', detail: 'its answer is not what was asked for' })
