// Moving sequences from the local engine to etcd: nothing is given twice, whatever is cut off and done again.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalSequencer, migrate, type NoteStore } from '../../lib/sequence/index.ts'
import { refusal } from './conformance.ts'
import { NO_TROUBLES } from './memory-kv.ts'
import { VirtualEtcd } from './virtual.ts'

const test = suite('sequence/migrate')

function world() {
  const cluster = new VirtualEtcd({ nodes: 1 })
  const kept = new Map<string, Uint8Array>()
  const notes: NoteStore = {
    notesUnder: (prefix) => [...kept].filter(([key]) => key.startsWith(prefix)),
    settled: () => undefined,
    keepNotes: async (changes) => {
      for (const [key, value] of changes) value === undefined ? kept.delete(key) : kept.set(key, value)
    },
  }
  const openLocal = () => new LocalSequencer({ notes, clock: cluster.clock, keyTtlMs: 3_600_000, keysMax: 1000 })
  return { cluster, openLocal, local: openLocal(), etcd: cluster.nodes[0]!.engine, kv: cluster.nodes[0]!.kv }
}

test('numbers go on where they were, keys keep theirs, and the old engine gives none, over restarts too', async () => {
  const { cluster, local, etcd, openLocal } = world()
  for (let index = 0; index < 1200; index++) {
    await cluster.settle(local.next(`s${index}`, { count: index + 1, ...(index % 4 === 0 && { key: 'k' }) }))
  }
  const { sequences, ahead, keys } = await cluster.settle(migrate(local, etcd))
  assert.equal([sequences, ahead, keys], [1200, [], 300])
  for (const index of [0, 1, 500, 1199]) assert.is((await cluster.settle(etcd.next(`s${index}`))).first, index + 2)
  assert.equal(await cluster.settle(etcd.next('s4', { key: 'k', count: 5 })), { first: 1, last: 5, replayed: true })
  for (const engine of [local, openLocal()]) {
    assert.is((await refusal(cluster.settle(engine.next('s0')))).code, 'SEQUENCE_FROZEN')
    assert.is(await cluster.settle(engine.get('s1199')), 1200)
  }
})

test('a move that is done again takes nothing back', async () => {
  const { cluster, local, etcd } = world()
  await cluster.settle(local.next('a', { count: 10, key: 'k' }))
  await cluster.settle(local.next('b', { count: 10 }))
  await cluster.settle(migrate(local, etcd))
  await cluster.settle(etcd.next('a'))
  assert.equal(await cluster.settle(migrate(local, etcd)), { sequences: 2, ahead: ['a'], keys: 1 })
  assert.equal(await cluster.settle(etcd.next('a')), { first: 12, last: 12, replayed: false })
  assert.equal(await cluster.settle(etcd.next('a', { count: 10, key: 'k' })), { first: 1, last: 10, replayed: true })
})

test('a move that is cut off leaves numbers stopped, and is finished by doing it again', async () => {
  const { cluster, local, etcd, kv } = world()
  await cluster.settle(local.next('a', { count: 10 }))
  const moving = refusal(migrate(local, etcd))
  while (!(await cluster.settle(local.status())).frozen) await cluster.pass(1)
  kv.troubles = { ...NO_TROUBLES, lostRequest: 1000 }
  assert.match((await cluster.settle(moving)).code, /SEQUENCE_UN/)
  assert.is((await refusal(cluster.settle(local.next('a')))).code, 'SEQUENCE_FROZEN')
  kv.troubles = NO_TROUBLES
  await cluster.settle(migrate(local, etcd))
  assert.is((await cluster.settle(etcd.next('a'))).first, 11)
})

test('where etcd cannot be reached, or is frozen, nothing is stopped', async () => {
  const { cluster, local, etcd, kv } = world()
  kv.isCut = true
  assert.is((await refusal(cluster.settle(migrate(local, etcd)))).code, 'SEQUENCE_UNAVAILABLE')
  kv.isCut = false
  await cluster.settle(etcd.freeze())
  assert.is((await refusal(cluster.settle(migrate(local, etcd)))).code, 'SEQUENCE_FROZEN')
  assert.is((await cluster.settle(local.next('a'))).first, 1)
})

test.run()
