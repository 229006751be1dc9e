// What a number costs: calls a second and how long a call takes, for 1, 16 and 64 callers a node that each wait for their number and ask for the
// next, all of one sequence. Local: one node. Home and etcd: three nodes in this process, so what HTTP between nodes costs is not in it.
// The baselines are etcd itself: plain puts of as many callers; and the ways that lose (docs/decisions/0012): a compare-and-swap for each
// call, and a group for each node without an owner. Everything shares this machine's cores and its disk.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../lib/base/clock.ts'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { EtcdKv, HomeSequencer, LocalSequencer, type Sequencer } from '../../lib/sequence/index.ts'
import { enginesOn } from '../sequence/etcd-cluster.ts'
import { etcdProgram, startEtcd } from '../support/etcd.ts'
import { openStore } from './open-store.ts'

const MEASURE_MS = 1200
const WARM_UP_MS = 200
const NODES = 3
const CALLERS = [1, 16, 64] as const
const LIMITS = { keyTtlMs: 3_600_000, keysMax: 100_000 }
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

type Take = () => Promise<unknown>

/** So many callers of each node, each in a loop; prints how often and how long. */
async function measure(what: string, callers: number, nodes: readonly Take[]): Promise<void> {
  const times: number[] = []
  const startMs = performance.now() + WARM_UP_MS
  const endMs = startMs + MEASURE_MS
  const counts = nodes.map(() => 0)
  const caller = async (take: Take, node: number): Promise<void> => {
    for (let beganMs = performance.now(); beganMs < endMs; ) {
      await take()
      const nowMs = performance.now()
      if (beganMs >= startMs) {
        times.push(nowMs - beganMs)
        counts[node]!++
      }
      beganMs = nowMs
    }
  }
  await Promise.all(nodes.flatMap((take, node) => Array.from({ length: callers }, () => caller(take, node))))
  times.sort((a, b) => a - b)
  const at = (share: number): string =>
    `${times[Math.min(Math.floor(times.length * share), times.length - 1)]!.toFixed(1)} ms`.padStart(10)
  const rate = Math.round(times.length / (MEASURE_MS / 1000)).toLocaleString('en')
  const spread = nodes.length === 1 ? '' : `   the slowest node gets ${((Math.min(...counts) / times.length) * 100).toFixed(0)}%`
  console.log(
    `  ${what.padEnd(34)} ${String(callers).padStart(3)} callers ${rate.padStart(9)}/s  p50${at(0.5)}  p99${at(0.99)}  max${at(1)}${spread}`,
  )
}

const taking = (nodes: readonly Pick<Sequencer, 'next'>[]): Take[] => nodes.map((node) => () => node.next('a'))

async function withStores(count: number, work: (stores: readonly Store[]) => Promise<void>): Promise<void> {
  const directories = Array.from({ length: count }, () => mkdtempSync(join(tmpdir(), 'counter-bench-')))
  const hash = createNameHash(seededRandom(1))
  const stores = await Promise.all(directories.map((directory) => openStore(directory, hash)))
  try {
    await work(stores)
  } finally {
    await Promise.all(stores.map((store) => store.close()))
    for (const directory of directories) rmSync(directory, { recursive: true, force: true })
  }
}

async function measureLocal(): Promise<void> {
  await withStores(1, async ([store]) => {
    const local = new LocalSequencer({ notes: store!, clock: systemClock, ...LIMITS })
    for (const callers of CALLERS) await measure('local, one node', callers, taking([local]))
  })
}

async function measureHome(): Promise<void> {
  type Answer = (payload: Uint8Array, node: number) => Promise<Uint8Array>
  const services = new Map<number, Answer>()
  await withStores(NODES, async (stores) => {
    const homes = stores.map((notes, node) => {
      const others = stores.flatMap((_, other) => (other === node ? [] : [{ node: other, alive: true, address: '' }]))
      return new HomeSequencer({
        local: new LocalSequencer({ notes, clock: systemClock, ...LIMITS }),
        notes,
        peers: {
          node,
          members: () => others,
          serve: (_, answer) => services.set(node, answer),
          call: (other, _, payload) => services.get(other)!(payload.slice(), node),
        },
        home: 0,
        seeksOthers: true,
        doubtful: false,
        clock: systemClock,
        random: seededRandom(node),
        logger: quiet,
        migrate: () => Promise.reject(new Error('not here')),
        callTimeoutMs: 2000,
        askTimeoutMs: 1000,
        intervalMs: 250,
      })
    })
    for (const home of homes) home.start()
    while (
      !(await homes[1]!.next('ready').then(
        () => true,
        () => false,
      ))
    )
      await new Promise((resolve) => setTimeout(resolve, 20))
    for (const callers of CALLERS) await measure('home, three nodes', callers, taking(homes))
    await Promise.all(homes.map((home) => home.close()))
  })
}

async function measureEtcd(): Promise<void> {
  const etcd = await startEtcd()
  try {
    const engines = enginesOn(etcd, NODES, 'owner/')
    for (const callers of CALLERS) await measure('etcd, through an owner', callers, taking(engines))
    const lonely = Array.from({ length: NODES }, (_, self) => enginesOn(etcd, 1, 'alone/', { peers: aloneAs(self) })[0]!)
    await measure('etcd, a group each, no owner', 64, taking(lonely))
    const kvs = etcd.urls.map((url) => new EtcdKv({ endpoints: [url], deadlineMs: 30_000, clock: systemClock }))
    await measure(
      'etcd, a compare-and-swap each',
      16,
      kvs.map((kv) => () => swap(kv)),
    )
    let puts = 0
    const put = (kv: EtcdKv) => () =>
      kv.txn({ compare: [], success: [{ key: `put/${puts++ % 64}`, value: String(puts) }], failure: [] })
    for (const callers of CALLERS) await measure('baseline: plain puts in etcd', callers, kvs.map(put))
    await Promise.all([...engines, ...lonely, ...kvs].map((one) => one.close()))
  } finally {
    await etcd.close()
  }
}

const aloneAs = (self: number) => ({ self, live: () => [self], call: () => Promise.reject(new Error('it is alone')) })

/** Takes a number as one would first: read, add one, write if nobody was faster. */
async function swap(kv: EtcdKv): Promise<void> {
  for (;;) {
    const [entry] = (await kv.read(['swap'])).entries
    const write = { key: 'swap', value: String(Number(entry?.value ?? 0) + 1) }
    const { succeeded } = await kv.txn({
      compare: [{ key: 'swap', modRevision: entry?.modRevision ?? 0 }],
      success: [write],
      failure: [],
    })
    if (succeeded) return
  }
}

console.log('\nNumbers of one sequence; callers are of each node')
await measureLocal()
await measureHome()
if (etcdProgram.present) await measureEtcd()
else console.log('  etcd is not installed: it is not measured')
