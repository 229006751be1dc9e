// Aggregators before real shards: killed, cut off and slow, read against a ledger of acknowledgements.
// time limit: 600 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, untilAgreed } from '../support/cluster.ts'
import { FaultProxy, freePort } from '../support/fault-proxy.ts'
import { Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle } from '../support/load.ts'
import { type NodeProcess, PATIENCE_MS, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const OPS = Number(process.env.OPS ?? 400)
/** Until enough went wrong there are so many times as many. */
const LONGER_MAX = 20
const CLIENTS = 16
const random = seededRandom(Number(process.env.SEED ?? 1))
const test = suite('e2e/aggregate')
const command = await buildCounter()

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const portOf = ({ url }: { url: string }): number => Number(new URL(url).port)

const aggregate = (dataDir: string, shards: string, env: Record<string, string> = {}): Promise<NodeProcess> =>
  startNode({ dataDir, command, args: ['aggregate'], env: { COUNTER_SHARDS: shards, COUNTER_LOG_LEVEL: 'error', ...env } })

/** Clients that send ops, OPS of them and more until it is enough, each with its key until it is acknowledged, to one port and the other in turn. */
async function writeAll(
  ledger: Ledger,
  ports: readonly number[],
  isEnough: (replayed: number) => boolean,
): Promise<{ attempts: number; replayed: number }> {
  let [attempts, replayed] = [0, 0]
  const client = async (): Promise<void> => {
    const connections = ports.map((port) => new Connection(port))
    while (ledger.ops.length < OPS || (ledger.ops.length < LONGER_MAX * OPS && !isEnough(replayed))) {
      const op = ledger.begin()
      while (op.state !== 'acknowledged') {
        const connection = connections[attempts++ % connections.length]!
        const outcome = await connection.request(requestOf(op))
        settle(ledger, op, outcome)
        if (outcome.kind !== 'answered') continue
        if (outcome.headers['idempotency-replayed'] === 'true') replayed++
        if (outcome.status === 200) continue
        assert.ok([409, 503, 504].includes(outcome.status), JSON.stringify(outcome))
        await pause(50)
      }
    }
    for (const connection of connections) connection.close()
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return { attempts, replayed }
}

test(`each of ${OPS} writes counts exactly once though shards are killed and links break`, async () => {
  const { path, remove } = temporaryDirectory()
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const startShard = (shard: number): Promise<NodeProcess> =>
    startNode({
      dataDir: `${path}/s${shard}`,
      command,
      env: { COUNTER_PUBLIC_PORT: String(ports[shard]), COUNTER_LOG_LEVEL: 'error' },
    })
  const shards = await Promise.all([0, 1, 2].map(startShard))
  const proxies = await Promise.all(ports.map((target) => FaultProxy.open({ target, random })))
  const urls = proxies.map(({ url }) => url).join(',')
  const aggregators = await Promise.all(
    [0, 1].map((index) => aggregate(`${path}/a${index}`, urls, { COUNTER_SHARD_TIMEOUT: '1s' })),
  )
  const ledger = new Ledger({ keyedEvery: 1 })
  let kills = 0
  let isWriting = true
  try {
    for (const proxy of proxies) proxy.set({ resetPermille: 10 })
    const trouble = (async () => {
      while (isWriting) {
        await pause(500 + (random.uint32() % 500))
        const shard = random.uint32() % 3
        await shards[shard]!.end('SIGKILL')
        shards[shard] = await startShard(shard)
        kills++
      }
    })()
    const resets = (): number => proxies.reduce((sum, { counts }) => sum + counts.resets, 0)
    const isEnough = (replayed: number): boolean => kills >= 1 && resets() > 10 && replayed > 0
    const { attempts, replayed } = await writeAll(ledger, aggregators.map(portOf), isEnough)
    isWriting = false
    await trouble
    const seen = `${kills} kills, ${resets()} links reset, ${replayed} replayed`
    for (const proxy of proxies) proxy.heal()
    assert.ok(isEnough(replayed), `void: ${seen}`)
    for (const aggregator of aggregators) {
      await untilAgreed(
        async () => (await fetch(`${aggregator.url}/total?require=complete`)).status,
        (status) => status === 200,
      )
      assert.equal(await ledger.check((names) => readCounts(portOf(aggregator), names)), [])
    }
    console.log(`${attempts} attempts for ${ledger.ops.length} ops, ${seen}`)
  } finally {
    isWriting = false
    for (const node of [...aggregators, ...shards]) await node.end('SIGKILL')
    for (const proxy of proxies) await proxy.close()
    remove()
  }
})

test('a replica group: reads and writes go on while one is dead, and each keyed write counts once over kills of each', async () => {
  const { path, remove } = temporaryDirectory()
  const cluster = await Cluster.start({
    nodes: 3,
    random,
    command,
    env: { COUNTER_SYNC_INTERVAL: '100ms', COUNTER_LOG_LEVEL: 'error' },
  })
  const urls = cluster.nodes.map(({ publicPort }) => `http://127.0.0.1:${publicPort}`)
  const aggregator = await aggregate(path, urls.join('|'), { COUNTER_SHARD_TIMEOUT: '1s' })
  const port = portOf(aggregator)
  const ledger = new Ledger({ keyedEvery: 1 })
  const connection = new Connection(port)
  try {
    let isWriting = true
    const trouble = (async () => {
      for (const node of cluster.nodes) {
        await cluster.end(node)
        // Without a key any replica takes a write, and reads are answered.
        await untilAgreed(
          () => connection.request({ method: 'POST', path: '/keywords', body: 'free' }),
          (outcome) => outcome.kind === 'answered' && outcome.status === 200,
        )
        const read = await fetch(`${aggregator.url}/total?require=complete`)
        assert.is(read.status, 200)
        // Nor does one with a key wait for the replica that is asked first about it (keyed-failover.test.ts has all homes).
        const begun = ledger.ops.length
        await untilAgreed(
          async () => ledger.ops.slice(begun).filter(({ state }) => state === 'acknowledged').length,
          (count) => count > 10,
        )
        await cluster.start(node)
      }
      isWriting = false
    })()
    const clients = Array.from({ length: 6 }, async () => {
      const own = new Connection(port)
      while (isWriting) {
        const op = ledger.begin()
        while (op.state !== 'acknowledged') {
          const outcome = await own.request(requestOf(op))
          settle(ledger, op, outcome)
          if (outcome.kind === 'answered' && outcome.status !== 200) await pause(30)
        }
      }
      own.close()
    })
    await Promise.all([trouble, ...clients])
    assert.ok(ledger.ops.length > 20, `void: ${ledger.ops.length} writes`)
    // All three have all, and no two are ever added up.
    await untilAgreed(
      () => Promise.all(cluster.nodes.map(({ publicPort }) => readCounts(publicPort, ['hot', 'free']))),
      (answers) => new Set(answers.map((counts) => JSON.stringify([...counts]))).size === 1,
    )
    assert.equal(await ledger.check((names) => readCounts(port, names)), [])
    for (const { publicPort } of cluster.nodes) assert.equal(await ledger.check((names) => readCounts(publicPort, names)), [])
  } finally {
    connection.close()
    await aggregator.end('SIGKILL')
    await cluster.close()
    remove()
  }
})

test('a slow replica does not slow a read, and a slow shard is said to be missing in its time', async () => {
  const { path, remove } = temporaryDirectory()
  const shards = await Promise.all([0, 1].map((shard) => startNode({ dataDir: `${path}/s${shard}`, command })))
  const proxies = await Promise.all(shards.map((shard) => FaultProxy.open({ target: portOf(shard), random })))
  const timeoutMs = 2_000
  const plain = await aggregate(`${path}/a`, proxies.map(({ url }) => url).join(','), { COUNTER_SHARD_TIMEOUT: `${timeoutMs}ms` })
  const other = await startNode({ dataDir: `${path}/s2`, command })
  // Two addresses of one node, which is all that a group needs to be for this.
  const group = await FaultProxy.open({ target: portOf(other), random })
  const grouped = await aggregate(`${path}/b`, `${group.url}|${other.url}`, {
    COUNTER_SHARD_TIMEOUT: '10m',
    COUNTER_SHARD_HEDGE: '50ms',
  })
  try {
    const add = (): Promise<Response> => fetch(`${plain.url}/increment`, { method: 'POST' })
    for (let turn = 0; turn < 4; turn++) assert.is((await add()).status, 200)
    proxies[1]!.set({ there: 'hold', back: 'hold' })
    const seen = (await (await fetch(`${plain.url}/total`)).json()) as {
      total: number
      complete: boolean
      missing: { shard: number }[]
    }
    assert.equal([seen.total, seen.complete, seen.missing.map(({ shard }) => shard)], [4, false, [1]])
    assert.is((await fetch(`${plain.url}/total?require=complete`)).status, 503)
    proxies[1]!.heal()
    await untilAgreed(
      async () => (await fetch(`${plain.url}/total?require=complete`)).status,
      (status) => status === 200,
    )

    await fetch(`${grouped.url}/keywords`, { method: 'POST', body: 'swift' })
    group.set({ there: 'hold', back: 'hold' })
    // The slow one has far longer: the other one was asked beside it.
    const read = await fetch(`${grouped.url}/v1/counters/swift`, {
      headers: { Accept: 'text/plain' },
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    assert.is(await read.text(), '1')
  } finally {
    for (const node of [plain, grouped, other, ...shards]) await node.end('SIGKILL')
    for (const proxy of [...proxies, group]) await proxy.close()
    remove()
  }
})

test.run()
