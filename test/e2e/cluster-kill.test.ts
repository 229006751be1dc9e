// kill -9 of nodes of a cluster under writers on all of them, over links that are cut, lossy and slow (A2 of docs/GUARANTEES.md). After each
// round everything is healed, all nodes must agree, and each is checked against the ledger of acknowledgements.
// time limit: 2400 s
// CYCLES=1000 makes it the long run; the time limit above is then in the way, so run the file by itself:
// CYCLES=1000 node --import tsx test/e2e/cluster-kill.test.ts

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode, untilAgreed } from '../support/cluster.ts'
import type { Conditions, ProxyCounts } from '../support/fault-proxy.ts'
import { HOT, Ledger } from '../support/ledger.ts'
import { readCounts, Writers } from '../support/load.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'

/** Kills. */
const CYCLES = Number(process.env.CYCLES ?? 60)
const KILLS_PER_ROUND = 6
/** Acknowledged for each kill, on average, at least. */
const WRITES_EACH = 10
/** On each node. */
const WRITERS = [6, 5, 5]

const ENV = {
  COUNTER_LOG_SEGMENT_BYTES: '64KiB',
  COUNTER_SNAPSHOT_LOG_BYTES: '64KiB',
  COUNTER_FSYNC: 'always',
  COUNTER_LOG_LEVEL: 'warn',
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '1s',
  COUNTER_JOIN_TIMEOUT: '500ms',
  COUNTER_DIGEST_INTERVAL: '1s',
}

const test = suite('e2e/cluster-kill')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** What a link may be like for a while. */
const LINKS: ReadonlyArray<Partial<Conditions>> = [
  {},
  { there: 'swallow', back: 'swallow' },
  { there: 'swallow' },
  { back: 'swallow' },
  { there: 'hold', back: 'hold' },
  { resetPermille: 300 },
  { delayMs: 30, jitterMs: 100 },
  { bytesPerSecond: 20_000, resetPermille: 20 },
]

/** A cluster with writers on each node that lives. */
class Round {
  readonly #cluster: Cluster
  readonly #ledger: Ledger
  readonly #writers = new Map<ClusterNode, Writers>()
  /** Kills of nodes with requests under way. */
  hits = 0

  constructor(cluster: Cluster, ledger: Ledger) {
    this.#cluster = cluster
    this.#ledger = ledger
    for (const node of cluster.nodes) this.#write(node)
  }

  #write(node: ClusterNode): void {
    this.#writers.set(node, new Writers(node.publicPort, this.#ledger, WRITERS[node.id - 1]!))
  }

  /** Kills some nodes and starts them again. @returns how many */
  async killSome(): Promise<number> {
    const chosen = below(4) === 0 ? 1 + below(7) : 1 << below(3)
    const nodes = this.#cluster.nodes.filter((_, index) => (chosen >> index) & 1)
    await Promise.all(nodes.map((node) => this.#killAndStart(node)))
    return nodes.length
  }

  async #killAndStart(node: ClusterNode): Promise<void> {
    const writers = this.#writers.get(node)!
    if (writers.inFlight > 0) this.hits++
    await this.#cluster.end(node)
    await writers.ended()
    await pause(below(300))
    await this.#cluster.start(node)
    this.#write(node)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writers) => writers.stop()))
  }
}

test(`no acknowledged increment is lost and none counts twice in ${CYCLES} kills of nodes of a cluster`, async () => {
  const ledger = new Ledger({ keyedEvery: 0 })
  const cluster = await Cluster.start({ nodes: 3, random, env: ENV, command: await buildCounter() })
  const { nodes } = cluster
  let [kills, hits, checked] = [0, 0, 0]
  const agreedMs: number[] = []
  try {
    while (kills < CYCLES) {
      // Write and kill
      const round = new Round(cluster, ledger)
      for (const end = Math.min(kills + KILLS_PER_ROUND, CYCLES); kills < end; ) {
        for (const { proxy } of nodes) proxy.set(LINKS[below(LINKS.length)]!)
        await pause(50 + below(250))
        kills += await round.killSome()
      }
      await pause(below(300))
      // A slow machine needs longer.
      await until(
        'there are writes',
        () => ledger.count('acknowledged'),
        (count) => count > kills * WRITES_EACH,
      )
      await round.stop()
      hits += round.hits

      // Heal and agree
      cluster.heal()
      const fresh = [HOT, ...ledger.ops.slice(checked).map(({ name }) => name)]
      checked = ledger.ops.length
      const ask = () => Promise.all(nodes.map(({ publicPort }) => readCounts(publicPort, fresh)))
      agreedMs.push(await untilAgreed(ask, (all) => all.every((counts) => isSame(counts, all[0]!))))
      for (const { id, publicPort } of nodes) {
        const breaches = await ledger.checkSome((names) => readCounts(publicPort, names), 500, below)
        assert.equal(breaches, [], `node ${id} after ${kills} kills`)
      }
    }

    // Every op on every node
    for (const { id, publicPort } of nodes) {
      assert.equal(await ledger.check((names) => readCounts(publicPort, names)), [], `node ${id} in the end`)
    }
    for (const node of nodes) assert.equal(await cluster.end(node, 'SIGTERM'), { code: 0, signal: null })

    const counts = { kills, hits, acknowledged: ledger.count('acknowledged'), unknown: ledger.count('unknown'), ...sumOf(nodes) }
    console.log(`${JSON.stringify(counts)}, agreed after ${Math.round(Math.max(...agreedMs))} ms at most`)
    assert.ok(hits >= kills * 0.8, `void: only ${hits} of ${kills} kills hit a node with requests in flight`)
    assert.ok(counts.unknown > 0, 'void: no kill left a write unknown')
    for (const what of ['swallowedBytes', 'heldBytes', 'delayed', 'resets'] as const) {
      assert.ok(counts[what] > 0, `void: ${what} is 0, so the links were not what they were to be`)
    }
  } catch (error) {
    for (const { id, process } of nodes) console.log(`--- node ${id}\n${process?.stderr()}`)
    throw error
  } finally {
    await cluster.close()
  }
})

function isSame(counts: ReadonlyMap<string, number>, others: ReadonlyMap<string, number>): boolean {
  return [...counts].every(([name, count]) => others.get(name) === count)
}

function sumOf(nodes: readonly ClusterNode[]): ProxyCounts {
  const sum = { ...nodes[0]!.proxy.counts }
  for (const { proxy } of nodes.slice(1)) {
    for (const what of Object.keys(sum) as (keyof ProxyCounts)[]) sum[what] += proxy.counts[what]
  }
  return sum
}

test.run()
