// One random history of a cluster: real stores and real replication on virtual machines, one clock, a network that does what networks
// do, and clients that write with levels and read in sessions. The seed decides everything, so the same seed gives the same history.
//
//   history := start of all, (clients | time | network | machine | directory | member)*, healing, agreement
//
// What happened to a disk is told to the ledger; the checkers, one property each, are in check-*.ts.

import type { Store } from '../../lib/persistence/index.ts'
import { encodeKnown, replicaKey, type VersionVector } from '../../lib/storage/index.ts'
import { nameBytes } from '../persistence/harness.ts'
import { checkAgreement, type View } from './check-agreement.ts'
import { addFaults } from './check-faults.ts'
import { checkFolded } from './check-folded.ts'
import { checkItemCounts } from './check-items-counts.ts'
import { checkItemsWhole } from './check-items-whole.ts'
import { checkKept } from './check-kept.ts'
import { Clients, WAIT_MS } from './cluster-clients.ts'
import { ItemClients } from './cluster-items.ts'
import { checkItemsKept } from './cluster-items-ledger.ts'
import { KeyedClients } from './cluster-keyed.ts'
import { type Place, Session } from './cluster-ledger.ts'
import type { ClusterNode } from './cluster-node.ts'
import { Troubles } from './cluster-troubles.ts'
import { World } from './cluster-world.ts'
import { ITEM_TENANTS, itemsOf } from './item-versions.ts'
import { checkKeyed, KEYED, mostOf } from './keyed-ledger.ts'
import type { HistoryResult } from './node.ts'

/** Within this time of healing all are up again, and within this time then all agree and have folded: a few of the longest pauses. */
const UP_MS = 60_000
const AGREE_MS = 120_000
/** And in this time nothing is promised any more. */
const PROMISES_MS = 60_000
/** In seconds: within which of them it came to agree is counted. */
const BOUNDS = [5, 15, 40, 80] as const

export async function runClusterHistory(seed: number): Promise<HistoryResult> {
  const world = new World(seed)
  await new ClusterHistory(world).run()
  for (const { disk } of world.machines) addFaults(world.faults, disk.faults)
  return { violations: world.violations, faults: world.faults, trace: world.trace }
}

class ClusterHistory {
  readonly #world: World
  readonly #clients: Clients
  readonly #itemClients: ItemClients
  readonly #troubles: Troubles
  readonly #keyedClients: KeyedClients | undefined

  constructor(world: World) {
    this.#world = world
    this.#clients = new Clients(world)
    this.#itemClients = new ItemClients(world)
    this.#troubles = new Troubles(world)
    this.#keyedClients = world.keyed && new KeyedClients(world, world.keyed, (node) => this.#troubles.crash(node))
  }

  async run(): Promise<void> {
    const world = this.#world
    await this.#begin()
    // Those with keys have more in a turn.
    for (let turn = 5 + world.below(world.keyed ? 19 : 28); turn > 0 && !world.isViolated; turn--) await this.#turn()
    if (!world.isViolated) await this.#heal()
    // Replies that are hidden nobody finds.
    if (!world.isViolated && !world.keyed && world.chance(10)) await this.#plantHidden()
    if (!world.isViolated) await this.#agree()
  }

