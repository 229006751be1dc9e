// The bytes of a snapshot: read back whole, and refused with the smallest damage.

import { crc32 } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { Notes } from '../../lib/persistence/notes.ts'
import { encodeSnapshot, joinInto, readSnapshot } from '../../lib/persistence/snapshot.ts'
import { encodeBatch, Replica, Replies } from '../../lib/storage/index.ts'
import { bytesFile } from '../support/bytes-file.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { batchOf, hash, nameBytes, once, plainReply, rejection } from './harness.ts'

const test = suite('persistence/snapshot')
const clock = new VirtualClock()
const header = { self: { node: 3, incarnation: 77 }, from: 12_345, createdAt: 1_700_000_000_000 }

function state() {
  const replies = new Replies({ clock, ttlMs: 1e9, max: 1000 })
  const replica = new Replica({ self: header.self, hash, namesMax: 0, replies })
  const notes = new Notes()
  return { replica, notes, sink: joinInto({ replica, notes }) }
}

/** A snapshot of `count` names, replies and notes; every other write is tentative. */
function snapshotOf(count: number): Uint8Array {
  const { replica, notes } = state()
  const scratch = new ByteWriter()
  for (let index = 0; index < count; index++) {
    replica.increment(batchOf({ [`name-${index}`]: index + 1, hot: 1, cold: -1 }), scratch)
    const origin = { replica: replica.self, seq: replica.seq }
    const isTentative = index % 2 === 1
    const kept = replica.replies.add(once(`key-${index}`), plainReply(`reply ${index}`), origin, isTentative)
    if (isTentative) replica.tentative.add({ kept, batch: encodeBatch(batchOf({ hot: 1 })) })
    notes.change([[`note-${index}`, Uint8Array.of(index)]], scratch)
  }
  replica.replies.join({ ...once('of a file'), at: clock.now(), reply: plainReply('old'), origin: undefined, tentative: false })
  return new Uint8Array(Buffer.concat(Array.from(encodeSnapshot(header, { replica, notes }), (piece) => piece.slice())))
}

/** A snapshot of so many replicas that have all counted one name, and each one of its own. */
function snapshotOfColumns(count: number): Uint8Array {
  const { replica, notes, sink } = state()
  for (let index = 0; index < count; index++) {
    const one = new Replica({ self: { node: 100 + index, incarnation: 9 }, hash, namesMax: 0 })
    const writer = new ByteWriter()
    one.increment(batchOf({ all: 1, [`of-${index}`]: 1 }), writer)
    const delta = writer.written()
    sink.delta(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
  }
  return new Uint8Array(Buffer.concat(Array.from(encodeSnapshot(header, { replica, notes }), (piece) => piece.slice())))
}

/** Its header with a checksum that holds. */
function resealed(bytes: Uint8Array): Uint8Array {
  Buffer.from(bytes.buffer, bytes.byteOffset).writeUInt32LE(crc32(bytes.subarray(0, 48)), 48)
  return bytes
}

const FLAGS_AT = 40

const read = (bytes: Uint8Array, to = state()) => readSnapshot(bytesFile(bytes), 'snapshot-1', to.sink, async () => {})

test('what is written is read back: values, sequence numbers, replies, notes', async () => {
  const to = state()
  assert.equal(await read(snapshotOf(30), to), { ...header, distinct: true })
  assert.equal(
    [to.replica.value(nameBytes('hot')), to.replica.value(nameBytes('cold')), to.replica.value(nameBytes('name-29'))],
    [30, -30, 30],
  )
  assert.is(to.replica.seq, 30)
  assert.equal(to.replica.replies.find(once('key-7'), () => true)?.reply, plainReply('reply 7'))
  assert.equal(to.replica.replies.find(once('key-8'), () => true)?.origin, { replica: header.self, seq: 9 })
  assert.equal(to.replica.replies.find(once('of a file'), () => false)?.reply, plainReply('old'))
  assert.equal(
    Array.from(to.replica.tentative, ({ kept }) => kept.key),
    Array.from({ length: 15 }, (_, index) => `key-${2 * index + 1}`),
  )
  assert.equal(to.notes.get('note-7'), Uint8Array.of(7))
})

test('every bit turned over and every length cut off is detected', async () => {
  const whole = snapshotOf(8)
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bad = whole.slice()
    bad[bit >>> 3]! ^= 1 << (bit & 7)
    const error = await rejection(read(bad))
    assert.is(error.code, 'SNAPSHOT_CORRUPT', `bit ${bit}`)
  }
  for (let length = 0; length < whole.length; length++) {
    assert.is((await rejection(read(whole.subarray(0, length)))).code, 'SNAPSHOT_CORRUPT', `length ${length}`)
  }
  assert.is((await rejection(read(Buffer.concat([whole, Buffer.from([0])])))).code, 'SNAPSHOT_CORRUPT')
})

test('what was joined before the damage is true', async () => {
  const whole = snapshotOf(8)
  const bad = whole.slice()
  bad[bad.length - 3]! ^= 1
  const to = state()
  assert.is((await rejection(read(bad, to))).code, 'SNAPSHOT_CORRUPT')
  await read(whole, to)
  assert.equal([to.replica.value(nameBytes('hot')), to.replica.replies.size], [8, 9])
})

test('it says whether names come twice, and is read to the same either way: as first, as second, and of an older program', async () => {
  for (const columns of [1, 30, 31, 70]) {
    const whole = snapshotOfColumns(columns)
    const first = state()
    // Beside them there is the one of the node itself.
    assert.is((await read(whole, first)).distinct, columns + 1 <= 31)
    const second = state()
    second.replica.increment(batchOf({ other: 1 }), new ByteWriter())
    await read(whole, second)
    const old = whole.slice()
    old[FLAGS_AT] = 0
    const third = state()
    assert.is((await read(resealed(old), third)).distinct, false)
    for (const { replica } of [first, second, third]) {
      assert.equal([replica.value(nameBytes('all')), replica.value(nameBytes('of-0'))], [columns, 1])
      assert.is(replica.vector().size >= columns, true)
    }
    assert.is(first.replica.table.rowCount, 1 + columns)
    assert.is(second.replica.table.rowCount, 2 + columns)
  }
})

test('one that says that no name comes twice, and has one twice, is of no use', async () => {
  const bad = snapshotOfColumns(40)
  bad[FLAGS_AT] = 1
  const error = await rejection(read(resealed(bad)))
  assert.is(error.code, 'SNAPSHOT_INVALID')
  assert.match(error.message, 'snapshot-1 has 1 names more than once')
})

test.run()
