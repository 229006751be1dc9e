import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError, type ErrorCode } from '../../lib/base/errors.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import {
  batchOf,
  bytesOf,
  cellsOf,
  decode,
  deltasSince,
  encodeCells,
  increment,
  lineOf,
  merge,
  replicaOf,
  stateOf,
} from './harness.ts'

const test = suite('storage/replica')

const refused = (run: () => void, code: ErrorCode) =>
  assert.throws(run, (error: unknown) => error instanceof CounterError && error.code === code)

test('a name counts from 0, up and down, and others do not move', () => {
  const replica = replicaOf(0)
  assert.is(replica.value(bytesOf('a')), 0)
  increment(replica, [
    ['a', 2],
    ['b', 5],
  ])
  increment(replica, [['a', -7]])
  assert.is(replica.value(bytesOf('a')), -5)
  assert.is(replica.value(bytesOf('b')), 5)
  assert.is(replica.value(bytesOf('c')), 0)
  assert.is(replica.value(bytesOf('')), 0)
})

test('gallabieh and wallabies are two counters', () => {
  const replica = replicaOf(0)
  increment(replica, [['gallabieh', 1]])
  assert.is(replica.value(bytesOf('wallabies')), 0)
  increment(replica, [['wallabies', 10]])
  assert.is(replica.value(bytesOf('gallabieh')), 1)
  assert.is(replica.value(bytesOf('wallabies')), 10)
})

test('names that are prefixes, prototypes or anything in UTF-8 are counters like others', () => {
  const names = [
    'a',
    'ab',
    'abc',
    '__proto__',
    'constructor',
    'ü',
    '日本語',
    '😀',
    '\u0000',
    '\u0000\u0000',
    ' ',
    'x'.repeat(65_535),
  ]
  const replica = replicaOf(0)
  increment(
    replica,
    names.map((name, index) => [name, index + 1] as const),
  )
  names.forEach((name, index) => assert.is(replica.value(bytesOf(name)), index + 1, name.slice(0, 20)))
  const other = replicaOf(1)
  for (const delta of deltasSince(replica)) merge(other, delta)
  assert.equal(stateOf(other), stateOf(replica))
})

test('each write is one sequence number, and its delta holds the new absolute counts', () => {
  const replica = replicaOf(3)
  increment(replica, [
    ['a', 2],
    ['b', 5],
  ])
  const delta = increment(replica, [
    ['b', 1],
    ['c', 9],
  ])
  assert.is(replica.seq, 2)
  assert.equal(cellsOf(decode(delta)).map(lineOf), ['b 3.1 +6 -0 @2', 'c 3.1 +9 -0 @2'])
})

test('an empty batch is a write without cells', () => {
  const replica = replicaOf(0)
  assert.equal(cellsOf(decode(increment(replica, []))), [])
  assert.is(replica.seq, 1)
})

test('merging the deltas of all writes, in any order and repeated, gives the same replica', () => {
  const source = replicaOf(0)
  const deltas = [
    increment(source, [['a', 1]]),
    increment(source, [
      ['a', -4],
      ['b', 2],
    ]),
    increment(source, [['b', 2n ** 60n]]),
  ]
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0, 1, 1, 2],
  ]) {
    const target = replicaOf(1)
    for (const at of order) merge(target, deltas[at]!)
    assert.equal(
      stateOf(target).filter((line) => !line.startsWith('vector')),
      stateOf(source).filter((line) => !line.startsWith('vector')),
    )
  }
})

test('a replica that replays its own log goes on with the next sequence number', () => {
  const before = replicaOf(0)
  const log = [increment(before, [['a', 1]]), increment(before, [['b', 2]])]
  const after = replicaOf(0)
  for (const delta of log) merge(after, delta)
  assert.is(after.seq, 2)
  assert.equal(stateOf(after), stateOf(before))
  assert.equal(increment(after, [['a', 1]]), increment(before, [['a', 1]]))
})

test('a column taken over goes on above every sequence number it holds', () => {
  const column = { node: 5, incarnation: 2 }
  const replica = replicaOf(0)
  merge(replica, encodeCells([{ name: 'a', replica: column, plus: 7n, minus: 0n, seq: 40 }]))
  assert.is(replica.vector().get(column), 0, 'of a foreign column a cell alone proves nothing')
  replica.become(column)
  assert.equal(replica.self, column)
  assert.is(replica.seq, 40)
  assert.equal(cellsOf(decode(increment(replica, [['a', 1]]))).map(lineOf), ['a 5.2 +8 -0 @41'])
})

