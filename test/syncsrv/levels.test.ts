// Write levels and sessions: who holds a write, as each member has said itself, and what a node knows in time.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterOf, type Node, SUSPECT_MS } from './cluster.ts'

const test = suite('syncsrv/levels')

test('a write that a majority or all members hold is told so within a few round trips', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node]
  const beginMs = cluster.clock.monotonicMs()
  const { at } = await cluster.settle(a.write({ x: 1 }))
  assert.equal(await cluster.settle(a.replication.waitFor(at, 1, 1000)), { reached: 1, members: 3, met: true })
  const majority = await cluster.settle(a.replication.waitFor(at, 'majority', 1000))
  assert.ok(majority.met && majority.reached >= 2)
  assert.equal(await cluster.settle(a.replication.waitFor(at, 'all', 1000)), { reached: 3, members: 3, met: true })
  assert.ok(cluster.clock.monotonicMs() - beginMs < 10 * cluster.network.latencyMs)
  await cluster.end()
})

test('a level that is not reached in time is told as such, and nothing is thrown', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  c.kill()
  const { at } = await cluster.settle(a.write({ x: 1 }))
  assert.ok((await cluster.settle(a.replication.waitFor(at, 'majority', 1000))).met)
  assert.equal(await cluster.settle(a.replication.waitFor(at, 'all', 1000)), { reached: 2, members: 3, met: false })
  b.kill()
  const second = await cluster.settle(a.write({ x: 1 }))
  assert.equal(await cluster.settle(a.replication.waitFor(second.at, 'majority', 1000)), { reached: 1, members: 3, met: false })
  await cluster.end()
})

test('who is dead still counts as a member', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  await cluster.until(() => a.viewOf(b)!.state === 'dead', 3 * SUSPECT_MS)
  const { at } = await cluster.settle(a.write({ x: 1 }))
  assert.equal(await cluster.settle(a.replication.waitFor(at, 'majority', 500)), { reached: 1, members: 2, met: false })
  await cluster.end()
})

test('what a third member says of another does not count', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  cluster.network.cut(a.address, c.address)
  cluster.network.cut(c.address, a.address)
  const { at } = await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.value('x') === 1 && c.value('x') === 1)
  assert.equal(await cluster.settle(a.replication.waitFor(at, 'all', 3000)), { reached: 2, members: 3, met: false })
  await cluster.end()
})

test('a session reads what it wrote at another node, or is told that it cannot', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.network.plan = ({ path }) => (path === '/v1/nudge' ? 'lose' : undefined)
  const { at } = await cluster.settle(a.write({ x: 1 }))
  const beginMs = cluster.clock.monotonicMs()
  assert.is(await cluster.settle(b.replication.waitUntilKnown([at], 1000)), true)
  assert.ok(cluster.clock.monotonicMs() - beginMs < 10 * cluster.network.latencyMs, 'it asks at once')
  assert.is(b.value('x'), 1)
  assert.is(await cluster.settle(b.replication.waitUntilKnown([{ ...at, seq: at.seq + 1 }], 1000)), false)
  await cluster.end()
})

test('a session whose writes are known here costs no request', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  const { at } = await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => b.store.vector().get(at.replica) === at.seq)
  await cluster.pass(100)
  cluster.network.passages.length = 0
  for (let read = 0; read < 10; read++) assert.is(await cluster.settle(b.replication.waitUntilKnown([at], 1000)), true)
  assert.equal(cluster.network.passages, [])
  await cluster.end()
})

test('a session is served with the answer that brings what it lacks, though no other follows', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.pass(100)
  let requests = 0
  cluster.network.plan = ({ from, path, message }) =>
    path === '/v1/nudge' || (from === b.address && message === 0 && requests++ > 0) ? 'lose' : undefined
  const { at } = await cluster.settle(a.write({ x: 1 }))
  const beginMs = cluster.clock.monotonicMs()
  assert.is(await cluster.settle(b.replication.waitUntilKnown([at], 500)), true)
  assert.ok(cluster.clock.monotonicMs() - beginMs < 10 * cluster.network.latencyMs)
  await cluster.end()
})

test('who waits when the node stops is told that the level was not reached', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.kill()
  const { at } = await cluster.settle(a.write({ x: 1 }))
  const waiting = a.replication.waitFor(at, 'all', 1_000_000)
  await cluster.end()
  assert.is((await cluster.settle(waiting)).met, false)
})

test('lag is told in both directions, in changes and in seconds', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.until(() => a.viewOf(b)!.heardMsAgo !== undefined && b.viewOf(a)!.heardMsAgo !== undefined)
  cluster.network.cut(a.address, b.address)
  for (let write = 0; write < 3; write++) await cluster.settle(a.write({ x: 1 }))
  await cluster.pass(20_000)
  const { ahead, lacks } = a.viewOf(b)!
  assert.is(ahead!.changes, 3)
  assert.ok(ahead!.seconds > 18 && ahead!.seconds < 22, `${ahead!.seconds} s`)
  assert.equal(lacks, { changes: 0, seconds: 0 })
  cluster.network.heal()
  await cluster.until(() => a.viewOf(b)!.ahead!.changes === 0, 45_000)
  assert.is(a.viewOf(b)!.ahead!.seconds, 0)
  await cluster.end()
})

test.run()
