// The etcd engine on a virtual store: as every engine, alone and as three nodes, and what becomes of lost answers.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Sequencer } from '../../lib/sequence/index.ts'
import { conformance, refusal, type World } from './conformance.ts'
import { NO_TROUBLES } from './memory-kv.ts'
import { VirtualEtcd } from './virtual.ts'

const KEY_TTL_MS = 3_600_000

for (const nodes of [1, 3]) {
  const test = suite(`sequence/etcd with ${nodes} node(s)`)
  conformance(test, async (): Promise<World> => {
    const cluster = new VirtualEtcd({ nodes, keyTtlMs: KEY_TTL_MS })
    const engines = (): Sequencer[] => cluster.nodes.map(({ engine }) => engine)
    return {
      nodes: engines(),
      keyTtlMs: KEY_TTL_MS,
      settle: (promise) => cluster.settle(promise),
      pass: (ms) => cluster.pass(ms * 1.1),
      restart: async () => {
        cluster.nodes = cluster.nodes.map(({ node }) => cluster.start(node))
        return engines()
      },
      end: async () => {},
    }
  })
  test.run()
}

const test = suite('sequence/etcd')

test('callers of all nodes share transactions', async () => {
  const cluster = new VirtualEtcd()
  const calls = cluster.nodes.flatMap(({ engine }) => Array.from({ length: 100 }, () => engine.next('a')))
  await cluster.settle(Promise.all(calls))
  assert.ok(cluster.store.transactions <= 6, `${cluster.store.transactions} transactions for 300 calls`)
})

test('an answer of the store that is lost costs nothing: the numbers are found', async () => {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const { engine, kv } = cluster.nodes[0]!
  await cluster.settle(engine.next('a'))
  kv.troubles = { ...NO_TROUBLES, lostAnswer: 1000 }
  const calls = [engine.next('a'), engine.next('a', { count: 3 }), engine.next('a', { key: 'k' })]
  await cluster.pass(500)
  kv.troubles = NO_TROUBLES
  assert.equal(await cluster.settle(Promise.all(calls)), [
    { first: 2, last: 2, replayed: false },
    { first: 3, last: 5, replayed: false },
    { first: 6, last: 6, replayed: false },
  ])
  assert.is(await cluster.settle(engine.get('a')), 6)
})

test('an owner that does not answer costs nothing: the node asks for the same batch itself', async () => {
  for (const trouble of ['lost', 'unanswered', 'late'] as const) {
    const cluster = new VirtualEtcd()
    cluster.calls[trouble] = 1000
    const numbers = await cluster.settle(Promise.all(cluster.nodes.map(({ engine }) => engine.next('a', { count: 2 }))))
    const sorted = numbers.map(({ first }) => first).sort()
    assert.equal(sorted, [1, 3, 5], trouble)
    await cluster.pass(10_000)
    assert.is(await cluster.settle(cluster.nodes[0]!.engine.get('a')), 6, trouble)
    assert.ok(cluster.callCount > 0)
  }
})

test('nodes that do not hear of each other share a sequence, and none starves', async () => {
  const cluster = new VirtualEtcd()
  for (const { node } of cluster.nodes) {
    cluster.thoughtDead.set(node, new Set(cluster.nodes.map((other) => other.node).filter((other) => other !== node)))
  }
  const endMs = cluster.clock.monotonicMs() + 3000
  const counts = await cluster.settle(
    Promise.all(
      cluster.nodes.map(async ({ engine }) => {
        let count = 0
        for (; cluster.clock.monotonicMs() < endMs; count++) await engine.next('a')
        return count
      }),
    ),
  )
  const sum = counts.reduce((total, count) => total + count)
  assert.ok(Math.min(...counts) > sum / 10, `${counts}`)
})