test('a column that is left stays, and the new one counts beside it', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 5]])
  replica.become({ node: 0, incarnation: 2 })
  assert.is(replica.seq, 0)
  increment(replica, [['a', 1]])
  assert.is(replica.value(bytesOf('a')), 6)
  assert.equal(stateOf(replica), ['a 0.1 +5 -0 @1', 'a 0.2 +1 -0 @1', 'vector 0.1 1', 'vector 0.2 1'])
})

test('N is kept only where something was subtracted', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 1]])
  const plain = replica.byteLength
  assert.is(decode(increment(replica, [['a', 1]])).bytes[2], 1, 'the block is UNIFORM, without N')
  increment(replica, [['a', -1]])
  assert.ok(replica.byteLength > plain)
  const delta = increment(replica, [['b', 1]])
  assert.is(delta[2], 3, 'the block is UNIFORM, with N')
  assert.equal(cellsOf(decode(delta)).map(lineOf), ['b 0.1 +1 -0 @4'])
  const other = replicaOf(1)
  increment(other, [['a', 1]])
  merge(other, delta)
  assert.not(other.columns.some((column) => column.subtracted))
})

test('above namesMax new names are refused whole, while those that exist go on counting', () => {
  const replica = replicaOf(0, { namesMax: 3 })
  increment(replica, [
    ['a', 1],
    ['b', 1],
  ])
  const before = stateOf(replica)
  refused(
    () =>
      increment(replica, [
        ['a', 1],
        ['c', 1],
        ['d', 1],
      ]),
    'NAMES_MAX',
  )
  assert.equal(stateOf(replica), before)
  assert.is(replica.table.rowCount, 2)
  increment(replica, [
    ['a', 1],
    ['c', 1],
  ])
  refused(() => increment(replica, [['d', 1]]), 'NAMES_MAX')
  increment(replica, [
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ])
  assert.equal(
    ['a', 'b', 'c', 'd'].map((name) => replica.value(bytesOf(name))),
    [3, 2, 2, 0],
  )
})

test('merged names are never refused', () => {
  const replica = replicaOf(0, { namesMax: 1 })
  const other = replicaOf(1)
  merge(
    replica,
    increment(other, [
      ['a', 1],
      ['b', 1],
    ]),
  )
  assert.is(replica.value(bytesOf('b')), 1)
  increment(replica, [['b', 1]])
  refused(() => increment(replica, [['c', 1]]), 'NAMES_MAX')
})

test('names can be added ahead in slices; the increment then counts as if it had added them', () => {
  const batch = batchOf(Array.from({ length: 100 }, (_, index) => [`n${index % 50}-${index}`, index] as const))
  const sliced = replicaOf(0)
  increment(sliced, [['n3-3', 1]])
  const whole = replicaOf(0)
  increment(whole, [['n3-3', 1]])
  assert.is(sliced.countMissing(batch, 0, 10) + sliced.countMissing(batch, 10, 100), 99)
  sliced.addNames(batch, 0, 40)
  sliced.addNames(batch, 40, 100)
  assert.is(sliced.countMissing(batch, 0, 100), 0)
  sliced.increment(batch, new ByteWriter())
  whole.increment(batch, new ByteWriter())
  for (let index = 0; index < 100; index++) {
    const name = bytesOf(`n${index % 50}-${index}`)
    assert.is(sliced.value(name), whole.value(name))
  }
})

test('the arrays of a batch may be longer than its count, and hold anything there', () => {
  const exact = batchOf([['a', 1]])
  const replica = replicaOf(0)
  const longer = <T extends Uint8Array | Uint32Array>(source: T): T => {
    const target = new (source.constructor as new (length: number) => T)(source.length + 50)
    target.fill(0xff)
    target.set(source)
    return target
  }
  const writer = new ByteWriter()
  replica.increment(
    {
      ...exact,
      names: longer(exact.names),
      ends: longer(exact.ends),
      hashes: longer(exact.hashes),
      amounts: longer(exact.amounts),
    },
    writer,
  )
  assert.equal(cellsOf(decode(writer.written())).map(lineOf), ['a 0.1 +1 -0 @1'])
})

test('a replica named by blocks without rows gets no column', () => {
  const replica = replicaOf(0)
  const block = (node: number) => [1, 0, 1, node, 1, 0, 0]
  merge(replica, Uint8Array.from([1, ...Array.from({ length: 100 }, (_, node) => block(node)).flat()]))
  assert.is(replica.columns.length, 1)
})

test('a vector never falls and is copied out', () => {
  const replica = replicaOf(0)
  const peer = { node: 1, incarnation: 1 }
  merge(replica, encodeCells([], [[peer, 9]]))
  merge(replica, encodeCells([], [[peer, 4]]))
  const copy = replica.vector()
  copy.raise(peer, 100)
  assert.is(replica.vector().get(peer), 9)
  assert.is(new VersionVector().get(peer), 0)
})

test.run()
