// Replication by behaviour: three real nodes in memory that agree, whatever happens to messages between them.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterOf, INTERVAL_MS, values } from './cluster.ts'

const test = suite('syncsrv/replication')

test('what one node counts all nodes read, within a few round trips', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  await cluster.settle(Promise.all(nodes.map((node, at) => node.write({ x: 10 ** at }))))
  const tookMs = await cluster.until(() => values(nodes, 'x').every((value) => value === 111))
  assert.ok(tookMs < 10 * cluster.network.latencyMs, `took ${tookMs} ms`)
  await cluster.end()
})

test('nodes that agree send no cells', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  await cluster.settle(nodes[0]!.write({ x: 1, y: 2 }))
  await cluster.until(() => values(nodes, 'y').every((value) => value === 2))
  await cluster.pass(5 * INTERVAL_MS)
  const before = nodes.map((node) => ({ ...node.store.status() }))
  cluster.network.passages.length = 0
  await cluster.pass(10 * INTERVAL_MS)
  assert.equal(
    cluster.network.passages.filter(({ path, message }) => path === '/v1/exchange' && message > 2),
    [],
  )
  assert.ok(cluster.network.passages.length >= 6 * 8 * 3)
  assert.equal(
    nodes.map((node) => node.store.status().logRecords),
    before.map(({ logRecords }) => logRecords),
    'nothing is logged',
  )
  await cluster.end()
})

test.run()
