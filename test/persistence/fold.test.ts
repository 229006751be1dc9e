// Folds, and what a wiped node has counted, on a disk that loses power, fills up and is looked at in the middle.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Store } from '../../lib/persistence/index.ts'
import { encodeCells, encodeKnown, FOLDED, type ReplicaId } from '../../lib/storage/index.ts'
import { Machine, nameBytes, rejection, valueOf } from './harness.ts'

const test = suite('persistence/fold')

const NODE = 7
const LIVES = [10, 20, 30]
/** More than a step of a fold, and than a chunk of the table. */
const NAMES = 20_000
const nameOf = (index: number): string => `name ${index}`

/** Joins what each life has written, under every name, and that it is known. */
async function learn(machine: Machine, store: Store, names = NAMES): Promise<void> {
  for (const incarnation of LIVES) {
    const replica = { node: NODE, incarnation }
    const cells = Array.from({ length: names }, (_, index) => ({
      name: nameBytes(nameOf(index)),
      plus: BigInt(incarnation + index),
      minus: BigInt(index % 3),
    }))
    for (let from = 0; from < names; from += 8192) {
      await machine.settle(store.merge(encodeCells(replica, 1, cells.slice(from, from + 8192))))
    }
    await machine.settle(store.merge(encodeKnown(replica, 1)))
  }
}
const PROBED = [0, 1, 4095, 4096, 16_384, NAMES - 1]
const expected = (index: number): number => 60 + 3 * index - 3 * (index % 3)

function check(store: Store, names = NAMES, when = ''): void {
  for (const index of PROBED)
    if (index < names) assert.is(valueOf(store, nameOf(index)), expected(index), `${nameOf(index)} ${when}`)
}
const markOf = (store: Store, node = NODE): number => store.vector().get({ node, incarnation: FOLDED })
/** Whether the columns of the lives are there. */
const isApart = (store: Store): boolean => [...store.vector()].some(({ replica }) => replica.incarnation === LIVES[0])
const cut = async (machine: Machine, hard: boolean) => (hard ? machine.powerCut(0) : machine.kill())

test('a fold is there after a restart, and after a snapshot', async () => {
  const machine = new Machine()
  let store = await machine.open()
  await learn(machine, store)
  await machine.settle(store.fold(NODE, 30))
  check(store)
  await machine.powerCut(0)
  for (const snapshot of [true, false]) {
    store = await machine.open()
    check(store)
    assert.is(markOf(store), 30)
    assert.not.ok(isApart(store))
    assert.is(store.hiddenCells, 0)
    if (snapshot) await machine.settle(store.snapshot())
    await machine.powerCut(0)
  }
})

test('a crash between any two steps of it leaves all values as they are, and it can be done again', async () => {
  let ends = 0
  for (const hard of [true, false]) {
    for (let steps = 0; ; steps++) {
      const machine = new Machine(steps + 1)
      let store = await machine.open()
      await learn(machine, store, 9000)
      let done = false
      store.fold(NODE, 30).then(
        () => {
          done = true
        },
        () => {},
      )
      for (let step = 0; step < steps && !done; step++) {
        await machine.step()
        check(store, 9000)
      }
      const wasDone = done
      await cut(machine, hard)
      store = await machine.open()
      check(store, 9000, `after ${steps} steps`)
      if (wasDone) assert.is(markOf(store), 30)
      await machine.settle(store.fold(NODE, 30))
      check(store, 9000)
      assert.not.ok(isApart(store))
      if (!wasDone) continue
      ends++
      break
    }
  }
  assert.is(ends, 2)
})

test('a snapshot in the middle of it, and a crash before, between and after, hold all values', async () => {
  for (let before = 0; before < 6; before++) {
    for (let after = 0; after < 40; after += 3) {
      const machine = new Machine(before * 100 + after)
      let store = await machine.open()
      await learn(machine, store, 9000)
      const ended: Promise<unknown>[] = [store.fold(NODE, 30)]
      for (let step = 0; step < before; step++) await machine.step()
      ended.push(store.snapshot())
      Promise.allSettled(ended)
      for (let step = 0; step < after; step++) await machine.step()
      await machine.powerCut(0)
      store = await machine.open()
      check(store, 9000, `${before} ${after}`)
      await machine.settle(store.fold(NODE, 30))
      await machine.settle(store.snapshot())
      await machine.powerCut(0)
      check(await machine.open(), 9000, `${before} ${after}`)
    }
  }
})

test('a full disk in the middle of it changes no value, and there it goes on when there is room', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await learn(machine, store, 9000)
  machine.disk.capacity = 0
  // What is reserved is used up, to the last few bytes.
  for (let seq = 1, full = false; !full; seq += 100) {
    const merges = Array.from({ length: 100 }, (_, at) => store.merge(encodeKnown({ node: 99, incarnation: 5 }, seq + at)))
    const results = await machine.settle(Promise.allSettled(merges))
    full = results.some((result) => result.status === 'rejected')
  }
  assert.is((await rejection(machine.settle(store.fold(NODE, 30)))).code, 'DISK_FULL')
  check(store, 9000)
  assert.is(markOf(store), 0)
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.pass(5000)
  await machine.settle(store.fold(NODE, 30))
  assert.is(markOf(store), 30)
  check(store, 9000)
  await machine.powerCut(0)
  check(await machine.open(), 9000)
})

