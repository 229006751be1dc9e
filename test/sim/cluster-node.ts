// A machine of the cluster: a disk, a clock, and at times a process with the real store and the real replication on it.

import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { Store, type StoreOptions } from '../../lib/persistence/index.ts'
import { type Answer, Replication } from '../../lib/syncsrv/index.ts'
import { DIRECTORY, hash, SaidLogger } from '../persistence/harness.ts'
import type { VirtualClock } from '../support/virtual-clock.ts'
import { VirtualDisk } from '../support/virtual-disk.ts'
import { cellsOf, type SeenCell } from './check-columns.ts'
import { CheckItemsShown } from './check-items-shown.ts'
import { CheckShown } from './check-shown.ts'
import { NodeClock } from './cluster-clock.ts'
import type { ClusterNetwork, Station } from './cluster-network.ts'
import { type Version, versionsOf } from './item-versions.ts'
import { Rot } from './rot.ts'

/** What the history wants to know of its machines. */
export interface Watcher {
  readonly network: ClusterNetwork
  readonly seeds: (machine: ClusterNode) => string[]
  /** The store was opened: all that it has is on the disk. */
  opened(machine: ClusterNode, store: Store): void
  /** These cells and items came from another node, and are on the disk now. */
  merged(machine: ClusterNode, cells: readonly SeenCell[], items: ReadonlyArray<readonly [id: string, version: Version]>): void
  /** What came was not taken. */
  refused(machine: ClusterNode, error: unknown): void
}

export interface ClusterSettings {
  readonly store: Partial<StoreOptions>
  readonly intervalMs: number
  readonly digestIntervalMs: number
}

export interface MachineOptions {
  readonly machine: number
  readonly nodeId: number
  /** That of the world. */
  readonly clock: VirtualClock
  readonly watcher: Watcher
  readonly settings: ClusterSettings
  readonly seed: number
}

const JOIN_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 2000
const SUSPECT_MS = 4000

export type Phase =
  /** No process. */
  | 'down'
  /** A process that opens its store, or asks the others. */
  | 'starting'
  | 'up'
  /** It hands over what it has, to leave. */
  | 'draining'

export class ClusterNode implements Station {
  /** Number of the machine, and so of its disk. */
  readonly machine: number
  readonly nodeId: number
  readonly address: string
  readonly clock: NodeClock
  readonly disk = new VirtualDisk({ automatic: false })
  readonly rot: Rot
  readonly shown = new CheckShown()
  readonly itemsShown = new CheckItemsShown()
  /** Notes are numbers that count up: the last that was begun, the last that the disk holds, and in which life one is being written. */
  readonly notes = { last: 0, kept: 0, busyLife: -1 }
  readonly #watcher: Watcher
  readonly #settings: ClusterSettings
  readonly #random: Random
  readonly logger = new SaidLogger()
  life = 0
  /** The life that is ending by itself. */
  #ending = -1
  answer: Answer | undefined
  phase: Phase = 'down'
  store: Store | undefined
  replication: Replication | undefined
  /** Why the last process ended by itself. */
  error: CounterError | undefined
  /** A fault that is planned has hit in this life. */
  faultHit = false
  /** Whether it has left the cluster, and no process was started since. */
  hasLeft = false