test('a value can be set while others take numbers all the time', async () => {
  const cluster = new VirtualEtcd({ nodes: 2 })
  cluster.thoughtDead.set(0, new Set([1]))
  const [one, other] = cluster.nodes as [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]]
  let isOver = false
  const taking = Array.from({ length: 4 }, async () => {
    while (!isOver) await one.engine.next('a')
  })
  const startMs = cluster.clock.monotonicMs()
  for (let round = 1; round <= 20; round++) {
    await cluster.settle(other.engine.set('a', round * 1_000_000, { force: false }))
    assert.ok((await cluster.settle(one.engine.get('a'))) >= round * 1_000_000)
  }
  const tookMs = cluster.clock.monotonicMs() - startMs
  assert.ok(tookMs < 20 * 100, `a set took ${tookMs / 20} ms of the virtual clock`)
  isOver = true
  await cluster.settle(Promise.all(taking))
})

test('a store that surely did nothing is said so, one that may have is UNKNOWN, and the same key then tells', async () => {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const { engine, kv } = cluster.nodes[0]!
  kv.troubles = { ...NO_TROUBLES, refused: 1000 }
  assert.is((await refusal(cluster.settle(engine.next('a', { key: 'k' })))).code, 'SEQUENCE_UNAVAILABLE')
  assert.is((await refusal(cluster.settle(engine.get('a')))).code, 'SEQUENCE_UNAVAILABLE')
  kv.troubles = NO_TROUBLES
  await cluster.settle(engine.next('a', { key: 'other' }))
  kv.troubles = { ...NO_TROUBLES, lostAnswer: 1000 }
  assert.is((await refusal(cluster.settle(engine.next('a')))).code, 'SEQUENCE_UNKNOWN')
  kv.troubles = NO_TROUBLES
  assert.equal(await cluster.settle(engine.next('a')), { first: 3, last: 3, replayed: false }, '2 was taken')
  kv.isCut = true
  const status = await cluster.settle(engine.status())
  assert.is(status.reachable, false)
  assert.ok(status.detail.length > 0)
})

test('an answer that is lost for good is told by the key, on another node', async () => {
  const cluster = new VirtualEtcd({ nodes: 2 })
  const [one, other] = cluster.nodes as [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]]
  cluster.thoughtDead.set(0, new Set([1]))
  await cluster.settle(one.engine.next('a', { key: 'warm' }))
  one.kv.troubles = { ...NO_TROUBLES, lostAnswer: 1000 }
  assert.is((await refusal(cluster.settle(one.engine.next('a', { key: 'k', count: 2 })))).code, 'SEQUENCE_UNKNOWN')
  assert.equal(await cluster.settle(other.engine.next('a', { key: 'k', count: 2 })), { first: 2, last: 3, replayed: true })
})

test('setting a value over a lost answer sets it once', async () => {
  const cluster = new VirtualEtcd({ nodes: 2 })
  const [one, other] = cluster.nodes as [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]]
  await cluster.settle(one.engine.next('a', { count: 100 }))
  one.kv.troubles = { ...NO_TROUBLES, lostAnswer: 1000 }
  const set = one.engine.set('a', 10, { force: true })
  await cluster.pass(900)
  one.kv.troubles = NO_TROUBLES
  await cluster.settle(set)
  assert.equal(await cluster.settle(other.engine.next('a')), { first: 11, last: 11, replayed: false })
  assert.is(await cluster.settle(one.engine.get('a')), 11)
})

test('the keys are bounded: the oldest leases go, and none is left behind when their time is over', async () => {
  const cluster = new VirtualEtcd({ nodes: 1, keysMax: 4000, keyTtlMs: KEY_TTL_MS })
  const { engine } = cluster.nodes[0]!
  for (let round = 0; round < 100; round++) {
    await cluster.settle(Promise.all(Array.from({ length: 100 }, (_, index) => engine.next('a', { key: `${round}/${index}` }))))
  }
  assert.ok(cluster.store.leaseCount <= 3, `${cluster.store.leaseCount} leases`)
  assert.is((await cluster.settle(engine.next('a', { key: '99/99' }))).replayed, true)
  assert.is((await cluster.settle(engine.next('a', { key: '0/0' }))).replayed, false)
  await cluster.pass(KEY_TTL_MS * 1.2)
  assert.is(cluster.store.range({ prefix: 'counter/key/', limit: 10 }).entries.length, 0)
})

