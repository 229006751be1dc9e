// The store as replication uses it: what it tells, what it takes, new incarnations on demand, the members file.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { encodeKnown, SEQ_MAX, VersionVector } from '../../lib/storage/index.ts'
import { batchOf, DIRECTORY, Machine, once, rejection, valueOf } from './harness.ts'

const test = suite('persistence/replicate')
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString()

/** Two nodes, each on a machine of its own. */
async function pair(): Promise<{ machine: Machine; store: Store; otherMachine: Machine; other: Store }> {
  const machine = new Machine(1)
  const otherMachine = new Machine(2)
  return { machine, store: await machine.open(), otherMachine, other: await otherMachine.open({ nodeId: 2 }) }
}

/** What `source` has beyond the vector of `target` goes to it. Returns how many cells were news. */
async function pull(machine: Machine, target: Store, source: Store): Promise<number> {
  let news = 0
  for (const { delta } of source.since(target.vector())) news += await machine.settle(target.merge(delta.slice()))
  return news
}

test('what one store has and another lacks goes to it, is news once, and is there after a power cut', async () => {
  const { machine, store, otherMachine, other } = await pair()
  await otherMachine.settle(otherMachine.write(other, { a: 2, b: -1 }))
  await otherMachine.settle(otherMachine.write(other, { b: 4 }))
  assert.is(await pull(machine, store, other), 2)
  assert.ok(store.vector().covers(other.vector()))
  assert.is(await pull(machine, store, other), 0)
  await machine.powerCut(0)
  const again = await machine.open()
  assert.ok(again.vector().covers(other.vector()))
  assert.equal([valueOf(again, 'a'), valueOf(again, 'b')], [2, 3])
  assert.is(again.hiddenCells, 0)
})

test('an increment says its own place, with and without a key; a reply that is given again that of its write', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const replica = store.self
  const first = machine.write(store, { a: 1 })
  const second = machine.write(store, { a: 1 }, once('k'))
  const third = machine.write(store, { a: 1 })
  const writes = await machine.settle(Promise.all([first, second, third]))
  assert.equal(
    writes.map(({ at }) => at),
    [1, 2, 3].map((seq) => ({ replica, seq })),
  )
  assert.equal((await machine.settle(machine.write(store, { a: 1 }, once('k')))).at, { replica, seq: 2 })
  assert.is(store.vector().get(replica), 3)
})

test('who asked is told of each group of the log that has settled', async () => {
  const machine = new Machine()
  let settled = 0
  const store = await machine.open({ onSettled: () => settled++ })
  const before = settled
  const writes = Promise.all([1, 2, 3].map(() => machine.write(store, { a: 1 })))
  assert.is(settled, before)
  await machine.settle(writes)
  assert.is(settled, before + 1)
  await machine.settle(machine.write(store, { a: 1 }))
  assert.is(settled, before + 2)
})

test('deltas that wait for room in the log are joined each as it is', async () => {
  const { machine, store, otherMachine, other } = await pair()
  const known = other.vector()
  await otherMachine.settle(otherMachine.write(other, { a: 1, [`${'x'.repeat(30_000)}`]: 1 }))
  const first = other.since(known).next().value!.delta.slice()
  await otherMachine.settle(otherMachine.write(other, { b: 2, [`${'y'.repeat(30_000)}`]: 1 }))
  const second = other.since(known).next().value!.delta.slice()
  const merges = Promise.all([store.merge(first), store.merge(second), store.merge(second), store.merge(first)])
  assert.equal(await machine.settle(merges), [2, 2, 0, 0])
  assert.equal([valueOf(store, 'a'), valueOf(store, 'b')], [1, 2])
})

test('cells that the vector had hidden are counted since the start', async () => {
  const { machine, store, otherMachine, other } = await pair()
  await otherMachine.settle(otherMachine.write(other, { a: 1 }))
  await machine.settle(store.merge(encodeKnown(other.self, 1)))
  assert.is(await machine.settle(store.merge(other.since(new VersionVector()).next().value!.delta.slice())), 1)
  assert.is(store.hiddenCells, 1)
  await machine.settle(store.close())
  assert.is((await machine.open()).hiddenCells, 0)
})

