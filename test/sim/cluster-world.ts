// The world of a history: machines, their network and their time, what the clients know, and what has happened so far. It moves the machines
// step by step, in an order that the seed decides, and notes which processes have ended, and whether they may.

import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import type { Store, StoreOptions } from '../../lib/persistence/index.ts'
import { valueOf } from '../persistence/harness.ts'
import { drained, VirtualClock } from '../support/virtual-clock.ts'
import { CheckColumns, type SeenCell } from './check-columns.ts'
import { checkItemCounts } from './check-items-counts.ts'
import { checkItemsWhole } from './check-items-whole.ts'
import { checkHeld } from './check-kept.ts'
import { NOTE } from './cluster-items.ts'
import { checkItemsHeld, ItemsLedger } from './cluster-items-ledger.ts'
import { ClusterLedger, Session } from './cluster-ledger.ts'
import { ClusterNetwork } from './cluster-network.ts'
import { ClusterNode, type ClusterSettings, type Watcher } from './cluster-node.ts'
import { itemsOf, type Version, type Versions } from './item-versions.ts'
import { KeyedLedger, KeyedOp, lineOf } from './keyed-ledger.ts'

const DAMAGE = new Set(['LOG_CORRUPT', 'SNAPSHOT_CORRUPT', 'IDENTITY_INVALID'])
const SESSIONS = 3
/** The machine that is asked first where not all are. */
const ONLY_SEED = 1
/** One step in so many time goes on, however much there is to do. */
const HURRY = 32
/** One history in so many has items and notes too; the others are what they were before there were any. */
const ITEMS_EVERY = 4
/** And in so many one with Idempotency-Keys. */
const KEYED_EVERY = 3
/** By how much their clocks are wrong: which of two writes was earlier is not to depend on it. */
const SKEWS_MS: readonly number[] = [0, 0, -700, -3, 3, 40]
/** As good as never, in milliseconds: clocks jump by days. */
const NEVER_MS = 1e12

/** What a disk holds. */
export interface Held {
  readonly names: ReadonlySet<string>
  readonly items: Versions
  /** The last note that was kept. */
  readonly note: number
}

const NOTHING: Held = { names: new Set(), items: new Map(), note: 0 }

export class World implements Watcher {
  readonly violations: string[] = []
  readonly faults = new Map<string, number>()
  readonly trace: string[] = []
  readonly random: Random
  readonly clock = new VirtualClock()
  readonly network: ClusterNetwork
  readonly nodes: ClusterNode[] = []
  /** Machines that run a copy of another's directory, under its node id. */
  readonly clones: ClusterNode[] = []
  readonly ledger = new ClusterLedger()
  /** Only in histories that have items. */
  readonly items: ItemsLedger | undefined
  /** Only in histories that have keys. */
  readonly keyed: KeyedLedger | undefined
  /** By how much a wall clock was ahead of that of the world, at most. */
  offsetMsMax = 0
  readonly columns = new CheckColumns()
  readonly sessions = Array.from({ length: SESSIONS }, () => new Session())
  /** Whether nodes take new incarnations for next to nothing, so that there is much to fold. */
  readonly restless: boolean
  /** How many members every node must know of; 0 once that is not certain any more. */
  membersLeast = 0
  /** Nothing is to fail any more. */
  isHealed = false
  readonly #seed: number
  readonly #settings: ClusterSettings
  /** Whether all nodes are seeds, or only the first. */
  readonly #seedsAll: boolean

  constructor(seed: number) {
    this.#seed = seed
    this.items = seed % ITEMS_EVERY === 0 ? new ItemsLedger() : undefined
    this.random = seededRandom(seed)
    this.network = new ClusterNetwork(this.clock, seededRandom(seed ^ 0x0ff5e7), (what) => this.count(what))
    const settings = {
      intervalMs: this.oneOf([1000, 2000, 4000]),
      digestIntervalMs: this.oneOf([8000, 20_000]),
      store: { segmentBytes: this.oneOf([4096, 16_384]), snapshotLogBytes: this.oneOf([0, 4096]) },
    }
    this.keyed = seed % KEYED_EVERY === 1 ? new KeyedLedger({ forgetful: this.chance(12), tight: this.chance(25) }) : undefined
    this.#settings = this.keyed ? { ...settings, store: { ...settings.store, ...this.#keyedOptions(this.keyed) } } : settings
    this.#seedsAll = this.chance(60)
    this.restless = this.chance(35)
    const count = this.oneOf([2, 3, 3, 3, 3, 3, 4, 5])
    for (let machine = 1; machine <= count; machine++) this.nodes.push(this.machine(machine, machine))
    if (this.keyed) for (const { clock } of this.nodes) clock.wallOffsetMs = this.oneOf(SKEWS_MS)
    this.offsetMsMax = Math.max(...this.nodes.map(({ clock }) => clock.wallOffsetMs))
  }

