// Files of every version, as they were first written, open for ever.

import { readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Notes } from '../../lib/persistence/notes.ts'
import { recover } from '../../lib/persistence/recover.ts'
import { joinInto } from '../../lib/persistence/snapshot.ts'
import { encodeBatch, Replica, type ReplicaId } from '../../lib/storage/index.ts'
import { batchOf, DIRECTORY, hash, Machine, nameBytes, once, valueOf } from './harness.ts'

const test = suite('persistence/golden')
const FIXTURES = new URL('../fixtures/', import.meta.url)

/** A machine whose data directory holds the files of these folders. */
function machineWith(...folders: string[]): Machine {
  const machine = new Machine()
  for (const folder of folders) {
    for (const name of readdirSync(new URL(folder, FIXTURES))) {
      machine.disk.put(`${DIRECTORY}/${name}`, readFileSync(new URL(`${folder}/${name}`, FIXTURES)))
    }
  }
  return machine
}

async function holdsAll(machine: Machine, names: number): Promise<void> {
  const store = await machine.open()
  assert.is(valueOf(store, 'hot'), 7)
  assert.equal([valueOf(store, 'naïve'), valueOf(store, '数'), valueOf(store, 'cold'), valueOf(store, 'later')], [2, 3, -7, 5])
  assert.is(store.value(nameBytes('big')), 2n ** 64n - 1n)
  assert.is(valueOf(store, `3-${'n'.repeat(2000)}`), 3)
  assert.is(store.recovered.names, names)
  assert.is((await store.replay(once('key-1', 'request')))!.body, '{"value":"first"}')
  assert.is((await store.replay(once('key-2', 'request')))!.body, '{"value":"second"}')
  await machine.settle(machine.write(store, { hot: 1 }))
  await machine.settle(store.close())
  assert.is(valueOf(await machine.open(), 'hot'), 8)
}

test('a log of version 1 opens', () => holdsAll(machineWith('log-v1'), 10))

test('a log of version 1 with a fold and a move opens', async () => {
  const machine = machineWith('log-v1-fold')
  for (const hard of [true, false]) {
    const store = await machine.open()
    assert.equal([valueOf(store, 'theirs'), valueOf(store, 'ours')], [28, 6])
    const lives = [...store.vector()]
      .filter(({ replica }) => replica.node === 7)
      .map(({ replica, seq }) => [replica.incarnation, seq])
    assert.equal(lives, [[1, 20]])
    assert.is(store.status().names, 2)
    await (hard ? machine.powerCut(0) : machine.kill())
  }
})

async function holdsItems(machine: Machine): Promise<void> {
  for (const hard of [true, false]) {
    const store = await machine.open()
    const tenants = ['a', 'b', 'ü', 'late', 'gone', 'theirs'].map((id) => store.item(id)?.tenant)
    assert.equal(tenants, ['green', 'green', '数', 'red', undefined, undefined])
    const listed = await machine.settle(store.tenants({ prefix: '', after: undefined, limit: 10 }))
    assert.equal(
      listed.tenants.map(({ tenant, count }) => `${tenant} ${count}`),
      ['green 2', 'red 1', '数 1'],
    )
    assert.equal([store.status().items, valueOf(store, 'hot')], [4, 1])
    assert.is(store.vector().get({ node: 7, incarnation: 10 }), 1)
    assert.is((await store.replay(once('key-1', 'request')))!.body, '{"kept":true}')
    const notes = new Map([...store.notesUnder('x/')].map(([key, value]) => [key, Buffer.from(value).toString()]))
    assert.equal([...notes].sort(), [
      ['x/three', 'changed'],
      ['x/two', ''],
    ])
    // A deletion stays one when what is older comes again.
    const older = { replica: { node: 7, incarnation: 10 }, seq: 1 }
    await machine.settle(store.merge(store.itemsDelta([{ id: 'theirs', tenant: 'red' }], older, 1_600_000_000_000_000)))
    assert.is(store.item('theirs'), undefined)
    await (hard ? machine.powerCut(0) : machine.kill())
  }
}

test('a log of version 1 with items and notes opens', () => holdsItems(machineWith('log-v1-items')))

