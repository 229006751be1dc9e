// Vectors: what covers what, how far one is behind another, and their bytes.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { decodeVector, encodeVector, LIST_INCARNATIONS, SLOT_BASE, SLOTS_MAX, VersionVector } from '../../lib/storage/index.ts'
import { varint } from './harness.ts'

const test = suite('storage/vector')

/** `1.2:7` is node 1, incarnation 2, up to 7. */
function vectorOf(...entries: string[]): VersionVector {
  const vector = new VersionVector()
  for (const entry of entries) {
    const [node, incarnation, seq] = entry.split(/[.:]/).map(Number)
    vector.raise({ node: node!, incarnation: incarnation! }, seq!)
  }
  return vector
}

const read = (bytes: ArrayLike<number>): VersionVector =>
  decodeVector(new ByteReader(Uint8Array.from(bytes), 0, bytes.length, 'SYNC_INVALID', 'vector'))

const written = (vector: VersionVector): Uint8Array => {
  const writer = new ByteWriter()
  encodeVector(writer, vector)
  return writer.written()
}

test('a vector covers another, equals it, or lacks some of its changes', () => {
  //  mine                 theirs               covers  equals  mine beyond theirs
  const cases: [string[], string[], boolean, boolean, number][] = [
    [[], [], true, true, 0],
    [['1.2:5'], [], true, false, 5],
    [[], ['1.2:5'], false, false, 0],
    [['1.2:5'], ['1.2:5'], true, true, 0],
    [['1.2:6'], ['1.2:5'], true, false, 1],
    [['1.2:5'], ['1.3:5'], false, false, 5],
    [['1.2:9', '2.2:1'], ['1.2:5', '2.2:8', '3.2:1'], false, false, 4],
    [['1.2:9', '2.2:1'], ['2.2:1', '1.2:9'], true, true, 0],
    [['1.2:0'], [], true, true, 0],
  ]
  for (const [mine, theirs, covers, equals, beyond] of cases) {
    const what = `${mine} and ${theirs}`
    assert.is(vectorOf(...mine).covers(vectorOf(...theirs)), covers, what)
    assert.is(vectorOf(...mine).equals(vectorOf(...theirs)), equals, what)
    assert.is(vectorOf(...mine).changesBeyond(vectorOf(...theirs)), beyond, what)
  }
})

test('the greatest incarnation of a node does not count those that were made of lists', () => {
  const vector = vectorOf('1.2:5', '1.9:1', '2.70:1')
  vector.raise({ node: 1, incarnation: LIST_INCARNATIONS + 5 }, 1)
  assert.equal(
    [1, 2, 3].map((node) => vector.incarnationOf(node)),
    [9, 70, 0],
  )
})

test('a vector comes back from its bytes, with the node ids of slots', () => {
  for (const vector of [vectorOf(), vectorOf('0.0:1', '2147483647.9007199254740991:4503599627370495', '7.3:128')]) {
    vector.raise({ node: SLOT_BASE, incarnation: 5 }, 1)
    vector.raise({ node: SLOT_BASE + SLOTS_MAX - 1, incarnation: 5 }, 9)
    assert.ok(read(written(vector)).equals(vector))
  }
  assert.equal([...written(vectorOf('1.2:5'))], [1, 1, 2, 5])
})

test('a vector that is cut anywhere, too long for its bytes or out of range is refused', () => {
  const whole = written(vectorOf('1.2:5', '300.200000:70000'))
  const wrong: ArrayLike<number>[] = Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length))
  wrong.push([2, 1, 2, 5, 1, 2])
  wrong.push([...varint(2 ** 50), 1, 2, 5])
  wrong.push([1, ...varint(SLOT_BASE + SLOTS_MAX), 2, 5], [1, ...varint(2 ** 40), 2, 5])
  wrong.push([1, 1, ...varint(2n ** 53n), 5], [1, 1, 2, ...varint(2 ** 52)])
  for (const bytes of wrong) {
    assert.throws(
      () => read(bytes),
      (error: unknown) => error instanceof CounterError && error.code === 'SYNC_INVALID',
      `${bytes}`,
    )
  }
})

test.run()
