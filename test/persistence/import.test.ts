// What is taken in from elsewhere: once, whole, and so that other nodes hear of it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Imported, importFile, type Store } from '../../lib/persistence/index.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import { Machine, nameBytes, rejection, valueOf } from './harness.ts'

const test = suite('persistence/import')

/** `#hexadecimal key` with the totals of its slots, as the original's file has them. */
function originalFile(entries: Record<string, number[]>): Uint8Array {
  const words = Object.entries(entries).flatMap(([key, totals]) => [BigInt(`0x${key.slice(1)}`), totals.length, ...totals])
  return new Uint8Array(BigUint64Array.from(words.map(BigInt)).buffer)
}

function take(machine: Machine, store: Store, file: Uint8Array | string): Promise<Imported> {
  machine.disk.put('/in', typeof file === 'string' ? nameBytes(file) : file)
  const options = { disk: machine.disk.mount(), clock: machine.clock, node: store.self.node, nameBytesMax: 100 }
  return machine.settle(importFile('/in', store, options))
}

async function pull(machine: Machine, target: Store, source: Store): Promise<number> {
  let news = 0
  for (const { delta } of source.since(target.vector())) news += await machine.settle(target.merge(delta.slice()))
  return news
}

const cellsLacking = (store: Store, known: VersionVector): number => [...store.since(known)].length - 1
/** Keys. */
const A = '#fa1f84a9a7d0a2e7'
const B = '#0102030405060708'

const files: [string, Uint8Array | string][] = [
  ['a list', 'a 5\nb -7\na 1\n'],
  ['a file of the original', originalFile({ [A]: [5, 0, 7], [B]: [0, 3] })],
]

for (const [what, file] of files) {
  test(`${what} that was taken in is sent to another once, and not again after a restart`, async () => {
    const machine = new Machine(1)
    let store = await machine.open()
    const { news, cells } = await take(machine, store, file)
    assert.is(news, cells)
    assert.is(cellsLacking(store, store.vector()), 0)
    const other = new Machine(2)
    const target = await other.open({ nodeId: 2 })
    assert.is(await pull(other, target, store), cells)
    assert.is(await pull(other, target, store), 0)
    assert.ok(target.vector().covers(store.vector()))
    await machine.powerCut(0)
    store = await machine.open()
    assert.is(cellsLacking(store, target.vector()), 0)
    assert.is(target.hiddenCells, 0)
  })

  test(`${what} that is taken in twice changes nothing the second time, and nothing is sent`, async () => {
    const machine = new Machine(1)
    const store = await machine.open()
    await take(machine, store, file)
    const vector = store.vector()
    const { logEnd } = store.status()
    assert.is((await take(machine, store, file)).news, 0)
    assert.ok(store.vector().equals(vector))
    assert.is(store.status().logEnd, logEnd)
  })
}

test('a newer file of the original brings what has grown, here and to others, and an older one nothing', async () => {
  const machine = new Machine(1)
  const store = await machine.open()
  const other = new Machine(2)
  const target = await other.open({ nodeId: 2 })
  await take(machine, store, originalFile({ [A]: [5, 1], [B]: [2, 2] }))
  await pull(other, target, store)
  assert.is((await take(machine, store, originalFile({ [A]: [9, 1], [B]: [2, 3] }))).news, 2)
  assert.is((await take(machine, store, originalFile({ [A]: [7, 1], [B]: [2, 2] }))).news, 0)
  assert.is(await pull(other, target, store), 2)
  assert.is(target.hiddenCells, 0)
  // The sum of its totals is not greater, yet one of them is.
  assert.is((await take(machine, store, originalFile({ [A]: [1, 1], [B]: [4, 0] }))).news, 1)
  assert.is(await pull(other, target, store), 1)
  assert.is(target.hiddenCells, 0)
})

test('two nodes that take in an older and a newer file of the original agree on the newer', async () => {
  const older = originalFile({ [A]: [5, 10] })
  const newer = originalFile({ [A]: [8, 10], [B]: [1] })
  for (const [mine, theirs] of [
    [older, newer],
    [newer, older],
  ] as const) {
    const machine = new Machine(1)
    const store = await machine.open()
    const other = new Machine(2)
    const target = await other.open({ nodeId: 2 })
    await take(machine, store, mine)
    await take(other, target, theirs)
    await pull(machine, store, target)
    await pull(other, target, store)
    assert.ok(store.vector().equals(target.vector()))
    for (const each of [store, target]) {
      const cells = [...each.since(new VersionVector())]
      assert.is(cells.length, 2)
      assert.is(each.status().names, 2)
    }
    assert.equal(await pull(machine, store, target), 0)
    assert.equal([store.hiddenCells, target.hiddenCells], [0, 0])
  }
})

test('a list that was taken in half before a crash is taken in whole by the next run', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `n${index} 1`).join('\n')
  const machine = new Machine(1)
  let store = await machine.open({ segmentBytes: 1 << 20 })
  machine.disk.put('/in', nameBytes(lines))
  const options = { disk: machine.disk.mount(), clock: machine.clock, node: 1, nameBytesMax: 100 }
  importFile('/in', store, options).catch(() => {})
  while (store.status().names < 9000) await machine.step()
  await machine.kill()
  store = await machine.open({ segmentBytes: 1 << 20 })
  assert.ok(cellsLacking(store, store.vector()) > 0, 'what is half is not said to be known')
  const { news, cells } = await take(machine, store, lines)
  assert.ok(news < cells, `${news}`)
  assert.is(cellsLacking(store, store.vector()), 0)
  assert.equal([valueOf(store, 'n0'), valueOf(store, 'n19999')], [1, 1])
})

test('what cannot be read is refused, and nothing is taken in', async () => {
  const machine = new Machine(1)
  const store = await machine.open()
  for (const file of [
    'a 5\nb\n',
    'a 99999999999999999999\n',
    originalFile({ [A]: [5] }).slice(0, 23),
    Uint8Array.of(0xff, 0xfe),
  ]) {
    assert.is((await rejection(take(machine, store, file))).code, 'IMPORT_INVALID')
  }
  assert.is(store.status().names, 0)
})

test.run()