test('a snapshot of version 1 with items and notes opens, with the log behind it', async () => {
  const machine = machineWith('log-v1-items', 'snapshot-v1-items')
  const [from] = machine.files('snapshot').map((path) => Number(path.slice(-16)))
  const [first, second] = machine.files('log')
  assert.ok(Number(second!.slice(-16)) <= from!, 'the first is needed no more')
  machine.disk.drop(first!)
  await holdsItems(machine)
})

const KEYED_BODIES = {
  alone: '{"value":"alone"}',
  kept: '{"value":"kept"}',
  first: '{"value":"first of 1"}',
  second: '{"value":"second of 1"}',
  späť: '{"value":"last"}',
}

/** Counts and replies, which every start has; and what may be taken back, which only who goes on in the column keeps. */
async function holdsKeyed(machine: Machine): Promise<void> {
  const files = [...machine.files('log'), ...machine.files('snapshot')].map((path) => [path, machine.disk.bytesOf(path)] as const)
  let self!: ReplicaId
  for (const hard of [true, false]) {
    const store = await machine.open()
    const values = ['a', 'b', 'hot', 'theirs', 'naïve'].map((name) => valueOf(store, name))
    assert.equal(values, [1 + 5 + 10 + 100 + 1000, -2, 1 + 1 + 1 + 1, -1, 7])
    assert.is(store.value(nameBytes('数')), 2n ** 63n)
    for (const [key, body] of Object.entries(KEYED_BODIES)) {
      const again = (await store.replay(once(key, 'request')))!
      assert.is(again.body, body)
      self = again.at.replica
    }
    assert.equal([store.status().replies, store.status().tentativeWrites], [7, 0])
    assert.is(store.vector().get(self), 8)
    await (hard ? machine.powerCut(0) : machine.kill())
  }

  const same = new Machine()
  for (const [path, bytes] of files) same.disk.put(path, bytes)
  const replica = new Replica({ self, hash, namesMax: 0 })
  const recovery = await same.settle(recover(same.disk.mount(), DIRECTORY, same.clock, joinInto({ replica, notes: new Notes() })))
  assert.is(recovery.snapshot !== undefined, machine.files('snapshot').length > 0)
  assert.equal(
    Array.from(replica.tentative, ({ kept }) => [kept.key, kept.origin.seq]),
    [
      ['kept', 2],
      ['späť', 8],
    ],
  )
  const [kept] = replica.tentative
  assert.equal(kept!.batch, encodeBatch(batchOf({ a: 5, b: -2, 数: 2n ** 63n })))
  assert.is(replica.seq, 8)
}

test('a log of version 1 with writes that can be taken back, and some that were, opens', () =>
  holdsKeyed(machineWith('log-v1-keyed')))

test('a snapshot of version 1 with writes that can be taken back opens, with the log behind it', async () => {
  const machine = machineWith('log-v1-keyed', 'snapshot-v1-keyed')
  const [from] = machine.files('snapshot').map((path) => Number(path.slice(-16)))
  const [first, second] = machine.files('log')
  assert.ok(Number(second!.slice(-16)) <= from!, 'the first is needed no more')
  machine.disk.drop(first!)
  await holdsKeyed(machine)
})

test('a snapshot of version 1 opens, with the log behind it', async () => {
  const machine = machineWith('log-v1', 'snapshot-v1')
  const first = machine.files('log')[0]!
  machine.disk.drop(first)
  await holdsAll(machine, 10)
})

test('an identity of version 1 opens, and is that of a copy here', async () => {
  const machine = machineWith('log-v1', 'snapshot-v1', 'identity-v1')
  const store = await machine.open()
  assert.is(store.recovered.incarnationIsNew, true)
  assert.is(valueOf(store, 'hot'), 7)
})

test('an identity of version 2 opens, and is that of a copy here', async () => {
  const machine = machineWith('log-v1', 'snapshot-v1', 'identity-v2')
  const store = await machine.open()
  assert.is(store.recovered.incarnationIsNew, true)
  assert.is(valueOf(store, 'hot'), 7)
})

test('members of version 1 open', async () => {
  const store = await machineWith('members-v1').open()
  assert.is(Buffer.from(store.recovered.members!).toString(), 'who they are')
})

test.run()
