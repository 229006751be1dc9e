// Which shard has which slots: a map with a version, the same for all who speak with the shards. It names shards by number and says nothing
// of where they are: addresses may differ between networks, and change without a name moving. Immutable.
// Invariant: each slot belongs to exactly one shard, and each shard has at least one.

import { createHash } from 'node:crypto'
import { CounterError } from '../base/errors.ts'
import { SLOTS } from './slots.ts'

/** Slots [first, last], both included. */
export type SlotRange = readonly [first: number, last: number]

/** The map as JSON has it. */
export interface PlainSlotMap {
  readonly version: number
  readonly shards: readonly { readonly shard: number; readonly ranges: readonly SlotRange[] }[]
}

/** More would leave some with a handful of slots, and each read of all with as many requests. */
export const SHARDS_MAX = 256

export class SlotMap {
  readonly version: number
  /** The ranges of each shard, in order. */
  readonly ranges: readonly (readonly SlotRange[])[]
  /** What tells this map from any other: its version and a digest of it. */
  readonly tag: string
  /** The shard of each slot. */
  readonly #owners: Uint16Array

  private constructor(version: number, owners: Uint16Array, shards: number) {
    this.version = version
    this.#owners = owners
    this.ranges = rangesOf(owners, shards)
    const digest = createHash('sha256').update(JSON.stringify(this.ranges)).digest('hex')
    this.tag = `${version}.${digest.slice(0, 12)}`
  }

  /** Version 1 of a map: as many slots for each shard as for the others, in order. */
  static even(shards: number): SlotMap {
    if (!(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX)) throw invalid(`it has ${shards} shards`)
    const owners = new Uint16Array(SLOTS)
    for (let slot = 0; slot < SLOTS; slot++) owners[slot] = Math.floor((slot * shards) / SLOTS)
    return new SlotMap(1, owners, shards)
  }

  /** Takes a map out of JSON. @throws CounterError SLOTS_INVALID */
  static read(plain: unknown): SlotMap {
    const { version, shards } = (plain ?? {}) as { version?: unknown; shards?: unknown }
    if (!Number.isSafeInteger(version) || (version as number) < 1) throw invalid('its version is no whole number from 1')
    if (!Array.isArray(shards) || shards.length < 1 || shards.length > SHARDS_MAX) {
      throw invalid(`it should list 1 to ${SHARDS_MAX} shards`)
    }
    const owners = new Uint16Array(SLOTS).fill(SHARDS_MAX)
    for (const [number, entry] of shards.entries()) {
      const { shard, ranges } = (entry ?? {}) as { shard?: unknown; ranges?: unknown }
      if (shard !== number) throw invalid(`entry ${number} of its shards is not that of shard ${number}`)
      if (!Array.isArray(ranges) || ranges.length < 1 || ranges.length > SLOTS) throw invalid(`shard ${number} has no slots`)
      for (const range of ranges) give(owners, number, range)
    }
    const free = owners.indexOf(SHARDS_MAX)
    if (free >= 0) throw invalid(`slot ${free} belongs to no shard`)
    return new SlotMap(version as number, owners, shards.length)
  }

  /** How many shards there are. */
  get shards(): number {
    return this.ranges.length
  }

  shardOf(slot: number): number {
    return this.#owners[slot]!
  }

  plain(): PlainSlotMap {
    return { version: this.version, shards: this.ranges.map((ranges, shard) => ({ shard, ranges })) }
  }
}

function give(owners: Uint16Array, shard: number, range: unknown): void {
  const [first, last] = Array.isArray(range) && range.length === 2 ? (range as unknown[]) : []
  const isSlot = (value: unknown): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < SLOTS
  if (!isSlot(first) || !isSlot(last) || first > last) throw invalid(`a range of shard ${shard} is not [first, last] of slots`)
  for (let slot = first; slot <= last; slot++) {
    if (owners[slot] !== SHARDS_MAX) throw invalid(`slot ${slot} belongs to two shards`)
    owners[slot] = shard
  }
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
