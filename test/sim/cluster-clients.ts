// The clients of a cluster: they write with levels, read, and read in sessions, on any node, and never send an increment twice; those that do
// are in cluster-keyed.ts. What they are told goes into the ledger and to the checkers.

import { CounterError } from '../../lib/base/errors.ts'
import { batchOf, plainReply, valueOf } from '../persistence/harness.ts'
import { checkLevel } from './check-level.ts'
import { checkSession } from './check-session.ts'
import { type ClusterOp, type Level, Session } from './cluster-ledger.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { World } from './cluster-world.ts'
import { KeyedOp } from './keyed-ledger.ts'

/** Nothing was done by a write that is refused with one of these, unless it was sent. */
const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED', 'DRAINING'])
const NOTHING_DONE = new Set(['DISK_FULL', 'DRAINING'])
/** How long a client waits for a level, and for what its session has written, in milliseconds. */
export const WAIT_MS = 3000
const LEVELS: readonly Level[] = [1, 1, 'majority', 'majority', 'all']

export class Clients {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** A few of them turn to nodes that are up. */
  turn(): void {
    const world = this.#world
    for (let count = 1 + world.below(4); count > 0; count--) {
      const node = world.someNode('up')
      if (node === undefined) return
      if (world.restless && world.chance(30)) this.renew()
      const what = world.below(100)
      if (what < 60) this.write(node, world.oneOf(LEVELS), world.oneOf(world.sessions))
      else if (what < 84) this.readInSession(node, world.oneOf(world.sessions))
      else this.read(node)
    }
    const clone = world.clones.find(({ phase }) => phase === 'up')
    if (clone && world.chance(50)) this.write(clone, 1, new Session())
  }

  /** A node takes a new incarnation, as it does by itself when its column was written elsewhere or when it was removed. */
  renew(): void {
    const node = this.#world.someNode('up')
    if (!node?.store) return
    this.#world.happened('renewed', node)
    node.store.renew('this history is restless').catch(() => {})
  }

  async write(node: ClusterNode, level: Level, session: Session): Promise<void> {
    const { store, replication } = node
    if (!store || !replication) return
    const world = this.#world
    const op = world.ledger.add(node.machine, level)
    const batch = batchOf({ hot: 1, [op.name]: 1 })
    let sent = false
    try {
      for (let wait = store.admit(batch); wait !== undefined; wait = store.admit(batch)) await wait
      sent = true
      const { at } = await store.increment(batch, () => plainReply(''))
      op.state = 'acknowledged'
      world.ledger.held(node.machine, op.name)
      session.wrote(op, at)
      if (level === 1) return
      const result = await replication.waitFor(at, level, WAIT_MS)
      world.count(result.met ? `level ${level} met` : `level ${level} not met`)
      world.violated(checkLevel(op, result, world.membersLeast))
    } catch (error) {
      this.#writeFailed(op, sent, error)
    }
  }

  #writeFailed(op: ClusterOp, sent: boolean, error: unknown): void {
    const code = error instanceof CounterError ? error.code : String((error as { code?: string }).code ?? error)
    this.#world.count(`write refused ${code}`)
    // A new incarnation is due, and its identity could not be written.
    const renewing = !sent && code === 'EIO'
    if (!REFUSALS.has(code) && !renewing) this.#world.violated([`a write was refused with ${code}: ${(error as Error).stack}`])
    if (op.state === 'pending') op.state = sent && !NOTHING_DONE.has(code) ? 'unknown' : 'refused'
  }

  /** Reads as the API does: values leave when they are settled. */
  async read(node: ClusterNode): Promise<void> {
    const { store } = node
    if (!store) return
    const world = this.#world
    const ops = world.ledger.ops.slice(-3)
    const readings = new Map([['hot', valueOf(store, 'hot')]])
    // A write with a key may show more often for a while, and never less than once again.
    for (const op of ops)
      readings.set(op.name, op instanceof KeyedOp ? Math.min(valueOf(store, op.name), 1) : valueOf(store, op.name))
    try {
      await store.settled()
    } catch {
      return
    }
    if (node.store !== store) return
    for (const [name, value] of readings) {
      world.violated(node.shown.shown(name, value).map((found) => `${found} by machine ${node.machine}`))
    }
  }

  async readInSession(node: ClusterNode, session: Session): Promise<void> {
    const { store, replication } = node
    if (!store || !replication) return
    const world = this.#world
    const { ops, places } = session.written()
    try {
      if (!(await replication.waitUntilKnown(places, WAIT_MS))) return world.count('session waits in vain')
      const readings = new Map(ops.map(({ name }) => [name, valueOf(store, name)]))
      await store.settled()
      if (node.store !== store) return
      world.count('session read')
      world.violated(checkSession(ops, node.machine, readings))
    } catch (error) {
      if (!(error instanceof CounterError)) world.violated([`a read threw ${(error as Error).stack}`])
    }
  }
}
