// Members that leave: drained, removed, and come back.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../../lib/base/clock.ts'
import { decodeMessage } from '../../lib/syncsrv/messages.ts'
import { DIRECTORY } from '../persistence/harness.ts'
import { Cluster, clusterOf, INTERVAL_MS, type Node, rejection, SUSPECT_MS, values } from './cluster.ts'

const test = suite('syncsrv/leaving')

const stateOf = (of: Node, at: Node): string | undefined => at.viewOf(of)?.state

test('a node that drains takes no writes, hands over all that it has, and is no member any more', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  const drained = a.replication.drain()
  assert.is((await cluster.settle(rejection(a.write({ x: 1 })))).code, 'DRAINING')
  await cluster.settle(drained)
  await cluster.settle(a.replication.left)
  assert.equal([b.value('x'), c.value('x')], [1, 1])
  await cluster.until(() => stateOf(a, b) === 'left' && stateOf(a, c) === 'left')
  const { at } = await cluster.settle(b.write({ x: 1 }))
  assert.equal(await cluster.settle(b.replication.waitFor(at, 'all', 1000)), { reached: 2, members: 2, met: true })
  await cluster.end()
})

test('a member is drained on request of another', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(b.write({ x: 1 }))
  await cluster.settle(a.replication.requestDrain(2))
  await cluster.settle(b.replication.left)
  assert.is(a.value('x'), 1)
  assert.is((await cluster.settle(rejection(a.replication.requestDrain(7)))).code, 'MEMBER_UNKNOWN')
  await cluster.end()
})

test('a request to drain that is repeated to another node is not obeyed', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.replication.requestDrain(2))
  await cluster.settle(b.replication.left)
  const { bytes } = cluster.network.passages.find(({ path, message }) => path === '/v1/drain' && message === 0)!
  for await (const message of c.replication.answer('/v1/drain', bytes, '')) assert.is(decodeMessage(message).kind, 'refusal')
  assert.not.ok(c.replication.status().draining)
  await cluster.end()
})

test('a node that nobody can take over from goes on trying, says so, and ends when somebody is there', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  await cluster.settle(a.write({ x: 1 }))
  let left = false
  void a.replication.drain().then(() => {
    left = true
  })
  await cluster.pass(30_000)
  assert.not.ok(left)
  assert.ok(a.logger.lines.includes('still hands over its counts'))
  await cluster.settle(b.start())
  await cluster.until(() => left, 60_000)
  assert.is(b.value('x'), 1)
  await cluster.end()
})

test('a node that drains goes on asking, also when its timers come a moment early, as real ones do', async () => {
  const cluster = new Cluster()
  const { clock } = cluster
  const early: Clock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => clock.after(Math.max(0, delayMs - 0.5), task),
    soon: (task) => clock.soon(task),
  }
  const [a, b] = [cluster.add(1, { clock: early }), cluster.add(2)]
  cluster.seeds = [a.address, b.address]
  await cluster.settle(Promise.all([a.start(), b.start()]))
  await cluster.until(() => stateOf(b, a) === 'alive')
  b.kill()
  a.replication.drain().catch(() => {})
  await cluster.until(() => stateOf(b, a) === 'dead', 3 * SUSPECT_MS)
  await cluster.end()
})

test('a node that left and is started again joins as a new one, with all counts', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(a.write({ x: 1 }))
  await cluster.settle(a.replication.drain())
  const { incarnation } = a
  await cluster.settle(a.stop())
  await cluster.settle(a.start())
  assert.ok(a.incarnation > incarnation)
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 2)
  await cluster.until(() => stateOf(a, b) === 'alive')
  await cluster.end()
})

test('a member that does not answer is suspect, then dead, and alive when it answers again', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  c.kill()
  await cluster.until(() => stateOf(c, a) === 'suspect' && stateOf(c, b) === 'suspect', 10 * INTERVAL_MS)
  await cluster.until(() => stateOf(c, a) === 'dead' && stateOf(c, b) === 'dead', 2 * SUSPECT_MS)
  await cluster.settle(c.start())
  await cluster.until(() => stateOf(c, a) === 'alive' && stateOf(c, b) === 'alive', 45_000)
  await cluster.end()
})

