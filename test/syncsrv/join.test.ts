// Rule 3 at a start: whether a node goes on in its column or takes a new one, and who yields when a node id is in two hands.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { VirtualDisk } from '../support/virtual-disk.ts'
import { Cluster, clusterOf, INTERVAL_MS, JOIN_TIMEOUT_MS, type Node, rejection, values } from './cluster.ts'

const test = suite('syncsrv/join')

async function restart(node: Node, how: 'stop' | 'kill'): Promise<void> {
  if (how === 'stop') await node.cluster.settle(node.stop())
  else node.kill()
  await node.cluster.settle(node.start())
}

for (const how of ['stop', 'kill'] as const) {
  test(`a node whose members all answer resumes its column after a ${how}`, async () => {
    const { cluster, nodes } = await clusterOf([1, 2, 3])
    const [a] = nodes as [Node, Node, Node]
    await cluster.settle(a.write({ x: 1 }))
    await cluster.until(() => values(nodes, 'x').every((value) => value === 1))
    const { incarnation } = a
    await restart(a, how)
    assert.is(a.incarnation, incarnation)
    await cluster.settle(a.write({ x: 1 }))
    await cluster.until(() => values(nodes, 'x').every((value) => value === 2))
    await cluster.end()
  })
}

test('a node takes a new column when a member does not answer', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => values(nodes, 'x').every((value) => value === 1))
  const { incarnation } = a
  await cluster.settle(c.stop())
  const beginMs = cluster.clock.monotonicMs()
  await restart(a, 'stop')
  assert.ok(a.incarnation > incarnation)
  assert.ok(cluster.clock.monotonicMs() - beginMs >= JOIN_TIMEOUT_MS)
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 2)
  await cluster.settle(c.start())
  await cluster.until(() => c.value('x') === 2)
  assert.is(c.viewOf(a)!.incarnation, a.incarnation)
  await cluster.end()
})

/** A node with a write that it forgets, because its disk is put back, and that the others were told of. */
async function forgetful(told: (a: Node, b: Node) => boolean) {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b] = nodes as [Node, Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  await cluster.settle(a.stop())
  const image = a.disk.image()
  await cluster.settle(a.start())
  const { incarnation } = a
  await cluster.settle(a.write({ x: 10 }))
  await cluster.until(() => told(a, b))
  a.kill()
  a.disk.load(image)
  await cluster.settle(a.start())
  assert.ok(a.incarnation > incarnation)
  return { cluster, nodes, a }
}

test('a node whose disk was put back takes a new column, and gets back what the others know', async () => {
  const { cluster, nodes, a } = await forgetful((first, second) => second.store.vector().covers(first.store.vector()))
  await cluster.settle(a.write({ x: 100 }))
  await cluster.until(() => values(nodes, 'x').every((value) => value === 111))
  await cluster.end()
})

test('a cell whose vector never came is knowledge of a column too', async () => {
  const { cluster } = await forgetful((_, second) => second.value('x') === 11)
  await cluster.end()
})

test('three nodes that start again at once all resume', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  await cluster.settle(nodes[0]!.write({ x: 1 }))
  await cluster.until(() => values(nodes, 'x').every((value) => value === 1))
  const before = nodes.map(({ incarnation }) => incarnation)
  for (const node of nodes) node.kill()
  await cluster.pass(INTERVAL_MS)
  await cluster.settle(Promise.all(nodes.map((node) => node.start())))
  assert.equal(
    nodes.map(({ incarnation }) => incarnation),
    before,
  )
  await cluster.end()
})

test('a node that never had a peer resumes without asking anybody', async () => {
  const cluster = new Cluster()
  const alone = cluster.add(1)
  cluster.seeds = [alone.address]
  await cluster.settle(alone.start())
  const { incarnation } = alone
  await cluster.settle(alone.write({ x: 1 }))
  alone.kill()
  await cluster.settle(alone.start())
  assert.is(alone.incarnation, incarnation)
  assert.is(alone.value('x'), 1)
  await cluster.end()
})

test('a member is in the members file before anything is sent to it', async () => {
  const cluster = new Cluster()
  const [a, b] = [cluster.add(1), cluster.add(2)]
  cluster.seeds = [a.address]
  await cluster.settle(Promise.all([a.start(), b.start()]))
  const named: boolean[] = []
  cluster.network.plan = ({ from, path, message }) => {
    const file = a.disk.paths('/data').some((name) => name.endsWith('/MEMBERS'))
    if (from === a.address && (message > 0 || path !== '/v1/probe') && path !== '/v1/probe') named.push(file)
    return undefined
  }
  await cluster.until(() => a.replication.status().members.length === 2)
  await cluster.pass(2 * INTERVAL_MS)
  assert.ok(named.length > 2)
  assert.not.ok(named.includes(false))
  await cluster.end()
})

