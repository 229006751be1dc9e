// Members of a cluster of real processes that stop, leave, are removed and come back; seen and ordered by `counter cluster`.
// time limit: 500 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { type NodeProcess, runToEnd } from '../support/process.ts'
import { clusterOf, post, read, statesOf, until, untilAllRead } from './asking.ts'
import { buildCounter } from './built.ts'

const ENV = {
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  // Long enough that each sees it suspect before it counts as dead, and that nobody who lives does, however busy the machine is.
  COUNTER_SUSPECT_TIMEOUT: '3s',
  COUNTER_JOIN_TIMEOUT: '1s',
}

const test = suite('e2e/membership')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))
const ENDED = { code: 0, signal: null }

/** Runs the test with a cluster of which each knows all. */
async function withCluster(count: number, run: (cluster: Cluster, nodes: ClusterNode[]) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start({ nodes: count, random, command, env: ENV })
  try {
    await untilStates(cluster.nodes, Object.fromEntries(cluster.nodes.map(({ id }) => [id, 'alive'])))
    await run(cluster, [...cluster.nodes])
  } finally {
    await cluster.close()
  }
}

const at = ({ process }: ClusterNode): NodeProcess => process!
const order = (node: ClusterNode, ...args: string[]) => runToEnd(['cluster', ...args, '--url', at(node).url], {}, command)

/** Waits until each of `seers` sees these states. */
async function untilStates(seers: readonly ClusterNode[], states: Record<number, string>): Promise<void> {
  const holds = (seen: Record<number, string>) => Object.entries(states).every(([id, state]) => seen[Number(id)] === state)
  for (const seer of seers) await until(`node ${seer.id} sees ${JSON.stringify(states)}`, () => statesOf(at(seer)), holds)
}

const incarnationOf = async (node: ClusterNode): Promise<number> => (await clusterOf(at(node))).incarnation

async function postStatus(
  node: ClusterNode,
  path: string,
): Promise<{ status: number; type: string; detail: string; fix: string }> {
  const reply = await fetch(`${at(node).url}${path}`, { method: 'POST' })
  const { type, detail, fix } = (await reply.json()) as { type: string; detail: string; fix: string }
  return { status: reply.status, type, detail, fix }
}

test('counter cluster shows who is there, who is suspect and dead, and what is lacking; who wakes up is back without a restart', () =>
  withCluster(3, async (_, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    await post(at(a), 'x')
    await untilAllRead(nodes.map(at), { x: 1 })
    await until(
      'they agree',
      () => clusterOf(at(a)),
      ({ agreed }) => agreed,
    )
    const calm = await order(a)
    assert.is(calm.code, 0, calm.stderr)
    assert.match(calm.stdout, /^\*1 +alive +- +- +-/m)
    assert.match(calm.stdout, /^ 2 +alive +\d+\.\d s ago +nothing +nothing +http/m)
    assert.match(calm.stdout, /^node 1 agrees with all members that are alive$/m)
    const { incarnation } = await clusterOf(at(c))

    at(c).child.kill('SIGSTOP')
    await untilStates([a, b], { 3: 'suspect' })
    await untilStates([a, b], { 3: 'dead' })
    for (let text = 0; text < 5; text++) await post(at(a), 'x')
    await untilAllRead([at(a), at(b)], { x: 6 })
    const { stdout } = await order(a)
    assert.match(stdout, /^ 3 +dead +\d+\.\d s ago +nothing +5 changes, \d+\.\d s +http/m)
    assert.match(stdout, /^node 1 agrees with all members that are alive$/m)

    at(c).child.kill('SIGCONT')
    await untilStates(nodes, { 1: 'alive', 2: 'alive', 3: 'alive' })
    await untilAllRead(nodes.map(at), { x: 6 })
    assert.is(await incarnationOf(c), incarnation)
    const warned = at(a)
      .stderr()
      .split('\n')
      .filter((line) => line.includes('"warn"'))
    assert.is(warned.length, 1, warned.join('\n'))
    assert.match(warned[0]!, 'has not answered for long and counts as dead')
    for (const line of at(a).stderr().trimEnd().split('\n'))
      assert.is(line.match(/"node":/g)?.length, 1, `of whom is this? ${line}`)
  }))

