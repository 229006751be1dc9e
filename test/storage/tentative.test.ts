// Tentative writes: which of several under one key stays, when they are settled, and what a batch is in bytes.

import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import {
  decodeBatch,
  encodeBatch,
  opposite,
  type PlacedReply,
  Replica,
  Replies,
  Tentative,
  VersionVector,
} from '../../lib/storage/index.ts'
import { batchOf, decode, HASH, merge, SEED, stateOf, textOf } from './harness.ts'
import { codeOf, keptOf, onceOf, placeOf, replyOf } from './keyed.ts'

const test = suite('storage/tentative')
const TTL_MS = 1000
/** All that was counted, anywhere, is here. */
const isKnown = () => true
const isHere = isKnown
const NO_BATCH = encodeBatch(batchOf([]))

/** The own writes of node 1, of which each has been kept at `at`. */
function tentativeOf() {
  const clock = { nowMs: 0, now: () => clock.nowMs }
  const replies = new Replies({ clock, ttlMs: TTL_MS, max: 100 })
  const tentative = new Tentative(replies, isHere)
  const write = (key: string, seq: number, at = 0): void => {
    clock.nowMs = at
    tentative.add({ kept: replies.add(onceOf(key), replyOf(key), placeOf(1, seq), true), batch: NO_BATCH })
  }
  const hear = (kept: PlacedReply): void => {
    replies.join(kept)
    tentative.heard(kept)
  }
  return { replies, tentative, write, hear, lost: () => tentative.due()[0]?.kept.key }
}

const vectorOf = (node: number, seq: number): VersionVector => {
  const vector = new VersionVector()
  vector.raise({ node, incarnation: 2 }, seq)
  return vector
}

test('of two writes under one key the earlier one stays, and at one time that of the lower node', () => {
  for (const [at, node, loses] of [
    [-1, 2, true],
    [1, 2, false],
    [0, 2, false],
    [0, 0, true],
  ] as const) {
    const { write, hear, lost } = tentativeOf()
    write('k', 5)
    hear(keptOf('k', placeOf(node, 3), { at, tentative: true }))
    assert.is(lost(), loses ? 'k' : undefined, `at ${at} on node ${node}`)
  }
})

test('one that cannot be taken back stays whenever it was made', () => {
  const { write, hear, lost } = tentativeOf()
  write('k', 5)
  hear(keptOf('k', placeOf(2, 3), { at: 500 }))
  assert.is(lost(), 'k')
})

test('another request under the same key, or the same one when the key was forgotten, is another write', () => {
  const { write, hear, lost } = tentativeOf()
  write('k', 5)
  hear(keptOf('k', placeOf(2, 3), { at: -1, content: 'another' }))
  assert.is(lost(), undefined)
  hear(keptOf('k', placeOf(2, 4), { at: -TTL_MS - 1 }))
  assert.is(lost(), undefined)
  hear(keptOf('k', placeOf(2, 5), { at: -TTL_MS }))
  assert.is(lost(), 'k')
})

test('it is found whichever of both is known first, and not compared with itself', () => {
  const { replies, tentative, write, lost } = tentativeOf()
  replies.join(keptOf('k', placeOf(2, 3), { at: -1, tentative: true }))
  write('k', 5)
  assert.is(lost(), 'k')
  tentative.end(tentative.due()[0]!)
  assert.equal([lost(), tentative.size, tentative.bytes], [undefined, 0, 0])
  write('own', 6)
  tentative.heard(replies.find({ ...onceOf('other') }, isKnown) ?? keptOf('own', placeOf(1, 6), { at: 0, tentative: true }))
  assert.is(lost(), undefined)
})

test('it is settled when every other member knows it; what has lost waits until it is withdrawn', () => {
  const { tentative, write, hear } = tentativeOf()
  for (const seq of [3, 5, 9]) write(`k${seq}`, seq)
  hear(keptOf('k3', placeOf(2, 1), { at: -1, tentative: true }))
  const keys = () => Array.from(tentative, ({ kept }) => kept.key)
  tentative.settle([vectorOf(1, 5), vectorOf(1, 2)])
  assert.equal(keys(), ['k3', 'k5', 'k9'])
  tentative.settle([vectorOf(1, 5), vectorOf(1, 8)])
  assert.equal(keys(), ['k3', 'k9'])
  tentative.end(tentative.due()[0]!)
  tentative.settle([])
  assert.equal([keys(), tentative.bytes], [[], 0])
})

test('a log that says that it was withdrawn is believed for that write alone', () => {
  const { tentative, write } = tentativeOf()
  write('k', 5)
  tentative.withdrawn(placeOf(1, 4), 'k')
  tentative.withdrawn(placeOf(2, 5), 'k')
  tentative.withdrawn(placeOf(1, 5), 'other')
  assert.is(tentative.size, 1)
  tentative.withdrawn(placeOf(1, 5), 'k')
  assert.is(tentative.size, 0)
})

