// Writes with an idempotency key over several nodes: whoever has heard of the key gives the same reply, and of those that had counted it without
// having heard all but one take it back; until every member knows of it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { once } from '../persistence/harness.ts'
import { clusterOf, type Node, SUSPECT_MS } from './cluster.ts'

const test = suite('syncsrv/keyed')

const tentativeOf = (nodes: readonly Node[]): number[] => nodes.map(({ store }) => store.status().tentativeWrites)
const withdrawalsOf = (nodes: readonly Node[]): number => nodes.reduce((sum, { store }) => sum + store.status().withdrawals, 0)

test('a key is known everywhere within a few round trips, and its write is settled', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  const { at } = await cluster.settle(a.write({ x: 5 }, once('k')))
  assert.equal(tentativeOf(nodes), [1, 0, 0])
  await cluster.until(() => b.value('x') === 5 && c.value('x') === 5)
  for (const node of [b, c]) {
    const again = await cluster.settle(node.write({ x: 5 }, once('k')))
    assert.equal([again.body, again.replayed, again.at], ['of node 1', true, at])
  }
  await cluster.until(() => tentativeOf(nodes).every((count) => count === 0))
  assert.equal(
    nodes.map((node) => node.value('x')),
    [5, 5, 5],
  )
  await cluster.end()
})

test('what is counted on both sides of a cut is counted once when it is mended', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  for (const other of [b, c]) {
    cluster.network.cut(a.address, other.address)
    cluster.network.cut(other.address, a.address)
  }
  for (let index = 0; index < 20; index++) {
    const key = once(`k${index}`)
    await cluster.settle(a.write({ x: 1, [`y${index}`]: -3 }, key))
    await cluster.settle((index % 2 === 0 ? b : c).write({ x: 1, [`y${index}`]: -3 }, { ...key, failover: true }))
  }
  await cluster.until(() => b.value('x') === 20 && c.value('x') === 20)
  // The node behind the cut may count any of them still.
  assert.equal(tentativeOf(nodes), [20, 10, 10])
  cluster.network.heal()
  await cluster.until(() => tentativeOf(nodes).every((count) => count === 0), 6 * SUSPECT_MS)
  assert.is(withdrawalsOf(nodes), 20)
  for (const node of nodes) assert.equal([node.value('x'), node.value('y0'), node.value('y19')], [20, -3, -3])
  await cluster.end()
})

test('a node that dies before it could answer or tell comes back, and its write counts once', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.network.cut(a.address, b.address)
  cluster.network.cut(b.address, a.address)
  await cluster.settle(a.write({ x: 7 }, once('k')))
  a.kill()
  const { replayed } = await cluster.settle(b.write({ x: 7 }, { ...once('k'), failover: true }))
  assert.is(replayed, false)
  await cluster.until(() => b.viewOf(a)!.state === 'dead', 3 * SUSPECT_MS)
  assert.equal(tentativeOf([b]), [1])
  cluster.network.heal()
  await cluster.settle(a.start())
  await cluster.until(() => a.value('x') === 7 && b.value('x') === 7 && tentativeOf(nodes).every((count) => count === 0))
  assert.is(withdrawalsOf(nodes), 1)
  await cluster.end()
})

test('a node that starts while another one is gone takes back its write when all have come', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  for (const other of [b, c]) {
    cluster.network.cut(a.address, other.address)
    cluster.network.cut(other.address, a.address)
  }
  await cluster.settle(a.write({ x: 7 }, once('k')))
  a.kill()
  cluster.clock.advance(10)
  await cluster.settle(b.write({ x: 7 }, { ...once('k'), failover: true }))
  await cluster.until(() => c.value('x') === 7)
  const { incarnation } = b
  b.kill()
  await cluster.settle(b.start())
  assert.ok(b.incarnation > incarnation)
  assert.equal(tentativeOf([b]), [1])
  cluster.network.heal()
  await cluster.settle(a.start())
  await cluster.until(() => nodes.every((node) => node.value('x') === 7) && tentativeOf(nodes).every((count) => count === 0))
  assert.is(withdrawalsOf(nodes), 1)
  await cluster.end()
})

test('a node whose disk was put back does not take back twice', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  for (const other of [b, c]) {
    cluster.network.cut(a.address, other.address)
    cluster.network.cut(other.address, a.address)
  }
  await cluster.settle(a.write({ x: 7 }, once('k')))
  cluster.clock.advance(10)
  await cluster.settle(b.write({ x: 7 }, { ...once('k'), failover: true }))
  const image = b.disk.image()
  cluster.network.heal()
  await cluster.until(() => nodes.every(({ store }) => store.vector().equals(b.store.vector())) && withdrawalsOf(nodes) === 1)
  for (const node of nodes) node.kill()
  b.disk.load(image)
  b.aheadMs = 60_000
  await cluster.settle(b.start())
  assert.equal([tentativeOf([b]), b.value('x')], [[1], 7])
  for (const node of [a, c]) await cluster.settle(node.start())
  await cluster.until(() => nodes.every((node) => node.value('x') === 7) && tentativeOf([b])[0] === 0)
  assert.is(withdrawalsOf(nodes), 0)
  await cluster.end()
})

test('a member that is taken out is waited for no more', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  await cluster.until(() => a.viewOf(b)!.state === 'dead', 3 * SUSPECT_MS)
  await cluster.settle(a.write({ x: 1 }, once('k')))
  assert.equal(tentativeOf([a]), [1])
  await cluster.settle(a.replication.remove(b.id))
  assert.equal(tentativeOf([a]), [0])
  await cluster.settle(a.write({ x: 1 }, once('l')))
  assert.equal(tentativeOf([a]), [0])
  await cluster.end()
})

test('a node alone keeps nothing to take back', async () => {
  const { cluster, nodes } = await clusterOf([1])
  const [a] = nodes as [Node]
  await cluster.settle(a.write({ x: 1 }, once('k')))
  assert.equal(tentativeOf([a]), [0])
  await cluster.end()
})

test('a node that leaves still takes back what it has counted too', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.network.cut(a.address, b.address)
  cluster.network.cut(b.address, a.address)
  await cluster.settle(a.write({ x: 7 }, once('k')))
  cluster.clock.advance(10)
  await cluster.settle(b.write({ x: 7 }, { ...once('k'), failover: true }))
  const left = b.replication.drain()
  left.catch(() => {})
  cluster.network.heal()
  await cluster.settle(left)
  assert.equal([a.value('x'), b.value('x'), withdrawalsOf(nodes)], [7, 7, 1])
  await cluster.end()
})

test.run()
