// A write of items is there as a whole or not at all, on every node at every moment: where one of its items is, each of the others is too, or
// something later in its place.

import { isHeld, type Version, type Versions } from './item-versions.ts'

/** A write of items: each id once, with what it was set to. */
export interface ItemWrite {
  readonly name: string
  readonly versions: Versions
}

export function checkItemsWhole(writes: readonly ItemWrite[], held: Versions, where: string): string[] {
  const found: string[] = []
  for (const { name, versions } of writes) {
    const [part] = [...versions].filter(([id, version]) => isSame(held.get(id), version))
    if (part === undefined) continue
    for (const [id, version] of versions) {
      if (!isHeld(held, id, version)) found.push(`${where} has item ${part[0]} of ${name}, and not item ${id}`)
    }
  }
  return found
}

/** The same change: incarnations are changed when a life is moved to another. */
export function isSame(one: Version | undefined, other: Version): boolean {
  return one !== undefined && one.stamp === other.stamp && one.node === other.node && one.seq === other.seq
}
