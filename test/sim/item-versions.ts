// What a store holds of each item, deleted ones too, with everything that decides which of two changes is the later. It is read out of what the
// store would give to another node, and compared by a reading of the rule of its own.

import { ByteReader } from '../../lib/base/bytes.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { DecodedDelta, VersionVector } from '../../lib/storage/index.ts'

/** The last change of an item. */
export interface Version {
  readonly stamp: number
  readonly node: number
  readonly incarnation: number
  readonly seq: number
  /** undefined: deleted. */
  readonly tenant: string | undefined
}

export type Versions = ReadonlyMap<string, Version>

/** Ids and tenants are few, so that changes meet. */
export const ITEM_IDS = ['a', 'b', 'c', 'd', 'ü', '__proto__'] as const
export const ITEM_TENANTS = ['red', 'green', 'constructor'] as const

/** Where items begin in what a store gives away: behind all rows of names. */
const ITEMS_FROM = 2 ** 40
/** Deltas of earlier versions have no items. */
const ITEMS_VERSION = 2
/** Making one takes longer than reading a small delta. */
const SCRATCH = new DecodedDelta()

/** Above 0 when the first is the later. */
export function compareVersions(one: Version, other: Version): number {
  return one.stamp - other.stamp || one.node - other.node || one.incarnation - other.incarnation || one.seq - other.seq
}

/** Whether nothing that `version` says of the item is missing in `held`. */
export function isHeld(held: Versions, id: string, version: Version): boolean {
  const there = held.get(id)
  return there !== undefined && compareVersions(there, version) >= 0
}

/** The items of an encoded delta. */
export function versionsOf(bytes: Uint8Array): Array<readonly [id: string, version: Version]> {
  if (bytes[0]! < ITEMS_VERSION) return []
  SCRATCH.decode(new ByteReader(bytes, 0, bytes.length, 'DELTA_INVALID', 'delta'))
  return versionsIn(SCRATCH)
}

export function versionsIn({ items }: DecodedDelta): Array<readonly [id: string, version: Version]> {
  const text = (from: Uint32Array, to: Uint32Array, at: number) => Buffer.from(items.bytes.subarray(from[at], to[at])).toString()
  return Array.from({ length: items.count }, (_, item) => {
    const tenant = items.tenant[item]!
    const version = {
      ...items.origins[items.origin[item]!]!,
      stamp: items.stamp[item]!,
      seq: items.seq[item]!,
      tenant: tenant === 0 ? undefined : text(items.tenantFrom, items.tenantTo, tenant - 1),
    }
    return [text(items.idFrom, items.idTo, item), version] as const
  })
}

/** All items of a store, at this moment. */
export function itemsOf(store: Store): Map<string, Version> {
  const versions = new Map<string, Version>()
  for (const { delta } of store.since(new VersionVector(), { chunk: ITEMS_FROM, vector: new VersionVector() })) {
    for (const [id, version] of versionsOf(delta)) versions.set(id, version)
  }
  return versions
}
