// Batches of items that all members keep, or none: who is asked, what a refusal says, what a promise holds and when it ends.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { AcceptanceRefused } from '../../lib/cluster/index.ts'
import { encodeAbort, encodePrepare, type Transaction } from '../../lib/syncsrv/acceptance-codec.ts'
import type { Accepted } from '../../lib/syncsrv/index.ts'
import { once, plainReply } from '../persistence/harness.ts'
import { Batches, promisesOf } from './batches.ts'
import { type Cluster, clusterOf, type Node, rejection, SUSPECT_MS } from './cluster.ts'

const test = suite('syncsrv/acceptance')

const ACCEPT_MS = 2000
const EXPIRY_MS = 3 * ACCEPT_MS

/** Items named so, all of one tenant. */
const itemsOf = (tenant: string, ...ids: string[]) => ids.map((id) => ({ id, tenant }))
const counts = (nodes: readonly Node[], tenant: string): number[] => nodes.map((node) => node.store.tenantCount(tenant))
const promised = (nodes: readonly Node[]): number[] => nodes.map((node) => node.replication.status().promisedBatches)

function send(
  node: Node,
  tenant: string,
  ids: readonly string[],
  accept: 'majority' | 'all' = 'all',
  key?: string,
): Promise<Accepted> {
  return node.replication.acceptItems(itemsOf(tenant, ...ids), accept, () => plainReply(tenant), key ? once(key) : undefined)
}

async function refusedOf(cluster: Cluster, task: Promise<unknown>): Promise<AcceptanceRefused> {
  const error = await cluster.settle(rejection(task))
  assert.instance(error, AcceptanceRefused, error.message)
  assert.is(error.code, 'ITEMS_REFUSED')
  return error as AcceptanceRefused
}

const reasons = ({ refusals }: AcceptanceRefused): [node: number, code: string][] =>
  refusals.map(({ node, code }) => [node, code])

/** Nothing is kept, and nothing is promised any more. */
async function assertNothing(cluster: Cluster, nodes: readonly Node[], tenant: string, ms = 100): Promise<void> {
  await cluster.pass(ms)
  assert.equal(
    counts(nodes, tenant),
    nodes.map(() => 0),
  )
  assert.equal(
    nodes.map((node) => [node.replication.status().promisedBatches, promisesOf(node)]),
    nodes.map(() => [0, 0]),
  )
}

test('a batch that all accept is on all when it is answered, as the very same write', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node]
  const answer = await cluster.settle(send(a, 't', ['i', 'j']))
  assert.is(answer.accepted, 3)
  assert.is(answer.members, 3)
  assert.is(answer.body, 't')
  assert.not(answer.replayed)
  assert.equal(answer.at, { replica: a.store.self, seq: 1 })
  assert.equal(counts(nodes, 't'), [2, 2, 2])
  for (const node of nodes) assert.equal(node.store.item('i'), a.store.item('i'))
  await cluster.pass(100)
  assert.equal(
    nodes.map((node) => node.store.vector().get(a.store.self)),
    [1, 1, 1],
  )
  assert.equal(promised(nodes), [0, 0, 0])
  assert.is(a.replication.status().counters.batchesCommitted, 1)
  // Nothing has to be repaired afterwards.
  assert.equal(
    nodes.map((node) => node.store.hiddenCells),
    [0, 0, 0],
  )
  await cluster.end()
})

test('items move and are deleted by batches like by any write, and the last of one id in a batch counts', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.settle(send(a, 't', ['i', 'j', 'k']))
  const changes = [
    { id: 'i', tenant: 'u' },
    { id: 'j', tenant: 'u' },
    { id: 'j', tenant: undefined },
  ]
  await cluster.settle(b.replication.acceptItems(changes, 'all', () => plainReply()))
  assert.equal(
    [counts(nodes, 't'), counts(nodes, 'u')],
    [
      [1, 1],
      [1, 1],
    ],
  )
  assert.is(a.store.item('j'), undefined)
  await cluster.end()
})

