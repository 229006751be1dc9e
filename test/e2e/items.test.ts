// Items per tenant on nodes that are real processes: what is given to one is counted on all, moves and deletions too; a wrong batch and one
// that a member refuses are kept nowhere; kill -9 loses nothing that was acknowledged; a new node and one that was away get everything.
// time limit: 500 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { addItemsSpread, type ClientError, connect, type NewItem } from '../../lib/client/index.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { metricOf, statesOf, until } from './asking.ts'
import { buildCounter } from './built.ts'

const ENV = {
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  // Who has stopped is asked at least once before it counts as dead.
  COUNTER_SUSPECT_TIMEOUT: '8s',
  COUNTER_JOIN_TIMEOUT: '1s',
  COUNTER_ITEMS_ACCEPT_TIMEOUT: '3s',
}

const test = suite('e2e/items')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))

async function withCluster(count: number, run: (cluster: Cluster, nodes: ClusterNode[]) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start({ nodes: count, random, command, env: ENV })
  try {
    for (const node of cluster.nodes) await untilStates(node, Object.fromEntries(cluster.nodes.map(({ id }) => [id, 'alive'])))
    await run(cluster, [...cluster.nodes])
  } finally {
    await cluster.close()
  }
}

/** A node of its own, for one test. */
async function withNode(env: Record<string, string>, run: (node: NodeProcess) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  const node = await startNode({ dataDir: `${path}/data`, command, env })
  try {
    await run(node)
  } finally {
    await node.end('SIGKILL')
    remove()
  }
}

const at = ({ process }: ClusterNode): NodeProcess => process!
const batch = (from: number, to: number, tenant: string): NewItem[] =>
  Array.from({ length: to - from }, (_, index) => ({ id: `item-${from + index}`, tenant }))

async function untilStates(node: ClusterNode, states: Record<number, string>): Promise<void> {
  const holds = (seen: Record<number, string>) => Object.entries(states).every(([id, state]) => seen[Number(id)] === state)
  await until(`node ${node.id} sees ${JSON.stringify(states)}`, () => statesOf(at(node)), holds)
}

/** All tenants of a node and their counts, by the listing and each by the original's API. */
async function countsOf(node: ClusterNode): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for await (const { tenant, count } of connect(at(node).url).tenants({ limit: 2 })) {
    const reply = await (await fetch(`${at(node).url}/items/${encodeURIComponent(tenant)}/count`)).text()
    // While items arrive the two may differ.
    if (reply !== JSON.stringify({ count, counter: count })) throw new Error(`${tenant} has ${count}, and by itself ${reply}`)
    counts[tenant] = count
  }
  return counts
}

async function untilAllCount(nodes: readonly ClusterNode[], expected: Record<string, number>): Promise<void> {
  const wanted = JSON.stringify(expected)
  for (const node of nodes)
    await until(
      `node ${node.id} counts ${wanted}`,
      () => countsOf(node),
      (counts) => JSON.stringify(counts) === wanted,
    )
}

const post = (node: ClusterNode, body: unknown, query = '') =>
  fetch(`${at(node).url}/items${query}`, { method: 'POST', body: JSON.stringify(body) })

test('items posted on any node are counted on all; the same id again is the same item, moves and can be deleted', () =>
  withCluster(3, async (_, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    const first = await post(a, [
      { id: 'item-1', tenant: 't1' },
      { ID: 2, tenant: 't1' },
    ])
    assert.is(await first.text(), '{"message":"Success","status":"OK"}')
    await post(b, [{ id: 'item-3', tenant: 'a/b' }])
    await post(c, [{ id: 'item-1', tenant: 't1' }])
    await untilAllCount(nodes, { 'a/b': 1, t1: 2 })

    // The later of two writes stays, whichever node took it.
    await post(b, [{ id: '2', tenant: 't2' }])
    await untilAllCount(nodes, { 'a/b': 1, t1: 1, t2: 1 })
    await post(a, [{ id: '2', tenant: 'a/b' }])
    await untilAllCount(nodes, { 'a/b': 2, t1: 1 })

    await connect(at(c).url).deleteItem('item-1')
    await untilAllCount(nodes, { 'a/b': 2 })
    for (const node of nodes) assert.is(await connect(at(node).url).getItem('item-1'), undefined)
    assert.is(await metricOf(at(a), 'counter_items'), 2)
  }))

test('of a wrong batch nothing is kept, on no node', () =>
  withCluster(2, async (_, nodes) => {
    const [a, b] = nodes as [ClusterNode, ClusterNode]
    const wrong = await post(a, [...batch(0, 100, 't1'), { id: '', tenant: 't1' }])
    assert.is(wrong.status, 400)
    assert.is(((await wrong.json()) as { message: string }).message, 'both values are required')
    const error = await connect(at(a).url)
      .addItems([...batch(0, 100, 't1'), { id: 'x'.repeat(5000), tenant: 't1' }])
      .catch((reason: ClientError) => reason)
    assert.is((error as ClientError).type, 'body-invalid')
    // What comes behind it shows that nothing of it is on its way.
    await post(a, [{ id: 'good', tenant: 't2' }])
    await untilAllCount([b, a], { t2: 1 })
  }))

