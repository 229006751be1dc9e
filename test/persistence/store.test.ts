// The store as its users see it: increments, idempotency keys, limits, backups.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { Notes } from '../../lib/persistence/notes.ts'
import { joinInto, readSnapshot } from '../../lib/persistence/snapshot.ts'
import { Replica } from '../../lib/storage/index.ts'
import { bytesFile } from '../support/bytes-file.ts'
import { batchOf, hash, Machine, nameBytes, once, plainReply, rejection, valueOf } from './harness.ts'

const test = suite('persistence/store')

type Opened = Awaited<ReturnType<Machine['open']>>

test('an increment counts at once, is acknowledged when it is on disk, and is there after a power cut', async () => {
  const machine = new Machine()
  let store = await machine.open()
  let acknowledged = false
  const write = machine.write(store, { a: 2, b: -5, c: 2n ** 63n }).then(() => {
    acknowledged = true
  })
  assert.is(valueOf(store, 'a'), 2)
  assert.ok(store.settled())
  await new Promise(setImmediate)
  assert.not.ok(acknowledged)
  await machine.settle(write)
  assert.is(store.settled(), undefined)
  await machine.powerCut(0)
  store = await machine.open()
  assert.equal([valueOf(store, 'a'), valueOf(store, 'b'), store.value(nameBytes('c'))], [2, -5, 2n ** 63n])
})

test('a request with a key counts once, and is answered again after a restart from the log or from a snapshot', async () => {
  for (const snapshot of [false, true]) {
    for (const end of ['kill', 'powerCut', 'close'] as const) {
      const machine = new Machine()
      let store = await machine.open()
      const first = await machine.settle(machine.write(store, { a: 1 }, once('k'), 'the reply'))
      assert.is(first.replayed, false)
      if (snapshot) await machine.settle(store.snapshot())
      if (end === 'close') await machine.settle(store.close())
      else await machine[end]()
      store = await machine.open()
      const again = await machine.settle(machine.write(store, { a: 1 }, once('k'), 'another'))
      const at = { replica: store.self, seq: 1 }
      assert.equal(again, { ...plainReply('the reply'), replayed: true, at })
      assert.equal(await store.replay(once('k')), { ...plainReply('the reply'), replayed: true, at })
      assert.is(valueOf(store, 'a'), 1)
      await machine.kill()
    }
  }
})

test('a key that comes with another request is KEY_REUSED, and one under way KEY_IN_FLIGHT; neither counts', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const first = machine.write(store, { a: 1 }, once('k'))
  await new Promise(setImmediate)
  assert.is((await rejection(machine.write(store, { a: 1 }, once('k')))).code, 'KEY_IN_FLIGHT')
  assert.throws(
    () => store.replay(once('k')),
    (error: { code?: string }) => error.code === 'KEY_IN_FLIGHT',
  )
  await machine.settle(first)
  assert.is((await rejection(machine.settle(machine.write(store, { a: 1 }, once('k', 'else'))))).code, 'KEY_REUSED')
  assert.is(valueOf(store, 'a'), 1)
})

test('replies are forgotten by age and by number, the oldest first', async () => {
  const machine = new Machine()
  const store = await machine.open({ repliesMax: 2, replyTtlMs: 1000 })
  for (const key of ['a', 'b', 'c']) await machine.settle(machine.write(store, { n: 1 }, once(key)))
  assert.is(store.status().replies, 2)
  assert.is(store.replay(once('a')), undefined)
  assert.ok(store.replay(once('b')))
  machine.clock.wallMs += 1001
  assert.is(store.replay(once('c')), undefined)
  assert.is((await machine.settle(machine.write(store, { n: 1 }, once('c')))).replayed, false)
  await machine.kill()
  machine.clock.wallMs += 1001
  assert.is((await machine.open({ replyTtlMs: 1000 })).status().replies, 0)
})

