// How a node leaves, also when not all goes well meanwhile.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { Cluster, clusterOf, INTERVAL_MS, type Node } from './cluster.ts'

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

test('a node that cannot hand over says why', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node]
  a.store.settled = () => Promise.reject(new CounterError('LOG_FAILED', 'the disk is gone'))
  await cluster.settle(a.replication.requestDrain(1))
  await cluster.pass(INTERVAL_MS)
  assert.ok(a.logger.lines.includes('could not hand over its counts, and has not left'))
  await cluster.end()
})

test('two nodes that leave at once both get away, and what they counted stays', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  cluster.network.cut(a.address, b.address)
  cluster.network.cut(b.address, a.address)
  await cluster.settle(Promise.all([a.write({ x: 1 }), b.write({ x: 10 })]))
  const drained = Promise.all([a.replication.drain(), b.replication.drain()])
  await cluster.pass(INTERVAL_MS)
  cluster.network.heal()
  await cluster.settle(drained)
  assert.is(c.value('x'), 11)
  assert.equal([c.viewOf(a)!.state, c.viewOf(b)!.state], ['left', 'left'])
  await cluster.end()
})

test('two nodes that leave at once and know each other by hearsay alone both get away', async () => {
  const cluster = new Cluster()
  const [a, b, c] = [cluster.add(1), cluster.add(2), cluster.add(3)]
  cluster.seeds = [a.address]
  await cluster.settle(Promise.all([a, b, c].map((node) => node.start())))
  await cluster.settle(Promise.all([b.write({ x: 1 }), c.write({ x: 10 })]))
  await cluster.until(() => b.viewOf(c) !== undefined && c.viewOf(b) !== undefined)
  await cluster.settle(Promise.all([b.replication.drain(), c.replication.drain()]))
  assert.is(a.value('x'), 11)
  await cluster.end()
})

test('a node leaves while others write without a pause', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  let left = false
  const drained = a.replication.drain().then(() => {
    left = true
  })
  for (let turn = 0; turn < 500 && !left; turn++) {
    await cluster.settle(Promise.all([b.write({ x: 1 }), c.write({ x: 1 })]))
    await cluster.pass(10)
  }
  assert.ok(left)
  await cluster.settle(drained)
  await cluster.end()
})

test.run()