test('whoever counts a key, in whatever order they hear of each other: one write stays', () => {
  const writes = fc.uniqueArray(fc.record({ node: fc.integer({ min: 1, max: 5 }), at: fc.integer({ min: 0, max: 3 }) }), {
    selector: ({ node }) => node,
    minLength: 1,
    maxLength: 5,
  })
  const run = fc.record({ writes, fixed: fc.integer({ min: -1, max: 4 }), order: fc.infiniteStream(fc.nat()) })
  fc.assert(
    fc.property(run, ({ writes, fixed, order }) => {
      const records = writes.map(({ node, at }, index) => keptOf('k', placeOf(node, 1), { at, tentative: index !== fixed }))
      const left = records.filter((own) => {
        if (!own.tentative) return true
        const replies = new Replies({ clock: { now: () => 0 }, ttlMs: TTL_MS, max: 100 })
        const tentative = new Tentative(replies, isHere)
        tentative.add({ kept: own, batch: NO_BATCH })
        const others = records.filter((record) => record !== own)
        while (others.length > 0) tentative.heard(others.splice(order.next().value % others.length, 1)[0]!)
        return tentative.due().length === 0
      })
      assert.is(left.length, 1)
    }),
    { seed: SEED, numRuns: 500 },
  )
})

test('a batch comes back from its bytes, and its opposite takes it back', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 9, unit: 'grapheme' }), { maxLength: 40 })
  const amount = fc.bigInt({ min: -(2n ** 64n) + 1n, max: 2n ** 64n - 1n })
  fc.assert(
    fc.property(names, fc.array(amount, { minLength: 40, maxLength: 40 }), (names, amounts) => {
      const batch = batchOf(names.map((name, index) => [name, amounts[index]!] as const))
      const bytes = encodeBatch(batch)
      const back = decodeBatch(new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'batch'), HASH)
      const shown = ({ count, names: bytes, ends, hashes, amounts, subtracts }: typeof back) => ({
        names: textOf(bytes.subarray(0, count === 0 ? 0 : ends[count - 1]!)),
        ends: [...ends.subarray(0, count)],
        hashes: [...hashes.subarray(0, count)],
        amounts: [...amounts.subarray(0, count * 4)],
        subtracts,
      })
      assert.equal(shown(back), shown(batch))
      const replica = new Replica({ self: { node: 1, incarnation: 2 }, hash: HASH, namesMax: 0 })
      replica.increment(back, new ByteWriter())
      replica.increment(opposite(back), new ByteWriter())
      for (const name of names) assert.is(replica.value(new TextEncoder().encode(name)), 0)
    }),
    { seed: SEED, numRuns: 200 },
  )
})

test('a batch that is cut off, or goes on, is refused', () => {
  const bytes = encodeBatch(
    batchOf([
      ['one', 1],
      ['two', -(2n ** 40n)],
    ]),
  )
  const decoded = (bytes: Uint8Array) =>
    codeOf(() => decodeBatch(new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'batch'), HASH))
  assert.is(decoded(bytes), 'none')
  for (let length = 0; length < bytes.length; length++)
    assert.is(decoded(bytes.subarray(0, length)), 'LOG_CORRUPT', `length ${length}`)
  assert.is(decoded(Uint8Array.from([...bytes, 0])), 'LOG_CORRUPT')
  assert.is(decoded(Uint8Array.of(255, 255, 255, 255, 15)), 'LOG_CORRUPT')
})

test('replies go from one replica to the next with what they belong to, and no further than they are not known', () => {
  const clock = { now: () => 0 }
  const replicaOf = (node: number) =>
    new Replica({
      self: { node, incarnation: 2 },
      hash: HASH,
      namesMax: 0,
      replies: new Replies({ clock, ttlMs: TTL_MS, max: 100 }),
    })
  const [one, two, three] = [replicaOf(1), replicaOf(2), replicaOf(3)] as const
  one.increment(batchOf([['a', 1]]), new ByteWriter())
  one.replies.add(onceOf('k'), replyOf('r'), { replica: one.self, seq: one.seq }, true)
  const told = (from: Replica, to: Replica): number => {
    let replies = 0
    for (const { delta } of from.since(to.vector())) {
      replies += decode(delta).replies.length
      merge(to, delta)
    }
    return replies
  }
  assert.equal([told(one, two), told(two, three), told(one, three), told(three, one)], [1, 1, 0, 0])
  assert.equal(three.replies.find(onceOf('k'), isKnown), {
    ...keptOf('k', placeOf(1, 1), { tentative: true }),
    reply: replyOf('r'),
  })
  assert.equal(stateOf(three), stateOf(one))
})

test('an old reply of a write that may be taken back is told all the same', () => {
  const clock = { nowMs: 0, now: () => clock.nowMs }
  const replica = new Replica({
    self: { node: 1, incarnation: 2 },
    hash: HASH,
    namesMax: 0,
    replies: new Replies({ clock, ttlMs: TTL_MS, max: 100 }),
  })
  replica.increment(batchOf([['a', 1]]), new ByteWriter())
  replica.tentative.add({ kept: replica.replies.add(onceOf('k'), replyOf('r'), placeOf(1, 1), true), batch: NO_BATCH })
  const told = () => Array.from(replica.since(new VersionVector()), ({ delta }) => decode(delta).replies.length)
  assert.equal(told().filter(Boolean), [1])
  clock.nowMs = TTL_MS + 1
  assert.equal(told().filter(Boolean), [1])
  replica.tentative.settle([])
  assert.equal(told().filter(Boolean), [])
})

test.run()