test('writes and reads go on while it is under way', async () => {
  const machine = new Machine()
  let store = await machine.open()
  await learn(machine, store)
  let done = false
  const folding = store.fold(NODE, 30).finally(() => {
    done = true
  })
  const written: Promise<unknown>[] = []
  while (!done) {
    written.push(machine.write(store, { [nameOf(0)]: 1, [`new ${written.length}`]: 1 }))
    await machine.step()
    assert.is(valueOf(store, nameOf(0)), expected(0) + written.length)
  }
  await folding
  await machine.settle(Promise.all(written))
  const writes = written.length
  assert.ok(writes > 2)
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(valueOf(store, nameOf(0)), expected(0) + writes)
  assert.is(valueOf(store, `new ${writes - 1}`), 1)
})

test('a sum beyond 2^64 - 1 is refused, and nothing is lost', async () => {
  const machine = new Machine()
  const store = await machine.open()
  for (const incarnation of [10, 20]) {
    const replica = { node: NODE, incarnation }
    await machine.settle(store.merge(encodeCells(replica, 1, [{ name: nameBytes('x'), plus: 2n ** 64n - 1n, minus: 0n }])))
    await machine.settle(store.merge(encodeKnown(replica, 1)))
  }
  assert.is((await rejection(machine.settle(store.fold(NODE, 20)))).code, 'COUNT_OVERFLOW')
  assert.is(store.value(nameBytes('x')), 2n ** 65n - 2n)
  await machine.powerCut(0)
  assert.is((await machine.open()).value(nameBytes('x')), 2n ** 65n - 2n)
})

// What a wiped node has counted under an old clock.

const OWN = 1
/** What the others say: all incarnations of the node up to `mark` are one. Two messages, as they come. */
function folded(mark: number): Uint8Array[] {
  const replica: ReplicaId = { node: OWN, incarnation: FOLDED }
  return [
    encodeCells(replica, mark, [
      { name: nameBytes('hot'), plus: 1000n, minus: 0n },
      { name: nameBytes('old'), plus: 5n, minus: 0n },
    ]),
    encodeKnown(replica, mark),
  ]
}
async function counted(machine: Machine): Promise<Store> {
  const store = await machine.open()
  await machine.settle(machine.write(store, { hot: 3, new: 2 }))
  await machine.settle(machine.write(store, { hot: 1, less: -4 }))
  return store
}
function holds(store: Store, isFolded: boolean, when = ''): void {
  const values = ['hot', 'new', 'less', 'old'].map((name) => valueOf(store, name))
  assert.equal(values, isFolded ? [1004, 2, -4, 5] : [4, 2, -4, 0], when)
}

test('what was acknowledged is kept, once, when the others have folded beyond the present incarnation', async () => {
  const machine = new Machine()
  let store = await counted(machine)
  const before = store.self.incarnation
  const mark = before + 2 ** 30
  for (const delta of folded(mark)) await machine.settle(store.merge(delta))
  holds(store, true)
  assert.ok(store.self.incarnation > mark)
  // The others get all of it.
  const otherMachine = new Machine(2)
  const other = await otherMachine.open({ nodeId: 2 })
  for (const delta of folded(mark)) await otherMachine.settle(other.merge(delta))
  for (const { delta } of store.since(other.vector())) await otherMachine.settle(other.merge(delta.slice()))
  holds(other, true)
  await machine.settle(machine.write(store, { new: 1 }))
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(valueOf(store, 'new'), 3)
  assert.is(valueOf(store, 'hot'), 1004)
})

test('several who bring it at once make it move once', async () => {
  const machine = new Machine()
  const store = await counted(machine)
  const mark = store.self.incarnation + 2 ** 30
  const deltas = folded(mark)
  await machine.settle(Promise.all([store.renew('it is tried'), ...[...deltas, ...deltas].map((delta) => store.merge(delta))]))
  holds(store, true)
  await machine.powerCut(0)
  holds(await machine.open(), true)
})

test('a crash at any moment of it loses and doubles nothing', async () => {
  for (const hard of [true, false]) {
    for (let steps = 0, done = false; !done; steps++) {
      const machine = new Machine(steps + 1)
      let store = await counted(machine)
      const mark = store.self.incarnation + 2 ** 30
      const deltas = folded(mark)
      const merging = (async () => {
        for (const delta of deltas) await store.merge(delta)
        done = true
      })()
      merging.catch(() => {})
      for (let step = 0; step < steps && !done; step++) await machine.step()
      await cut(machine, hard)
      store = await machine.open()
      if (!done && markOf(store, OWN) === 0 && valueOf(store, 'old') === 0) holds(store, false, `after ${steps} steps`)
      await machine.settle(machine.write(store, { late: 1 }))
      for (const delta of deltas) await machine.settle(store.merge(delta))
      holds(store, true, `after ${steps} steps`)
      assert.is(valueOf(store, 'late'), 1)
      await machine.powerCut(0)
      store = await machine.open()
      holds(store, true, `after ${steps} steps, and again`)
    }
  }
})

test.run()