test('a node alone asks nobody', async () => {
  const { cluster, nodes } = await clusterOf([1])
  const answer = await cluster.settle(send(nodes[0]!, 't', ['i']))
  assert.equal([answer.accepted, answer.members], [1, 1])
  await cluster.end()
})

test('a member that takes no writes refuses with its own words, and nothing is kept anywhere', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b] = nodes as [Node, Node]
  b.store.refuseWrites(new CounterError('STARTING', 'it has to ask others first'))
  const error = await refusedOf(cluster, send(a, 't', ['i']))
  assert.equal(error.refusals, [{ node: 2, code: 'STARTING', reason: 'it has to ask others first' }])
  assert.match(error.message, 'node 2: it has to ask others first (STARTING)')
  await assertNothing(cluster, nodes, 't')
  assert.is(a.replication.status().counters.batchesAborted, 1)
  await cluster.end()
})

test('a member that drains refuses', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  // It cannot hand over, and so goes on draining.
  cluster.network.plan = ({ from, to }) => ([from, to].includes(c.address) && [from, to].includes(b.address) ? 'lose' : undefined)
  b.replication.drain().catch(() => {})
  await cluster.pass(10)
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'DRAINING']])
  await assertNothing(cluster, nodes, 't')
  await cluster.end()
})

test('a member that is about to end refuses', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.replication.end()
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'CLOSED']])
  // What it was sent itself it still sees to.
  assert.is((await cluster.settle(send(b, 'u', ['j']))).accepted, 2)
  await assertNothing(cluster, nodes, 't')
  await cluster.end()
})

test('a member whose disk is full refuses', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.disk.capacity = 0
  // More than the room that a log has ahead.
  const ids = Array.from({ length: 60 }, (_, index) => `${index}`.padStart(60_000, 'x'))
  const error = await refusedOf(cluster, send(a, 't', ids))
  assert.equal(reasons(error), [[2, 'DISK_FULL']])
  await assertNothing(cluster, nodes, 't')
  b.disk.capacity = Number.POSITIVE_INFINITY
  await cluster.pass(10_000)
  assert.is((await cluster.settle(send(a, 't', ids))).accepted, 2)
  await cluster.end()
})

test('a member whose log is busy with the note refuses, and promises nothing', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  const { keepNotes } = b.store
  b.store.keepNotes = async () => {
    throw new CounterError('LOG_BUSY', 'the test lets it be busy')
  }
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'LOG_BUSY']])
  b.store.keepNotes = keepNotes
  await assertNothing(cluster, nodes, 't')
  await cluster.end()
})

test('a member over its limit of items refuses', async () => {
  const { cluster, nodes } = await limited(2)
  const [a] = nodes as [Node]
  assert.is((await cluster.settle(send(a, 't', ['i', 'j']))).accepted, 2)
  const error = await refusedOf(cluster, send(a, 'u', ['k']))
  assert.equal(reasons(error), [[2, 'ITEMS_MAX']])
  // Those that are there can still be changed.
  assert.is((await cluster.settle(send(a, 'u', ['i']))).accepted, 2)
  assert.equal(counts(nodes, 'u'), [1, 1])
  await cluster.end()
})

test('a member far behind the clock of the coordinator refuses what it could not merge', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.nodes[0]!.aheadMs = 3_600_000
  await cluster.settle(a.stop())
  await cluster.settle(a.start())
  await cluster.until(() => a.viewOf(b)?.state === 'alive')
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'CLOCK_AHEAD']])
  await assertNothing(cluster, nodes, 't')
  assert.is((await cluster.settle(send(b, 't', ['i']))).accepted, 2)
  await cluster.end()
})

test('a member that does not know of batches refuses', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.replication.serve('items/prepare', async () => {
    throw new CounterError('SERVICE_UNKNOWN', 'this node knows no items/prepare')
  })
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'SERVICE_UNKNOWN']])
  await cluster.end()
})

