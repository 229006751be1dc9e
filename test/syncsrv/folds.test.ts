// Many restarts of one node leave a bounded number of columns on all, and the folded one is sent only to who cannot make it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FOLDED } from '../../lib/storage/index.ts'
import { type Cluster, clusterOf, INTERVAL_MS, type Node, values } from './cluster.ts'

const test = suite('syncsrv/folds')

/** What is known of a node's lives: entries of the vector. */
const livesOf = (node: Node, of: Node): number =>
  [...node.store.vector()].filter(({ replica }) => replica.node === of.id && replica.incarnation > FOLDED).length
const markOf = (node: Node, of: Node): number => node.store.vector().get({ node: of.id, incarnation: FOLDED })

/** The node restarts under a new incarnation, and writes. */
async function live(cluster: Cluster, node: Node, times: number): Promise<void> {
  for (let life = 0; life < times; life++) {
    await cluster.settle(node.stop())
    await cluster.settle(node.open())
    await cluster.settle(node.store.renew('it is tried'))
    await cluster.settle(node.replication.start())
    await cluster.settle(node.write({ hot: 1, [`life ${life}`]: 1 }))
    await cluster.pass(3 * INTERVAL_MS)
  }
}
const cellsOut = (nodes: readonly Node[]): number =>
  nodes.reduce((sum, node) => sum + node.replication.status().counters.cellsOut, 0)

test('after many restarts of one of three nodes each has a handful of its columns, and all agree', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node, Node, Node]
  await live(cluster, a, 14)
  await cluster.pass(10 * INTERVAL_MS)
  assert.equal(values(nodes, 'hot'), [14, 14, 14])
  for (const node of nodes) {
    assert.ok(livesOf(node, a) <= 5, `${livesOf(node, a)} lives at node ${node.id}`)
    assert.is(markOf(node, a), markOf(a, a))
    assert.ok(node.store.vector().equals(a.store.vector()))
    assert.is(node.replication.status().counters.hiddenCells, 0)
  }
  assert.ok(markOf(a, a) > 0)
  await cluster.end()
})

test('nothing of the folded column is sent when all fold for themselves', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node, Node, Node]
  await live(cluster, a, 4)
  // With the next start four are old; nothing is to be sent from then on.
  await cluster.settle(a.stop())
  await cluster.settle(a.open())
  await cluster.settle(a.store.renew('it is tried'))
  const before = cellsOut(nodes.slice(1))
  await cluster.settle(a.replication.start())
  await cluster.until(() => nodes.every((node) => markOf(node, a) > 0))
  await cluster.pass(100 * INTERVAL_MS)
  assert.is(cellsOut(nodes), before)
  assert.equal(values(nodes, 'hot'), [4, 4, 4])
  assert.ok(nodes.every((node) => node.store.vector().equals(a.store.vector())))
  await cluster.end()
})

test('while a member is away nothing is folded that it may know better; when it is back all is', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await live(cluster, a, 2)
  await cluster.settle(c.stop())
  await live(cluster, a, 8)
  await cluster.pass(60 * INTERVAL_MS)
  assert.is(markOf(a, a), 0)
  assert.is(markOf(b, a), 0)
  await cluster.settle(c.start())
  await cluster.until(() => nodes.every((node) => markOf(node, a) > 0 && node.store.vector().equals(a.store.vector())))
  assert.equal(values(nodes, 'hot'), [10, 10, 10])
  for (const node of nodes) assert.ok(livesOf(node, a) <= 2, `${livesOf(node, a)} lives at node ${node.id}`)
  await cluster.end()
})

test('a member that goes away before it has folded, and a newcomer, get the folded column', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  await live(cluster, a, 4)
  await cluster.settle(a.stop())
  await cluster.settle(a.open())
  await cluster.settle(a.store.renew('it is tried'))
  await cluster.settle(a.replication.start())
  await cluster.until(() => markOf(a, a) > 0)
  // It has said what it knows, and is gone before it is told.
  assert.is(markOf(c, a), 0)
  c.kill()
  await live(cluster, a, 8)
  const late = cluster.add(4)
  await cluster.settle(late.start())
  await cluster.settle(c.start())
  await cluster.pass(100 * INTERVAL_MS)
  const all = [...nodes, late]
  assert.equal(values(all, 'hot'), [12, 12, 12, 12])
  for (const node of all) {
    assert.ok(markOf(node, a) > 0)
    assert.ok(node.store.vector().equals(a.store.vector()), `node ${node.id}`)
    assert.ok(livesOf(node, a) <= 6, `${livesOf(node, a)} lives at node ${node.id}`)
  }
  await cluster.end()
})

test('counts that are too great together stay apart, and that is said once', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node, Node]
  await live(cluster, a, 2)
  for (let life = 0; life < 3; life++) {
    await cluster.settle(a.stop())
    await cluster.settle(a.open())
    await cluster.settle(a.store.renew('it is tried'))
    await cluster.settle(a.replication.start())
    await cluster.settle(a.write({ great: (2n ** 64n - 1n) as unknown as number }))
    await cluster.pass(3 * INTERVAL_MS)
  }
  await live(cluster, a, 1)
  const line = 'old incarnations of a node could not be folded; they stay apart'
  await cluster.until(() => a.logger.lines.includes(line))
  const said = a.logger.lines.filter((each) => each === line).length
  await cluster.pass(20 * INTERVAL_MS)
  assert.is(a.logger.lines.filter((each) => each === line).length, said)
  assert.equal(values(nodes, 'great'), [3 * 2 ** 64, 3 * 2 ** 64])
  assert.ok(nodes.every((node) => node.store.vector().equals(a.store.vector())))
  await cluster.end()
})

test.run()