test('only a dead member can be removed; one that comes back takes a new incarnation and keeps its counts', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  assert.throws(
    () => a.replication.remove(3),
    (error: { code: string }) => error.code === 'MEMBER_ALIVE',
  )
  assert.throws(
    () => a.replication.remove(9),
    (error: { code: string }) => error.code === 'MEMBER_UNKNOWN',
  )
  await cluster.settle(c.write({ x: 1 }))
  c.kill()
  await cluster.until(() => stateOf(c, a) === 'dead', 3 * SUSPECT_MS)
  const { incarnation } = c
  a.replication.remove(3)
  await cluster.until(() => stateOf(c, b) === 'left')
  await cluster.settle(c.start())
  await cluster.settle(c.write({ x: 10 }))
  await cluster.until(() => values(nodes, 'x').every((value) => value === 11), 60_000)
  assert.ok(c.incarnation > incarnation)
  await cluster.until(() => stateOf(c, a) === 'alive' && stateOf(c, b) === 'alive')
  await cluster.end()
})

test('a removal is answered when it is on disk, and is there after a crash', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  await cluster.until(() => stateOf(b, a) === 'dead', 3 * SUSPECT_MS)
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const save = a.store.saveMembers.bind(a.store)
  a.store.saveMembers = (bytes) => gate.then(() => save(bytes))
  let isAnswered = false
  const removed = a.replication.remove(2).then(() => {
    isAnswered = true
  })
  await cluster.pass(2 * INTERVAL_MS)
  assert.is(isAnswered, false)
  release()
  await cluster.settle(removed)
  a.kill()
  await cluster.settle(a.start())
  assert.is(stateOf(b, a), 'left')
  await cluster.end()
})

test('a member that was only cut off and was removed hears it and joins again by itself', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  for (const other of [a, b]) {
    cluster.network.cut(other.address, c.address)
    cluster.network.cut(c.address, other.address)
  }
  await cluster.settle(c.write({ x: 1 }))
  await cluster.until(() => stateOf(c, a) === 'dead' && stateOf(c, b) === 'dead', 5 * SUSPECT_MS)
  a.replication.remove(3)
  const { incarnation } = c
  cluster.network.heal()
  await cluster.until(() => values(nodes, 'x').every((value) => value === 1), 90_000)
  assert.ok(c.incarnation > incarnation)
  await cluster.until(() => stateOf(c, a) === 'alive' && stateOf(c, b) === 'alive')
  await cluster.end()
})

for (const lost of ['its identity', 'all it had'] as const) {
  test(`a node that left, lost ${lost} and has a clock that went back joins as a new one`, async () => {
    const { cluster, nodes } = await clusterOf([1, 2])
    const [a, b] = nodes as [Node, Node]
    await cluster.settle(b.replication.drain())
    await cluster.settle(b.stop())
    if (lost === 'its identity') b.disk.drop(`${DIRECTORY}/IDENTITY`)
    else b.disk.load({ files: [], directories: [], inodes: 1000 })
    cluster.clock.wallMs -= 3_600_000
    await cluster.settle(b.start())
    await cluster.until(() => stateOf(b, a) === 'alive', 10 * INTERVAL_MS)
    await cluster.end()
  })
}

test('the only seed, having left, lost all it had, under a clock that went back, is told by the others', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.seeds = [b.address]
  await cluster.settle(b.replication.drain())
  await cluster.settle(b.stop())
  b.disk.load({ files: [], directories: [], inodes: 1000 })
  cluster.clock.wallMs -= 3_600_000
  await cluster.settle(b.start())
  await cluster.until(() => stateOf(b, a) === 'alive', 30 * INTERVAL_MS)
  await cluster.end()
})

test('a node alone joins others that its seeds name later', async () => {
  const cluster = new Cluster()
  const [a, b] = [cluster.add(1), cluster.add(2)]
  await cluster.settle(Promise.all([a.start(), b.start()]))
  await cluster.settle(a.write({ x: 1 }))
  cluster.seeds = [a.address]
  await cluster.until(() => b.value('x') === 1, 5 * INTERVAL_MS)
  await cluster.end()
})

test.run()
