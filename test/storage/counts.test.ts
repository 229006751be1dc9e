import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import type { Replica } from '../../lib/storage/index.ts'
import { batchOf, bytesOf, cellsOf, decode, increment, lineOf, merge, replicaOf, stateOf } from './harness.ts'

const test = suite('storage/counts')

const MAX = 2n ** 64n - 1n
const valueOf = (replica: Replica, name: string) => replica.value(bytesOf(name))

test('counts are exact on both sides of 2^31, 2^32, 2^53, 2^63 and 2^64', () => {
  for (const edge of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n]) {
    for (const sign of [1n, -1n]) {
      const replica = replicaOf(0)
      increment(replica, [['a', sign * (edge - 1n)]])
      for (let step = 0n; step < 3n; step++) {
        const expected = sign * (edge - 1n + step)
        const value = valueOf(replica, 'a')
        assert.is(BigInt(value), expected)
        const safe = expected >= BigInt(Number.MIN_SAFE_INTEGER) && expected <= BigInt(Number.MAX_SAFE_INTEGER)
        assert.is(typeof value, safe ? 'number' : 'bigint')
        increment(replica, [['a', sign]])
      }
    }
  }
})

test('carries go from the low word to the high one, whichever parts meet', () => {
  const parts = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 33n - 1n, 2n ** 52n, 2n ** 63n - 1n]
  for (const first of parts) {
    for (const second of parts) {
      const replica = replicaOf(0)
      increment(replica, [['a', first]])
      const delta = increment(replica, [['a', second]])
      assert.is(BigInt(valueOf(replica, 'a')), first + second)
      const mirror = replicaOf(1)
      merge(mirror, delta)
      assert.is(BigInt(valueOf(mirror, 'a')), first + second)
    }
  }
})

test('2^64 - 1 is counted, and past it a batch is refused with nothing of it applied', () => {
  for (const sign of [1n, -1n]) {
    const replica = replicaOf(0)
    increment(replica, [
      ['full', sign * (MAX - 1n)],
      ['other', 3],
    ])
    increment(replica, [['full', sign]])
    assert.is(valueOf(replica, 'full'), sign * MAX)
    const before = stateOf(replica)
    for (const batch of [
      [
        ['other', 1n],
        ['full', sign],
      ],
      [
        ['new', 1n],
        ['full', sign * MAX],
        ['other', 1n],
      ],
      [['full', sign * 2n ** 32n]],
    ] as const) {
      const writer = new ByteWriter()
      assert.throws(
        () => replica.increment(batchOf(batch), writer),
        (error: unknown) => error instanceof CounterError && error.code === 'COUNT_OVERFLOW' && error.message.includes("'full'"),
      )
      assert.is(writer.length, 0)
      assert.equal(stateOf(replica), before)
      assert.is(replica.table.rowCount, 2, 'a refused batch leaves no names')
    }
    assert.is(replica.seq, 2)
    increment(replica, [['full', -sign]])
    assert.is(BigInt(valueOf(replica, 'full')), sign * (MAX - 1n))
  }
})

test('the value of full columns is their exact sum, beyond 2^64 too', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', MAX]])
  for (let node = 1; node < 5; node++) merge(replica, increment(replicaOf(node), [['a', MAX]]))
  assert.is(valueOf(replica, 'a'), 5n * MAX)
  for (let node = 5; node < 11; node++) merge(replica, increment(replicaOf(node), [['a', -MAX]]))
  assert.is(valueOf(replica, 'a'), -MAX)
})

test('a small value is a number though its P and N are far beyond 2^53', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', MAX]])
  increment(replica, [['a', -(MAX - 3n)]])
  assert.is(valueOf(replica, 'a'), 3)
})

test('sums of columns that are safe alone and not together are exact', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 2n ** 53n - 1n]])
  merge(replica, increment(replicaOf(1), [['a', 2n ** 53n - 2n]]))
  assert.is(valueOf(replica, 'a'), 2n ** 54n - 3n)
  merge(replica, increment(replicaOf(2), [['a', -(2n ** 53n - 1n)]]))
  assert.is(valueOf(replica, 'a'), 2 ** 53 - 2)
})

test('plus and minus of one name in one batch are both kept', () => {
  const replica = replicaOf(0)
  const batch = batchOf([['a', -5]])
  batch.amounts.set([7, 0, 5, 0])
  const writer = new ByteWriter()
  replica.increment(batch, writer)
  assert.equal(cellsOf(decode(writer.written())).map(lineOf), ['a 0.1 +7 -5 @1'])
  assert.is(valueOf(replica, 'a'), 2)
})

test.run()
