// Which shard has which slots: a map with a version, the same for all who speak with the shards. It names shards by number; where they are is
// said by settings, because addresses may differ between networks and change without a name moving. A shard that was added later may bring its
// addresses along, so that nobody has to be told. Immutable; slot-moves.ts makes the next version.
// Invariant: each slot belongs to exactly one shard. In version 1 each shard has at least one; later some may have none, not yet or no more.

import { createHash } from 'node:crypto'
import { CounterError } from '../base/errors.ts'
import { SLOTS } from './slots.ts'

/** Slots [first, last], both included. */
export type SlotRange = readonly [first: number, last: number]

/** Slots on their way between two shards. Nobody takes writes to them. */
export interface Moving {
  /** `copy`: they belong to `from`, which gives a copy to `to`. `settle`: they belong to `to`, and not everybody may know that yet. */
  readonly phase: 'copy' | 'settle'
  readonly ranges: readonly SlotRange[]
  readonly from: number
  readonly to: number
  /** The node ids of the replica that gives the copy, and of the one that takes it, and no other may. */
  readonly sender: number
  readonly receiver: number
}

/** Slots that belonged to a shard before. */
export interface Former {
  /** The first version in which they were another's. */
  readonly version: number
  readonly ranges: readonly SlotRange[]
  readonly shard: number
  /** When that was, in milliseconds since 1970. */
  readonly atMs: number
}

/** The map as JSON has it. */
export interface PlainSlotMap {
  readonly version: number
  readonly shards: readonly {
    readonly shard: number
    readonly ranges: readonly SlotRange[]
    /** Base URLs of the replicas of a shard that was added later. */
    readonly urls?: readonly string[]
  }[]
  readonly moving?: Moving
  readonly former?: readonly Former[]
}

/** More would leave some with a handful of slots, and each read of all with as many requests. */
export const SHARDS_MAX = 256
const URLS_MAX = 32
const URL_LENGTH_MAX = 2_000
/** A row of moves in the time for which replies are kept: each slot some times. */
const FORMER_MAX = 4 * SLOTS
const NOBODY = SHARDS_MAX

export class SlotMap {
  readonly version: number
  /** The ranges of each shard, in order. */
  readonly ranges: readonly (readonly SlotRange[])[]
  /** The replicas of each shard, where the map knows them. */
  readonly urls: readonly (readonly string[] | undefined)[]
  readonly moving: Moving | undefined
  /** Oldest first. */
  readonly former: readonly Former[]
  /** What tells this map from any other: its version and a digest of it. */
  readonly tag: string
  /** The shard of each slot. */
  readonly #owners: Uint16Array
  /** 1 for each slot that is on its way; undefined when none is. */
  readonly #onTheWay: Uint8Array | undefined

  private constructor(version: number, owners: Uint16Array, shards: number, more: Pick<SlotMap, 'urls' | 'moving' | 'former'>) {
    this.version = version
    this.#owners = owners
    this.ranges = rangesOf(owners, shards)
    this.urls = more.urls
    this.moving = more.moving
    this.former = more.former
    this.#onTheWay = more.moving && flagsOf(more.moving.ranges)
    const isPlain = more.moving === undefined && more.former.length === 0 && more.urls.every((urls) => urls === undefined)
    const content = isPlain ? this.ranges : [this.ranges, more.urls, more.moving ?? null, more.former]
    const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex')
    this.tag = `${version}.${digest.slice(0, 12)}`
  }

  /** Version 1 of a map: as many slots for each shard as for the others, in order. */
  static even(shards: number): SlotMap {
    if (!(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX)) throw invalid(`it has ${shards} shards`)
    const owners = new Uint16Array(SLOTS)
    for (let slot = 0; slot < SLOTS; slot++) owners[slot] = Math.floor((slot * shards) / SLOTS)
    return new SlotMap(1, owners, shards, { urls: new Array<undefined>(shards).fill(undefined), moving: undefined, former: [] })
  }

  /** Takes a map out of JSON. @throws CounterError SLOTS_INVALID */
  static read(plain: unknown): SlotMap {
    const { version, shards, moving, former } = (plain ?? {}) as Record<string, unknown>
    if (!isNatural(version) || version < 1) throw invalid('its version is no whole number from 1')
    if (!Array.isArray(shards) || shards.length < 1 || shards.length > SHARDS_MAX) {
      throw invalid(`it should list 1 to ${SHARDS_MAX} shards`)
    }
    const owners = new Uint16Array(SLOTS).fill(NOBODY)
    const urls: (readonly string[] | undefined)[] = []
    for (const [number, entry] of shards.entries()) {
      const given = (entry ?? {}) as Record<string, unknown>
      if (given.shard !== number) throw invalid(`entry ${number} of its shards is not that of shard ${number}`)
      const ranges = readRanges(given.ranges, `shard ${number}`)
      if (ranges.length === 0 && version === 1) throw invalid(`shard ${number} has no slots`)
      for (const range of ranges) give(owners, number, range)
      urls.push(readUrls(given.urls, number))
    }
    const free = owners.indexOf(NOBODY)
    if (free >= 0) throw invalid(`slot ${free} belongs to no shard`)
    const more = { urls, moving: readMoving(moving, owners, shards.length), former: readFormer(former, version, shards.length) }
    return new SlotMap(version, owners, shards.length, more)
  }

