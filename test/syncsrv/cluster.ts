// A cluster in memory for tests of replication: real stores on virtual disks, real replication, a virtual network, one clock for all. Time
// goes on only when told. A node's process can be killed, its disk put back, and a second process started from a copy.

import type { Clock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Store } from '../../lib/persistence/index.ts'
import type { Once } from '../../lib/storage/index.ts'
import { Replication, type ReplicationOptions } from '../../lib/syncsrv/index.ts'
import { batchOf, DIRECTORY, hash, nameBytes, plainReply, SaidLogger } from '../persistence/harness.ts'
import { drained, VirtualClock } from '../support/virtual-clock.ts'
import { VirtualDisk } from '../support/virtual-disk.ts'
import { VirtualNetwork } from '../support/virtual-network.ts'

export const INTERVAL_MS = 1000
export const JOIN_TIMEOUT_MS = 5000
export const SUSPECT_MS = 10_000

/** The clock of one process: when it dies, nothing that it waits for comes any more. */
class ProcessClock implements Clock {
  readonly #world: Clock
  dead = false
  /** How far the wall clock of this process is ahead. */
  aheadMs = 0

  constructor(world: Clock) {
    this.#world = world
  }

  now(): number {
    return this.#world.now() + this.aheadMs
  }

  monotonicMs(): number {
    return this.#world.monotonicMs()
  }

  after(delayMs: number, task: () => void): () => void {
    return this.#world.after(delayMs, () => this.#run(task))
  }

  soon(task: () => void): void {
    this.#world.soon(() => this.#run(task))
  }

  #run(task: () => void): void {
    if (!this.dead) task()
  }
}

export class Node {
  readonly cluster: Cluster
  readonly id: number
  readonly address: string
  readonly disk: VirtualDisk
  readonly logger = new SaidLogger()
  readonly #overrides: Partial<ReplicationOptions>
  #clock: ProcessClock | undefined
  /** How far the wall clock of the next life is ahead. */
  aheadMs = 0
  /** Ids of items that the next life takes at most; 0 for no limit. */
  itemsMax = 0
  /** Bytes of writes with keys that the next life keeps to take them back, at most. */
  tentativeBytesMax = 1 << 20
  store!: Store
  replication!: Replication

  constructor(
    cluster: Cluster,
    id: number,
    address: string,
    overrides: Partial<ReplicationOptions>,
    disk = new VirtualDisk({ automatic: true }),
  ) {
    this.cluster = cluster
    this.id = id
    this.address = address
    this.disk = disk
    this.#overrides = overrides
  }

  /** The clock of the process that runs. */
  get clock(): Clock {
    return this.#clock!
  }

  /** Opens the store and the port. */
  async open(): Promise<void> {
    const { clock: world, network } = this.cluster
    const clock = new ProcessClock(world)
    clock.aheadMs = this.aheadMs
    this.#clock = clock
    const random = seededRandom(this.cluster.random.uint32())
    this.store = await Store.open({
      directory: DIRECTORY,
      nodeId: this.id,
      hash,
      clock,
      random,
      disk: this.disk.mount(),
      lock: async () => ({ release: async () => {} }),
      logger: this.logger,
      namesMax: 0,
      itemsMax: this.itemsMax,
      itemsAheadMsMax: 60_000,
      fsync: 'always',
      fsyncIntervalMs: 50,
      segmentBytes: 1 << 20,
      queueBytesMax: 1 << 24,
      snapshotIntervalMs: 0,
      snapshotLogBytes: 0,
      replyTtlMs: 3_600_000,
      repliesMax: 1000,
      tentativeBytesMax: this.tentativeBytesMax,
      onSettled: () => this.replication?.nudge(),
    })
    this.replication = new Replication({
      store: this.store,
      transport: network.transport(this.address, clock),
      clock,
      random,
      logger: this.logger,
      node: this.id,
      address: this.address,
      publicUrl: `${this.address}/public`,
      seeds: async () => this.cluster.seeds,
      mayContact: () => true,
      savedMembers: this.store.recovered.members,
      incarnationIsNew: this.store.recovered.incarnationIsNew,
      intervalMs: INTERVAL_MS,
      requestTimeoutMs: 2000,
      joinTimeoutMs: JOIN_TIMEOUT_MS,
      suspectMs: SUSPECT_MS,
      digestIntervalMs: 0,
      acceptTimeoutMs: 2000,
      confirmTimeoutMs: 5000,
      ...this.#overrides,
    })
    network.listen(this.address, this.replication.answer)
  }

