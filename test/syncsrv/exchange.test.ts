// One exchange: what is sent, what a cut costs, and what requests that are not good do, namely nothing.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import type { Member } from '../../lib/cluster/index.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import { decodeMessage, encodeExchange } from '../../lib/syncsrv/messages.ts'
import type { Passage } from '../support/virtual-network.ts'
import { type Cluster, clusterOf, INTERVAL_MS, type Node, rejection, values } from './cluster.ts'

const test = suite('syncsrv/exchange')

const NAMES = 40_000

const many = (count = NAMES): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`name ${at} ${'x'.repeat(at % 50)}`, at + 1]))

/** The messages of cells that went from one node to another, and the welcomes. */
function received(cluster: Cluster, from: Node, to: Node) {
  const passages = cluster.network.passages.filter(
    (passage) =>
      passage.from === from.address && passage.to === to.address && passage.path === '/v1/exchange' && passage.message > 0,
  )
  const messages = passages.map(({ bytes }) => decodeMessage(bytes))
  return {
    cells: messages.filter((message) => message.kind === 'cells'),
    welcomes: messages.filter((message) => message.kind === 'welcome'),
  }
}

const isCells = ({ path, bytes, message }: Passage) => path === '/v1/exchange' && message > 0 && bytes[0] === 2

test('an answer that is cut goes on behind what has come', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  let cells = 0
  cluster.network.plan = (passage) => (isCells(passage) && ++cells === 4 ? 'cut' : undefined)
  cluster.network.passages.length = 0
  await cluster.settle(a.write(many()))
  await cluster.until(() => b.store.vector().covers(a.store.vector()))
  const { cells: messages, welcomes } = received(cluster, a, b)
  assert.ok(welcomes.some(({ resumed }) => resumed))
  const bytes = messages.reduce((sum, { delta }) => sum + delta.length, 0)
  const lost = messages[3]!.delta.length
  const [whole] = await wholeBytes()
  assert.ok(bytes <= whole! + 2 * lost, `${bytes} bytes were sent, where ${whole} are all`)
  assert.is(b.store.status().names, NAMES)
  await cluster.end()
})

async function wholeBytes(): Promise<number[]> {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(a.write(many()))
  await cluster.until(() => b.store.vector().covers(a.store.vector()))
  const { cells } = received(cluster, a, b)
  await cluster.end()
  return [cells.reduce((sum, { delta }) => sum + delta.length, 0)]
}

test('a node that was restarted answers from the beginning', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  let cells = 0
  cluster.network.plan = (passage) => (isCells(passage) && ++cells === 4 ? 'cut' : undefined)
  await cluster.settle(a.write(many()))
  await cluster.until(() => cells === 4)
  a.kill()
  cluster.network.passages.length = 0
  await cluster.settle(a.start())
  await cluster.until(() => b.store.vector().covers(a.store.vector()))
  assert.not.ok(received(cluster, a, b).welcomes.some(({ resumed }) => resumed))
  assert.is(b.value(`name 39999 ${'x'.repeat(39_999 % 50)}`), 40_000)
  await cluster.end()
})

test('each change is sent to each node once', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  cluster.network.passages.length = 0
  for (let round = 0; round < 5; round++) {
    await cluster.settle(a.write({ [`name ${round}`]: 1 }))
    await cluster.pass(2 * INTERVAL_MS)
  }
  assert.equal(values(nodes, 'name 4'), [1, 1, 1])
  const sent = [a, b, c].flatMap((from) => [a, b, c].map((to) => received(cluster, from, to).cells.length))
  // Two messages for a write: its cell and the vector.
  assert.equal(sent, [0, 10, 10, 0, 0, 0, 0, 0, 0])
  await cluster.end()
})

test('news travels by a node in the middle', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  cluster.network.cut(a.address, c.address)
  cluster.network.cut(c.address, a.address)
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => c.value('x') === 1, 3 * INTERVAL_MS)
  await cluster.end()
})

