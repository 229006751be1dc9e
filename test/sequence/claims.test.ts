// Claims on node ids: one holder at a time, for as long as it lives.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CounterError } from '../../lib/base/errors.ts'
import { Claims } from '../../lib/sequence/index.ts'
import { refusal } from './conformance.ts'
import { MemoryKv, NO_TROUBLES } from './memory-kv.ts'
import { VirtualEtcd } from './virtual.ts'

const test = suite('sequence/claims')

const TTL_MS = 9000

function world() {
  const cluster = new VirtualEtcd({ nodes: 0 })
  let directories = 0
  const open = (directory = `d${++directories}`) => {
    const kv = new MemoryKv(cluster.store, cluster.clock, cluster.random)
    const lost: CounterError[] = []
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const { clock, random } = cluster
    const claims = new Claims({
      kv,
      prefix: 'counter/',
      directory,
      clock,
      random,
      logger,
      ttlMs: TTL_MS,
      onLost: (error) => lost.push(error),
    })
    return { kv, claims, lost }
  }
  return { cluster, open }
}

test('members are those that hold a claim, and are found with their addresses', async () => {
  const { cluster, open } = world()
  const nodes = [open(), open(), open()]
  for (const [node, { claims }] of nodes.entries()) await cluster.settle(claims.claim({ node, address: `http://n${node}` }))
  const listed = async () => (await cluster.settle(nodes[0]!.claims.list())).map(({ node, address }) => [node, address])
  const all = [0, 1, 2].map((node) => [node, `http://n${node}`])
  assert.equal(await listed(), all)
  await cluster.pass(TTL_MS * 5)
  assert.equal(await listed(), all, 'they are kept alive')
  await cluster.settle(nodes[1]!.claims.close())
  assert.equal(await listed(), [all[0], all[2]])
  nodes[2]!.kv.isCut = true
  await cluster.pass(TTL_MS + 1000)
  assert.equal(await listed(), [all[0]], 'who is away is no member')
})

test('an id that a living node holds is refused with its address; one whose node is gone is waited for', async () => {
  const { cluster, open } = world()
  const [one, two, three] = [open(), open(), open()]
  await cluster.settle(one.claims.claim({ node: 7, address: 'http://one' }))
  const error = await refusal(cluster.settle(two.claims.claim({ node: 7, address: 'http://two' })))
  assert.is(error.code, 'NODE_ID_TAKEN')
  assert.match(error.message, /http:\/\/one/)
  one.kv.isCut = true
  await cluster.settle(three.claims.claim({ node: 7, address: 'http://three' }))
  one.kv.isCut = false
  await cluster.pass(TTL_MS)
  assert.is(one.lost.length, 1, 'who comes back to a taken id is told')
  assert.is(one.lost[0]!.code, 'NODE_ID_TAKEN')
  assert.is(three.lost.length, 0)
})

test('a node that was killed takes its id back at once, and one that still runs with the same directory is told', async () => {
  const { cluster, open } = world()
  const [before, after] = [open('same'), open('same')]
  await cluster.settle(before.claims.claim({ node: 7, address: 'http://one' }))
  const startMs = cluster.clock.monotonicMs()
  await cluster.settle(after.claims.claim({ node: 7, address: 'http://two' }))
  assert.ok(cluster.clock.monotonicMs() - startMs < 1000)
  assert.equal(await cluster.settle(after.claims.list()), [{ node: 7, address: 'http://two' }])
  await cluster.pass(TTL_MS)
  assert.is(before.lost.length, 1)
  assert.match(before.lost[0]!.message, /http:\/\/two/)
  assert.is(after.lost.length, 0)
})

test('who was away and finds the id free takes it again', async () => {
  const { cluster, open } = world()
  const { claims, kv, lost } = open()
  await cluster.settle(claims.claim({ node: 7, address: 'http://one' }))
  kv.isCut = true
  await cluster.pass(TTL_MS * 2)
  kv.isCut = false
  await cluster.pass(TTL_MS)
  assert.equal(
    (await cluster.settle(claims.list())).map(({ node }) => node),
    [7],
  )
  assert.is(lost.length, 0)
})

test('a claim whose answer was lost is ours', async () => {
  const { cluster, open } = world()
  const { claims, kv } = open()
  kv.troubles = { ...NO_TROUBLES, lostAnswer: 400, refused: 200 }
  await cluster.settle(claims.claim({ node: 7, address: 'http://one' }))
  kv.troubles = NO_TROUBLES
  assert.is((await cluster.settle(claims.list())).length, 1)
})

test('without etcd there is no claim, and that is said', async () => {
  const { cluster, open } = world()
  const { claims, kv } = open()
  kv.isCut = true
  assert.match((await refusal(cluster.settle(claims.claim({ node: 7, address: 'http://one' })))).code, /SEQUENCE_UNAVAILABLE/)
})

test('what another program wrote there is no member, and its id is not taken', async () => {
  const { cluster, open } = world()
  const { claims } = open()
  for (const value of ['', '[]', 'null', '{}', '{"node":1}']) {
    cluster.store.txn({ compare: [], success: [{ key: 'counter/node/1', value }], failure: [] })
    assert.equal(await cluster.settle(claims.list()), [])
  }
  assert.is((await refusal(cluster.settle(claims.claim({ node: 1, address: 'http://one' })))).code, 'NODE_ID_TAKEN')
})

test.run()
