// The clients of a cluster that change and read items, on any node; for some changes the members vote first. Ids and tenants are few, so that what
// they write meets; what they are told goes into the ledger and to the checkers.

import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import type { ItemChange, StoredReply } from '../../lib/storage/index.ts'
import { nameBytes, plainReply } from '../persistence/harness.ts'
import { checkItemCounts, checkTenantList } from './check-items-counts.ts'
import { checkItemsWhole } from './check-items-whole.ts'
import { checkLevel } from './check-level.ts'
import { checkLater, type ItemOp } from './cluster-items-ledger.ts'
import type { Level, Place, Session } from './cluster-ledger.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { World } from './cluster-world.ts'
import { isHeld, itemsOf, type Versions } from './item-versions.ts'
import { someChanges, writtenNow } from './node-items.ts'

const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED', 'DRAINING', 'ITEMS_REFUSED'])
/** As clients of counts. */
const WAIT_MS = 3000
const LEVELS: readonly Level[] = [1, 1, 'majority', 'all']
const ACCEPTS: ReadonlyArray<'one' | 'majority' | 'all'> = ['one', 'one', 'one', 'majority', 'all']
export const NOTE = 'sim/note'

export class ItemClients {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  turn(): void {
    const world = this.#world
    for (let count = 1 + world.below(4); count > 0; count--) {
      const node = world.someNode('up')
      if (node === undefined) return
      const what = world.below(100)
      if (what < 60) void this.#write(node)
      else if (what < 75) void this.#readInSession(node, world.oneOf(world.sessions))
      else if (what < 90) void this.read(node)
      else void this.#note(node)
    }
  }

