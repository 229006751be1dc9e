// What happens to a cluster that nobody asked for: to its network, its machines, their directories, and its membership.

import type { CounterError } from '../../lib/base/errors.ts'
import { DIRECTORY } from '../persistence/harness.ts'
import type { DiskImage, Fault } from '../support/virtual-disk.ts'
import { checkHandedOver } from './check-kept.ts'
import { checkItemsHandedOver } from './cluster-items-ledger.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { Held, World } from './cluster-world.ts'
import { KeyedOp } from './keyed-ledger.ts'

const ERRORS: readonly Fault[] = ['EIO', 'EIO', 'ENOSPC', 'short', 'short']
const IDENTITY = `${DIRECTORY}/IDENTITY`
/** The machine that clones run on. */
const CLONE_MACHINE = 9

/** What a directory was saved as, to come back later. */
interface Saved {
  readonly node: ClusterNode
  readonly image: DiskImage
  readonly held: Held
}

export class Troubles {
  readonly #world: World
  #saved: Saved | undefined
  /** Nodes that an operator took out, and that have not been started since. */
  readonly gone = new Set<ClusterNode>()

  constructor(world: World) {
    this.#world = world
  }

  network(): void {
    const world = this.#world
    const { network, nodes } = world
    const what = world.below(10)
    if (what < 3) {
      const [one, other] = [world.oneOf(nodes), world.oneOf(nodes)]
      if (one === other) return
      network.cut(one, other)
      const both = world.chance(60)
      if (both) network.cut(other, one)
      world.happened(both ? 'cut both ways' : 'cut one way', one, ` to machine ${other.machine}`)
    } else if (what < 4) {
      const island = world.oneOf(nodes)
      this.cutOff(island)
      world.happened('cut off', island)
    } else if (what < 7) {
      network.breaks = world.oneOf([0, 50_000, 300_000])
      network.duplicates = world.oneOf([0, 100_000])
      network.delayMs = world.oneOf([2, 20, 200])
      network.stragglers = world.oneOf([0, 100_000])
      world.happened('rough network')
    } else {
      network.heal()
      world.happened('network healed')
    }
  }

  /** Nothing goes to the node or comes from it. */
  cutOff(island: ClusterNode): void {
    for (const other of this.#world.nodes) {
      if (other === island) continue
      this.#world.network.cut(island, other)
      this.#world.network.cut(other, island)
    }
  }

  // Machines.

  machine(): void {
    const world = this.#world
    const node = world.oneOf(world.nodes)
    const what = world.below(100)
    if (what < 6) return this.#restartAll()
    if (node.phase === 'down') return
    if (what < 24) this.crash(node)
    else if (what < 34) {
      world.happened('stopped', node)
      node.stop()
    } else if (what < 44) this.#planFault(node)
    else if (what < 54) this.#fillDisk(node)
    else if (what < 64) node.disk.capacity = Number.POSITIVE_INFINITY
    else if (what < 76) {
      node.clock.paused = true
      world.happened('paused', node)
    } else if (what < 84) {
      this.#jump(node, world.oneOf([-3_600_000, -30_000, 30_000, 86_400_000]))
    } else if (node.store) node.store.snapshot().catch(() => {})
  }

  crash(node: ClusterNode): void {
    const world = this.#world
    const { phase } = node
    if (world.chance(50)) {
      node.powerCut(world.oneOf([0, 0.5, 1]))
      world.happened(`power cut while ${phase}`, node)
    } else {
      node.kill()
      world.happened(`killed while ${phase}`, node)
    }
    world.lostTouch(node)
    node.calm()
  }

  /** A wall clock is set, by so much that others take what is stamped by it, or do not. */
  clock(): void {
    this.#jump(this.#world.oneOf(this.#world.nodes), this.#world.oneOf([-900_000, -90_000, -5000, 5000, 45_000, 90_000, 900_000]))
  }

