// When snapshots are taken, which are kept, and that a bad one loses nothing.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { StoreOptions } from '../../lib/persistence/index.ts'
import { DIRECTORY, Machine, once, rejection, valueOf } from './harness.ts'

const test = suite('persistence/snapshots')
const SMALL: Partial<StoreOptions> = { segmentBytes: 4096 }
const FILLER = 'f'.repeat(1500)

type Opened = Awaited<ReturnType<Machine['open']>>

async function writeSome(machine: Machine, store: Opened, count = 5): Promise<void> {
  for (let index = 0; index < count; index++) await machine.settle(machine.write(store, { hot: 1, [FILLER]: 1 }))
}

/** A machine that was killed after three snapshots with writes before and behind each. */
async function withSnapshots(): Promise<{ machine: Machine; hot: number }> {
  const machine = new Machine()
  const store = await machine.open(SMALL)
  for (let round = 0; round < 3; round++) {
    await writeSome(machine, store)
    await machine.settle(store.snapshot())
  }
  await writeSome(machine, store)
  const hot = valueOf(store, 'hot')
  await machine.kill()
  return { machine, hot }
}

test('two snapshots are kept with the log from the older on, and all before is removed', async () => {
  const { machine } = await withSnapshots()
  const snapshots = machine.files('snapshot')
  assert.is(snapshots.length, 2)
  const older = Number(snapshots[0]!.slice(-16))
  const starts = machine.files('log').map((path) => Number(path.slice(-16)))
  assert.ok(starts[0]! <= older && starts[1]! > older, `log from ${starts.join()}, snapshot ${older}`)
  assert.ok(starts[0]! > 0)
})

test('a start goes on from the newest snapshot', async () => {
  const { machine, hot } = await withSnapshots()
  const store = await machine.open(SMALL)
  assert.is(valueOf(store, 'hot'), hot)
  assert.ok(machine.files('snapshot')[1]!.endsWith(store.recovered.snapshot!))
  assert.ok(store.recovered.records <= 6)
})

test('when the newest is damaged, or gone, the one before is used and nothing is lost', async () => {
  for (const spoil of [
    (machine: Machine, path: string) => machine.disk.flip(path, 700),
    (machine: Machine, path: string) => machine.disk.drop(path),
  ]) {
    const { machine, hot } = await withSnapshots()
    const [older, newest] = machine.files('snapshot')
    spoil(machine, newest!)
    const store = await machine.open(SMALL)
    assert.is(valueOf(store, 'hot'), hot)
    assert.ok(older!.endsWith(store.recovered.snapshot!))
    await machine.kill()
  }
})

test('a damaged snapshot is reported, goes with the next, and does not count as one of the two', async () => {
  const { machine, hot } = await withSnapshots()
  const [good, damaged] = machine.files('snapshot')
  machine.disk.flip(damaged!, 700)
  const store = await machine.open(SMALL)
  assert.ok(machine.logger.lines.some((line) => line.includes('passed over')))
  await writeSome(machine, store, 1)
  await machine.settle(store.snapshot())
  const kept = machine.files('snapshot')
  assert.is(kept.length, 2)
  assert.is(kept[0], good)
  assert.not.ok(kept.includes(damaged!))
  await machine.kill()
  machine.disk.flip(kept[1]!, 700)
  assert.is(valueOf(await machine.open(SMALL), 'hot'), hot + 1)
})

test('a new snapshot in the place of a damaged one is kept', async () => {
  const { machine } = await withSnapshots()
  let store = await machine.open(SMALL)
  await machine.settle(store.snapshot())
  await machine.kill()
  const newest = machine.files('snapshot')[1]!
  machine.disk.flip(newest, 700)
  // Without the frame that vouches for it the log ends where it did.
  const log = machine.files('log').at(-1)!
  const end = machine.disk.bytesOf(log).findLastIndex((byte) => byte !== 0)
  machine.disk.flip(log, end * 8)
  store = await machine.open(SMALL)
  await machine.settle(store.snapshot())
  await machine.kill()
  assert.ok(machine.files('snapshot').includes(newest))
  assert.is((await machine.open(SMALL)).recovered.snapshot, newest.slice(DIRECTORY.length + 1))
})

