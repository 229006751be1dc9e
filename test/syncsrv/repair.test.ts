// What vectors cannot see is found by digests, and repaired.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Cluster, clusterOf, INTERVAL_MS, type Node, values } from './cluster.ts'

const test = suite('syncsrv/repair')

const DIGEST_MS = 10_000

const digestsAsked = (passages: readonly { path: string; message: number }[]): number =>
  passages.filter(({ path, message }) => path === '/v1/digest' && message === 0).length

test('nodes that agree compare digests, and send nothing', async () => {
  const { cluster, nodes } = await clusterOf([1, 2], { digestIntervalMs: DIGEST_MS })
  await cluster.settle(Promise.all(nodes.map((node) => node.write({ x: 1, y: 2 }))))
  await cluster.until(() => values(nodes, 'x').every((value) => value === 2))
  cluster.network.passages.length = 0
  await cluster.pass(5 * DIGEST_MS)
  const { passages } = cluster.network
  assert.ok(digestsAsked(passages) >= 6, `${digestsAsked(passages)} comparisons`)
  // Welcome and done.
  assert.not.ok(passages.some(({ path, message }) => path === '/v1/digest' && message > 2))
  assert.equal(
    nodes.map((node) => node.replication.status().counters.hiddenCells),
    [0, 0],
  )
  await cluster.end()
})

test('a cell that is missing although the vector covers it is found, fetched and told of', async () => {
  const { cluster, nodes } = await clusterOf([1, 2], { digestIntervalMs: DIGEST_MS })
  const [a, b] = nodes as [Node, Node]
  const merge = b.store.merge.bind(b.store)
  let drops = true
  // A fault: the cell is lost and the vector behind it is not.
  b.store.merge = (delta) => (drops && delta[1] === 1 ? Promise.resolve(1) : merge(delta))
  await cluster.settle(a.write({ lost: 5 }))
  await cluster.until(() => b.store.vector().covers(a.store.vector()))
  drops = false
  assert.is(b.value('lost'), 0)
  await cluster.until(() => b.value('lost') === 5, 3 * DIGEST_MS)
  assert.is(b.replication.status().counters.hiddenCells, 1)
  const line = 'cells were missing here although they counted as known, and are repaired'
  await cluster.until(() => b.logger.lines.includes(line), 100)
  await cluster.end()
})

test('a cell that came without its vector, and that its node forgot, comes to all', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3], { digestIntervalMs: DIGEST_MS })
  const [a, b, c] = nodes as [Node, Node, Node]
  await cluster.settle(a.stop())
  const image = a.disk.image()
  await cluster.settle(a.start())
  cluster.network.plan = ({ from, to, path, bytes, message }) =>
    from === a.address && path === '/v1/exchange' && message > 0 && bytes[0] === 2 && (to === c.address || bytes.length < 30)
      ? 'cut'
      : undefined
  await cluster.settle(a.write({ 'a name that is long enough to tell': 7 }))
  await cluster.until(() => b.value('a name that is long enough to tell') === 7)
  a.kill()
  a.disk.load(image)
  cluster.network.heal()
  await cluster.settle(a.start())
  await cluster.until(() => values(nodes, 'a name that is long enough to tell').every((value) => value === 7), 6 * DIGEST_MS)
  assert.equal(
    nodes.map((node) => node.replication.status().counters.hiddenCells),
    [0, 0, 0],
  )
  await cluster.end()
})

/** Counts the walks over all names that a node makes for digests; `meanwhile` happens in the middle of each. */
function walksOf(node: Node, meanwhile: () => void = () => {}): () => number {
  const digests = node.store.digests.bind(node.store)
  let walks = 0
  node.store.digests = function* () {
    walks++
    meanwhile()
    yield
    return yield* digests()
  }
  return () => walks
}

test('while there are always new writes, comparisons are tried less and less often', async () => {
  const { cluster, nodes } = await clusterOf([1, 2], { digestIntervalMs: 64 * INTERVAL_MS })
  const [a, b] = nodes as [Node, Node]
  const walks = [a, b].map((node) => walksOf(node, () => void node.write({ x: 1 })))
  await cluster.pass(200 * INTERVAL_MS)
  for (const count of walks) assert.ok(count() > 2 && count() <= 14, `${count()} walks`)
  await cluster.end()
})

test('a node that knows something else than the asker makes no digests', async () => {
  const cluster = new Cluster()
  const [a, b] = [cluster.add(1, { digestIntervalMs: DIGEST_MS }), cluster.add(2)]
  cluster.seeds = [a.address]
  await cluster.settle(Promise.all([a.start(), b.start()]))
  const walks = walksOf(b)
  let asked = 0
  cluster.network.plan = ({ path, message }) => {
    if (path === '/v1/digest' && message === 0 && asked++ === 0) void b.write({ x: 1 })
    return undefined
  }
  await cluster.until(() => asked === 1, 3 * DIGEST_MS)
  await cluster.pass(INTERVAL_MS / 2)
  assert.is(walks(), 0)
  await cluster.until(() => walks() === 1, 3 * DIGEST_MS)
  await cluster.end()
})

test.run()