test('kill -9 of all nodes loses nothing that was acknowledged, and who was away catches up', () =>
  withCluster(3, async (cluster, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    await cluster.end(c)
    for (const [index, node] of [a, b, a, b].entries()) {
      await connect(at(node).url).addItems(batch(index * 500, index * 500 + 500, `t${index}`))
    }
    await connect(at(b).url).addItems(batch(0, 10, 't3'), { w: 'majority' })
    await Promise.all([cluster.end(a), cluster.end(b)])
    await Promise.all(nodes.map((node) => cluster.start(node)))
    await untilAllCount(nodes, { t0: 490, t1: 500, t2: 500, t3: 510 })
    assert.is((await connect(at(c).url).getItem('item-0'))?.tenant, 't3')
  }))

test('with accept=all a member that does not answer is a refusal, and once it counts as dead it is not asked', () =>
  withCluster(3, async (_, nodes) => {
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode]
    const good = await post(a, batch(0, 5, 't1'), '?accept=all')
    assert.is(good.status, 200)
    assert.is(good.headers.get('counter-accept'), 'all; accepted=3; members=3')
    // Whoever accepted has it: no waiting.
    for (const node of nodes) assert.equal(await countsOf(node), { t1: 5 }, `node ${node.id}`)

    at(c).child.kill('SIGSTOP')
    const refused = await post(a, batch(5, 10, 't1'), '?accept=all')
    const failure = (await refused.json()) as { message: string; refusals: { node: number; reason: string }[] }
    assert.is(refused.status, 503, JSON.stringify(failure))
    assert.is(failure.message, 'Unable to add items')
    assert.equal(
      failure.refusals.map(({ node }) => node),
      [3],
    )
    assert.equal([await countsOf(a), await countsOf(b)], [{ t1: 5 }, { t1: 5 }])
    const majority = await post(b, batch(5, 7, 't2'), '?accept=majority')
    assert.is(majority.headers.get('counter-accept'), 'majority; accepted=2; members=3')

    await untilStates(a, { 3: 'dead' })
    const living = await post(a, batch(7, 9, 't2'), '?accept=all')
    assert.is(living.headers.get('counter-accept'), 'all; accepted=2; members=3')
    at(c).child.kill('SIGCONT')
    await untilAllCount(nodes, { t1: 5, t2: 4 })
  }))

test('11 items over 4 nodes are 3, 3, 3 and 2; the share of a dead node goes to the next, and all nodes have all', () =>
  withCluster(4, async (cluster, nodes) => {
    const urls = nodes.map((node) => at(node).url)
    const shares = await addItemsSpread(urls, batch(0, 11, 't1'), { backoffMs: 1 })
    assert.equal(
      shares.map(({ items }) => items),
      [3, 3, 3, 2],
    )
    await untilAllCount(nodes, { t1: 11 })
    await cluster.end(nodes[1]!)
    const moved = await addItemsSpread(urls, batch(0, 11, 't2'), { backoffMs: 1 })
    assert.equal(
      moved.map(({ url }) => urls.indexOf(url)),
      [0, 2, 2, 3],
    )
    await cluster.start(nodes[1]!)
    await untilAllCount(nodes, { t2: 11 })
  }))

test('at COUNTER_ITEMS_MAX new ids are refused and others go on', () =>
  withNode({ COUNTER_ITEMS_MAX: '3' }, async ({ url }) => {
    const counter = connect(url, { retriesMax: 0 })
    await counter.addItems(batch(0, 3, 't1'))
    const error = (await counter.addItems([...batch(0, 1, 't2'), ...batch(3, 4, 't2')]).catch((reason) => reason)) as ClientError
    assert.is(error.type, 'items-max')
    assert.is(error.status, 507)
    assert.is(error.applied, 'no')
    await counter.addItems(batch(0, 3, 't2'))
    assert.equal([await counter.tenantCount('t1'), await counter.tenantCount('t2')], [0, 3])
  }))

test('a node gives exactly the replies of one original, and asks all members, when it is told to', () =>
  withNode({ COUNTER_ITEMS_COMPAT: 's1', COUNTER_ITEMS_ACCEPT: 'all' }, async ({ url }) => {
    const added = await fetch(`${url}/items`, { method: 'POST', body: '[{"id":"a","tenant":"t"}]' })
    assert.is(await added.text(), '{"message":"Success"}\n')
    assert.is(added.headers.get('counter-accept'), 'all; accepted=1; members=1')
    assert.is(await (await fetch(`${url}/items/t/count`)).text(), '{"count":1}\n')
  }))

test.run()
