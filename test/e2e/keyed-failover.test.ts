// Writes with a key through an aggregator, while each replica of a group is killed, stopped, or its replies are lost: they go on being answered
// by the other replicas, and each counts once on all of them (docs/decisions/0017).
// time limit: 700 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { onceOf } from '../../lib/aggregator/calls.ts'
import { ShardGroup } from '../../lib/aggregator/group.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Network } from '../aggregator/network.ts'
import type { ClusterNode } from '../support/cluster.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { metricOf, until } from './asking.ts'
import { buildCounter } from './built.ts'
import { startCluster, sumOf, untilOnce, urlOf } from './keyed-cluster.ts'
import { Clients, type Order, Orders } from './keyed-orders.ts'

const test = suite('e2e/keyed-failover')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))

const CLIENTS = 12
/** So many orders of each home are answered in each trouble. */
const ENOUGH = 8
const portOf = ({ url }: { url: string }): number => Number(new URL(url).port)

const aggregate = (dataDir: string, shards: string): Promise<NodeProcess> =>
  startNode({
    dataDir,
    command,
    args: ['aggregate'],
    env: { COUNTER_SHARDS: shards, COUNTER_SHARD_TIMEOUT: '1500ms', COUNTER_LOG_LEVEL: 'error' },
  })

/** The replica, of those at these URLs, that is asked first about an order. */
function homesOf(urls: readonly string[]): (order: Order) => number {
  const network = new Network()
  const replicas = urls.map((url) => network.replica(url))
  const group = new ShardGroup({ shard: 0, replicas, clock: network.clock, hedgeMs: 0 })
  return ({ request }) => {
    const once = { key: request.headers!['Idempotency-Key']!, fingerprint: new Uint8Array(32) }
    const { digest } = onceOf({ id: '', session: new Map(), level: undefined, once })!
    return replicas.indexOf(group.orderOf(digest)[0]!)
  }
}

test('writes with a key go on while each replica is killed and one is stopped, whatever home they have, and count once', async () => {
  const { path, remove } = temporaryDirectory()
  const [cluster, single] = await Promise.all([
    startCluster(random, command),
    startNode({ dataDir: `${path}/single`, command, env: { COUNTER_LOG_LEVEL: 'error' } }),
  ])
  const { nodes } = cluster
  const urls = nodes.map(urlOf)
  // Texts have words on both shards.
  const aggregator = await aggregate(`${path}/a`, `${urls.join('|')},${single.url}`)
  const orders = new Orders()
  const clients = new Clients(portOf(aggregator), orders, CLIENTS)
  const homeOf = homesOf(urls)
  const isUp = (node: ClusterNode, up: number) =>
    until(
      `the aggregator knows that replica ${node.id} is ${up === 1 ? 'back' : 'gone'}`,
      () => metricOf(aggregator, 'counter_shard_up', `"${urlOf(node)}"`),
      (value) => value === up,
    )
  const enoughAnswered = (when: string) => {
    const from = orders.count
    return until(
      `orders of each home are answered ${when}`,
      () => urls.map((_, home) => clients.answeredFrom(from).filter((order) => homeOf(order) === home).length),
      (counts) => counts.every((count) => count >= ENOUGH),
    )
  }
  try {
    for (const node of nodes) {
      await cluster.end(node)
      await enoughAnswered(`while node ${node.id} is dead`)
      const left = nodes.filter((other) => other !== node)
      assert.ok((await sumOf(left, 'counter_tentative_writes')) > 0, 'what a dead member does not know can be taken back')
      await cluster.start(node)
      await isUp(node, 1)
    }
    const stopped = nodes[1]!
    stopped.process!.child.kill('SIGSTOP')
    await isUp(stopped, 0)
    await enoughAnswered('while a node is stopped, and the circuit knows')
    stopped.process!.child.kill('SIGCONT')
    await isUp(stopped, 1)
    await enoughAnswered('when all are back')
    await clients.stop()

    await untilOnce(nodes, orders, portOf(single))
    assert.equal(await orders.breaches(portOf(aggregator)), [])
    const withdrawn = await sumOf(nodes, 'counter_withdrawals_total')
    console.log(`${orders.count} orders in ${clients.attempts} attempts, ${clients.replayed} replayed, ${withdrawn} taken back`)
  } finally {
    clients.abandon()
    await Promise.all([aggregator.end('SIGKILL'), single.end('SIGKILL'), cluster.close()])
    remove()
  }
})

test('when replies are lost between replicas and aggregator, what two replicas have counted is taken back by one', async () => {
  const { path, remove } = temporaryDirectory()
  const cluster = await startCluster(random, command)
  const { nodes } = cluster
  const proxies = await Promise.all(nodes.map(({ publicPort }) => FaultProxy.open({ target: publicPort, random })))
  const urls = proxies.map(({ url }) => url)
  const aggregator = await aggregate(`${path}/a`, urls.join('|'))
  const orders = new Orders()
  const clients = new Clients(portOf(aggregator), orders, CLIENTS)
  const homeOf = homesOf(urls)
  try {
    for (const [home, silent] of [...proxies.entries(), ...proxies.entries()]) {
      // Nobody hears of a key from another replica, so that the next one counts it again.
      for (const { proxy } of nodes) proxy.cut()
      for (const proxy of proxies) proxy.set({ resetPermille: 80 })
      silent.set({ back: 'swallow' })
      const from = orders.count
      await until(
        `orders of home ${home} are answered while nothing is heard of it`,
        () => clients.answeredFrom(from).map(homeOf),
        (homes) => homes.filter((one) => one === home).length >= ENOUGH,
      )
      cluster.heal()
    }
    for (const proxy of proxies) proxy.heal()
    await clients.stop()

    await untilOnce(nodes, orders)
    assert.equal(await orders.breaches(portOf(aggregator)), [])
    const withdrawn = await sumOf(nodes, 'counter_withdrawals_total')
    const resets = proxies.reduce((sum, { counts }) => sum + counts.resets, 0)
    assert.ok(withdrawn > 2 * nodes.length && resets > 0, `void: ${withdrawn} were counted twice, ${resets} links were reset`)
    console.log(`${orders.count} orders in ${clients.attempts} attempts, ${resets} links reset, ${withdrawn} taken back`)
  } finally {
    clients.abandon()
    await Promise.all([aggregator.end('SIGKILL'), cluster.close()])
    for (const proxy of proxies) await proxy.close()
    remove()
  }
})

test.run()
