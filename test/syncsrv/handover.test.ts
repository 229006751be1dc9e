// How a node leaves, also when not all goes well meanwhile.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterOf, INTERVAL_MS, type Node } from './cluster.ts'

const test = suite('syncsrv/handover')

test('a node whose disk is full leaves when there is room again', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  a.disk.capacity = 0
  const drained = a.replication.drain()
  await cluster.pass(5 * INTERVAL_MS)
  a.disk.capacity = Number.POSITIVE_INFINITY
  await cluster.settle(drained)
  assert.is(b.viewOf(a)!.state, 'left')
  assert.is(b.value('x'), 1)
  await cluster.end()
})

test.run()