test('a new incarnation is greater than all that are known of the node and than the one given, and the old column is known', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(machine.write(store, { a: 1 }))
  const first = store.self
  const known = first.incarnation + 2 ** 40
  await machine.settle(store.merge(encodeKnown({ node: 1, incarnation: known }, 3)))
  await machine.settle(store.merge(encodeKnown({ node: 2, incarnation: known + 2 ** 41 }, 3)))
  await machine.settle(store.renew('a test wants one'))
  const second = store.self
  assert.ok(second.incarnation > known && second.incarnation < known + 2 ** 21)
  machine.clock.wallMs = 0
  await machine.settle(store.renew('a test wants another', known + 2 ** 30))
  const third = store.self
  assert.ok(third.incarnation > known + 2 ** 30)
  assert.match(machine.logger.lines.join('\n'), 'because a test wants another')
  const { at } = await machine.settle(machine.write(store, { a: 1 }))
  assert.equal(at, { replica: third, seq: 1 })
  await machine.powerCut(0)
  const again = await machine.open()
  assert.equal(again.self, third)
  assert.is(again.recovered.incarnationIsNew, false)
  assert.equal([again.vector().get(first), again.vector().get(third)], [1, 1])
  assert.is(valueOf(again, 'a'), 2)
})

test('while a new incarnation is being opened no write is taken, and those that wait go to the new one', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const { incarnation } = store.self
  const renewed = store.renew('a test wants one')
  const batch = batchOf({ a: 1 })
  const wait = store.admit(batch)
  assert.instance(wait, Promise)
  const write = machine.write(store, { a: 1 })
  assert.is(valueOf(store, 'a'), 0)
  await machine.settle(renewed)
  const { at } = await machine.settle(write)
  assert.ok(at.replica.incarnation > incarnation)
  assert.is(at.seq, 1)
})

test('a crash at any step of a renewal leaves no number to be given twice', async () => {
  for (let steps = 0; steps < 40; steps++) {
    const machine = new Machine(steps + 1)
    const store = await machine.open()
    await machine.settle(machine.write(store, { a: 1 }))
    const before = store.self.incarnation
    let after: number | undefined
    const writing = store.renew('a test wants one').then(() => machine.write(store, { a: 1 }))
    writing.then(
      ({ at }) => {
        after = at.replica.incarnation
      },
      () => {},
    )
    for (let step = 0; step < steps; step++) await machine.step()
    if (steps % 2 === 0) await machine.powerCut(0.5)
    else await machine.kill()
    const again = await machine.open()
    assert.ok(after === undefined || again.self.incarnation === after, 'who wrote goes on')
    assert.ok(again.self.incarnation >= before)
    assert.is(again.vector().get({ node: 1, incarnation: before }), 1)
    await machine.settle(machine.write(again, { a: 1 }))
    await machine.kill()
  }
})

test('a renewal that finds the disk full is refused, and so are writes until one succeeds', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const { incarnation } = store.self
  machine.disk.capacity = 0
  assert.is((await rejection(machine.settle(store.renew('a test wants one')))).code, 'DISK_FULL')
  assert.is((await rejection(machine.settle(machine.write(store, { a: 1 })))).code, 'DISK_FULL')
  assert.is(store.self.incarnation, incarnation)
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.pass(3000)
  const { at } = await machine.settle(machine.write(store, { a: 1 }))
  assert.ok(at.replica.incarnation > incarnation)
})

test('own cells that another has written open a new incarnation, above or below the own number', async () => {
  for (const seqs of [1, 5]) {
    const machine = new Machine()
    let store = await machine.open()
    await machine.settle(machine.write(store, { a: 1 }))
    await machine.settle(store.close())
    machine.disk.copyDirectory(DIRECTORY, '/copy')
    // The copy writes under the same incarnation, as one that did not notice would.
    const copy = await machine.open({ directory: '/copy' })
    store = await machine.open()
    const { self } = store
    for (let seq = 0; seq < seqs; seq++) await machine.settle(machine.write(copy, { b: 1 }))
    const stolen = copy.since(store.vector()).next().value!.delta.slice()
    await machine.settle(machine.write(store, { c: 1 }))
    const text = Buffer.from(stolen)
    const theirs = varint(copy.self.incarnation)
    const at = text.indexOf(theirs)
    assert.ok(at > 0)
    const forged = Buffer.concat([text.subarray(0, at), varint(self.incarnation), text.subarray(at + theirs.length)])
    assert.is(await machine.settle(store.merge(forged)), 1)
    assert.ok(store.self.incarnation > self.incarnation, `${seqs}`)
    assert.is((await machine.settle(machine.write(store, { a: 1 }))).at.seq, 1)
    await machine.kill()
  }
})

const varint = (value: number): Buffer => {
  const out: number[] = []
  let rest = BigInt(value)
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
  return Buffer.from([...out, Number(rest)])
}