  #keyedOptions({ forgetful, tight }: KeyedLedger): Partial<StoreOptions> {
    return {
      replyTtlMs: forgetful && this.chance(50) ? 15_000 : NEVER_MS,
      repliesMax: forgetful ? 3 : 1000,
      tentativeBytesMax: tight ? this.oneOf([0, 1500, 6000]) : 1 << 24,
    }
  }

  /** A machine without a process. */
  machine(machine: number, nodeId: number): ClusterNode {
    return new ClusterNode({ machine, nodeId, clock: this.clock, watcher: this, settings: this.#settings, seed: this.#seed })
  }

  get machines(): readonly ClusterNode[] {
    return this.clones.length === 0 ? this.nodes : [...this.nodes, ...this.clones]
  }

  get isViolated(): boolean {
    return this.violations.length > 0
  }

  below(limit: number): number {
    return this.random.uint32() % limit
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  oneOf<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  someNode(phase: 'up' | 'down'): ClusterNode | undefined {
    const nodes = this.nodes.filter((node) => node.phase === phase)
    return nodes.length === 0 ? undefined : this.oneOf(nodes)
  }

  count(what: string): void {
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1)
  }

  /** @param detail for the trace, not counted apart */
  happened(what: string, node?: ClusterNode, detail = ''): void {
    this.count(what)
    const at = String(Math.round(this.clock.monotonicMs())).padStart(7)
    this.trace.push(`${at} ms  ${node ? `machine ${node.machine}: ` : ''}${what}${detail}`)
  }

  violated(found: readonly string[]): void {
    this.violations.push(...found)
  }

  /** Whether a machine that has lost its directory could find nobody without this one. */
  isOnlySeed({ machine }: ClusterNode): boolean {
    return !this.#seedsAll && machine === ONLY_SEED
  }

  // What the machines ask and tell.

  seeds(asker: ClusterNode): string[] {
    const seeds = this.nodes.filter(({ machine }) => this.#seedsAll || machine === ONLY_SEED)
    return seeds.map(({ address }) => address).filter((address) => address !== asker.address || this.#seedsAll)
  }

  opened(node: ClusterNode, store: Store): void {
    node.rot.started()
    this.happened(store.recovered.incarnationIsNew ? 'opened under a new incarnation' : 'opened', node)
    this.violated(checkHeld(this.ledger, node.machine, (name) => valueOf(store, name)))
    for (const { name } of this.ledger.ops) if (valueOf(store, name) > 0) this.ledger.held(node.machine, name)
    if (this.items) this.#openedItems(node, store, this.items)
  }

  #openedItems(node: ClusterNode, store: Store, items: ItemsLedger): void {
    const held = itemsOf(store)
    this.violated(checkItemsHeld(items, node.machine, held))
    items.held(node.machine, held)
    this.#checkItems(node, store, items)
    const note = Number(Buffer.from(store.note(NOTE) ?? []).toString())
    const { kept, last } = node.notes
    if (note < kept || note > last)
      this.violated([`machine ${node.machine} kept notes ${kept} to ${last}, and starts with ${note}`])
    node.notes.kept = note
  }

  #checkItems({ machine }: ClusterNode, store: Store, items: ItemsLedger): void {
    const held = itemsOf(store)
    const where = `machine ${machine}`
    this.violated([...checkItemsWhole(items.made, held, where), ...checkItemCounts(store, held, where)])
  }

  merged(node: ClusterNode, cells: readonly SeenCell[], versions: ReadonlyArray<readonly [id: string, version: Version]>): void {
    this.violated(this.columns.seen(cells))
    if (this.keyed) this.#heldNet(node, cells)
    else for (const { name, plus } of cells) if (plus > 0) this.ledger.held(node.machine, name)
    if (!this.items || versions.length === 0) return
    this.violated(this.columns.seenItems(versions))
    this.items.held(node.machine, versions)
    if (node.store) this.#checkItems(node, node.store, this.items)
  }

  /** What was taken back by one node stays, as another one has counted it too, and that is known wherever it is known that it was taken back. */
  #heldNet({ machine, store }: ClusterNode, cells: readonly SeenCell[]): void {
    const nets = new Map<string, number>()
    for (const { name, plus, minus } of cells) nets.set(name, (nets.get(name) ?? 0) + plus - minus)
    for (const [name, net] of nets) {
      if (net > 0) this.ledger.held(machine, name)
      const op = this.ledger.find(name)
      if (!(op instanceof KeyedOp) || !store || !op.holders.has(machine) || valueOf(store, name) > 0) continue
      this.violated([`machine ${machine} held ${name}, and does not show it any more: ${lineOf(op)}`])
    }
  }

  refused(_node: ClusterNode, error: unknown): void {
    if (error instanceof CounterError && error.code === 'CLOCK_AHEAD') this.count('merge refused CLOCK_AHEAD')
  }

  heldBy({ machine, notes }: ClusterNode): Held {
    return { names: this.ledger.heldBy(machine), items: this.items?.heldBy(machine) ?? new Map(), note: notes.kept }
  }

  /** The disk of the machine is a copy of another. */
  copied({ machine, notes }: ClusterNode, held: Held): void {
    for (const name of held.names) this.ledger.held(machine, name)
    this.keyed?.unsure.add(machine)
    this.items?.held(machine, held.items)
    notes.kept = held.note
    notes.last = Number.MAX_SAFE_INTEGER
  }

  /** The disk of the machine holds nothing any more but what is in `kept`. */
  diskLost(node: ClusterNode, kept = NOTHING): void {
    this.ledger.lost(node.machine, kept.names)
    this.keyed?.forgot(node.machine)
    this.items?.lost(node.machine, kept.items)
    node.notes.kept = kept.note
    node.itemsShown.forget()
    node.shown.forget()
    this.columns.forget()
    for (const session of this.sessions) session.forget()
  }

  /** The process on the machine died: nobody learns any more what came of what was sent to it. */
  lostTouch({ machine }: ClusterNode): void {
    this.ledger.lostTouch(machine)
    this.items?.lostTouch(machine)
  }

  // Steps and time.

  async pass(ms: number): Promise<void> {
    let over = false
    this.clock.after(ms, () => {
      over = true
    })
    await drained()
    while (!over && !this.isViolated) {
      if ((await this.#round()) && this.below(HURRY) > 0) continue
      this.clock.advance()
    }
    this.#buryTheDead()
  }

  /** Time goes on until it is so; false when it is not after `limitMs`. */
  async until(condition: () => boolean, limitMs: number, stepMs = 250): Promise<boolean> {
    const endMs = this.clock.monotonicMs() + limitMs
    while (!condition()) {
      if (this.clock.monotonicMs() >= endMs || this.isViolated) return false
      await this.pass(stepMs)
    }
    return true
  }

  /** A step of each machine that can take one; false when none can. */
  async #round(): Promise<boolean> {
    let moved = false
    const { machines } = this
    const first = this.below(machines.length)
    for (let index = 0; index < machines.length; index++) {
      const node = machines[(first + index) % machines.length]!
      if (!node.ready) continue
      moved = true
      node.step(this.random)
    }
    if (moved) await drained()
    return moved
  }

  #buryTheDead(): void {
    for (const node of this.machines) {
      if (node.phase !== 'down') continue
      this.lostTouch(node)
      const { error } = node
      node.error = undefined
      if (error === undefined) continue
      this.happened(`ended with ${error instanceof CounterError ? error.code : (error as { code?: string }).code}`, node)
      if (!this.#mayEnd(node, error)) this.violated([`machine ${node.machine} ended without a cause: ${error.stack ?? error}`])
      if (DAMAGE.has(error.code) && node.rot.outstanding && !node.faultHit) this.#repair(node)
      node.calm()
    }
  }

  #mayEnd(node: ClusterNode, error: CounterError): boolean {
    if (node.faultHit) return true
    if (error.code === 'NODE_ID_TAKEN') return this.clones.length > 0
    return DAMAGE.has(error.code) && node.rot.outstanding
  }

  /** What rotted comes back from a copy, or everything is thrown away: the others have it. */
  #repair(node: ClusterNode): void {
    if (this.chance(50)) {
      node.rot.heal()
      this.happened('rot healed', node)
    } else this.wipe(node)
  }

  wipe(node: ClusterNode): void {
    node.disk.load({ files: [], directories: [], inodes: 1000 })
    node.rot.forget()
    this.membersLeast = 0
    this.happened('wiped', node)
    this.diskLost(node)
  }
}
