// What the clients of a cluster know of each increment, and what only the simulator knows: which disks hold it. A disk holds an increment
// when the process on it was told that it is durable there, and no longer when it is wiped, rolled back or damaged. An acknowledged increment may be
// missing in the end only when there was a moment in which no disk held it.

import { type ReplicaId, replicaKey } from '../../lib/storage/index.ts'
import type { ItemOp } from './cluster-items-ledger.ts'
import { type KeyedLedger, KeyedOp } from './keyed-ledger.ts'
import type { OpState } from './ledger.ts'

export type Level = 1 | 'majority' | 'all'

/** Where in the history of columns a write stands. */
export interface Place {
  readonly replica: ReplicaId
  readonly seq: number
}

export interface ClusterOp {
  readonly name: string
  /** The machine that it was sent to. */
  readonly machine: number
  readonly level: Level
  state: OpState
  /** Machines whose disks hold it, and those that ever did. */
  readonly holders: Set<number>
  readonly everHeld: Set<number>
  /** There was a moment in which no disk held it any more. */
  excused: boolean
}

export class ClusterLedger {
  readonly ops: ClusterOp[] = []
  readonly #byName = new Map<string, ClusterOp>()

  add(machine: number, level: Level): ClusterOp {
    return this.#add({
      name: this.#nextName,
      machine,
      level,
      state: 'pending' as OpState,
      holders: new Set<number>(),
      everHeld: new Set<number>(),
      excused: false,
    })
  }

  /** A write with an Idempotency-Key, which is its name; @param amountsOf what it adds */
  addKeyed(keyed: KeyedLedger, machine: number, amountsOf: (name: string) => Record<string, number>): KeyedOp {
    const name = this.#nextName
    const op = this.#add(new KeyedOp(name, machine, amountsOf(name)))
    keyed.ops.push(op)
    return op
  }

  get #nextName(): string {
    return `op-${this.ops.length}`
  }

  #add<T extends ClusterOp>(op: T): T {
    this.ops.push(op)
    this.#byName.set(op.name, op)
    return op
  }

  find(name: string): ClusterOp | undefined {
    return this.#byName.get(name)
  }

  /** The disk of the machine holds what counts in `name`, if that is an op. */
  held(machine: number, name: string): void {
    const op = this.#byName.get(name)
    op?.holders.add(machine)
    op?.everHeld.add(machine)
  }

  /** Names of the ops that the machine's disk holds. */
  heldBy(machine: number): Set<string> {
    return new Set(this.ops.filter(({ holders }) => holders.has(machine)).map(({ name }) => name))
  }

  /** The machine's disk holds nothing more, except what is in `kept`. */
  lost(machine: number, kept: ReadonlySet<string> = new Set()): void {
    for (const op of this.ops) {
      if (kept.has(op.name) || !op.holders.delete(machine)) continue
      if (op.holders.size === 0) op.excused = true
    }
  }

  /** The process on the machine died: nobody learns any more what came of what was sent to it. */
  lostTouch(machine: number): void {
    for (const op of this.ops) {
      if (op instanceof KeyedOp) op.lostTouch(machine)
      else if (op.machine === machine && op.state === 'pending') op.state = 'unknown'
    }
  }
}

/** A client that goes from node to node and takes along what it has written. */
export class Session {
  readonly #places = new Map<string, Place>()
  #ops: ClusterOp[] = []
  #itemOps: ItemOp[] = []

  /** An increment was acknowledged, and where it stands. */
  wrote(op: ClusterOp, place: Place): void {
    this.#ops.push(op)
    this.#stands(place)
  }

  wroteItems(op: ItemOp, place: Place): void {
    this.#itemOps.push(op)
    this.#stands(place)
  }

  #stands(place: Place): void {
    const key = replicaKey(place.replica)
    if ((this.#places.get(key)?.seq ?? 0) < place.seq) this.#places.set(key, place)
  }

  /** What it has written by now. */
  written(): { readonly ops: readonly ClusterOp[]; readonly itemOps: readonly ItemOp[]; readonly places: readonly Place[] } {
    return { ops: [...this.#ops], itemOps: [...this.#itemOps], places: [...this.#places.values()] }
  }

  /** What was written may have been lost with a disk. */
  forget(): void {
    this.#places.clear()
    this.#ops = []
    this.#itemOps = []
  }
}