test('writes that are refused are refused with the error given, and taken again after', async () => {
  const machine = new Machine()
  const store = await machine.open()
  store.refuseWrites(new CounterError('DRAINING', 'the node hands over'))
  assert.is((await rejection(machine.write(store, { a: 1 }))).code, 'DRAINING')
  await machine.settle(store.merge(encodeKnown({ node: 7, incarnation: 7 }, SEQ_MAX)))
  store.refuseWrites(undefined)
  await machine.settle(machine.write(store, { a: 1 }))
  assert.is(valueOf(store, 'a'), 1)
})

test('members are kept, by the last word, over restarts and in copies', async () => {
  const machine = new Machine()
  let store = await machine.open()
  assert.is(store.recovered.members, undefined)
  const bytes = Buffer.from('first')
  const saves = [store.saveMembers(bytes)]
  bytes.fill(0)
  saves.push(store.saveMembers(Buffer.from('second')), store.saveMembers(Buffer.from('third')))
  await machine.settle(Promise.all(saves))
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(text(store.recovered.members), 'third')
  assert.is(store.recovered.incarnationIsNew, false)
  await machine.settle(store.close())
  machine.disk.copyDirectory(DIRECTORY, '/copy')
  const copy = await machine.open({ directory: '/copy' })
  assert.is(text(copy.recovered.members), 'third')
  assert.is(copy.recovered.incarnationIsNew, true)
})

test('a crash at any step of a save leaves the members as they were or as they are, and those that were saved', async () => {
  for (let steps = 0; steps < 30; steps++) {
    const machine = new Machine(steps + 1)
    const store = await machine.open()
    await machine.settle(store.saveMembers(Buffer.from('before')))
    let saved = false
    store.saveMembers(Buffer.from('after')).then(
      () => {
        saved = true
      },
      () => {},
    )
    for (let step = 0; step < steps; step++) await machine.step()
    const sure = saved
    if (steps % 2 === 0) await machine.powerCut(0.5)
    else await machine.kill()
    const found = text((await machine.open()).recovered.members)
    assert.ok(found === 'after' || (!sure && found === 'before'), `${steps}: ${found}`)
    await machine.kill()
  }
})

test('members that cannot be saved say that the disk is full, and stay as they were', async () => {
  const machine = new Machine()
  let store = await machine.open()
  await machine.settle(store.saveMembers(Buffer.from('before')))
  machine.disk.capacity = 0
  assert.is((await rejection(machine.settle(store.saveMembers(Buffer.from('after'))))).code, 'DISK_FULL')
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.settle(store.saveMembers(Buffer.from('later')))
  await machine.settle(store.close())
  assert.is((await rejection(store.saveMembers(Buffer.from('too late')))).code, 'CLOSED')
  assert.is((await rejection(store.renew('it is too late'))).code, 'CLOSED')
  store = await machine.open()
  assert.is(text(store.recovered.members), 'later')
})

test('members that do not hold, at any bit, are reported, and the node goes on under a new incarnation with all counts', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(machine.write(store, { hot: 1 }))
  await machine.settle(store.saveMembers(Buffer.from('who')))
  await machine.settle(store.close())
  const path = `${DIRECTORY}/MEMBERS`
  const whole = machine.disk.bytesOf(path)
  let { incarnation } = store.self
  const reported = async () => {
    const again = await machine.open()
    assert.is(again.recovered.members, undefined)
    assert.is(again.recovered.incarnationIsNew, true)
    assert.ok(again.self.incarnation > incarnation)
    assert.is(valueOf(again, 'hot'), 1)
    assert.match(machine.logger.lines.at(-1)!, /cannot be known who its members were: .*MEMBERS/)
    incarnation = again.self.incarnation
    await machine.settle(again.close())
  }
  for (let bit = 0; bit < whole.length * 8; bit += 5) {
    machine.disk.flip(path, bit)
    await reported()
    machine.disk.flip(path, bit)
  }
  for (const length of [0, 1, 19, whole.length - 1]) {
    machine.disk.put(path, whole.slice(0, length))
    await reported()
  }
  machine.disk.put(path, new Uint8Array(1024 * 1024 + 1))
  await reported()
  machine.disk.drop(path)
  assert.is((await machine.open()).recovered.incarnationIsNew, false)
})

test('a start waits for nothing that a close has left under way', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const saved = store.saveMembers(Buffer.from('who'))
  const renewed = store.renew('a test wants one')
  await machine.settle(Promise.all([store.close(), saved, renewed]))
  assert.is(machine.disk.openCount, 0)
  const again = await machine.open()
  assert.is(text(again.recovered.members), 'who')
  assert.equal(again.self, store.self)
})

test.run()
