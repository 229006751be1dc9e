// Writes with a key to a cluster without an aggregator: a client that loses the answer of a node that is killed asks the others, and all nodes are
// killed while nobody knows yet what the others have counted. Each write counts once on all of them (docs/decisions/0017).
// time limit: 700 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import type { Cluster, ClusterNode } from '../support/cluster.ts'
import { Connection } from '../support/load.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'
import { startCluster, sumOf, untilOnce } from './keyed-cluster.ts'
import { asFailover, Clients, isReplay, type Order, Orders } from './keyed-orders.ts'

const test = suite('e2e/keyed-nodes')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))

const ORDERS = 12
const ROUNDS = 6
/** Sends orders to a node, one after the other, every other one with the header that it has been sent before. @returns how many were known there */
async function sendAgain(node: ClusterNode, orders: readonly Order[]): Promise<number> {
  const connection = new Connection(node.publicPort)
  let replayed = 0
  for (const { index, request } of orders) {
    const outcome = await connection.request(index % 2 === 0 ? asFailover(request) : request)
    assert.ok(outcome.kind === 'answered' && outcome.status === 200, JSON.stringify(outcome))
    if (isReplay(outcome)) replayed++
  }
  connection.close()
  return replayed
}

/** Sends orders to a node at once, and kills it as soon as so many of them are answered. @returns how many were */
async function sendAndKill(cluster: Cluster, node: ClusterNode, orders: readonly Order[], answers: number): Promise<number> {
  let answered = 0
  let kill!: () => void
  const enough = new Promise<void>((resolve) => {
    kill = resolve
  })
  const sent = orders.map(async ({ request }) => {
    const connection = new Connection(node.publicPort)
    const outcome = await connection.request(request)
    if (outcome.kind === 'answered' && outcome.status === 200) answered++
    if (answered >= answers) kill()
    connection.close()
  })
  await enough
  await cluster.end(node)
  await Promise.all(sent)
  return answered
}

test('a write whose answer is lost with its node counts once, whichever other nodes it is sent to, with the header and without', async () => {
  const cluster = await startCluster(random, command)
  const { nodes } = cluster
  const orders = new Orders()
  let [lost, withdrawn, replayed] = [0, 0, 0]
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const first = nodes[round % nodes.length]!
      const others = nodes.filter((node) => node !== first)
      const before = await sumOf(others, 'counter_withdrawals_total')
      const fresh = Array.from({ length: ORDERS }, () => orders.next())
      // In every other round nobody hears of anybody, so that all of them count.
      const apart = round % 2 === 1
      if (apart) for (const { proxy } of nodes) proxy.cut()
      lost += ORDERS - (await sendAndKill(cluster, first, fresh, 1 + (random.uint32() % (ORDERS / 2))))
      for (const node of others) replayed += await sendAgain(node, fresh)
      cluster.heal()
      await cluster.start(first)
      await untilOnce(nodes, orders)
      const now = (await sumOf(nodes, 'counter_withdrawals_total')) - before
      if (apart) assert.ok(now >= ORDERS, `both others have counted ${ORDERS}, and ${now} were taken back`)
      withdrawn += now
    }
    console.log(`${lost} of ${ROUNDS * ORDERS} answers lost, ${replayed} replayed, ${withdrawn} taken back`)
    assert.ok(lost > 0 && replayed > 0, `void: ${lost} lost, ${replayed} replayed`)
  } finally {
    await cluster.close()
  }
})

test('when all nodes are killed before they hear of what the others have counted, each write counts once after they are back', async () => {
  const cluster = await startCluster(random, command)
  const { nodes } = cluster
  const orders = new Orders()
  const writers: Clients[] = []
  try {
    for (const { proxy } of nodes) proxy.cut()
    const fresh = Array.from({ length: ORDERS }, () => orders.next())
    for (const node of nodes) assert.is(await sendAgain(node, fresh), 0, 'void: it has heard of the others')
    assert.is(await sumOf(nodes, 'counter_tentative_writes'), nodes.length * ORDERS)
    // And some that are under way.
    for (const { publicPort } of nodes) writers.push(new Clients(publicPort, orders, 4))
    const answered = () => writers.map((clients) => clients.answeredFrom(ORDERS).length)
    await until('there are writes', answered, (counts) => counts.every((count) => count >= 10))
    await Promise.all(nodes.map((node) => cluster.end(node)))

    cluster.heal()
    await Promise.all(nodes.map((node) => cluster.start(node)))
    for (const clients of writers) await clients.stop()
    await untilOnce(nodes, orders)
    assert.is(await sumOf(nodes, 'counter_withdrawals_total'), (nodes.length - 1) * ORDERS)
    for (const node of nodes) assert.is(await sendAgain(node, fresh), ORDERS)
    await untilOnce(nodes, orders)
  } finally {
    for (const clients of writers) clients.abandon()
    await cluster.close()
  }
})

test.run()