  async start(): Promise<void> {
    await this.open()
    await this.replication.start()
  }

  async stop(): Promise<void> {
    await this.replication.stop()
    this.cluster.network.listen(this.address, undefined)
    await this.store.close()
    this.#clock!.dead = true
  }

  /** The process dies between two instructions. */
  kill(): void {
    this.cluster.network.listen(this.address, undefined)
    this.#clock!.dead = true
    this.disk.kill(this.cluster.random)
  }

  async write(amounts: Record<string, number>, once?: Once) {
    const batch = batchOf(amounts)
    for (let wait = this.store.admit(batch, once); wait !== undefined; wait = this.store.admit(batch, once)) await wait
    return this.store.increment(batch, () => plainReply(`of node ${this.id}`), once)
  }

  value(name: string): number {
    return Number(this.store.value(nameBytes(name)))
  }

  get incarnation(): number {
    return this.store.self.incarnation
  }

  /** What this node says of another one. */
  viewOf(node: Node) {
    return this.replication.status().members.find((member) => member.node === node.id)
  }
}

export class Cluster {
  readonly clock = new VirtualClock()
  readonly network = new VirtualNetwork(this.clock)
  readonly random
  readonly nodes: Node[] = []
  seeds: string[] = []
  /** Called after each step of what is under way: between two there is no other moment at which anybody could look. */
  onStep: () => void = () => {}

  constructor(seed = 1) {
    this.random = seededRandom(seed)
  }

  add(id: number, overrides: Partial<ReplicationOptions> = {}, disk?: VirtualDisk): Node {
    const node = new Node(this, id, `http://10.0.0.${this.nodes.length + 1}:3001`, overrides, disk)
    this.nodes.push(node)
    return node
  }

  /** Carries on until the promise has its answer; time goes on when nothing else is left. */
  async settle<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let settled = false
    const watched = promise.finally(() => {
      settled = true
    })
    watched.catch(() => {})
    const endMs = this.clock.monotonicMs() + limitMs
    for (;;) {
      await this.#rest()
      if (settled) return watched
      if (this.clock.monotonicMs() >= endMs || !this.clock.advance(limitMs)) throw new Error('waits for ever')
    }
  }

  /** Time goes on until the claim holds. @throws when it does not within the limit */
  async until(claim: () => boolean, limitMs = 60_000): Promise<number> {
    const startMs = this.clock.monotonicMs()
    for (;;) {
      await this.#rest()
      const elapsedMs = this.clock.monotonicMs() - startMs
      if (claim()) return elapsedMs
      if (elapsedMs >= limitMs || !this.clock.advance(limitMs)) throw new Error(`did not come true within ${limitMs} ms`)
    }
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms
    await this.#rest()
    while (this.clock.advance(endMs - this.clock.monotonicMs())) await this.#rest()
  }

  async #rest(): Promise<void> {
    do {
      await drained()
      this.onStep()
    } while (this.clock.step())
  }

  /** Lets go of all that is running. */
  async end(): Promise<void> {
    await this.settle(Promise.allSettled(this.nodes.map((node) => node.replication?.stop())))
  }
}

/** Nodes with these ids, started and known to each other. */
export async function clusterOf(
  ids: readonly number[],
  overrides: Partial<ReplicationOptions> = {},
): Promise<{ cluster: Cluster; nodes: Node[] }> {
  const cluster = new Cluster()
  const nodes = ids.map((id) => cluster.add(id, overrides))
  cluster.seeds = nodes.map(({ address }) => address)
  await cluster.settle(Promise.all(nodes.map((node) => node.start())))
  await cluster.until(() => nodes.every((node) => node.replication.status().members.length === ids.length))
  return { cluster, nodes }
}

/** What the promise rejects with. */
export { rejection } from '../persistence/harness.ts'

export const values = (nodes: readonly Node[], name: string): number[] => nodes.map((node) => node.value(name))