test('a snapshot vouches for all of the log that it holds, so that a retry never counts beside what it has', async () => {
  for (const fsync of ['always', 'never'] as const) {
    const machine = new Machine()
    const store = await machine.open({ ...SMALL, fsync })
    await writeSome(machine, store, 1)
    const { logEnd } = store.status()
    const snapshot = store.snapshot()
    await machine.step()
    // Its cell is in the snapshot, its reply is not: that was written before.
    const write = machine.write(store, { late: 1 }, once('k'))
    await machine.settle(Promise.all([snapshot, write]))
    await machine.kill()
    const log = machine.files('log').at(-1)!
    machine.disk.flip(log, (32 + logEnd - Number(log.slice(-16)) + 30) * 8)
    assert.is((await rejection(machine.open({ ...SMALL, fsync }))).code, 'LOG_CORRUPT', fsync)
  }
})

test('a node that is left alone takes no more snapshots', async () => {
  const machine = new Machine()
  const store = await machine.open({ ...SMALL, snapshotIntervalMs: 60_000 })
  await writeSome(machine, store, 1)
  await machine.pass(61_000)
  const { snapshotAt, logEnd } = store.status()
  assert.ok(snapshotAt > 0)
  await machine.pass(600_000)
  assert.equal([store.status().snapshotAt, store.status().logEnd], [snapshotAt, logEnd])
})

test('when both snapshots are damaged the start refuses, because the log before is gone', async () => {
  const { machine } = await withSnapshots()
  for (const path of machine.files('snapshot')) machine.disk.flip(path, 700)
  const error = await rejection(machine.open(SMALL))
  assert.is(error.code, 'LOG_CORRUPT')
  assert.is((error.cause as { code: string }).code, 'SNAPSHOT_CORRUPT')
})

test('a snapshot is taken when the log has grown, and when time has passed, if anything changed', async () => {
  const machine = new Machine()
  const store = await machine.open({ ...SMALL, snapshotLogBytes: 4000, snapshotIntervalMs: 60_000 })
  await machine.pass(120_000)
  assert.is(machine.files('snapshot').length, 0)
  await writeSome(machine, store, 4)
  await machine.pass(1500)
  assert.is(machine.files('snapshot').length, 1)
  await writeSome(machine, store, 1)
  await machine.pass(30_000)
  assert.is(machine.files('snapshot').length, 1)
  await machine.pass(31_000)
  assert.is(machine.files('snapshot').length, 2)
})

test('a snapshot that fails changes nothing, is reported, and is tried again', async () => {
  const machine = new Machine()
  const store = await machine.open(SMALL)
  await writeSome(machine, store)
  for (const [kind, fault] of [
    ['write', 'ENOSPC'],
    ['sync', 'EIO'],
    ['open', 'EMFILE'],
    ['rename', 'EIO'],
  ] as const) {
    machine.disk.plan = (call) => (call.kind === kind && call.path.includes('snapshot-') ? fault : undefined)
    await rejection(machine.settle(store.snapshot()))
    assert.is(store.status().snapshotFailed, true)
    assert.equal(
      machine.disk.paths(DIRECTORY).filter((path) => path.includes('snapshot-')),
      [],
      kind,
    )
  }
  machine.disk.plan = () => undefined
  await machine.settle(store.snapshot())
  assert.is(store.status().snapshotFailed, false)
  await machine.settle(machine.write(store, { hot: 1 }))
  await machine.settle(store.close())
  assert.is(machine.disk.openCount, 0)
})

test('writes go on while a snapshot is taken, and a crash at any step of it loses nothing', async () => {
  for (let steps = 0; ; steps += 3) {
    const machine = new Machine(steps + 1)
    let store = await machine.open(SMALL)
    await writeSome(machine, store, 3)
    await machine.settle(store.snapshot())
    await writeSome(machine, store, 3)
    let done = false
    store.snapshot().then(() => {
      done = true
    })
    let acknowledged = 6
    void machine.write(store, { hot: 1 }).then(() => acknowledged++)
    for (let step = 0; step < steps; step++) await machine.step()
    if (steps % 2 === 0) await machine.powerCut(0)
    else await machine.kill()
    store = await machine.open(SMALL)
    const hot = valueOf(store, 'hot')
    assert.ok(hot === acknowledged || (hot === 7 && acknowledged === 6), `${steps} steps: ${hot}, acknowledged ${acknowledged}`)
    if (done) break
  }
})

test.run()
