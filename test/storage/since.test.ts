// The answer to what is new: its cost, its steps, and how it goes on after it was cut off.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { type Replica, type SinceStart, VersionVector } from '../../lib/storage/index.ts'
import { cellsOf, decode, deltasSince, increment, lineOf, merge, replicaOf, SEED, stateOf } from './harness.ts'

const test = suite('storage/since')
const CHUNK_ROWS = 16_384

const numbered = (from: number, to: number, delta = 1) =>
  Array.from({ length: to - from }, (_, index) => [`n${from + index}`, delta] as const)

/** Lets `action` run and returns how many cells of the replica's first column were looked at: reads of the upper word of a seq. */
function looksDuring(replica: Replica, action: () => void): number {
  const { cells } = replica.columns[0]!
  const before = [...cells]
  let looks = 0
  const watch: ProxyHandler<Uint32Array> = {
    get(target, property) {
      if (typeof property === 'string' && Number(property) % 4 === 3) looks++
      return Reflect.get(target, property, target)
    },
  }
  for (const [at, chunk] of before.entries()) cells[at] = chunk && new Proxy(chunk, watch)
  action()
  for (const [at, chunk] of before.entries()) cells[at] = chunk
  return looks
}

test('after few changes in many rows, few rows are looked at', () => {
  const replica = replicaOf(0)
  increment(replica, numbered(0, 200_000))
  const known = replica.vector()
  increment(replica, [
    ['n5', 1],
    ['n100000', 1],
    ['n199999', 1],
  ])
  let given = 0
  const looks = looksDuring(replica, () => {
    given = deltasSince(replica, known).reduce((sum, delta) => sum + decode(delta).cellCount, 0)
  })
  assert.is(given, 3)
  assert.ok(looks >= 3 && looks <= 3 * 256 + 3, `${looks} cells were looked at`)
  const all = looksDuring(replica, () => deltasSince(replica))
  assert.ok(all >= 200_000, `the count counts: ${all}`)
  assert.is(
    looksDuring(replica, () => deltasSince(replica, replica.vector())),
    0,
  )
})

test('changes that came by a merge are found as those that were counted', () => {
  const source = replicaOf(1)
  const replica = replicaOf(0)
  merge(replica, increment(source, numbered(0, 40_000)))
  const known = new VersionVector()
  known.raise(source.self, 1)
  merge(replica, increment(source, [['n33333', 5]]))
  merge(replica, increment(source, [['n40000', 5]]))
  assert.equal(
    deltasSince(replica, known).flatMap((delta) => cellsOf(decode(delta)).map(lineOf)),
    ['n33333 1.1 +6 -0 @2', 'n40000 1.1 +5 -0 @3'],
  )
})

test('few changes in many chunks are one step', () => {
  const replica = replicaOf(0)
  increment(replica, numbered(0, 10 * CHUNK_ROWS))
  const known = replica.vector()
  increment(
    replica,
    Array.from({ length: 10 }, (_, chunk) => [`n${chunk * CHUNK_ROWS + 7}`, 1] as const),
  )
  const deltas = deltasSince(replica, known)
  assert.equal(
    deltas.map((delta) => decode(delta).cellCount),
    [10, 0],
  )
})

test('what is known is read at the beginning', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 1]])
  const known = new VersionVector()
  const steps = replica.since(known)
  known.raise(replica.self, 1)
  assert.is(decode(steps.next().value!.delta).cellCount, 1)
})

test('an answer that was cut off goes on where its last step says, and ends with the vector of its beginning', () => {
  const random = seededRandom(SEED)
  for (let run = 0; run < 6; run++) {
    const source = replicaOf(0)
    increment(source, numbered(0, 2 * CHUNK_ROWS + 9000))
    for (let node = 1; node < 4; node++) {
      merge(source, increment(replicaOf(node), numbered(node * 9000, node * 9000 + 12_000)))
    }
    const target = replicaOf(9)
    const beginning = source.vector()
    let start: SinceStart | undefined
    let whole = false
    let given = 0
    for (let attempt = 0; !whole; attempt++) {
      let steps = 1 + (random.uint32() % 4)
      whole = true
      for (const { delta, nextChunk } of source.since(target.vector(), start)) {
        if (steps-- === 0) {
          whole = false
          break
        }
        const decoded = decode(delta.slice())
        given += decoded.cellCount
        target.merge(decoded)
        start = { chunk: nextChunk, vector: beginning }
        if (decoded.vector) assert.ok(decoded.vector.equals(beginning))
        // What is counted meanwhile is not promised by the vector of the beginning.
        increment(source, [
          ['n3', 1],
          [`n${2 * CHUNK_ROWS}`, 1],
          ['late', 1],
        ])
      }
      assert.ok(attempt < 100, 'it comes to an end')
    }
    const cells = 2 * CHUNK_ROWS + 9000 + 3 * 12_000
    assert.ok(given < cells * 1.2, `${given} cells were given for ${cells}`)
    for (const delta of deltasSince(source, target.vector())) merge(target, delta)
    assert.equal(stateOf(target), stateOf(source))
  }
})

test('a start beyond all rows gives the vector alone', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 1]])
  const vector = new VersionVector()
  for (const chunk of [1, 2 ** 23, 2 ** 24, 2 ** 40, 2 ** 52]) {
    const steps = [...replica.since(new VersionVector(), { chunk, vector })].map(({ delta }) => decode(delta.slice()))
    assert.equal(
      steps.map(({ cellCount }) => cellCount),
      [0],
    )
  }
})

test.run()