  async #begin(): Promise<void> {
    const world = this.#world
    const { nodes } = world
    for (const node of nodes) {
      node.start()
      if (world.chance(30)) await world.pass(world.below(3000))
    }
    const up = await world.until(() => nodes.every(({ phase }) => phase === 'up'), 30_000)
    if (!up) world.violated(['the first start takes for ever'])
    const knows = ({ replication }: ClusterNode): boolean => replication?.status().members.length === nodes.length
    const known = await world.until(() => nodes.every(knows), 30_000)
    if (!known) world.violated(['the nodes do not find each other'])
    // And have written it down.
    await world.pass(500)
    world.membersLeast = nodes.length
  }

  async #turn(): Promise<void> {
    const world = this.#world
    const what = world.items && world.chance(35) ? 100 : world.below(100)
    if (what === 100) this.#itemsTurn()
    else if (this.#keyedClients && world.chance(40)) await this.#keyedClients.turn()
    else if (what < 42) this.#clients.turn()
    else if (what < 54) this.#troubles.network()
    else if (what < 68) this.#troubles.machine()
    else if (what < 84) this.#troubles.startOne() || this.#clients.turn()
    else if (what < 92) await this.#troubles.directory()
    else if (what < 97) this.#troubles.member()
    else if (world.restless) this.#clients.renew()
    await world.pass(world.chance(8) ? 6000 : world.oneOf([1, 20, 20, 100, 400, 1200]))
  }

  #itemsTurn(): void {
    if (this.#world.chance(80)) this.#itemClients.turn()
    else this.#troubles.clock()
  }

  /** Nothing goes wrong any more, and all come back, but for those that were taken out. */
  async #heal(): Promise<void> {
    const world = this.#world
    world.happened('healed')
    world.isHealed = true
    world.network.heal()
    this.#endClones()
    for (const node of world.nodes) {
      node.clock.paused = false
      node.calm()
      // What was stamped by a clock that is ahead is taken by all when theirs have come there.
      if (world.items) node.clock.wallOffsetMs = world.offsetMsMax
    }
    const stay = new Set([...this.#troubles.gone].filter((node) => world.chance(50) && !world.isOnlySeed(node)))
    const rest = world.nodes.filter((node) => !stay.has(node))
    const endMs = world.clock.monotonicMs() + UP_MS
    // Some end yet of a fault that has hit before.
    for (let quiet = 0; quiet < 2 && !world.isViolated; ) {
      for (const node of rest) if (node.phase === 'down') this.#troubles.start(node)
      await world.pass(500)
      quiet = rest.every(({ phase }) => phase === 'up') ? quiet + 1 : 0
      if (world.clock.monotonicMs() <= endMs) continue
      world.violated([`machines do not come up: ${rest.map(({ machine, phase }) => `${machine} is ${phase}`)}`])
    }
    for (const node of stay) world.diskLost(node)
  }

  /** Copies are found out by then and thrown away. */
  #endClones(): void {
    for (const clone of this.#world.clones) {
      if (clone.phase !== 'down') clone.kill()
      this.#world.lostTouch(clone)
      this.#world.diskLost(clone)
    }
  }

  /** A node is made to believe that it knows what it does not have: only digests can find that. Nothing is lost afterwards. */
  async #plantHidden(): Promise<void> {
    const world = this.#world
    const [one, other] = world.nodes.filter(({ phase }) => phase === 'up')
    if (!one || !other) return
    // No read may wait for what is going to be hidden.
    await world.pass(WAIT_MS + 500)
    this.#troubles.cutOff(one)
    void this.#clients.write(one, 1, new Session())
    if (world.items) void this.#itemClients.change(one, 1, new Session())
    await world.pass(100)
    for (const session of world.sessions) session.forget()
    // A process may have ended of a fault that hits late.
    if (one.store && other.store) {
      for (const { replica, seq } of one.store.vector()) other.store.merge(encodeKnown(replica, seq)).catch(() => {})
      world.happened('difference hidden', other)
    }
    await world.pass(100)
    world.network.heal()
  }

  /** All agree and have folded within the bound, and what they agree on is right. */
  async #agree(): Promise<void> {
    const world = this.#world
    const up = world.nodes.filter(({ phase }) => phase === 'up')
    const beganMs = world.clock.monotonicMs()
    await world.until(() => this.#isAgreed(up), AGREE_MS, 500)
    if (world.isViolated) return
    if (up.some(({ store }) => store === undefined)) return world.violated(['a process ended after all was healed'])
    const seconds = (world.clock.monotonicMs() - beganMs) / 1000
    world.count(`agreed within ${BOUNDS.find((bound) => seconds <= bound) ?? 'more'} s`)
    if (up.some(({ replication }) => replication!.status().counters.folds > 0)) world.count('folded')
    const views = up.map((node) => this.#viewOf(node))
    world.violated([...checkAgreement(views), ...views.flatMap(({ readings }) => checkKept(world.ledger, readings))])
    world.violated(this.#unfoldedAt(up))
    if (world.keyed) this.#checkKeyed(up)
    for (const node of up) this.#checkItems(node)
    if (world.items && !world.isViolated) await this.#forgetPromises(up)
    if (!world.isViolated) await this.#readEverywhere(up)
  }

  /** All writes with keys are settled, and count as often as they may. */
  #checkKeyed(up: readonly ClusterNode[]): void {
    const world = this.#world
    const isPresent = ({ replica }: Place): boolean =>
      up.some(({ store }) => store!.self.node === replica.node && store!.self.incarnation === replica.incarnation)
    const [first] = up
    const names = world.keyed!.ops.flatMap(({ amounts }) => Object.keys(amounts))
    const readings = new Map([KEYED, ...names].map((name) => [name, Number(first!.store!.value(nameBytes(name)))]))
    world.violated(checkKeyed(world.keyed!, readings, isPresent))
    for (const op of world.keyed!.ops) {
      if (op.made.length > 1) world.count(mostOf(op, world.keyed!, isPresent) > 1 ? 'key may stay twice' : 'key must come to one')
      if (readings.get(op.name)! > 1) world.count('key stays twice')
    }
    for (const { machine, store } of up) {
      const { tentativeWrites, withdrawals } = store!.status()
      if (tentativeWrites > 0) world.violated([`machine ${machine} keeps ${tentativeWrites} writes to take back for ever`])
      for (let count = 0; count < withdrawals; count++) world.count('key taken back')
    }
  }

  /** Promises to write batches of others expire. */
  async #forgetPromises(up: readonly ClusterNode[]): Promise<void> {
    const promised = ({ store }: ClusterNode) => [...(store?.notesUnder('prepare/') ?? [])].map(([key]) => key)
    const forgotten = await this.#world.until(() => up.every((node) => promised(node).length === 0), PROMISES_MS, 500)
    if (!forgotten) this.#world.violated(up.map((node) => `machine ${node.machine} keeps promises for ever: ${promised(node)}`))
  }

  #checkItems({ machine, store }: ClusterNode): void {
    const world = this.#world
    if (!world.items) return
    const held = itemsOf(store!)
    const where = `machine ${machine}`
    world.violated(checkItemsKept(world.items, held, where))
    world.violated([...checkItemsWhole(world.items.made, held, where), ...checkItemCounts(store!, held, where)])
  }

  #isAgreed(up: readonly ClusterNode[]): boolean {
    const [first, ...others] = up.map(({ store }) => store?.vector())
    if (!first || !others.every((vector) => vector?.equals(first))) return false
    if (up.some(({ store }) => store!.status().tentativeWrites > 0)) return false
    return this.#unfoldedAt(up).length === 0 && checkAgreement(up.map((node) => this.#viewOf(node))).length === 0
  }

  #unfoldedAt(up: readonly ClusterNode[]): string[] {
    const nodes = up.map(({ nodeId }) => nodeId)
    return up.flatMap(({ store }) =>
      checkFolded(
        [...store!.vector()].map(({ replica }) => replicaKey(replica)),
        nodes,
      ),
    )
  }

  #viewOf({ machine, store }: ClusterNode): View {
    const names = ['hot', KEYED, ...this.#world.ledger.ops.map(({ name }) => name)]
    const readings = new Map(names.map((name) => [name, Number(store!.value(nameBytes(name)))]))
    if (this.#world.items) {
      for (const tenant of ITEM_TENANTS) readings.set(`items of ${tenant}`, store!.tenantCount(tenant))
      for (const [id, { stamp }] of itemsOf(store!)) readings.set(`item ${id}`, stamp)
    }
    return { machine, readings, vector: textOf(store!.vector()), digests: digestsOf(store!) }
  }

  /** In the end every session can read everywhere. */
  async #readEverywhere(up: readonly ClusterNode[]): Promise<void> {
    const world = this.#world
    let waiting = 0
    for (const session of world.sessions) {
      for (const node of up) {
        waiting++
        void this.#clients.readInSession(node, session).then(() => waiting--)
        void this.#clients.read(node)
        if (world.items) void this.#itemClients.read(node)
      }
    }
    await world.until(() => waiting === 0, WAIT_MS + 1000, 50)
    if (waiting > 0) world.violated([`${waiting} reads have no answer`])
  }
}

const textOf = (vector: VersionVector): string =>
  [...vector]
    .map(({ replica, seq }) => `${replicaKey(replica)}:${seq}`)
    .sort()
    .join(' ')

function digestsOf(store: Store): Uint32Array {
  const steps = store.digests()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