test('a member that cannot be reached, or does not answer, has not consented', async () => {
  for (const fate of ['lose', 'cut'] as const) {
    const { cluster, nodes } = await clusterOf([1, 2, 3])
    const [a, b] = nodes as [Node, Node]
    const beginMs = cluster.clock.monotonicMs()
    cluster.network.plan = ({ to, path }) => (to === b.address && path === '/v1/call' ? fate : undefined)
    assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'PEER_UNREACHABLE']])
    assert.ok(cluster.clock.monotonicMs() - beginMs <= ACCEPT_MS + 100)
    await assertNothing(cluster, nodes, 't')
    await cluster.end()
  }
})

test('an answer that is lost is no consent either, and the promise behind it ends by the abort or by itself', async () => {
  for (const abortComes of [true, false]) {
    const { cluster, nodes } = await clusterOf([1, 2])
    const [a, b] = nodes as [Node, Node]
    let calls = 0
    cluster.network.plan = ({ from, to, path, message }) => {
      if (path !== '/v1/call') return undefined
      if (from === b.address && message > 0) return 'lose'
      return to === b.address && ++calls > 1 && !abortComes ? 'lose' : undefined
    }
    assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[2, 'PEER_UNREACHABLE']])
    await cluster.pass(100)
    assert.equal(promised(nodes), [0, abortComes ? 0 : 1])
    assert.is(promisesOf(b), abortComes ? 0 : 1)
    await assertNothing(cluster, nodes, 't', EXPIRY_MS)
    assert.is(b.replication.status().counters.preparesExpired, abortComes ? 0 : 1)
    await cluster.end()
  }
})

test('a suspect member is asked; one that is known dead is not, and all others are enough', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  c.kill()
  await cluster.until(() => a.viewOf(c)?.state === 'suspect')
  assert.equal(reasons(await refusedOf(cluster, send(a, 't', ['i']))), [[3, 'PEER_UNREACHABLE']])
  await cluster.until(() => a.viewOf(c)?.state === 'dead', 3 * SUSPECT_MS)
  const before = cluster.network.passages.length
  const answer = await cluster.settle(send(a, 't', ['i']))
  assert.equal([answer.accepted, answer.members], [2, 3])
  const calls = cluster.network.passages.slice(before).filter(({ path, to }) => path === '/v1/call' && to === c.address)
  assert.is(calls.length, 0)
  assert.equal(counts([a, b], 't'), [1, 1])
  await cluster.settle(c.start())
  await cluster.until(() => c.store.tenantCount('t') === 1)
  await cluster.end()
})

test('a member that left is not asked and not counted', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  await cluster.settle(c.replication.drain())
  await cluster.until(() => a.viewOf(c)?.state === 'left')
  const answer = await cluster.settle(send(a, 't', ['i']))
  assert.equal([answer.accepted, answer.members], [2, 2])
  await cluster.end()
})

test('a majority does not wait for who is slow; who was left out gets the batch by an exchange', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  cluster.network.cut(a.address, c.address)
  const beginMs = cluster.clock.monotonicMs()
  const answer = await cluster.settle(send(a, 't', ['i'], 'majority'))
  assert.equal([answer.accepted, answer.members], [2, 3])
  assert.ok(cluster.clock.monotonicMs() - beginMs < 100)
  // The member that has promised tells it.
  await cluster.until(() => c.store.tenantCount('t') === 1)
  await cluster.end()
})

test('a majority of all members is asked for, dead ones counted', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  b.kill()
  c.kill()
  await cluster.until(() => [b, c].every((node) => a.viewOf(node)?.state === 'dead'), 3 * SUSPECT_MS)
  const error = await refusedOf(cluster, send(a, 't', ['i'], 'majority'))
  assert.equal(reasons(error), [
    [2, 'PEER_UNREACHABLE'],
    [3, 'PEER_UNREACHABLE'],
  ])
  assert.is((await cluster.settle(send(a, 't', ['i'], 'all'))).accepted, 1)
  await cluster.end()
})

