// What a log that is read again says of columns that are known to their end, and which cells a vector has hidden.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import {
  encodeCells as encodeColumn,
  FOLDED,
  LIST_INCARNATIONS,
  Replica,
  type ReplicaId,
  SLOT_BASE,
  VersionVector,
} from '../../lib/storage/index.ts'
import { bytesOf, decode, deltasSince, encodeCells, HASH, increment, itemLinesOf, merge } from './harness.ts'

const test = suite('storage/replay')
const life = (node: number, incarnation: number): Replica => new Replica({ self: { node, incarnation }, hash: HASH, namesMax: 0 })
const replay = (replica: Replica, ...log: Uint8Array[]): void => log.forEach((delta) => replica.replay(decode(delta)))

test('a log that is read says of each column its node wrote how far it is known, also under later incarnations', () => {
  const writer = life(1, 5)
  const log = [increment(writer, [['a', 1]]), increment(writer, [['b', 1]]), increment(writer, [])]
  writer.become({ node: 1, incarnation: 6 })
  log.push(increment(writer, [['a', 1]]))
  for (const reader of [life(1, 6), life(1, 5), life(1, 7), life(2, 3)]) {
    replay(reader, ...log)
    assert.is(reader.vector().get({ node: 1, incarnation: 5 }), 3)
    assert.is(reader.vector().get({ node: 1, incarnation: 6 }), 1)
  }
})

test('a write without names keeps its number when the log is read', () => {
  const writer = life(1, 5)
  const log = [increment(writer, [['a', 1]]), increment(writer, [])]
  const again = life(1, 5)
  replay(again, ...log)
  assert.is(again.seq, 2)
})

test('a write without items keeps its number too', () => {
  const writer = life(1, 5)
  const delta = new ByteWriter()
  const stamp = writer.changeItems([], 1, delta)
  const again = life(1, 5)
  replay(again, delta.written())
  assert.is(again.seq, 1)
  assert.equal(life(2, 5).itemsDelta([], writer.self, 1, stamp), delta.written())
})

test('what is missing before a write is not said to be known', () => {
  const writer = life(1, 5)
  const log = ['a', 'b', 'c', 'd'].map((name) => increment(writer, [[name, 1]]))
  const reader = life(2, 5)
  replay(reader, log[0]!, log[2]!, log[3]!)
  assert.is(reader.vector().get(writer.self), 1)
})

test('cells of an exchange, an import, a slot or a folded column do not say that anything is known', () => {
  const source = life(1, 5)
  increment(source, [['a', 1]])
  const reader = life(2, 5)
  replay(reader, deltasSince(source)[0]!)
  assert.is(reader.vector().get(source.self), 0)
  const others: ReplicaId[] = [
    { node: 1, incarnation: 0 },
    { node: 1, incarnation: FOLDED },
    { node: 1, incarnation: LIST_INCARNATIONS + 1 },
    { node: SLOT_BASE + 1, incarnation: 5 },
  ]
  for (const replica of others) {
    replay(reader, encodeColumn(replica, 1, [{ name: bytesOf('a'), plus: 1n, minus: 0n }]))
    assert.is(reader.vector().get(replica), 0, `${replica.node}.${replica.incarnation}`)
  }
})

test('a merge takes nothing as known but what a vector says', () => {
  const writer = life(1, 5)
  const reader = life(2, 5)
  merge(reader, increment(writer, [['a', 1]]))
  assert.is(reader.vector().get(writer.self), 0)
})

test('cells that are news below what the vector covers are counted as hidden', () => {
  const peer = { node: 1, incarnation: 5 }
  const cell = (name: string, plus: bigint, seq: number) => ({ name, replica: peer, plus, minus: 0n, seq })
  const replica = life(2, 5)
  const hiddenBy = (...delta: Parameters<typeof encodeCells>): number => {
    const before = replica.hiddenCells
    merge(replica, encodeCells(...delta))
    return replica.hiddenCells - before
  }
  assert.is(hiddenBy([cell('a', 1n, 1), cell('b', 1n, 2)], [[peer, 4]]), 0, 'cells before the vector that covers them')
  assert.is(hiddenBy([cell('a', 1n, 1), cell('b', 1n, 2)], [[peer, 4]]), 0, 'no news')
  assert.is(hiddenBy([cell('c', 1n, 3), cell('d', 1n, 5), cell('a', 2n, 1)]), 2, 'one missing, one more at the same number')
  assert.is(hiddenBy([cell('e', 1n, 6), cell('e', 2n, 5)], [[peer, 6]]), 0, 'above the vector')
})