test('a drained node ends by itself with 0, the others have all it had, and started again it joins as a new one', () =>
  withCluster(3, async (cluster, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (const node of nodes) await post(at(node), `x from-${node.id}`)
    const before = await incarnationOf(c)
    const leaving = at(c)
    const drained = await order(a, 'drain', '3', '--wait')
    assert.is(drained.code, 0, drained.stderr)
    assert.is(drained.stdout, 'node 3 has left\n')
    assert.equal(await leaving.exited, ENDED)
    c.process = undefined
    await untilStates([a, b], { 3: 'left' })
    const totals = { x: 3, 'from-1': 1, 'from-2': 1, 'from-3': 1 }
    await untilAllRead([at(a), at(b)], totals)
    const written = await fetch(`${at(a).url}/keywords?w=all`, { method: 'POST', body: 'y' })
    assert.match(written.headers.get('counter-write-level') ?? '', 'members=2')

    await cluster.start(c)
    await untilStates(nodes, { 1: 'alive', 2: 'alive', 3: 'alive' })
    assert.ok((await incarnationOf(c)) > before)
    await post(at(c), 'x from-3')
    await untilAllRead(nodes.map(at), { ...totals, x: 4, 'from-3': 2, y: 1 })
  }))

test('a node that alone holds writes does not leave before somebody has them', () =>
  withCluster(3, async (cluster, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (const { proxy } of nodes) proxy.cut()
    await post(at(c), 'alone')
    const leaving = at(c)
    assert.equal(await postStatus(c, '/v1/cluster/members/3/drain').then(({ status }) => status), 202)
    const refused = await fetch(`${leaving.url}/keywords`, { method: 'POST', body: 'late' })
    assert.is(refused.status, 503)
    assert.match(((await refused.json()) as { type: string }).type, 'draining')
    await untilStates([c], { 1: 'dead', 2: 'dead' })
    await until(
      'it reads',
      () => read(leaving, ['alone', 'late']),
      (counts) => counts.alone === 1 && counts.late === 0,
    )
    assert.ok((await clusterOf(leaving)).draining)
    assert.is(leaving.child.exitCode, null)

    cluster.heal()
    assert.equal(await leaving.exited, ENDED)
    c.process = undefined
    await untilStates([a, b], { 3: 'left' })
    await untilAllRead([at(a), at(b)], { alone: 1, late: 0 })
  }))

test('a dead member is removed; when it returns after all it is told so, joins as a new one, and brings what nobody had', () =>
  withCluster(3, async (cluster, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    await post(at(c), 'shared')
    await untilAllRead(nodes.map(at), { shared: 1 })
    for (const { proxy } of nodes) proxy.cut()
    await post(at(c), 'unsent')
    const before = await incarnationOf(c)
    await cluster.end(c)
    await untilStates([a], { 2: 'dead', 3: 'dead' })
    // Between the two others the network is well again.
    for (const { proxy } of [a, b]) proxy.heal()
    await untilStates([a, b], { 1: 'alive', 2: 'alive', 3: 'dead' })
    const removed = await order(a, 'remove', '3')
    assert.is(removed.code, 0, removed.stderr)
    assert.is(removed.stdout, 'node 3 is no member any more\n')
    await untilStates([a, b], { 3: 'left' })

    c.proxy.heal()
    await cluster.start(c)
    await untilStates(nodes, { 1: 'alive', 2: 'alive', 3: 'alive' })
    assert.ok((await incarnationOf(c)) > before)
    await untilAllRead(nodes.map(at), { shared: 1, unsent: 1 })
    await post(at(c), 'shared unsent')
    await untilAllRead(nodes.map(at), { shared: 2, unsent: 2 })
    assert.match(at(c).stderr(), 'goes on under a new incarnation')
  }))

test('a member that was removed while it only slept goes on as a new one, and keeps what it had', () =>
  withCluster(3, async (_, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    await post(at(c), 'x')
    const before = await incarnationOf(c)
    at(c).child.kill('SIGSTOP')
    await untilStates([a, b], { 3: 'dead' })
    assert.is((await order(b, 'remove', '3')).code, 0)
    await untilStates([a, b], { 3: 'left' })
    at(c).child.kill('SIGCONT')
    await until(
      'it has a new incarnation',
      () => incarnationOf(c),
      (incarnation) => incarnation > before,
    )
    await post(at(c), 'x')
    await untilStates(nodes, { 1: 'alive', 2: 'alive', 3: 'alive' })
    await untilAllRead(nodes.map(at), { x: 2 })
    assert.match(at(c).stderr(), 'because it was removed from the cluster')
  }))

test('orders that cannot be obeyed are refused with the reason', () =>
  withCluster(2, async (_, nodes) => {
    const [a] = nodes as [ClusterNode, ClusterNode]
    const living = await postStatus(a, '/v1/cluster/members/2/remove')
    assert.is(living.status, 409)
    assert.match(living.type, 'member-alive')
    assert.match(living.fix, /drain/)
    assert.is((await postStatus(a, '/v1/cluster/members/7/remove')).status, 404)
    assert.is((await postStatus(a, '/v1/cluster/members/7/drain')).status, 404)
    const { code, stderr } = await order(a, 'remove', '2')
    assert.is(code, 1)
    assert.match(stderr, '[member-alive]')
    await untilStates(nodes, { 1: 'alive', 2: 'alive' })
  }))

test.run()