test('this node refuses at once what it cannot write itself, and asks nobody', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node]
  a.store.refuseWrites(new CounterError('DRAINING', 'it leaves'))
  const before = cluster.network.passages.length
  const error = await cluster.settle(rejection(send(a, 't', ['i'])))
  assert.is(error.code, 'DRAINING')
  assert.not.instance(error, AcceptanceRefused)
  assert.not(cluster.network.passages.slice(before).some(({ path }) => path === '/v1/call'))
  await cluster.end()
})

test('what this node cannot write in the end is aborted everywhere', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node]
  const task = send(a, 't', ['i'])
  // All have promised; the answers are on their way.
  await cluster.until(() => nodes.slice(1).every((node) => promisesOf(node) === 1))
  a.store.refuseWrites(new CounterError('DRAINING', 'it leaves'))
  assert.is((await cluster.settle(rejection(task))).code, 'DRAINING')
  await assertNothing(cluster, nodes, 't')
  await cluster.end()
})

test('a promise holds room: another batch is refused what is promised already, and gets it when the first is dropped', async () => {
  const { cluster, nodes } = await limited(2)
  const [a, b] = nodes as [Node, Node]
  await holdPromise(cluster, a, b, ['i', 'j'])
  assert.equal(reasons(await refusedOf(cluster, send(a, 'u', ['k']))), [[2, 'ITEMS_MAX']])
  // The same ids need no more room.
  assert.is((await cluster.settle(send(a, 'u', ['i', 'j']))).accepted, 2)
  assert.equal(reasons(await refusedOf(cluster, send(a, 'u', ['k']))), [[2, 'ITEMS_MAX']])
  await cluster.end()

  const second = await limited(2)
  await holdPromise(second.cluster, second.nodes[0]!, second.nodes[1]!, ['i', 'j'])
  await second.cluster.pass(EXPIRY_MS)
  assert.is((await second.cluster.settle(send(second.nodes[0]!, 'u', ['k', 'l']))).accepted, 2)
  await second.cluster.end()
})

test('what this node decides itself holds room beside what it has promised', async () => {
  const { cluster, nodes } = await limited(2)
  const [a, b] = nodes as [Node, Node]
  cluster.network.plan = ({ from, path, message }) =>
    from === a.address && path === '/v1/call' && message === 1 ? { delayMs: 500 } : undefined
  const own = send(b, 't', ['i', 'j'])
  await cluster.until(() => promisesOf(a) === 1)
  const other = await refusedOf(cluster, send(a, 'u', ['k']))
  assert.equal(reasons(other), [[2, 'ITEMS_MAX']])
  assert.equal(counts(nodes, 't'), [0, 0])
  assert.is((await cluster.settle(own)).accepted, 2)
  await cluster.end()
})

test('a promise outlives a restart, holds its room, and expires by the clock of the new process', async () => {
  const { cluster, nodes } = await limited(2)
  const [a, b] = nodes as [Node, Node]
  await holdPromise(cluster, a, b, ['i', 'j'])
  await cluster.pass(EXPIRY_MS - 100)
  b.kill()
  await cluster.settle(b.start())
  await cluster.pass(200)
  assert.equal(promised([b]), [1])
  assert.equal(reasons(await refusedOf(cluster, send(a, 'u', ['k']))), [[2, 'ITEMS_MAX']])
  await cluster.pass(EXPIRY_MS)
  await assertNothing(cluster, nodes, 't')
  assert.is(b.replication.status().counters.preparesExpired, 1)
  b.kill()
  await cluster.settle(b.start())
  assert.equal(promised([b]), [0])
  await cluster.end()
})

