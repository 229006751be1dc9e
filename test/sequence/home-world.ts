// Nodes that share the sequences of one home, in a virtual cluster: real stores, real replication, and the network of test/support.

import { seededRandom } from '../../lib/base/random.ts'
import { peersOf } from '../../lib/node/sequence-peers.ts'
import { type HomePeers, HomeSequencer, LocalSequencer, type NoteStore } from '../../lib/sequence/index.ts'
import { DIRECTORY } from '../persistence/harness.ts'
import type { VirtualDisk } from '../support/virtual-disk.ts'
import { Cluster, type Node } from '../syncsrv/cluster.ts'

export const KEY_TTL_MS = 3_600_000
export const CALL_MS = 2000
export const ASK_MS = 1000
export const INTERVAL_MS = 250

/** What stands between an engine and what it rests on. */
export interface Between {
  readonly notes?: (notes: NoteStore) => NoteStore
  readonly peers?: (peers: HomePeers) => HomePeers
}

export interface Place {
  readonly node: Node
  sequencer: HomeSequencer
  /** What the settings of its next start name. */
  home: number
  /** Whether the next start finds a directory that may be a copy. */
  doubtful: boolean
  seeksOthers: boolean
}

export class HomeWorld {
  readonly cluster: Cluster
  readonly places: Place[] = []
  readonly keyTtlMs = KEY_TTL_MS

  /** Faults that a test plants. */
  readonly #between: Between

  constructor(seed = 1, between: Between = {}) {
    this.cluster = new Cluster(seed)
    this.#between = between
  }

  /** A node that is not started yet. */
  add(id: number, { home = 0, seeksOthers = true }: { home?: number; seeksOthers?: boolean } = {}): Place {
    const node = this.cluster.add(id)
    const place: Place = { node, home, seeksOthers, doubtful: false, sequencer: undefined as unknown as HomeSequencer }
    this.places.push(place)
    return place
  }

  async start(place: Place): Promise<void> {
    const { node } = place
    await node.open()
    const clock = node.clock
    const { notes = (given) => given, peers = (given) => given } = this.#between
    place.sequencer = new HomeSequencer({
      local: new LocalSequencer({ notes: notes(node.store), clock, keyTtlMs: KEY_TTL_MS, keysMax: 1000 }),
      notes: notes(node.store),
      peers: peers(peersOf(node.replication)),
      home: place.home,
      seeksOthers: place.seeksOthers,
      doubtful: place.doubtful || node.store.recovered.incarnationIsNew,
      clock,
      random: seededRandom(this.cluster.random.uint32()),
      logger: node.logger,
      migrate: () => Promise.reject(new Error('there is nowhere to move to')),
      callTimeoutMs: CALL_MS,
      askTimeoutMs: ASK_MS,
      intervalMs: INTERVAL_MS,
    })
    await node.replication.start()
    place.sequencer.start()
  }

  settle = <T>(promise: Promise<T>): Promise<T> => this.cluster.settle(promise)

  pass = (ms: number): Promise<void> => this.cluster.pass(ms)

  get nodes(): HomeSequencer[] {
    return this.places.map(({ sequencer }) => sequencer)
  }

  /** The process dies and starts again, with its disk as `prepare` has left it. */
  async restart(place: Place, prepare: (disk: VirtualDisk) => void = () => {}): Promise<void> {
    place.node.kill()
    prepare(place.node.disk)
    await this.settle(this.start(place))
  }

  /** Carries on until the call gets an answer; those that are refused for now are repeated. */
  async eventually<T>(ask: () => Promise<T>, limitMs = 60_000): Promise<T> {
    const endMs = this.cluster.clock.monotonicMs() + limitMs
    for (;;) {
      try {
        return await this.settle(ask())
      } catch (error) {
        if (this.cluster.clock.monotonicMs() >= endMs) throw error
        await this.pass(INTERVAL_MS)
      }
    }
  }

  end = async (): Promise<void> => {
    await this.settle(Promise.allSettled(this.nodes.map((sequencer) => sequencer.close())))
    await this.cluster.end()
  }
}

/** Nodes 0, 1 and so on, of which node 0 is the home and ready. */
export async function homeOf(count: number, seed?: number, between?: Between): Promise<HomeWorld> {
  const world = new HomeWorld(seed, between)
  for (let id = 0; id < count; id++) world.add(id, { seeksOthers: count > 1 })
  world.cluster.seeds = world.places.map(({ node }) => node.address)
  await world.settle(Promise.all(world.places.map((place) => world.start(place))))
  for (const sequencer of world.nodes) await world.eventually(() => sequencer.get('ready'))
  return world
}

/** The data directory is lost. */
export function wiped(disk: VirtualDisk): void {
  for (const path of disk.paths(DIRECTORY)) disk.drop(path)
}
