// Items in a cluster: any node takes them, all have them, and clocks that differ lose nothing.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DIRECTORY, plainReply } from '../persistence/harness.ts'
import { clusterOf, type Node, SUSPECT_MS } from './cluster.ts'

const test = suite('syncsrv/items')

const put = (node: Node, ...pairs: Array<[id: string, tenant: string | undefined]>) =>
  node.cluster.settle(
    node.store.changeItems(
      pairs.map(([id, tenant]) => ({ id, tenant })),
      () => plainReply(),
    ),
  )
const tenants = (nodes: readonly Node[], id: string) => nodes.map(({ store }) => store.item(id)?.tenant)
const counts = (nodes: readonly Node[], tenant: string) => nodes.map(({ store }) => store.tenantCount(tenant))
const isAgreed = (nodes: readonly Node[]) => nodes.every(({ store }) => store.vector().equals(nodes[0]!.store.vector()))

test('items of any node are on all, the last update wins, and counts follow', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await put(a, ['x', 't1'], ['y', 't1'])
  await put(b, ['z', 't2'])
  await cluster.until(() => isAgreed(nodes))
  await put(c, ['x', 't2'], ['y', undefined])
  await cluster.until(() => isAgreed(nodes))
  assert.equal(tenants(nodes, 'x'), ['t2', 't2', 't2'])
  assert.equal(
    [counts(nodes, 't1'), counts(nodes, 't2')],
    [
      [0, 0, 0],
      [2, 2, 2],
    ],
  )
  await cluster.end()
})

test('the same id on two nodes at once ends with the later one on both', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  const first = a.store.changeItems([{ id: 'x', tenant: 'of a' }], () => plainReply())
  const second = b.store.changeItems([{ id: 'x', tenant: 'of b' }], () => plainReply())
  const [{ stamp: ofA }, { stamp: ofB }] = await cluster.settle(Promise.all([first, second]))
  await cluster.until(() => isAgreed(nodes))
  // Of equal stamps the greater node's.
  assert.equal(tenants(nodes, 'x'), ofA > ofB ? ['of a', 'of a'] : ['of b', 'of b'])
  await cluster.end()
})

test('a new node gets all items, and one that was down catches up; what it wrote before is with the others', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  for (let n = 0; n < 40; n++) await put(n % 2 ? a : b, [`i${n}`, `t${n % 3}`], [`i${n + 1}`, `t${n % 5}`])
  b.kill()
  for (let n = 40; n < 80; n++) await put(a, [`i${n}`, 't0'], [`i${n - 30}`, undefined])
  await cluster.settle(b.start())
  const c = cluster.add(3)
  await cluster.settle(c.start())
  const all = [a, b, c]
  await cluster.until(() => isAgreed(all))
  for (let n = 0; n <= 80; n++) assert.is(new Set(tenants(all, `i${n}`)).size, 1, `i${n}`)
  for (let t = 0; t < 5; t++) assert.is(new Set(counts(all, `t${t}`)).size, 1)
  assert.is(a.store.status().items, 40)
  await cluster.end()
})

test('a node that drains hands over its items', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await put(a, ['x', 't'])
  void a.replication.drain()
  await cluster.settle(a.replication.left)
  assert.is(b.store.item('x')?.tenant, 't')
  await cluster.end()
})

test('a node whose clock is far ahead is heard later, and its counts are heard at once', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(b.stop())
  b.aheadMs = 90_000
  await cluster.settle(b.start())
  await put(b, ['x', 't'])
  await cluster.settle(b.write({ w: 1 }))
  await cluster.until(() => a.value('w') === 1)
  assert.is(a.store.item('x'), undefined)
  await cluster.until(() => a.logger.lines.includes('what a member gives cannot be kept at the moment'))
  // Counts that come later are not kept back by it either.
  await cluster.settle(b.write({ w: 1 }))
  await cluster.until(() => a.value('w') === 2)
  await cluster.pass(40_000)
  await cluster.until(() => a.store.item('x')?.tenant === 't' && isAgreed(nodes))
  await cluster.end()
})

test('a node that lost its disk does not write under numbers that its items had', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node, Node, Node]
  a.disk.copyDirectory(DIRECTORY, '/saved')
  await put(a, ['x', 't'], ['y', 't'])
  await cluster.until(() => isAgreed(nodes))
  const { incarnation } = a.store.self
  a.kill()
  await cluster.pass(2 * SUSPECT_MS)
  a.disk.copyDirectory('/saved', DIRECTORY)
  await cluster.settle(a.start())
  assert.ok(a.store.self.incarnation > incarnation)
  await put(a, ['z', 't'])
  await cluster.until(() => isAgreed(nodes))
  assert.equal(counts(nodes, 't'), [3, 3, 3])
  await cluster.end()
})

test.run()
