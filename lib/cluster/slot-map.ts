// Which shard has which slots: a map with a version, the same for all who speak with the shards. It names shards by number; where they are is
// said by settings, because addresses may differ between networks and change without a name moving. A shard that was added later may bring its
// addresses along, so that nobody has to be told. Immutable; slot-moves.ts makes the next version.
// Invariant: each slot belongs to exactly one shard. In version 1 each shard has at least one; later some may have none, not yet or no more.

import { createHash } from 'node:crypto'
import { CounterError } from '../base/errors.ts'
import { SLOTS } from './slots.ts'
import { openPart, readClosedPart } from './total-parts.ts'

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
  /** Where these are the last slots of `from`: under which name its part of the total goes along. Nobody adds to that part either. */
  readonly part?: string
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
  /** The closed parts of the total, of each shard in the order of its eras. */
  readonly parts?: readonly string[]
}

/** More would leave some with a handful of slots, and each read of all with as many requests. */
export const SHARDS_MAX = 256
const URLS_MAX = 32
const URL_LENGTH_MAX = 2_000
/** A row of moves in the time for which replies are kept: each slot some times. */
const FORMER_MAX = 4 * SLOTS
/** One is added whenever a shard is emptied; a shard looks at its own for each read of the total. */
export const PARTS_MAX = 1_024
const NOBODY = SHARDS_MAX

type More = Pick<SlotMap, 'urls' | 'moving' | 'former' | 'parts'>

export class SlotMap {
  readonly version: number
  /** The ranges of each shard, in order. */
  readonly ranges: readonly (readonly SlotRange[])[]
  /** The replicas of each shard, where the map knows them. */
  readonly urls: readonly (readonly string[] | undefined)[]
  readonly moving: Moving | undefined
  /** Oldest first. */
  readonly former: readonly Former[]
  readonly parts: readonly string[]
  /** What tells this map from any other: its version and a digest of it. */
  readonly tag: string
  /** The shard of each slot. */
  readonly #owners: Uint16Array
  /** 1 for each slot that is on its way; undefined when none is. */
  readonly #onTheWay: Uint8Array | undefined
  /** How often each shard was emptied. */
  readonly #eras: number[]
  /** What each shard shows of the total. */
  readonly #shown: string[][]

  private constructor(version: number, owners: Uint16Array, shards: number, more: More) {
    this.version = version
    this.#owners = owners
    this.ranges = rangesOf(owners, shards)
    this.urls = more.urls
    this.moving = more.moving
    this.former = more.former
    this.parts = more.parts
    this.#onTheWay = more.moving && flagsOf(more.moving.ranges)
    this.#eras = new Array<number>(shards).fill(0)
    const closed: string[][] = this.ranges.map(() => [])
    for (const name of more.parts) {
      const { shard, slot } = readClosedPart(name)!
      this.#eras[shard]!++
      closed[owners[slot]!]!.push(name)
    }
    this.#shown = this.ranges.map((own, shard) => {
      const isOpen = own.length > 0 || this.#eras[shard] === 0
      return isOpen ? [openPart(this.#eras[shard]!), ...closed[shard]!] : []
    })
    const isPlain = more.moving === undefined && more.former.length === 0 && more.urls.every((urls) => urls === undefined)
    const content =
      more.parts.length > 0
        ? [this.ranges, more.urls, more.moving ?? null, more.former, more.parts]
        : isPlain
          ? this.ranges
          : [this.ranges, more.urls, more.moving ?? null, more.former]
    const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex')
    this.tag = `${version}.${digest.slice(0, 12)}`
  }

  /** Version 1 of a map: as many slots for each shard as for the others, in order. */
  static even(shards: number): SlotMap {
    if (!(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX)) throw invalid(`it has ${shards} shards`)
    const owners = new Uint16Array(SLOTS)
    for (let slot = 0; slot < SLOTS; slot++) owners[slot] = Math.floor((slot * shards) / SLOTS)
    const urls = new Array<undefined>(shards).fill(undefined)
    return new SlotMap(1, owners, shards, { urls, moving: undefined, former: [], parts: [] })
  }

  /** Takes a map out of JSON. @throws CounterError SLOTS_INVALID */
  static read(plain: unknown): SlotMap {
    const { version, shards, moving: way, former: before, parts: closed } = (plain ?? {}) as Record<string, unknown>
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
    const parts = readParts(closed, shards.length)
    const moving = readMoving(way, owners, shards.length, parts)
    return new SlotMap(version, owners, shards.length, {
      urls,
      moving,
      former: readFormer(before, version, shards.length),
      parts,
    })
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

  /** How often the shard was emptied, with its part of the total. */
  eraOf(shard: number): number {
    return this.#eras[shard]!
  }

  /** The counters that are the shard's part of the total: its open part first, unless it has nothing left, and the closed ones in its slots. */
  partsOf(shard: number): readonly string[] {
    return this.#shown[shard]!
  }

  plain(): PlainSlotMap {
    const { version, ranges, urls, moving, former, parts } = this
    return {
      version,
      shards: ranges.map((own, shard) => ({ shard, ranges: own, ...(urls[shard] !== undefined && { urls: urls[shard] }) })),
      ...(moving !== undefined && { moving }),
      ...(former.length > 0 && { former }),
      ...(parts.length > 0 && { parts }),
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

function readMoving(plain: unknown, owners: Uint16Array, shards: number, parts: readonly string[]): Moving | undefined {
  if (plain === undefined) return undefined
  const { phase, from, to, sender, receiver, ranges: given, part } = (plain ?? {}) as Record<string, unknown>
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
  if (part === undefined) return { phase, ranges, from, to, sender, receiver }
  const closed = readClosedPart(part)
  const era = parts.filter((name) => readClosedPart(name)!.shard === from).length - (phase === 'copy' ? 0 : 1)
  if (closed?.shard !== from || closed.era !== era || flags[closed.slot] !== 1)
    throw invalid('the part that is moving is not that of its shard')
  if (phase === 'settle' && parts.at(-1) !== part) throw invalid('the part that is moving is not the last one')
  if (owners.some((shard, slot) => shard === from && flags[slot] !== 1))
    throw invalid('a part is moving, and its shard keeps slots')
  return { phase, ranges, from, to, sender, receiver, part: part as string }
}

function readParts(plain: unknown, shards: number): string[] {
  if (plain === undefined) return []
  if (!Array.isArray(plain) || plain.length > PARTS_MAX) throw invalid('its parts of the total are no list')
  const eras = new Array<number>(shards).fill(0)
  for (const name of plain as unknown[]) {
    const part = readClosedPart(name)
    if (part === undefined || part.shard >= shards) throw invalid('one of its parts of the total is none')
    if (eras[part.shard]!++ !== part.era) throw invalid(`the parts of shard ${part.shard} of the total are not those of its eras`)
  }
  return [...(plain as string[])]
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