test('a promise that nobody can read is dropped at the start', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const b = nodes[1]!
  await cluster.settle(b.store.keepNotes([['prepare/1.2.3', Uint8Array.of(9, 9)]]))
  b.kill()
  await cluster.settle(b.start())
  await cluster.pass(10)
  assert.is(promisesOf(b), 0)
  assert.ok(b.logger.lines.some((line) => /cannot be read/.test(line)))
  await cluster.end()
})

test('a commit finds the promise of a member that restarted in between', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  let calls = 0
  // The commit takes long, and exchanges do not come through before it.
  cluster.network.plan = ({ from, to, path, message }) => {
    if (path === '/v1/exchange' && from === b.address) return 'lose'
    return path === '/v1/call' && to === b.address && message === 0 && ++calls === 2 ? { delayMs: 3000 } : undefined
  }
  const task = send(a, 't', ['i'])
  await cluster.until(() => a.store.tenantCount('t') === 1)
  b.kill()
  await cluster.settle(b.start())
  assert.equal([promised([b]), counts([b], 't')], [[1], [0]])
  assert.is((await cluster.settle(task)).accepted, 2)
  assert.equal(counts(nodes, 't'), [1, 1])
  await cluster.end()
})

test('a member that was told of a commit tells others, although the coordinator is gone and was never asked', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  // Of the coordinator only calls come through, and only to the second node.
  cluster.network.plan = ({ from, to, path }) => {
    if (![from, to].includes(a.address)) return undefined
    return [from, to].includes(b.address) && path === '/v1/call' ? undefined : 'lose'
  }
  assert.is((await cluster.settle(send(a, 't', ['i'], 'majority'))).accepted, 2)
  a.kill()
  await cluster.until(() => c.store.tenantCount('t') === 1)
  assert.is(b.store.hiddenCells + c.store.hiddenCells, 0)
  await cluster.settle(a.start())
  await cluster.end()
})

test('a commit of a promise that is gone asks for the batch instead, and does not count as written', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  const { keepNotes } = b.store
  // The promise is dropped as soon as it is answered.
  b.store.keepNotes = async (changes) => {
    await keepNotes.call(b.store, changes)
    const transaction = transactionOf(changes[0]![0])
    if (changes[0]![1] !== undefined)
      cluster.clock.after(1, () => void a.replication.call(2, 'items/abort', encodeAbort(transaction), { timeoutMs: 100 }))
  }
  cluster.network.plan = ({ from, path, message }) =>
    from === b.address && path === '/v1/call' && message === 1 ? { delayMs: 50 } : undefined
  const answer = await cluster.settle(send(a, 't', ['i']))
  assert.equal([answer.accepted, answer.members], [1, 2])
  await cluster.until(() => b.store.tenantCount('t') === 1)
  await cluster.end()
})

test('a note that takes long is not left behind by an abort or a commit that comes before it is kept', async () => {
  for (const accept of ['all', 'majority'] as const) {
    const { cluster, nodes } = await clusterOf([1, 2, 3])
    const [a, , c] = nodes as [Node, Node, Node]
    delayNotes(cluster, c, accept === 'all' ? ACCEPT_MS + 500 : 100)
    const task = send(a, 't', ['i'], accept)
    if (accept === 'all') assert.equal(reasons(await refusedOf(cluster, task)), [[3, 'PEER_UNREACHABLE']])
    else assert.is((await cluster.settle(task)).accepted, 2)
    await cluster.pass(1000)
    assert.equal([promised([c]), promisesOf(c)], [[0], 0])
    assert.is(c.store.tenantCount('t'), accept === 'all' ? 0 : 1)
    await cluster.end()
  }
})

test('a promise that expires before its note is kept is none', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  delayNotes(cluster, b, 500)
  const transaction = { node: 1, incarnation: 1, life: '0123456789abcdef', number: 1 }
  const prepare = encodePrepare({ transaction, expiryMs: 100, stamp: 1, changes: itemsOf('t', 'i') })
  const error = await cluster.settle(rejection(a.replication.call(2, 'items/prepare', prepare, { timeoutMs: 1000 })))
  assert.match(error.message, 'LOG_BUSY')
  await assertNothing(cluster, nodes, 't', 1000)
  await cluster.end()
})