test('an increment that is refused changes nothing and stores nothing', async () => {
  const machine = new Machine()
  let store = await machine.open({ namesMax: 3 })
  await machine.settle(machine.write(store, { full: 2n ** 64n - 1n, a: 1 }))
  const end = store.status().logEnd
  const refused: [Record<string, number | bigint>, string][] = [
    [{ a: 1, full: 1 }, 'COUNT_OVERFLOW'],
    [{ a: 1, b: 1, c: 1 }, 'NAMES_MAX'],
  ]
  for (const [amounts, code] of refused) {
    for (const key of [undefined, once('k')]) {
      assert.is((await rejection(machine.settle(machine.write(store, amounts, key)))).code, code)
    }
  }
  assert.is(store.replay(once('k')), undefined)
  assert.is(store.settled(), undefined)
  await machine.rest()
  assert.is(store.status().logEnd, end)
  assert.is(valueOf(store, 'a'), 1)
  await machine.settle(machine.write(store, { a: 1 }, once('k')))
  await machine.powerCut(0)
  store = await machine.open({ namesMax: 3 })
  assert.equal([valueOf(store, 'a'), store.value(nameBytes('full')), valueOf(store, 'b')], [2, 2n ** 64n - 1n, 0])
})

test('a batch of more names than fit in one slice is one record', async () => {
  const machine = new Machine()
  let store = await machine.open({ segmentBytes: 1 << 20 })
  const names = Array.from({ length: 20_000 }, (_, index) => [`name-${index}`, index + 1])
  await machine.settle(machine.write(store, Object.fromEntries(names)))
  assert.is(store.status().logRecords, 1)
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(store.recovered.names, 20_000)
  assert.is(valueOf(store, 'name-19999'), 20_000)
})

test('counts that moved before a reply could not be made are logged, with and without a key', async () => {
  for (const key of [undefined, once('k')]) {
    const machine = new Machine()
    let store = await machine.open()
    const batch = batchOf({ a: 1 })
    assert.is(store.admit(batch), undefined)
    const failed = store.increment(batch, () => assert.unreachable('no reply') as never, key)
    assert.match((await rejection(machine.settle(failed))).message, 'no reply')
    await machine.settle(machine.write(store, { b: 1 }))
    await machine.powerCut(0)
    store = await machine.open()
    assert.equal([valueOf(store, 'a'), valueOf(store, 'b')], [1, 1])
  }
})

test('a reply much longer than what was written is kept, or refused whole', async () => {
  const machine = new Machine()
  let store = await machine.open({ segmentBytes: 4096 })
  const body = 'r'.repeat(50_000)
  await machine.settle(machine.write(store, { a: 1 }, once('k'), body))
  await machine.powerCut(0)
  store = await machine.open({ segmentBytes: 4096 })
  assert.is((await store.replay(once('k')))!.body, body)
})

test('a backup holds what is acknowledged, and opens as a snapshot while writes go on', async () => {
  const machine = new Machine()
  const store = await machine.open()
  for (let index = 0; index < 30; index++)
    await machine.settle(machine.write(store, { hot: 1, [`op-${index}`]: 1 }, once(`k${index}`)))
  const writes = machine.write(store, { hot: 1, late: 1 })
  const pieces: Uint8Array[] = []
  const read = async () => {
    for await (const piece of store.backup()) {
      assert.is(store.settled(), undefined, 'each piece leaves when what it holds is on disk')
      pieces.push(piece)
    }
  }
  await machine.settle(Promise.all([read(), writes]))
  const replica = new Replica({ self: { node: 9, incarnation: 9 }, hash, namesMax: 0 })
  await readSnapshot(bytesFile(Buffer.concat(pieces)), 'backup', joinInto({ replica, notes: new Notes() }), async () => {})
  assert.is(replica.value(nameBytes('hot')), 31)
  assert.is(replica.replies.size, 30)
})

test('a delta from elsewhere is joined, logged, and changes nothing the second time', async () => {
  const machine = new Machine()
  let store = await machine.open()
  const delta = deltaOf({ a: 3, b: 4 })
  assert.is(await machine.settle(store.merge(delta)), 2)
  assert.is(await machine.settle(store.merge(delta)), 0)
  assert.is((await rejection(machine.settle(store.merge(delta.subarray(0, delta.length - 1))))).code, 'DELTA_INVALID')
  await machine.powerCut(0)
  store = await machine.open()
  assert.equal([valueOf(store, 'a'), valueOf(store, 'b')], [3, 4])
})

/** An increment of another node, encoded. */
function deltaOf(amounts: Record<string, number>): Uint8Array {
  const bytes = new ByteWriter()
  new Replica({ self: { node: 5, incarnation: 5 }, hash, namesMax: 0 }).increment(batchOf(amounts), bytes)
  return bytes.written()
}

test('one directory has one store', async () => {
  const machine = new Machine()
  const store: Opened = await machine.open()
  assert.is((await rejection(machine.open())).code, 'DIRECTORY_LOCKED')
  await machine.settle(store.close())
  await machine.settle((await machine.open()).close())
})

test.run()