test('a lease that somebody gave up is replaced, and the call does not fail', async () => {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const { engine } = cluster.nodes[0]!
  await cluster.settle(engine.next('a', { key: 'k' }))
  cluster.store.revokeLease('1')
  assert.equal(await cluster.settle(engine.next('a', { key: 'l' })), { first: 2, last: 2, replayed: false })
})

test('the past is compacted, never past the mark before the last, and by one node', async () => {
  const cluster = new VirtualEtcd({ compactRevisions: 50 })
  const marks: number[] = []
  for (let round = 0; round < 300; round++) {
    await cluster.settle(cluster.nodes[round % 3]!.engine.next(`s${round % 7}`))
    const { compactedAt, revision } = cluster.store
    assert.ok(compactedAt === 0 || revision - compactedAt >= 50, `at ${revision} all before ${compactedAt} is forgotten`)
    if (compactedAt !== marks.at(-1)) marks.push(compactedAt)
  }
  assert.ok(marks.length >= 3, 'it goes on')
  assert.ok(cluster.store.revision - cluster.store.compactedAt <= 120, 'and keeps up')
})

test('what another program wrote under the key is refused, and left as it is', async () => {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const { engine } = cluster.nodes[0]!
  for (const value of [
    '',
    '7',
    '{}',
    '{"value":-1,"batches":[]}',
    '{"value":1,"batches":[[1]]}',
    '{"value":1,"batches":[[0,"x",1,1]]}',
    '{"value":9007199254740992,"batches":[]}',
  ]) {
    cluster.store.txn({ compare: [], success: [{ key: 'counter/value/a', value }], failure: [] })
    const error = await refusal(cluster.settle(engine.next('a')))
    assert.is(error.code, 'SEQUENCE_UNAVAILABLE')
    assert.match(error.message, /counter\/value\/a/)
    assert.is((await refusal(cluster.settle(engine.get('a')))).code, 'SEQUENCE_UNAVAILABLE')
    assert.is(cluster.store.get('counter/value/a')?.value, value)
  }
})

test('bytes from another node that are no batch are refused, not taken for one', async () => {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const { engine } = cluster.nodes[0]!
  const good = { version: 1, name: 'a', life: 9, number: 1, plain: 1, keyed: [], timeoutMs: 100 }
  const answer = async (payload: unknown) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(JSON.stringify(payload))
    return JSON.parse(Buffer.from(await cluster.settle(engine.answer(bytes, 7))).toString())
  }
  assert.equal(await answer(good), { plain: 1, keyed: [] })
  assert.equal(await answer(good), { plain: 1, keyed: [] }, 'the same batch again takes nothing')
  assert.is((await answer({ ...good, number: 0 })).plain.refused, 'SEQUENCE_UNKNOWN', 'one that was overtaken')
  assert.is((await answer({ ...good, life: 8, number: 2 })).plain.refused, 'SEQUENCE_UNKNOWN', 'one of an earlier life')
  const bad: unknown[] = [
    '',
    '\xff',
    '[]',
    'null',
    { ...good, version: 2 },
    { ...good, name: '' },
    { ...good, name: 'x'.repeat(513) },
    { ...good, life: 'x' },
    { ...good, number: -1 },
    { ...good, plain: 0.5 },
    { ...good, keyed: [['k']] },
    { ...good, keyed: [['k', 0]] },
    { ...good, keyed: [['', 1]] },
    {
      ...good,
      keyed: [
        ['k', 1],
        ['k', 1],
      ],
    },
    { ...good, keyed: Array.from({ length: 51 }, (_, index) => [`k${index}`, 1]) },
    { ...good, timeoutMs: 'x' },
  ]
  for (const payload of bad) assert.match((await answer(payload)).refused, /SYNC_INVALID|NAME_/, JSON.stringify(payload))
  assert.is(await cluster.settle(engine.get('a')), 1)
})

test.run()