test('everything twice changes nothing, and leaves no promise behind', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a] = nodes as [Node]
  cluster.network.plan = ({ path, message }) => (path === '/v1/call' && message === 0 ? 'twice' : undefined)
  const answer = await cluster.settle(send(a, 't', ['i', 'j']))
  assert.is(answer.members, 3)
  assert.equal(counts(nodes, 't'), [2, 2, 2])
  await cluster.pass(EXPIRY_MS)
  assert.equal(promised(nodes), [0, 0, 0])
  assert.equal(nodes.map(promisesOf), [0, 0, 0])
  assert.equal(counts(nodes, 't'), [2, 2, 2])
  await cluster.end()
})

test('a node speaks only of its own batches', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  await holdPromise(cluster, a, b, ['i'])
  const transaction = transactionOf([...b.store.notesUnder('prepare/')][0]![0])
  const error = await cluster.settle(
    rejection(c.replication.call(2, 'items/abort', encodeAbort(transaction), { timeoutMs: 100 })),
  )
  assert.match(error.message, 'SYNC_INVALID')
  assert.is(promisesOf(b), 1)
  const prepare = encodePrepare({ transaction, expiryMs: 100, stamp: 1, changes: itemsOf('x', 'y') })
  assert.match(
    (await cluster.settle(rejection(c.replication.call(2, 'items/prepare', prepare, { timeoutMs: 100 })))).message,
    'SYNC_INVALID',
  )
  await cluster.end()
})

test('a retry with the key gets the stored reply, and nobody is asked again', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a] = nodes as [Node]
  await cluster.settle(send(a, 't', ['i'], 'all', 'key'))
  const before = cluster.network.passages.length
  const again = await cluster.settle(send(a, 't', ['i'], 'all', 'key'))
  assert.equal([again.replayed, again.body, again.members], [true, 't', 2])
  assert.not(cluster.network.passages.slice(before).some(({ path }) => path === '/v1/call'))
  a.kill()
  await cluster.settle(a.start())
  assert.ok((await cluster.settle(send(a, 't', ['i'], 'all', 'key'))).replayed)
  await cluster.end()
})

test('of two requests with one key that come at once, one is decided and the other told to wait', async () => {
  const { cluster, nodes } = await limited(2)
  const [a] = nodes as [Node]
  const first = send(a, 't', ['i', 'j'], 'all', 'key')
  const second = await cluster.settle(rejection(send(a, 't', ['i', 'j'], 'all', 'key')))
  assert.is(second.code, 'KEY_IN_FLIGHT')
  const other = a.replication.acceptItems(itemsOf('t', 'x'), 'all', () => plainReply(), once('key', 'other'))
  assert.is((await cluster.settle(rejection(other))).code, 'KEY_REUSED')
  assert.is((await cluster.settle(first)).accepted, 2)
  assert.ok((await cluster.settle(send(a, 't', ['i', 'j'], 'all', 'key'))).replayed)
  await cluster.end()
})

test('a batch that was refused can be sent again with its key', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.store.refuseWrites(new CounterError('STARTING', 'not yet'))
  await refusedOf(cluster, send(a, 't', ['i'], 'all', 'key'))
  b.store.refuseWrites(undefined)
  const answer = await cluster.settle(send(a, 't', ['i'], 'all', 'key'))
  assert.equal([answer.replayed, answer.accepted], [false, 2])
  await cluster.end()
})

