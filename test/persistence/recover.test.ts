// What a start makes of what it finds: torn tails are cut, damage is refused by name and place, and nothing is lost on the way.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { StoreOptions } from '../../lib/persistence/index.ts'
import { DIRECTORY, Machine, rejection, valueOf } from './harness.ts'

const test = suite('persistence/recover')

const SMALL: Partial<StoreOptions> = { segmentBytes: 4096 }

/** A machine whose store took `count` writes and was then killed. */
async function killedAfter(count: number, overrides: Partial<StoreOptions> = SMALL, filler = 0): Promise<Machine> {
  const machine = new Machine()
  const store = await machine.open(overrides)
  for (let index = 0; index < count; index++) {
    const more = filler > 0 ? { ['x'.repeat(filler)]: 1 } : {}
    await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1, ...more }))
  }
  await machine.kill()
  return machine
}

/** How many of the ops are there; the check that they are the first ones, and whole, is in it. */
function keptOps(store: Parameters<typeof valueOf>[0], count: number): number {
  const values = Array.from({ length: count }, (_, index) => valueOf(store, `op-${index}`))
  const kept = values.filter((value) => value === 1).length
  assert.equal(
    values,
    values.map((_, index) => (index < kept ? 1 : 0)),
    'the first ones are kept, each once',
  )
  assert.is(valueOf(store, 'hot'), kept)
  return kept
}

const framesEnd = (machine: Machine, path: string): number => machine.disk.bytesOf(path).findLastIndex((byte) => byte !== 0) + 1

test('a log cut at any length opens with the writes before the cut, and takes more', async () => {
  const machine = await killedAfter(40)
  const [path] = machine.files('log')
  const whole = machine.disk.bytesOf(path!).slice(0, framesEnd(machine, path!))
  let before = 0
  for (let length = 32; length <= whole.length; length++) {
    machine.disk.put(path!, whole.slice(0, length))
    let store = await machine.open(SMALL)
    const kept = keptOps(store, 40)
    assert.ok(kept >= before, `at ${length}`)
    before = kept
    if (length % 23 !== 0) {
      await machine.kill()
      continue
    }
    await machine.settle(machine.write(store, { after: 1 }))
    await machine.powerCut(0)
    store = await machine.open(SMALL)
    assert.is(valueOf(store, 'after'), 1)
    assert.is(keptOps(store, 40), kept)
    await machine.kill()
  }
  assert.is(before, 40)
})

test('a bit turned over anywhere in the log is damage, or costs the last frame at most', async () => {
  const machine = await killedAfter(12)
  const [path] = machine.files('log')
  const end = framesEnd(machine, path!)
  const whole = machine.disk.bytesOf(path!)
  let refused = 0
  for (let bit = 0; bit < end * 8; bit++) {
    machine.disk.put(path!, whole)
    machine.disk.flip(path!, bit)
    const flipped = machine.disk.bytesOf(path!)
    try {
      const store = await machine.open(SMALL)
      assert.is(keptOps(store, 12), 11, `bit ${bit}`)
      assert.ok(store.recovered.tornBytes > 0)
    } catch (error) {
      if ((error as { code?: string }).code !== 'LOG_CORRUPT') throw error
      assert.match((error as Error).message, path!)
      assert.equal(machine.disk.bytesOf(path!), flipped, 'no file was changed')
      refused++
    }
    await machine.kill()
  }
  assert.ok(refused > end * 6)
})

test('after an orderly stop every bit of every write is covered', async () => {
  const machine = new Machine()
  const store = await machine.open(SMALL)
  for (let index = 0; index < 5; index++) await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1 }))
  await machine.settle(store.close())
  const [path] = machine.files('log')
  const mark = framesEnd(machine, path!) - 24
  const whole = machine.disk.bytesOf(path!)
  for (let bit = 0; bit < (mark - 5) * 8; bit++) {
    machine.disk.put(path!, whole)
    machine.disk.flip(path!, bit)
    const error = await rejection(machine.open(SMALL))
    assert.is(error.code, 'LOG_CORRUPT', `bit ${bit}`)
    await machine.kill()
  }
})

test('a bad frame with good ones behind is named by file and byte', async () => {
  const machine = await killedAfter(3)
  const [path] = machine.files('log')
  machine.disk.flip(path!, (32 + 30) * 8)
  const error = await rejection(machine.open(SMALL))
  assert.is(error.code, 'LOG_CORRUPT')
  assert.match(error.message, `${path} is damaged at byte 32`)
})

test('writes of one group that reach the disk out of order are a torn tail', async () => {
  const machine = new Machine()
  const store = await machine.open({ fsync: 'never' })
  for (let index = 0; index < 40; index++) await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1 }))
  const [path] = machine.files('log')
  await machine.kill()
  // The second sector never came to the disk; those behind it did.
  const bytes = machine.disk.bytesOf(path!)
  bytes.fill(0, 512, 1024)
  machine.disk.put(path!, bytes)
  const again = await machine.open({ fsync: 'never' })
  const kept = keptOps(again, 40)
  assert.ok(kept > 0 && kept < 40)
  assert.ok(again.recovered.tornBytes > 0)
})