  /** How many shards there are, those without slots included. */
  get shards(): number {
    return this.ranges.length
  }

  shardOf(slot: number): number {
    return this.#owners[slot]!
  }

  /** Whether the slot is on its way, so that nobody takes writes to it. */
  isMoving(slot: number): boolean {
    return this.#onTheWay !== undefined && this.#onTheWay[slot] === 1
  }

  /** How many slots the shard has. */
  sizeOf(shard: number): number {
    return this.ranges[shard]!.reduce((size, [first, last]) => size + last - first + 1, 0)
  }

  plain(): PlainSlotMap {
    const { version, ranges, urls, moving, former } = this
    return {
      version,
      shards: ranges.map((own, shard) => ({ shard, ranges: own, ...(urls[shard] !== undefined && { urls: urls[shard] }) })),
      ...(moving !== undefined && { moving }),
      ...(former.length > 0 && { former }),
    }
  }
}

/** 1 for each slot in the ranges. */
export function flagsOf(ranges: readonly SlotRange[]): Uint8Array {
  const flags = new Uint8Array(SLOTS)
  for (const [first, last] of ranges) flags.fill(1, first, last + 1)
  return flags
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function give(owners: Uint16Array, shard: number, [first, last]: SlotRange): void {
  for (let slot = first; slot <= last; slot++) {
    if (owners[slot] !== NOBODY) throw invalid(`slot ${slot} belongs to two shards`)
    owners[slot] = shard
  }
}

function readRanges(ranges: unknown, whose: string): SlotRange[] {
  if (!Array.isArray(ranges) || ranges.length > SLOTS) throw invalid(`${whose} has no list of ranges`)
  return ranges.map((range: unknown) => {
    const [first, last] = Array.isArray(range) && range.length === 2 ? (range as unknown[]) : []
    const isSlot = (value: unknown): value is number => isNatural(value) && value < SLOTS
    if (!isSlot(first) || !isSlot(last) || first > last) throw invalid(`a range of ${whose} is not [first, last] of slots`)
    return [first, last]
  })
}

function readUrls(urls: unknown, shard: number): readonly string[] | undefined {
  if (urls === undefined) return undefined
  const isUrl = (url: unknown): url is string =>
    typeof url === 'string' && url.length <= URL_LENGTH_MAX && /^https?:\/\//.test(url)
  if (Array.isArray(urls) && urls.length >= 1 && urls.length <= URLS_MAX && urls.every(isUrl)) return [...urls]
  throw invalid(`the addresses of shard ${shard} are none`)
}

function readMoving(plain: unknown, owners: Uint16Array, shards: number): Moving | undefined {
  if (plain === undefined) return undefined
  const { phase, from, to, sender, receiver, ranges: given } = (plain ?? {}) as Record<string, unknown>
  if (phase !== 'copy' && phase !== 'settle') throw invalid('what is moving is in no phase')
  const isShard = (value: unknown): value is number => isNatural(value) && value < shards
  if (!isShard(from) || !isShard(to) || from === to) throw invalid('what is moving does not go from one shard to another')
  if (!isNatural(sender) || !isNatural(receiver)) throw invalid('what is moving goes from no node, or to none')
  const ranges = readRanges(given, 'what is moving')
  if (ranges.length === 0) throw invalid('nothing is moving')
  const owner = phase === 'copy' ? from : to
  const flags = flagsOf(ranges)
  for (let slot = 0; slot < SLOTS; slot++) {
    if (flags[slot] === 1 && owners[slot] !== owner) throw invalid(`slot ${slot} is moving and does not belong to shard ${owner}`)
  }
  return { phase, ranges, from, to, sender, receiver }
}

function readFormer(plain: unknown, version: number, shards: number): Former[] {
  if (plain === undefined) return []
  if (!Array.isArray(plain) || plain.length > FORMER_MAX) throw invalid('its former owners are no list')
  return plain.map((entry: unknown) => {
    const { version: since, ranges, shard, atMs } = (entry ?? {}) as Record<string, unknown>
    if (!isNatural(since) || since < 2 || since > version) throw invalid('a former owner is of no earlier version')
    if (!isNatural(shard) || shard >= shards) throw invalid('a former owner is no shard')
    if (!isNatural(atMs)) throw invalid('a former owner is of no time')
    return { version: since, ranges: readRanges(ranges, 'a former owner'), shard, atMs }
  })
}

function rangesOf(owners: Uint16Array, shards: number): SlotRange[][] {
  const ranges: SlotRange[][] = Array.from({ length: shards }, () => [])
  let first = 0
  for (let slot = 1; slot <= SLOTS; slot++) {
    if (slot < SLOTS && owners[slot] === owners[first]) continue
    ranges[owners[first]!]!.push([first, slot - 1])
    first = slot
  }
  return ranges
}

const invalid = (why: string): CounterError => new CounterError('SLOTS_INVALID', `this is no map of slots: ${why}`)
