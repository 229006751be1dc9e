// The clients of a cluster that write with an Idempotency-Key, and send the same request again: to the same node or another one, after an answer,
// without one, after a kill, behind a cut, to two at once. What they are told goes into the ledger and to the checkers.

import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import type { WriteAt } from '../../lib/storage/index.ts'
import { batchOf, once, plainReply, valueOf } from '../persistence/harness.ts'
import { checkLevel } from './check-level.ts'
import { WAIT_MS } from './cluster-clients.ts'
import type { Level, Session } from './cluster-ledger.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { World } from './cluster-world.ts'
import { type Attempt, KEYED, type KeyedLedger, type KeyedOp, lineOf } from './keyed-ledger.ts'

const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED', 'DRAINING', 'KEY_IN_FLIGHT', 'KEYS_UNSETTLED'])
const LEVELS: readonly Level[] = [1, 1, 1, 'majority', 'all']
/** A request is sent again while it is among so many newest. */
const RECENT = 6
/** Names of a large batch: beyond the first number its rows are found in slices. */
const LARGE = 9000
const MANY = 150

export class KeyedClients {
  readonly #world: World
  readonly #ledger: KeyedLedger
  /** Ends a process: as trouble does, with a word to the trace. */
  readonly #crash: (node: ClusterNode) => void

  constructor(world: World, ledger: KeyedLedger, crash: (node: ClusterNode) => void) {
    this.#world = world
    this.#ledger = ledger
    this.#crash = crash
  }

  async turn(): Promise<void> {
    const world = this.#world
    for (let count = 1 + world.below(3); count > 0; count--) {
      const node = world.someNode('up')
      if (node === undefined) return
      const what = world.below(100)
      if (what < 30) void this.#send(this.#newOp(node), node)
      else if (what < 65) this.#again(node)
      else if (what < 80) this.#both(node)
      else await this.#failOver(node)
    }
  }