test('zeros behind the last frame are the end, and no torn write', async () => {
  const machine = await killedAfter(3)
  const [path] = machine.files('log')
  const bytes = machine.disk.bytesOf(path!)
  machine.disk.put(path!, Buffer.concat([bytes, new Uint8Array(5000)]))
  const store = await machine.open(SMALL)
  assert.is(keptOps(store, 3), 3)
  assert.is(store.recovered.tornBytes, 0)
})

test('a log of many segments is read whole; one that is missing or damaged in the middle is named', async () => {
  const machine = await killedAfter(20, SMALL, 1500)
  const segments = machine.files('log')
  assert.ok(segments.length >= 4, `${segments.length} segments`)
  assert.is(keptOps(await machine.open(SMALL), 20), 20)
  await machine.kill()

  const middle = machine.files('log')[2]!
  const whole = machine.disk.bytesOf(middle)
  machine.disk.drop(middle)
  assert.is((await rejection(machine.open(SMALL))).code, 'LOG_CORRUPT')
  await machine.kill()
  machine.disk.put(middle, whole)
  machine.disk.flip(middle, 40 * 8)
  const error = await rejection(machine.open(SMALL))
  assert.is(error.code, 'LOG_CORRUPT')
  assert.match(error.message, middle)
  await machine.kill()

  const first = machine.files('log')[0]!
  machine.disk.flip(middle, 40 * 8)
  machine.disk.drop(first)
  assert.match((await rejection(machine.open(SMALL))).message, /missing from position 0/)
})

test('a log that ends before the position of the snapshot is refused', async () => {
  const machine = await killedAfter(5)
  const store = await machine.open(SMALL)
  await machine.settle(store.snapshot())
  await machine.kill()
  const [path] = machine.files('log')
  machine.disk.put(path!, machine.disk.bytesOf(path!).slice(0, 32 + 100))
  const error = await rejection(machine.open(SMALL))
  assert.is(error.code, 'LOG_CORRUPT')
  assert.match(error.message, /before position \d+ that snapshot-/)
})

test('what a start has read is on disk before it is shown, also what a failed sync left in memory alone', async () => {
  for (const fsync of ['always', 'interval', 'never'] as const) {
    const machine = new Machine()
    let store = await machine.open({ fsync })
    await machine.settle(machine.write(store, { hot: 1 }))
    machine.disk.plan = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined)
    machine.write(store, { hot: 1 }).catch(() => {})
    await machine.pass(100)
    await machine.kill()
    machine.disk.plan = () => undefined
    store = await machine.open({ fsync })
    const shown = valueOf(store, 'hot')
    assert.is(shown, 2, 'the page cache has it')
    await machine.settle(machine.write(store, { later: 1 }))
    await machine.powerCut(0)
    store = await machine.open({ fsync })
    assert.is(valueOf(store, 'hot'), shown, fsync)
    await machine.kill()
  }
})

test('a start with a full disk cuts the torn tail off the file and brings to disk what it shows', async () => {
  const machine = new Machine()
  let store = await machine.open({ fsync: 'never' })
  for (let index = 0; index < 5; index++) await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1 }))
  await machine.kill()
  const path = machine.files('log')[0]!
  const end = framesEnd(machine, path)
  const bytes = machine.disk.bytesOf(path)
  bytes.fill(0xee, end, end + 100)
  machine.disk.overwrite(path, bytes)
  machine.disk.capacity = 0
  store = await machine.open({ fsync: 'never' })
  assert.is(keptOps(store, 5), 5)
  assert.is(machine.disk.bytesOf(path).length, end)
  await machine.powerCut(0)
  assert.is(keptOps(await machine.open({ fsync: 'never' }), 5), 5)
})

test('a segment that got its name just before a kill keeps it through a power cut', async () => {
  for (let steps = 0; steps < 400; steps++) {
    const machine = new Machine()
    let store = await machine.open(SMALL)
    void (async () => {
      for (let index = 0; index < 4; index++) await machine.write(store, { ['x'.repeat(1500)]: 1, hot: 1 })
    })()
    for (let step = 0; step < steps; step++) await machine.step()
    const done = valueOf(store, 'hot') === 4 && machine.disk.pendingCount === 0
    await machine.kill()
    store = await machine.open(SMALL)
    await machine.settle(machine.write(store, { acknowledged: 1 }))
    await machine.powerCut(0)
    store = await machine.open(SMALL)
    assert.is(valueOf(store, 'acknowledged'), 1, `after ${steps} steps`)
    if (done) break
  }
})

test('half-written files of a crash are removed', async () => {
  const machine = await killedAfter(2)
  for (const name of ['log-spare', 'snapshot-0000000000000007.tmp', 'IDENTITY.tmp']) {
    machine.disk.put(`${DIRECTORY}/${name}`, new Uint8Array(10))
  }
  const store = await machine.open(SMALL)
  assert.is(keptOps(store, 2), 2)
  assert.not.ok(machine.disk.paths(DIRECTORY).some((path) => path.endsWith('.tmp')))
})

test.run()