  #jump(node: ClusterNode, byMs: number): void {
    const world = this.#world
    node.clock.wallOffsetMs += byMs
    world.offsetMsMax = Math.max(world.offsetMsMax, node.clock.wallOffsetMs)
    world.happened('wall clock jumps', node)
  }

  #restartAll(): void {
    for (const node of this.#world.nodes) {
      if (node.phase !== 'down') this.crash(node)
      if (!this.gone.has(node)) node.start()
    }
    this.#world.happened('all restarted')
  }

  /** The k-th call from now fails. */
  #planFault(node: ClusterNode): void {
    const world = this.#world
    const fault = world.oneOf(ERRORS)
    const kinds = fault === 'short' ? ['write', 'read'] : fault === 'ENOSPC' ? ['write', 'open'] : undefined
    let before = world.below(40)
    let times = world.oneOf([1, 1, 3])
    node.disk.plan = ({ kind }) => {
      if ((kinds && !kinds.includes(kind)) || before-- > 0 || times-- <= 0) return undefined
      if (fault !== 'short') node.faultHit = true
      return fault
    }
  }

  #fillDisk(node: ClusterNode): void {
    const used = node.disk.paths(DIRECTORY).reduce((sum, path) => sum + node.disk.bytesOf(path).length, 0)
    node.disk.capacity = used + this.#world.below(3000)
    node.faultHit = true
    this.#world.happened('disk filled', node)
  }

  /** Something that stands comes back, a paused process or a machine without one. False when nothing stands. */
  startOne(): boolean {
    const idle = this.#world.nodes.filter((node) => node.clock.paused || node.phase === 'down')
    if (idle.length === 0) return false
    const node = this.#world.oneOf(idle)
    if (node.clock.paused) {
      node.clock.paused = false
      this.#world.happened('goes on', node)
    } else this.start(node)
    return true
  }

  start(node: ClusterNode): void {
    const world = this.#world
    this.gone.delete(node)
    if (world.restless && world.chance(60) && node.disk.paths(DIRECTORY).includes(IDENTITY) && !node.rot.outstanding) {
      node.disk.drop(IDENTITY)
      world.happened('identity removed', node)
    }
    if (!world.isHealed && world.chance(10)) this.#planFault(node)
    node.start()
    world.happened('started', node)
  }

  // Directories.

  async directory(): Promise<void> {
    const world = this.#world
    if (this.#saved && world.chance(40)) return this.#bringBack(this.#saved)
    const node = world.someNode('down')
    if (node === undefined || node.rot.outstanding || !node.disk.paths(DIRECTORY).includes(IDENTITY)) return
    const what = world.below(100)
    if (what < 40) {
      this.#saved = { node, image: node.disk.image(), held: world.heldBy(node) }
      world.happened('directory saved', node)
    } else if (what < 60) await this.#clone(node)
    else if (what < 70) world.wipe(node)
    else {
      const rot = node.rot.strike()
      if (rot === undefined) return
      world.happened(`rot in ${rot}`, node)
      // What the last crash left unvouched for is cut off when it does not hold.
      if (rot === 'tail') world.diskLost(node)
    }
  }

  /** The saved directory takes the place of what is there: as a backup, under other inodes, or as the image of a disk. */
  #bringBack({ node, image, held }: Saved): void {
    const world = this.#world
    if (node.phase !== 'down') this.crash(node)
    node.disk.load(image)
    node.rot.forget()
    if (world.chance(50)) {
      this.#copy(node)
      world.happened('backup restored', node)
    } else world.happened('disk rolled back', node)
    world.membersLeast = 0
    world.diskLost(node, held)
  }

  /** The same files under other inodes. */
  #copy(node: ClusterNode): void {
    node.disk.copyDirectory(DIRECTORY, '/copied')
    node.disk.copyDirectory('/copied', DIRECTORY)
  }

  /** A copy of the directory is started elsewhere under the same node id. When all live and can be asked, it must be refused. */
  async #clone(node: ClusterNode): Promise<void> {
    const world = this.#world
    if (world.clones.length > 0) return
    const clone = world.machine(CLONE_MACHINE, node.nodeId)
    clone.disk.load(node.disk.image())
    if (world.chance(50)) this.#copy(clone)
    world.clones.push(clone)
    world.copied(clone, world.heldBy(node))
    world.membersLeast = 0
    world.keyed?.unsure.add(node.machine)
    world.happened('cloned', node)
    node.start()
    await world.pass(world.below(8000))
    const { network } = world
    const calm = !network.anyCut && network.breaks === 0 && network.delayMs < 200 && network.stragglers === 0
    const allUp = world.nodes.every(({ phase, clock, faultHit }) => phase === 'up' && !clock.paused && !faultHit)
    clone.start()
    if (!calm || !allUp) return world.happened('clone started', clone)
    world.happened('clone started while all live', clone)
    await world.until(() => clone.phase !== 'starting', 30_000)
    if (clone.phase !== 'down') world.violated([`a clone of the living node ${node.nodeId} is ${clone.phase}`])
    if (node.phase !== 'up') world.violated([`a clone ends the original ${node.nodeId}`])
  }

  // Members.

  member(): void {
    if (this.#world.chance(40)) return this.#drain()
    const operator = this.#world.someNode('up')
    const dead = operator?.replication?.status().members.filter(({ state }) => state === 'dead') ?? []
    const node = this.#world.nodes.find(({ phase, nodeId }) => phase === 'down' && dead.some((member) => member.node === nodeId))
    if (operator && node) this.#remove(operator, node)
  }

  #remove(operator: ClusterNode, node: ClusterNode): void {
    const world = this.#world
    try {
      operator.replication!.remove(node.nodeId)
    } catch (error) {
      return world.count(`remove refused ${(error as CounterError).code}`)
    }
    world.happened('removed', node)
    world.membersLeast = 0
    world.keyed?.unsure.add(node.machine)
    this.gone.add(node)
    // What others wrote and only the removed node still has may be lost: the others do not wait for it before they fold.
    for (const op of world.ledger.ops) {
      const isWrittenElsewhere =
        op instanceof KeyedOp ? op.made.some(({ machine }) => machine !== node.machine) : op.machine !== node.machine
      if (op.holders.size === 1 && op.holders.has(node.machine) && isWrittenElsewhere) op.excused = true
    }
  }

  #drain(): void {
    const world = this.#world
    const node = world.someNode('up')
    if (!node?.replication || world.nodes.filter(({ phase }) => phase === 'up').length < 2 || world.network.anyCut) return
    world.membersLeast = 0
    world.keyed?.unsure.add(node.machine)
    node.phase = 'draining'
    world.happened('drains', node)
    const { life } = node
    node.replication.drain().then(
      () => {
        if (life !== node.life) return
        world.happened('drained', node)
        world.violated(checkHandedOver(world.ledger, node.machine))
        if (world.items) world.violated(checkItemsHandedOver(world.items, node.machine))
      },
      (error) => world.count(`drain failed ${error.code}`),
    )
  }
}
