import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { Claims } from '../../lib/storage/claims.ts'
import type { Replica } from '../../lib/storage/index.ts'
import { bytesOf, type Cell, deltasSince, encodeCells, increment, merge, replicaOf, stateOf } from './harness.ts'

const test = suite('storage/claims')

const IMPORTED = { node: 3, incarnation: 0 }
const valueOf = (replica: Replica, name: string) => replica.value(bytesOf(name))
/** A count of the original system, which knows the key of `name` only. */
function imported(name: string, plus: bigint): Cell {
  const key = Buffer.alloc(8)
  key.writeBigUInt64LE(crc64(bytesOf(name)))
  return { name: `#${key.toString('hex')}`, replica: IMPORTED, plus, minus: 0n, seq: 1 }
}

test('a count that is known by its key only is found by every name that has the key, until one of them is counted', () => {
  const replica = replicaOf(0)
  merge(replica, encodeCells([imported('wallabies', 7n)]))
  assert.is(valueOf(replica, 'wallabies'), 7)
  assert.is(valueOf(replica, 'gallabieh'), 7)
  assert.is(valueOf(replica, 'other'), 0)
  increment(replica, [['gallabieh', 1]])
  assert.is(valueOf(replica, 'gallabieh'), 8)
  assert.is(valueOf(replica, 'wallabies'), 0)
  increment(replica, [['wallabies', 100]])
  assert.is(valueOf(replica, 'gallabieh'), 8)
  assert.is(valueOf(replica, 'wallabies'), 100)
})

test('the first of two names with the key claims, also when both were there before the import', () => {
  const replica = replicaOf(0)
  increment(replica, [
    ['wallabies', 1],
    ['gallabieh', 2],
  ])
  merge(replica, encodeCells([imported('gallabieh', 7n), imported('never', 5n)]))
  assert.is(valueOf(replica, 'wallabies'), 8)
  assert.is(valueOf(replica, 'gallabieh'), 2)
  assert.is(valueOf(replica, 'never'), 5)
  const claims = new Claims(replica.table)
  assert.is(claims.count(), 1)
})

test('counts by key merge, repeat without effect, and pass on to other replicas', () => {
  const replica = replicaOf(0)
  const first = encodeCells([imported('a', 7n), { ...imported('a', 3n), replica: { node: 4, incarnation: 0 } }])
  assert.is(merge(replica, first), 2)
  assert.is(merge(replica, first), 0)
  merge(replica, encodeCells([{ ...imported('a', 9n), seq: 2 }]))
  assert.is(valueOf(replica, 'a'), 12)
  assert.is(replica.table.rowCount, 1)
  const other = replicaOf(1)
  for (const delta of deltasSince(replica)) merge(other, delta)
  assert.is(valueOf(other, 'a'), 12)
  assert.equal(
    stateOf(other).filter((line) => line.startsWith('#')),
    stateOf(replica).filter((line) => line.startsWith('#')),
  )
})

test('a name that consists of the eight bytes of a key is another counter than the key', () => {
  const key = encodeCells([{ ...imported('x', 7n), name: '#6162636465666768' }])
  const replica = replicaOf(0)
  merge(replica, key)
  increment(replica, [['abcdefgh', 1]])
  assert.is(valueOf(replica, 'abcdefgh'), 1)
  assert.is(replica.table.rowCount, 2)
})

test('a name without bytes finds nothing, whatever hashes collide', () => {
  const replica = replicaOf(0, { hash: { start: 0, multiplier: 0 } })
  merge(replica, encodeCells([imported('wallabies', 7n)]))
  assert.is(replica.value(new Uint8Array(0)), 0)
})

test('a claimed sum is exact beyond 2^53', () => {
  const replica = replicaOf(0)
  merge(replica, encodeCells([imported('a', 2n ** 64n - 1n)]))
  increment(replica, [['a', 2n ** 64n - 1n]])
  assert.is(valueOf(replica, 'a'), 2n ** 65n - 2n)
  increment(replica, [['a', -(2n ** 64n - 1n)]])
  merge(replica, encodeCells([{ ...imported('a', 0n), minus: 2n ** 64n - 2n, seq: 2 }]))
  assert.is(valueOf(replica, 'a'), 1)
})

test.run()