  #write(node: ClusterNode): Promise<void> {
    const world = this.#world
    const [session, accept] = [world.oneOf(world.sessions), world.oneOf(ACCEPTS)]
    if (accept === 'one') return this.change(node, world.oneOf(LEVELS), session)
    return this.#accept(node, accept, session)
  }

  async change(node: ClusterNode, level: Level, session: Session): Promise<void> {
    const { store, replication } = node
    const world = this.#world
    const { items } = world
    if (!store || !replication || !items) return
    const changes = someChanges(world)
    const op = items.add(node.machine, level)
    try {
      const { at, stamp } = await store.changeItems(changes, () => this.#made(op, node, store, changes))
      this.#acknowledged(op, at, session)
      const [version] = op.versions.values()
      if (version!.stamp !== stamp) world.violated([`${op.name} was answered with another stamp`])
      world.count('items changed')
      if (level === 1) return
      const { losses } = items
      const result = await replication.waitFor(at, level, WAIT_MS)
      world.count(result.met ? 'items met their level' : 'items did not meet their level')
      if (losses !== items.losses) return
      const everHeld = new Set(Array.from({ length: items.holders(op) }, (_, holder) => holder))
      world.violated(checkLevel({ ...op, everHeld }, result, world.membersLeast))
    } catch (error) {
      this.#refused(op, error)
    }
  }

  /** The members vote first: when it is refused nothing is kept anywhere. */
  async #accept(node: ClusterNode, accept: 'majority' | 'all', session: Session): Promise<void> {
    const { store, replication } = node
    const world = this.#world
    const { items } = world
    if (!store || !replication || !items) return
    const changes = someChanges(world)
    const op = items.add(node.machine, accept)
    const { losses } = items
    try {
      const reply = () => this.#made(op, node, store, changes)
      const { at, accepted, members } = await replication.acceptItems(changes, accept, reply)
      this.#acknowledged(op, at, session)
      world.count(`items accepted by ${accept}`)
      if (losses !== items.losses) return
      const holders = items.holders(op)
      if (holders >= accepted) return
      world.violated([`${op.name} was accepted by ${accepted} of ${members}, and ${holders} disks hold it`])
    } catch (error) {
      this.#refused(op, error)
    }
  }

  /** In the turn in which the change was made. */
  #made(op: ItemOp, node: ClusterNode, store: Store, changes: readonly ItemChange[]): StoredReply {
    const world = this.#world
    const seen = world.items!.heldBy(node.machine)
    op.versions = writtenNow(store, changes)
    world.violated(checkLater(op, seen))
    world.violated(checkItemCounts(store, itemsOf(store), `machine ${node.machine}`))
    return plainReply('')
  }

  #acknowledged(op: ItemOp, at: Place, session: Session): void {
    op.state = 'acknowledged'
    this.#world.items!.held(op.machine, op.versions)
    for (const { seq } of op.versions.values())
      if (seq !== at.seq) this.#world.violated([`${op.name} was answered with another place`])
    session.wroteItems(op, at)
  }

  #refused(op: ItemOp, error: unknown): void {
    const code = error instanceof CounterError ? error.code : String((error as { code?: string }).code ?? error)
    const isMade = op.versions.size > 0
    this.#world.count(`items refused ${code}`)
    // A new incarnation is due, and its identity could not be written.
    const renewing = !isMade && code === 'EIO'
    if (code === 'ITEMS_REFUSED' && isMade)
      this.#world.violated([`${op.name} was made, and refused: ${(error as Error).message}`])
    if (!REFUSALS.has(code) && !renewing) this.#world.violated([`items were refused with ${code}: ${(error as Error).stack}`])
    if (op.state === 'pending') op.state = isMade ? 'unknown' : 'refused'
  }

  /** What is true of the items of a node at every moment. */
  check(node: ClusterNode): Versions {
    const world = this.#world
    const held = itemsOf(node.store!)
    const where = `machine ${node.machine}`
    world.violated(checkItemCounts(node.store!, held, where))
    world.violated(checkItemsWhole(world.items!.made, held, where))
    return held
  }

  /** Reads as the API does: what was found leaves when it is settled. */
  async read(node: ClusterNode): Promise<void> {
    const { store } = node
    if (!store) return
    const world = this.#world
    const held = this.check(node)
    try {
      const { tenants } = await store.tenants({ prefix: '', after: undefined, limit: 10 })
      if (node.store !== store) return
      const where = `machine ${node.machine}`
      world.violated(node.itemsShown.shown(held).map((found) => `${found} by ${where}`))
      world.count('items read')
      // Only what has stood still meanwhile can be compared.
      const now = itemsOf(store)
      if ([...now].every(([id, version]) => isHeld(held, id, version))) world.violated(checkTenantList(tenants, held, where))
    } catch (error) {
      if (!(error instanceof CounterError)) world.violated([`a read of items threw ${(error as Error).stack}`])
    }
  }

  /** A session reads its own writes of items, or later ones, on whatever node it reads next. */
  async #readInSession(node: ClusterNode, session: Session): Promise<void> {
    const { store, replication } = node
    if (!store || !replication) return
    const world = this.#world
    const { itemOps, places } = session.written()
    try {
      if (!(await replication.waitUntilKnown(places, WAIT_MS))) return world.count('session waits in vain')
      if (node.store !== store) return
      const held = this.check(node)
      await store.settled()
      if (node.store !== store) return
      world.count('session read of items')
      for (const { name, versions, excused } of itemOps) {
        for (const [id, version] of versions) {
          if (excused.has(id) || isHeld(held, id, version)) continue
          world.violated([`a session wrote item ${id} with ${name} and does not read it on machine ${node.machine}`])
        }
      }
    } catch (error) {
      if (!(error instanceof CounterError)) world.violated([`a read of items threw ${(error as Error).stack}`])
    }
  }

  /** One at a time: they have no other order. */
  async #note(node: ClusterNode): Promise<void> {
    const { store, life, notes } = node
    if (!store || notes.busyLife === life) return
    notes.busyLife = life
    const number = ++notes.last
    try {
      await store.keepNotes([[NOTE, nameBytes(`${number}`)]])
      if (node.life === life) notes.kept = number
    } catch (error) {
      const code = error instanceof CounterError ? error.code : String(error)
      if (!REFUSALS.has(code)) this.#world.violated([`a note was refused with ${code}: ${(error as Error).stack}`])
    }
    if (node.life === life) notes.busyLife = -1
  }
}