test('a key that another write has taken meanwhile gives its reply, and the batch is dropped', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  const task = send(a, 't', ['i'], 'all', 'key')
  await cluster.until(() => promisesOf(b) === 1)
  void a.store.changeItems(itemsOf('u', 'k'), () => plainReply('first'), once('key'))
  const answer = await cluster.settle(Promise.allSettled([task]).then(([settled]) => settled))
  const told = answer.status === 'fulfilled' ? answer.value.body : (answer.reason as CounterError).code
  assert.ok(['first', 'KEY_IN_FLIGHT'].includes(told), told)
  await cluster.pass(100)
  assert.equal(
    [counts(nodes, 't'), promised(nodes)],
    [
      [0, 0],
      [0, 0],
    ],
  )
  await cluster.end()
})

test('many batches at once, from all nodes, are each whole on all', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const batches = new Batches(cluster, nodes)
  const sent = Array.from({ length: 30 }, (_, index) => batches.send(nodes[index % 3]!, index % 4 === 0 ? 'majority' : 'all'))
  await cluster.settle(Promise.all(sent))
  assert.ok(batches.all.every(({ outcome }) => outcome === 'acknowledged'))
  assert.equal(await batches.conclude(), [])
  await cluster.end()
})

test('who confirms late does not keep the client waiting for ever: the answer says how many have it', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, , c] = nodes as [Node, Node, Node]
  let prepared = false
  cluster.network.plan = ({ to, path }) => {
    if (to !== c.address || !['/v1/call', '/v1/nudge'].includes(path)) return undefined
    if (prepared) return 'lose'
    prepared = path === '/v1/call'
    return undefined
  }
  const answer = await cluster.settle(send(a, 't', ['i']))
  assert.equal([answer.accepted, answer.members], [2, 3])
  await cluster.until(() => c.store.tenantCount('t') === 1)
  await cluster.pass(EXPIRY_MS)
  assert.is(promisesOf(c), 0)
  await cluster.end()
})

test('a node that stops in the middle of a vote says so, and leaves nothing', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  cluster.network.plan = ({ from, path }) => (from === b.address && path === '/v1/call' ? 'lose' : undefined)
  const task = rejection(send(a, 't', ['i']))
  await cluster.until(() => promisesOf(b) === 1)
  await cluster.settle(a.replication.stop())
  assert.is((await cluster.settle(task)).code, 'CLOSED')
  await assertNothing(cluster, [b], 't', EXPIRY_MS)
  await cluster.end()
})

/** Notes of promises take so long; taking them away does not. */
function delayNotes(cluster: Cluster, { store }: Node, ms: number): void {
  const { keepNotes } = store
  store.keepNotes = async (changes) => {
    if (changes.some(([, value]) => value !== undefined))
      await new Promise<void>((resolve) => void cluster.clock.after(ms, resolve))
    return keepNotes.call(store, changes)
  }
}

/** Two nodes, of which the second takes so many items at most. */
async function limited(itemsMax: number): Promise<{ cluster: Cluster; nodes: Node[] }> {
  const { cluster, nodes } = await clusterOf([1, 2])
  const b = nodes[1]!
  b.itemsMax = itemsMax
  await cluster.settle(b.stop())
  await cluster.settle(b.start())
  await cluster.until(() => nodes[0]!.viewOf(b)?.state === 'alive')
  return { cluster, nodes }
}

/** `b` promises a batch of `a`, which hears nothing of it and gives up, without `b` hearing of that. */
async function holdPromise(cluster: Cluster, a: Node, b: Node, ids: readonly string[]): Promise<void> {
  let calls = 0
  cluster.network.plan = ({ from, to, path, message }) => {
    if (path !== '/v1/call' || ![from, to].includes(b.address)) return undefined
    return message > 0 || ++calls > 1 ? 'cut' : undefined
  }
  const task = rejection(send(a, 't', ids))
  await cluster.settle(task)
  await cluster.pass(20)
  cluster.network.heal()
  assert.is(promisesOf(b), 1)
}

/** The transaction of a note. */
function transactionOf(key: string): Transaction {
  const [node, incarnation, life, number] = key.slice('prepare/'.length).split('.') as [string, string, string, string]
  return { node: Number(node), incarnation: Number(incarnation), life, number: Number(number) }
}

test.run()
