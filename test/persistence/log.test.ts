// The log over a disk that fails in every way: what is acknowledged, what is refused, and that nobody waits for ever.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DIRECTORY, Machine, rejection, valueOf } from './harness.ts'

const test = suite('persistence/log')

/** Fills the disk so that `room` bytes are left. */
function fill(machine: Machine, room = 0): void {
  const { disk } = machine
  disk.capacity = disk.paths(DIRECTORY).reduce((sum, path) => sum + disk.bytesOf(path).length, 0) + room
}

/** Writes until one is refused, and returns how many were acknowledged and the refusal. */
async function writeUntilRefused(machine: Machine, store: Awaited<ReturnType<Machine['open']>>, prefix: string) {
  for (let index = 0; ; index++) {
    try {
      await machine.settle(machine.write(store, { [`${prefix}-${index}`]: 1, hot: 1 }))
    } catch (error) {
      return { acknowledged: index, error: error as { code: string; fix?: string } }
    }
  }
}

test('appends of one turn are one write and one sync', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(machine.write(store, { first: 1 }))
  await machine.rest()
  const syncs = machine.disk.calls.get('sync')!
  const { logGroups } = store.status()
  await machine.settle(Promise.all(Array.from({ length: 20 }, (_, index) => machine.write(store, { [`op-${index}`]: 1 }))))
  assert.is(store.status().logGroups, logGroups + 1)
  assert.is(machine.disk.calls.get('sync'), syncs + 1)
  await machine.settle(store.close())
})

test('segments switch, and every one but the last is whole', async () => {
  const machine = new Machine()
  const store = await machine.open({ segmentBytes: 8192 })
  for (let index = 0; index < 60; index++) await machine.settle(machine.write(store, { ['x'.repeat(400) + index]: 1 }))
  assert.ok(machine.files('log').length >= 3)
  for (const path of machine.files('log')) assert.ok(machine.disk.bytesOf(path).length <= 8192 + 6000, path)
  await machine.powerCut(0)
  assert.is((await machine.open()).recovered.names, 60)
})

test('a full disk refuses writes with DISK_FULL, reads go on, writes resume by themselves, and a restart is exact', async () => {
  const machine = new Machine()
  let store = await machine.open({ segmentBytes: 16_384 })
  await machine.settle(machine.write(store, { hot: 1 }))
  await machine.rest()
  fill(machine)
  const { acknowledged, error } = await writeUntilRefused(machine, store, 'full')
  assert.is(error.code, 'DISK_FULL')
  assert.ok(error.fix)
  assert.is(store.status().writable, false)
  assert.is(valueOf(store, 'hot'), acknowledged + 1)
  assert.is(store.settled(), undefined)
  await machine.pass(3000)
  assert.is((await writeUntilRefused(machine, store, 'still')).error.code, 'DISK_FULL')
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.pass(2000)
  assert.is(store.status().writable, true)
  await machine.settle(machine.write(store, { hot: 1 }))
  const hot = valueOf(store, 'hot')
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(valueOf(store, 'hot'), hot)
})

test('a full disk keeps nothing that nobody can use', async () => {
  const machine = new Machine()
  const store = await machine.open({ segmentBytes: 16_384 })
  await machine.rest()
  fill(machine, 700)
  await writeUntilRefused(machine, store, 'full')
  await machine.rest()
  assert.not.ok(machine.disk.paths(DIRECTORY).some((path) => path.endsWith('log-spare') && machine.disk.bytesOf(path).length > 0))
  await machine.settle(store.close())
})

test('a start with a full disk reads, and refuses to write', async () => {
  const machine = new Machine()
  let store = await machine.open()
  await machine.settle(machine.write(store, { hot: 1 }))
  await machine.settle(store.close())
  machine.disk.capacity = 0
  store = await machine.open()
  assert.is(valueOf(store, 'hot'), 1)
  assert.is((await rejection(machine.settle(machine.write(store, { hot: 1 })))).code, 'DISK_FULL')
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.pass(2000)
  await machine.settle(machine.write(store, { hot: 1 }))
  assert.is(valueOf(store, 'hot'), 2)
})

test('a new directory on a full disk is refused with DISK_FULL', async () => {
  const machine = new Machine()
  machine.disk.capacity = 0
  assert.is((await rejection(machine.open())).code, 'DISK_FULL')
  assert.is(machine.disk.openCount, 0)
})

for (const kind of ['write', 'sync'] as const) {
  test(`after a ${kind} that failed nothing is acknowledged, and everything is refused with LOG_FAILED`, async () => {
    const machine = new Machine()
    const store = await machine.open()
    await machine.settle(machine.write(store, { before: 1 }))
    await machine.rest()
    let calls = 0
    machine.disk.plan = (call) => (call.kind === kind && calls++ === 0 ? 'EIO' : undefined)
    const writes = [machine.write(store, { a: 1 }), machine.write(store, { b: 1 })]
    const read = store.settled()!
    const results = await machine.settle(Promise.allSettled([...writes, read]))
    for (const result of results) assert.is(result.status === 'rejected' && result.reason.code, 'LOG_FAILED')
    assert.is((await machine.settle(store.failed)).code, 'LOG_FAILED')
    assert.is((await rejection(machine.settle(machine.write(store, { c: 1 })))).code, 'LOG_FAILED')
    assert.is((await rejection(store.settled()!)).code, 'LOG_FAILED')
    assert.is((await rejection(machine.settle(store.close()))).code, 'LOG_FAILED')
    await machine.rest()
    assert.is(machine.disk.openCount, 0, 'every file is closed all the same')
    await machine.kill()
    assert.is(valueOf(await machine.open(), 'before'), 1)
  })
}