test('a second process with a node id that is in use refuses to start and names the address of the first', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const second = cluster.add(1)
  const error = await cluster.settle(rejection(second.start()))
  assert.is(error.code, 'NODE_ID_TAKEN')
  assert.match(error.message, nodes[0]!.address)
  await cluster.end()
})

test('a second process that reaches only another member is told where the first one is', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  cluster.seeds = [nodes[1]!.address]
  const second = cluster.add(1)
  const error = await cluster.settle(rejection(second.start()))
  assert.is(error.code, 'NODE_ID_TAKEN')
  assert.match(error.message, nodes[0]!.address)
  await cluster.end()
})

test('of two processes with one node id that start at once exactly one goes on', async () => {
  const cluster = new Cluster()
  const both = [cluster.add(1), cluster.add(1)]
  cluster.seeds = both.map(({ address }) => address)
  await cluster.settle(Promise.all(both.map((node) => node.open())))
  const results = await cluster.settle(Promise.allSettled(both.map((node) => node.replication.start())))
  assert.equal(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  await cluster.end()
})

test('of two processes with one node id exactly one goes on, also when one starts while the other asks somebody who is slow', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const cluster = new Cluster(seed)
    const [first, second] = [cluster.add(1), cluster.add(1)]
    const slow = 'http://10.0.0.9:3001'
    cluster.seeds = [first.address, second.address, slow]
    cluster.network.plan = ({ to }) => (to === slow ? 'lose' : undefined)
    const starts = [first.start()]
    await cluster.pass(500)
    starts.push(second.start())
    const results = await cluster.settle(Promise.allSettled(starts))
    assert.equal(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], `seed ${seed}`)
    await cluster.end()
  }
})

test('a copy of a directory starts under a new column of the same node, when the first one is gone', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 1)
  await cluster.settle(a.stop())
  const disk = new VirtualDisk({ automatic: true })
  disk.load(a.disk.image())
  disk.copyDirectory('/data', '/copy')
  disk.moveDirectory('/data', '/gone')
  disk.moveDirectory('/copy', '/data')
  const copy = cluster.add(1, {}, disk)
  await cluster.settle(copy.start())
  assert.ok(copy.incarnation > a.incarnation)
  await cluster.settle(copy.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 2)
  await cluster.end()
})

for (const restarted of [false, true]) {
  const told = restarted ? 'that another knows from its members file' : 'that another has heard'
  test(`an image of a disk takes a new column when the process ${told} cannot be asked`, async () => {
    const { cluster, nodes } = await clusterOf([1, 2])
    const [a, b] = nodes as [Node, Node]
    await cluster.settle(a.write({ x: 1 }))
    await cluster.until(() => b.value('x') === 1)
    await cluster.settle(a.stop())
    const disk = new VirtualDisk({ automatic: true })
    disk.load(a.disk.image())
    await cluster.settle(a.start())
    if (restarted) {
      await cluster.settle(b.stop())
      await cluster.settle(b.open())
    }
    const image = cluster.add(1, {}, disk)
    cluster.network.cut(image.address, a.address)
    if (restarted) cluster.network.cut(a.address, b.address)
    cluster.seeds = [b.address]
    await cluster.settle(image.start())
    assert.ok(image.incarnation > a.incarnation)
    await cluster.end()
  })
}

test('an image of a disk that was started elsewhere and is forgotten there is found by whoever comes back', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 1)
  await cluster.settle(a.stop())
  const disk = new VirtualDisk({ automatic: true })
  disk.load(a.disk.image())
  const image = cluster.add(1, {}, disk)
  await cluster.settle(image.start())
  cluster.network.cut(b.address, image.address)
  await cluster.settle(image.write({ x: 1 }))
  const error = await cluster.settle(rejection(a.start()))
  assert.is(error.code, 'NODE_ID_TAKEN')
  await cluster.settle(rejection(a.start()))
  assert.match((await cluster.settle(rejection(a.start()))).message, image.address)
  await cluster.end()
})

test('when members say no more of an old column than is known here, nothing speaks against resuming', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  await cluster.settle(c.stop())
  await restart(a, 'kill')
  const { incarnation } = a
  await cluster.settle(c.start())
  await cluster.settle(a.write({ x: 5 }))
  await cluster.until(() => c.value('x') === 5)
  await restart(a, 'kill')
  assert.is(a.incarnation, incarnation)
  await cluster.end()
})

test('a seed that does not answer is named once, and found when it is there', async () => {
  const cluster = new Cluster()
  const [a, b] = [cluster.add(1), cluster.add(2)]
  cluster.seeds = [b.address]
  await cluster.settle(a.start())
  await cluster.pass(5 * INTERVAL_MS)
  assert.is(a.logger.lines.filter((line) => line.includes('a seed does not answer yet')).length, 1)
  await cluster.settle(b.start())
  await cluster.until(() => a.viewOf(b)?.state === 'alive')
  await cluster.end()
})

test.run()