for (const [what, one, other] of [
  ['what one node sends to the other', 0, 1],
  ['what the other sends to it', 1, 0],
] as const) {
  test(`a link that loses ${what} is passed over, and used again when it is whole`, async () => {
    const { cluster, nodes } = await clusterOf([1, 2])
    const [a, b] = nodes as [Node, Node]
    cluster.network.cut(nodes[one]!.address, nodes[other]!.address)
    await cluster.settle(a.write({ x: 1 }))
    await cluster.settle(b.write({ y: 1 }))
    await cluster.pass(60_000)
    cluster.network.heal()
    await cluster.until(() => a.value('y') === 1 && b.value('x') === 1, 45_000)
    await cluster.end()
  })
}

test('requests that come twice and messages that come late change nothing', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const random = seededRandom(7)
  cluster.network.plan = ({ message }) => {
    const dice = random.uint32() % 10
    if (message === 0 && dice < 3) return 'twice'
    return dice < 6 ? { delayMs: random.uint32() % 500 } : undefined
  }
  for (let round = 0; round < 30; round++) {
    await cluster.settle(Promise.all(nodes.map((node) => node.write({ x: 1, [`of ${node.id}`]: 1 }))))
    await cluster.pass(random.uint32() % 300)
  }
  await cluster.until(() => values(nodes, 'x').every((value) => value === 90))
  for (const { id } of nodes) assert.equal(values(nodes, `of ${id}`), [30, 30, 30])
  await cluster.end()
})

test('a request that is not good is refused whole', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node, Node]
  const good = cluster.network.passages.filter(({ message, to }) => message === 0 && to === a.address)
  const before = JSON.stringify([a.replication.status().members, [...a.store.vector()]])
  for (const path of ['/v1/exchange', '/v1/nudge', '/v1/probe', '/v1/digest', '/v1/drain', '/v1/call'] as const) {
    const body = good.find((passage) => passage.path === path)?.bytes ?? Uint8Array.of(1, 2, 3)
    for (const bad of [
      body.subarray(0, path === '/v1/call' ? 2 : -1),
      ...(path === '/v1/call' ? [] : [Uint8Array.of(...body, 0)]),
      Uint8Array.of(9, ...body.subarray(1)),
      new Uint8Array(0),
    ]) {
      const error = await rejection(
        (async () => {
          for await (const _ of a.replication.answer(path, bad, '10.0.0.9'));
        })(),
      )
      assert.is(error.code, 'SYNC_INVALID', path)
    }
  }
  assert.is(JSON.stringify([a.replication.status().members, [...a.store.vector()]]), before)
  await cluster.end()
})

test('a node that would be a member too many is not answered as one', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node]
  const memberOf = (node: number) =>
    ({ node, incarnation: 2, edition: 0, state: 'alive', address: 'http://10.1.0.1:1', publicUrl: '' }) as const
  const ask = async (node: number, members: readonly Member[]) => {
    const sender = { node, incarnation: 2, life: '0000000000000000', address: '', publicUrl: '' }
    const body = encodeExchange({ sender, vector: new VersionVector(), news: { members, folds: [] }, resume: undefined })
    for await (const message of a.replication.answer('/v1/exchange', body, '')) return decodeMessage(message)
    return undefined
  }
  const others = Array.from({ length: 1024 }, (_, at) => memberOf(at + 100))
  assert.is((await cluster.settle(ask(100, others)))!.kind, 'welcome')
  const answer = await cluster.settle(ask(5000, [memberOf(5000)]))
  const reason = 'the cluster has as many members as it takes'
  assert.equal(answer, { kind: 'refusal', code: 'MEMBERS_MAX', reason, incarnation: 0 })
  await cluster.end()
})

test('nothing leaves before it is on disk', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const settled = a.store.settled.bind(a.store)
  let holds = true
  a.store.settled = () => (holds ? held : settled())
  cluster.network.passages.length = 0
  void a.write({ x: 1 })
  await cluster.pass(3 * INTERVAL_MS)
  const left = cluster.network.passages.filter(({ from, path }) => from === a.address && path !== '/v1/probe')
  assert.is(left.length, 0)
  holds = false
  release()
  await cluster.until(() => b.value('x') === 1)
  await cluster.end()
})

test.run()