  constructor({ machine, nodeId, clock, watcher, settings, seed }: MachineOptions) {
    this.machine = machine
    this.nodeId = nodeId
    this.address = `http://10.0.0.${machine}:3001`
    this.clock = new NodeClock(clock)
    this.#watcher = watcher
    this.#settings = settings
    this.#random = seededRandom((seed * 31 + machine) ^ 0x5eed)
    this.rot = new Rot(this.disk, this.#random)
    watcher.network.add(this)
  }

  /** Whether a process could take a step now. */
  get ready(): boolean {
    return !this.clock.paused && (this.clock.ready || this.disk.pendingCount > 0)
  }

  /** One step of the process or of the disk. */
  step(random: Random): void {
    if (this.clock.ready && (this.disk.pendingCount === 0 || random.uint32() % 2 === 0)) this.clock.step()
    else this.disk.step(random)
  }

  /** Begins a process. What comes of it is in `phase` and `error`. */
  start(): void {
    this.phase = 'starting'
    this.error = undefined
    // A disk that was full when the last process was stopped is full still.
    this.faultHit = Number.isFinite(this.disk.capacity)
    this.hasLeft = false
    const { life } = this
    this.#run(life).catch((error) => {
      if (life === this.life) void this.#end(life, error)
    })
  }

  async #run(life: number): Promise<void> {
    let replication: Replication | undefined
    const store = await Store.open(this.#options(() => replication?.nudge()))
    if (life !== this.life) return
    this.store = store
    this.#watch(store, life)
    this.#watcher.opened(this, store)
    replication = new Replication({
      store,
      transport: this.#watcher.network.transport(this),
      clock: this.clock,
      random: this.#random,
      logger: this.logger,
      node: this.nodeId,
      address: this.address,
      publicUrl: '',
      seeds: async () => this.#watcher.seeds(this),
      mayContact: () => true,
      savedMembers: store.recovered.members,
      incarnationIsNew: store.recovered.incarnationIsNew,
      intervalMs: this.#settings.intervalMs,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      joinTimeoutMs: JOIN_TIMEOUT_MS,
      suspectMs: SUSPECT_MS,
      digestIntervalMs: this.#settings.digestIntervalMs,
      acceptTimeoutMs: 2000,
      confirmTimeoutMs: 5000,
    })
    this.replication = replication
    this.answer = replication.answer
    void store.failed.then((error) => {
      if (life === this.life) void this.#end(life, error)
    })
    void replication.left.then(() => {
      if (life !== this.life) return
      this.hasLeft = true
      void this.#end(life, undefined)
    })
    await replication.start()
    if (life === this.life) this.phase = 'up'
  }

  /** The process ends by itself: it closes what it can, and is gone. */
  async #end(life: number, error: unknown): Promise<void> {
    if (this.#ending === life) return
    this.#ending = life
    this.error = error as CounterError | undefined
    this.answer = undefined
    const { store, replication } = this
    this.replication = undefined
    await replication?.stop().catch(() => {})
    await store?.close().catch(() => {})
    if (life === this.life) this.#forget()
  }

  /** Stops the process as a signal does. */
  stop(): void {
    this.phase = 'starting'
    void this.#end(this.life, undefined)
  }

  #options(onSettled: () => void): StoreOptions {
    let locked = false
    return {
      directory: DIRECTORY,
      nodeId: this.nodeId,
      hash,
      clock: this.clock,
      random: this.#random,
      disk: this.disk.mount(),
      lock: async (directory) => {
        if (locked) throw new CounterError('DIRECTORY_LOCKED', `${directory} is in use`)
        locked = true
        return {
          release: async () => {
            locked = false
          },
        }
      },
      logger: this.logger,
      namesMax: 0,
      itemsMax: 0,
      itemsAheadMsMax: 60_000,
      fsync: 'always',
      fsyncIntervalMs: 50,
      segmentBytes: 64 * 1024,
      queueBytesMax: 1 << 20,
      snapshotIntervalMs: 0,
      snapshotLogBytes: 0,
      replyTtlMs: 3_600_000,
      repliesMax: 1000,
      tentativeBytesMax: 1 << 20,
      onSettled,
      ...this.#settings.store,
    }
  }

  #watch(store: Store, life: number): void {
    const merge = store.merge.bind(store)
    store.merge = async (delta) => {
      const cells = cellsOf(delta)
      const items = versionsOf(delta)
      const news = await merge(delta).catch((error: unknown) => {
        this.#watcher.refused(this, error)
        throw error
      })
      if (life === this.life) this.#watcher.merged(this, cells, items)
      return news
    }
  }

  kill(): void {
    this.disk.kill(this.#random)
    this.#forget()
  }

  /** @param keep the probability with which each unsynced change is on disk all the same */
  powerCut(keep: number): void {
    this.disk.powerCut(this.#random, keep)
    this.#forget()
  }

  #forget(): void {
    this.life++
    this.clock.forget()
    this.answer = undefined
    this.store = undefined
    this.replication = undefined
    this.phase = 'down'
    this.clock.paused = false
  }

  /** No faults of the disk any more. */
  calm(): void {
    this.disk.plan = () => undefined
    this.disk.capacity = Number.POSITIVE_INFINITY
  }
}
