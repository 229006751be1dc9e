// The last sync of a node that ends: what it has acknowledged is with the others before it goes, as far as they answer.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterOf, type Node, values } from './cluster.ts'

const test = suite('syncsrv/last-sync')

test('a node that settles ends when the others hold all that it holds', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  assert.equal(await cluster.settle(a.replication.settle(1000)), [])
  assert.equal(values([b, c], 'x'), [1, 1])
  await cluster.end()
})

test('who does not answer is waited for until time is up, and named', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  c.kill()
  await cluster.settle(a.write({ x: 1 }))
  assert.equal(await cluster.settle(a.replication.settle(1000)), [3])
  assert.is(b.value('x'), 1)
  assert.equal(await cluster.settle(a.replication.settle(0)), [3])
  await cluster.end()
})

test('a node without others, and one whose others are dead, need not wait', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  await cluster.until(() => a.viewOf(b)?.state === 'dead')
  await cluster.settle(a.write({ x: 1 }))
  const startMs = cluster.clock.monotonicMs()
  assert.equal(await cluster.settle(a.replication.settle(1000)), [])
  assert.ok(cluster.clock.monotonicMs() - startMs < 1000)
  await cluster.end()
})

test.run()