test('own cells that come from elsewhere are noticed, hidden or not', () => {
  const replica = life(2, 5)
  increment(replica, [['a', 1]])
  increment(replica, [['b', 1]])
  const cell = (name: string, plus: bigint, seq: number) => ({ name, replica: replica.self, plus, minus: 0n, seq })
  merge(replica, encodeCells([cell('a', 1n, 1), cell('b', 1n, 2)]))
  assert.equal([replica.ownNews, replica.hiddenCells], [0, 0])
  merge(replica, encodeCells([cell('a', 3n, 2)]))
  assert.equal([replica.ownNews, replica.hiddenCells], [1, 1])
  merge(replica, encodeCells([cell('c', 3n, 3), cell('c', 3n, 7), cell('d', 1n, 5)]))
  assert.equal([replica.ownNews, replica.hiddenCells, replica.seq], [4, 1, 7])
})

test('items that were put under another incarnation keep their numbers when the log is read, with counts beside them or without', () => {
  for (const counts of [false, true]) {
    for (const self of [life(1, 9), life(1, 12), life(2, 3)]) {
      const writer = life(1, 5)
      const log = counts ? [increment(writer, [['a', 1]])] : []
      for (const id of ['x', 'y']) {
        const delta = new ByteWriter()
        writer.changeItems([{ id, tenant: 't' }], 1, delta)
        log.push(delta.written().slice())
      }
      replay(self, ...log)
      self.move(1, 5, 9)
      assert.is(self.vector().get({ node: 1, incarnation: 9 }), writer.seq)
      assert.is(self.items.countOf('t'), 2)
      if (self.self.incarnation === 9) assert.is(self.seq, writer.seq)
    }
  }
})

/** A write of these items, all of one tenant. */
function changeItems(replica: Replica, ...ids: string[]): Uint8Array {
  const delta = new ByteWriter()
  replica.changeItems(
    ids.map((id) => ({ id, tenant: 't' })),
    1,
    delta,
  )
  return delta.written().slice()
}

test('writes of items are known when the log is read, and items of an exchange say nothing of the kind', () => {
  const [writer, other] = [life(1, 5), life(2, 5)]
  const write = changeItems(writer, 'x', 'y')
  const reader = life(3, 5)
  replay(reader, write)
  assert.is(reader.vector().get(writer.self), 1)

  // Of the write y alone is given: x is known as the other has set it. To somebody else it is not the whole write.
  merge(other, write)
  const later = changeItems(other, 'x')
  merge(writer, later)
  const known = new VersionVector()
  known.raise(other.self, 1)
  const [given] = deltasSince(writer, known)
  assert.equal(itemLinesOf(decode(given!)).length, 1)
  const stranger = life(4, 5)
  replay(stranger, given!)
  assert.is(stranger.vector().get(writer.self), 0)
})

test('single items that came without a vector are traces of the life that wrote them', () => {
  const writer = life(1, 5)
  changeItems(writer, 'x')
  const second = changeItems(writer, 'y')
  const reader = life(2, 5)
  merge(reader, second)
  for (const known of [reader.tracesOf(writer.self), reader.livesOf(1)]) assert.is(known.get(writer.self), 2)
  assert.is(reader.vector().get(writer.self), 0)
  assert.is(reader.greatestIncarnation(1), 5)
})

test('the greatest incarnation of a node is found in columns, in the vector and in the own one', () => {
  const replica = life(2, 5)
  assert.equal([replica.greatestIncarnation(2), replica.greatestIncarnation(1)], [5, 0])
  merge(replica, encodeCells([], [[{ node: 2, incarnation: 8 }, 3]]))
  assert.is(replica.greatestIncarnation(2), 8)
  merge(replica, encodeCells([{ name: 'a', replica: { node: 2, incarnation: 9 }, plus: 1n, minus: 0n, seq: 1 }]))
  merge(replica, encodeCells([{ name: 'a', replica: { node: 2, incarnation: LIST_INCARNATIONS }, plus: 1n, minus: 0n, seq: 1 }]))
  assert.is(replica.greatestIncarnation(2), 9)
})

test.run()