test('a short write goes on where it stopped', async () => {
  const machine = new Machine()
  let store = await machine.open()
  machine.disk.plan = ({ kind }) => (kind === 'write' && machine.random.uint32() % 2 === 0 ? 'short' : undefined)
  for (let index = 0; index < 20; index++) await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1 }))
  assert.ok(machine.disk.faults.get('write short')! > 5)
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(valueOf(store, 'hot'), 20)
})

test('when too much waits for the disk, writes are refused with LOG_BUSY', async () => {
  const machine = new Machine()
  const store = await machine.open({ queueBytesMax: 20_000, segmentBytes: 1 << 20 })
  await machine.rest()
  const results = Array.from({ length: 600 }, (_, index) => machine.write(store, { [`op-${index}`]: 1 }))
  const settled = await machine.settle(Promise.allSettled(results))
  const refused = settled.filter((result) => result.status === 'rejected')
  assert.ok(refused.length > 0 && refused.length < 600)
  for (const result of refused) assert.is((result as PromiseRejectedResult).reason.code, 'LOG_BUSY')
  await machine.settle(machine.write(store, { later: 1 }))
  assert.is(store.recovered.records, 0)
})

test('when no file can be opened for the next segment, writes are refused for a while and the log lives', async () => {
  const machine = new Machine()
  const store = await machine.open({ segmentBytes: 4096 })
  await machine.rest()
  machine.disk.plan = ({ kind }) => (kind === 'open' ? 'EMFILE' : undefined)
  const { error } = await writeUntilRefused(machine, store, 'x'.repeat(500))
  assert.is(error.code, 'LOG_BUSY')
  machine.disk.plan = () => undefined
  await machine.pass(2000)
  await machine.settle(machine.write(store, { later: 1 }))
})

test('a disk that fills while the log goes on in the next segment refuses writes, and the log lives', async () => {
  for (let room = 0; room < 30_000; room += 900) {
    const machine = new Machine()
    const store = await machine.open({ segmentBytes: 4096 })
    await machine.rest()
    fill(machine, room)
    const results = await machine.settle(
      Promise.allSettled(
        Array.from({ length: 30 }, (_, index) => machine.write(store, { [`op-${index}${'x'.repeat(800)}`]: 1, hot: 1 })),
      ),
    )
    for (const result of results) if (result.status === 'rejected') assert.is(result.reason.code, 'DISK_FULL', `room ${room}`)
    assert.is(valueOf(store, 'hot'), results.filter((result) => result.status === 'fulfilled').length)
    await machine.settle(store.close())
  }
})

test('requests that wait for room when the disk fails are all told LOG_FAILED', async () => {
  const machine = new Machine()
  const store = await machine.open({ segmentBytes: 4096 })
  await machine.rest()
  machine.disk.plan = ({ kind, path }) => (kind === 'write' && path.endsWith('log-spare') ? 'EIO' : undefined)
  const large = 'y'.repeat(20_000)
  const results = await machine.settle(Promise.allSettled([1, 2, 3].map((index) => machine.write(store, { [large + index]: 1 }))))
  for (const result of results) assert.is(result.status === 'rejected' && result.reason.code, 'LOG_FAILED')
})

test('close waits for what was written, and later writes are refused with CLOSED', async () => {
  for (const fsync of ['always', 'interval', 'never'] as const) {
    const machine = new Machine()
    const store = await machine.open({ fsync })
    const write = machine.write(store, { hot: 1 })
    const closing = store.close()
    const again = store.close()
    await machine.settle(Promise.all([write, closing, again]))
    assert.is((await rejection(machine.write(store, { hot: 1 }))).code, 'CLOSED')
    assert.is((await rejection(machine.settle(store.snapshot()))).code, 'CLOSED')
    assert.is(machine.disk.openCount, 0)
    await machine.powerCut(0)
    assert.is(valueOf(await machine.open(), 'hot'), 1, fsync)
  }
})

test('who reads while the store is closed, or afterwards, gets an answer', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(machine.write(store, { hot: 1 }))
  const reads: Promise<void>[] = []
  let closed = false
  const closing = store.close().then(() => {
    closed = true
  })
  do {
    const read = store.settled()
    if (read) reads.push(read)
  } while ((await machine.step()) || !closed)
  await closing
  assert.is(store.settled(), undefined)
  await machine.settle(Promise.all(reads))
  const { tenants } = await machine.settle(store.tenants({ prefix: '', after: undefined, limit: 1 }))
  assert.equal(tenants, [])
})

test('a store that is closed while room is being made leaves nothing open', async () => {
  for (let steps = 0; steps < 40; steps++) {
    const machine = new Machine()
    const store = await machine.open({ segmentBytes: 4096 })
    const writes = Promise.allSettled([1, 2, 3].map((index) => machine.write(store, { ['z'.repeat(6000) + index]: 1 })))
    for (let step = 0; step < steps; step++) await machine.step()
    await machine.settle(store.close())
    await machine.settle(writes)
    await machine.rest()
    assert.is(machine.disk.openCount, 0, `after ${steps} steps`)
  }
})

test('with fsync interval a kill loses nothing, and a power cut a tail at most', async () => {
  for (const keep of [undefined, 0, 0.5]) {
    const machine = new Machine()
    let store = await machine.open({ fsync: 'interval', fsyncIntervalMs: 50 })
    for (let index = 0; index < 10; index++) await machine.settle(machine.write(store, { hot: 1 }))
    await machine.pass(60)
    for (let index = 0; index < 10; index++) await machine.settle(machine.write(store, { hot: 1 }))
    if (keep === undefined) await machine.kill()
    else await machine.powerCut(keep)
    store = await machine.open()
    const hot = valueOf(store, 'hot')
    assert.ok(hot >= (keep === undefined ? 20 : 10) && hot <= 20, `${hot}`)
  }
})

test.run()