  /** Any request of late, whatever has become of it. */
  #again(node: ClusterNode): void {
    const { ops } = this.#ledger
    if (ops.length === 0) return
    const op = this.#world.oneOf(ops.slice(-RECENT))
    void this.#send(op, node, this.#says(op, node))
  }

  /** Whether the request says that another node may have counted it: it does, but for clients that are not told of one another. */
  #says(op: KeyedOp, node: ClusterNode): boolean {
    return op.attempts.some(({ machine }) => machine !== node.machine) && this.#world.chance(85)
  }

  /** Two nodes at once. */
  #both(node: ClusterNode): void {
    const other = this.#otherThan(node)
    const op = this.#newOp(node)
    void this.#send(op, node)
    if (other) void this.#send(op, other, this.#says(op, other))
  }

  /** A node ends while it counts, or stands apart, and another one is asked. */
  async #failOver(node: ClusterNode): Promise<void> {
    const world = this.#world
    const op = this.#newOp(node)
    void this.#send(op, node)
    await world.pass(world.oneOf([0, 1, 5, 20, 200]))
    if (world.chance(60) && node.phase === 'up') this.#crash(node)
    const other = this.#otherThan(node)
    if (other) void this.#send(op, other, true)
  }

  #otherThan(node: ClusterNode): ClusterNode | undefined {
    const others = this.#world.nodes.filter(({ phase, machine }) => phase === 'up' && machine !== node.machine)
    return others.length === 0 ? undefined : this.#world.oneOf(others)
  }

  #newOp({ machine }: ClusterNode): KeyedOp {
    const world = this.#world
    const size = world.chance(8) ? (world.chance(4) ? LARGE : MANY) : world.below(3)
    return world.ledger.addKeyed(this.#ledger, machine, (name) => {
      const amounts: Record<string, number> = { [KEYED]: 1, [`${name}-`]: -3 }
      for (let index = 0; index < size; index++) amounts[`${name}.${index}`] = index % 2 === 0 ? index + 1 : -index
      // The last one, so that it comes in another delta than the first when there are very many.
      return { ...amounts, [name]: 1 }
    })
  }

  async #send(op: KeyedOp, node: ClusterNode, failover = false): Promise<void> {
    const { store, replication } = node
    if (!store || !replication) return
    const world = this.#world
    const [level, session] = [world.oneOf(LEVELS), world.oneOf(world.sessions)]
    const attempt = op.begin(node.machine)
    world.happened(failover ? 'key sent elsewhere' : 'key sent', node, ` ${op.name}`)
    const batch = batchOf(op.amounts)
    const request = { ...once(op.name), failover }
    try {
      for (let wait = store.admit(batch, request); wait !== undefined; wait = store.admit(batch, request)) await wait
      const before = store.status().tentativeWrites
      const reply = () => {
        op.counted(attempt, { replica: store.self, seq: store.vector().get(store.self) })
        return plainReply(`machine ${node.machine}`)
      }
      const done = store.increment(batch, reply, request)
      if (attempt.place) this.#counted(op, attempt, node, store.status().tentativeWrites > before)
      const { at, replayed } = await done
      attempt.state = 'acknowledged'
      this.#acknowledged(op, node, store, { at, replayed }, session)
      if (level === 1) return
      const result = await replication.waitFor(at, level, WAIT_MS)
      world.count(result.met ? 'key met its level' : 'key did not meet its level')
      world.violated(checkLevel({ name: op.name, level, everHeld: op.everHeld }, result, world.membersLeast))
    } catch (error) {
      this.#failed(op, attempt, failover, error)
    }
  }

  /** In the turn in which it was counted. */
  #counted(op: KeyedOp, attempt: Attempt, node: ClusterNode, tentative: boolean): void {
    const world = this.#world
    attempt.tentative = tentative
    if (op.made.length > 1) world.count('key counted twice')
    // Who knows only some of the members waits only for these.
    const others = world.nodes.filter(({ machine }) => machine !== node.machine && !this.#ledger.unsure.has(machine))
    const known = others.filter(({ nodeId }) => node.replication!.hasMember(nodeId))
    if (known.length < others.length) attempt.firm = true
    if (tentative || this.#ledger.tight || this.#ledger.forgetful || known.length === 0) return
    world.violated([`${op.name} cannot be taken back by machine ${node.machine}, which has other members`])
  }

  #acknowledged(
    op: KeyedOp,
    node: ClusterNode,
    store: Store,
    { at, replayed }: { readonly at: WriteAt; readonly replayed: boolean },
    session: Session,
  ): void {
    const world = this.#world
    if (replayed) world.count(at.replica.node === node.nodeId ? 'key answered again' : 'key answered again elsewhere')
    const { seq, replica } = at
    const isMade = op.made.some(({ place }) => place!.replica.node === replica.node && place!.seq === seq)
    if (!isMade) world.violated([`${op.name} was answered by machine ${node.machine} as ${replica.node}:${seq}: ${lineOf(op)}`])
    if (node.store !== store) return
    if (valueOf(store, op.name) < 1) {
      world.violated([`${op.name} was answered by machine ${node.machine}, which does not have it: ${lineOf(op)}`])
    }
    world.ledger.held(node.machine, op.name)
    op.excused = false
    session.wrote(op, at)
  }

  #failed(op: KeyedOp, attempt: Attempt, failover: boolean, error: unknown): void {
    const world = this.#world
    const code = error instanceof CounterError ? error.code : String((error as { code?: string }).code ?? error)
    world.count(`key refused ${code}`)
    const isMade = attempt.place !== undefined
    // A new incarnation is due, and its identity could not be written.
    const renewing = !isMade && code === 'EIO'
    if (!REFUSALS.has(code) && !renewing) world.violated([`a key was refused with ${code}: ${(error as Error).stack}`])
    if (code === 'KEYS_UNSETTLED' && isMade) world.violated([`${op.name} was refused with ${code}, and counted`])
    // The request says that another node may have counted it, or the node has heard that one has.
    const mayBeElsewhere = failover || op.made.some(({ machine }) => machine !== attempt.machine)
    if (code === 'KEYS_UNSETTLED' && !(mayBeElsewhere && this.#ledger.tight))
      world.violated([`${op.name} was refused with ${code}`])
    if (attempt.state === 'pending') attempt.state = isMade ? 'unknown' : 'refused'
  }
}
