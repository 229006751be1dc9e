// What the clients of a cluster know of each write of items, and what only the simulator knows: what each disk holds of each item. An
// acknowledged change may be missing in the end only when there was a moment in which no disk held it or anything later.

import { type ItemWrite, isSame } from './check-items-whole.ts'
import type { Level } from './cluster-ledger.ts'
import { compareVersions, isHeld, type Version, type Versions } from './item-versions.ts'

export interface ItemOp extends ItemWrite {
  readonly machine: number
  readonly level: Level
  /** Empty until the node has made the change. */
  versions: Versions
  state: 'pending' | 'acknowledged' | 'unknown' | 'refused'
  /** Of its items those that may be missing. */
  readonly excused: Set<string>
}

export class ItemsLedger {
  readonly ops: ItemOp[] = []
  /** By machine, the last change of each item that its disk holds. */
  readonly #held = new Map<number, Map<string, Version>>()
  /** How often a disk has lost something. */
  losses = 0

  add(machine: number, level: Level): ItemOp {
    const name = `items-${this.ops.length}`
    const op: ItemOp = { name, machine, level, versions: new Map(), state: 'pending', excused: new Set() }
    this.ops.push(op)
    return op
  }

  /** Those that were made, whatever has become of them. */
  get made(): readonly ItemOp[] {
    return this.ops.filter(({ versions }) => versions.size > 0)
  }

  /** The disk of the machine holds this, or something later. */
  held(machine: number, versions: Iterable<readonly [id: string, version: Version]>): void {
    const held = this.#of(machine)
    for (const [id, version] of versions) if (!isHeld(held, id, version)) held.set(id, version)
  }

  heldBy(machine: number): Versions {
    return new Map(this.#of(machine))
  }

  /** The machine's disk holds nothing more but `kept`. */
  lost(machine: number, kept: Versions = new Map()): void {
    this.losses++
    this.#held.set(machine, new Map(kept))
    const disks = [...this.#held.values()]
    for (const { versions, excused } of this.ops) {
      for (const [id, version] of versions) if (!disks.some((held) => isHeld(held, id, version))) excused.add(id)
    }
  }

  /** On how many disks all of the write is, or something later. */
  holders({ versions }: ItemWrite): number {
    return [...this.#held.values()].filter((held) => [...versions].every(([id, version]) => isHeld(held, id, version))).length
  }

  lostTouch(machine: number): void {
    for (const op of this.ops) if (op.machine === machine && op.state === 'pending') op.state = 'unknown'
  }

  #of(machine: number): Map<string, Version> {
    let held = this.#held.get(machine)
    if (held === undefined) {
      held = new Map()
      this.#held.set(machine, held)
    }
    return held
  }
}

/** Acknowledged means kept: each item is as the last acknowledged write has left it, or as a later one that was made. */
export function checkItemsKept(ledger: ItemsLedger, held: Versions, where: string): string[] {
  const found: string[] = []
  const { made } = ledger
  for (const { name, state, versions, excused, level } of made) {
    if (state !== 'acknowledged') continue
    for (const [id, version] of versions) {
      if (excused.has(id) || isHeld(held, id, version)) continue
      found.push(`${name} has set item ${id} and was acknowledged with level ${level}, and ${where} does not have it`)
    }
  }
  for (const [id, version] of held) {
    const writer = made.find(({ versions }) => isSame(versions.get(id), version))
    const tenant = writer?.versions.get(id)?.tenant
    if (writer === undefined) found.push(`${where} has item ${id} as nobody has written it`)
    else if (tenant !== version.tenant)
      found.push(`${where} has item ${id} of ${version.tenant}, and ${writer.name} wrote ${tenant}`)
  }
  return found
}

/** A disk that nobody has touched holds at a start what it held before. */
export function checkItemsHeld(ledger: ItemsLedger, machine: number, held: Versions): string[] {
  return [...ledger.heldBy(machine)]
    .filter(([id, version]) => !isHeld(held, id, version))
    .map(([id]) => `machine ${machine} held item ${id} on its disk, and starts without it`)
}

/** Who drained has handed over all that it held, as far as no disk has lost anything. */
export function checkItemsHandedOver(ledger: ItemsLedger, machine: number): string[] {
  if (ledger.losses > 0) return []
  return ledger.made
    .filter((op) => op.machine === machine && op.state === 'acknowledged' && ledger.holders(op) < 2)
    .map(({ name }) => `machine ${machine} was drained, and it alone holds ${name}`)
}

/** A change that is made after others were seen is later than they are, whatever the clocks say. */
export function checkLater(op: ItemWrite, seen: Versions): string[] {
  const found: string[] = []
  for (const version of op.versions.values()) {
    for (const [id, before] of seen) {
      if (compareVersions(version, before) <= 0)
        found.push(`${op.name} is stamped ${version.stamp}, and item ${id} ${before.stamp} before`)
    }
  }
  return found
}
