import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import type { NameHash } from '../../lib/base/hash.ts'
import { DIGEST_BUCKETS, Replica } from '../../lib/storage/index.ts'
import { bytesOf, type Cell, cellsOf, decode, encodeCells, HASH, merge, SEED } from './harness.ts'

const test = suite('storage/digest')

const OTHER_HASH: NameHash = { start: 0x7654321, multiplier: 0x2c1b3c6d }

function replicaWith(cells: readonly Cell[], hash = HASH, self = { node: 9, incarnation: 1000 }): Replica {
  const replica = new Replica({ self, hash, namesMax: 0 })
  for (let from = 0; from < cells.length; from += 8192) merge(replica, encodeCells(cells.slice(from, from + 8192)))
  return replica
}
function digestsOf(replica: Replica): Uint32Array {
  for (const steps = replica.digests(); ; ) {
    const step = steps.next()
    if (step.done) return step.value
  }
}
function differing(one: Replica, other: Replica): boolean[] {
  const [ours, theirs] = [digestsOf(one), digestsOf(other)]
  assert.is(ours.length, 2 * DIGEST_BUCKETS)
  return Array.from(
    { length: DIGEST_BUCKETS },
    (_, at) => ours[at * 2] !== theirs[at * 2] || ours[at * 2 + 1] !== theirs[at * 2 + 1],
  )
}
const countOf = (buckets: readonly boolean[]): number => buckets.filter(Boolean).length
const cell = (name: string, node: number, plus: number | bigint, minus: number | bigint = 0, seq = 1, incarnation = 5): Cell => ({
  name,
  replica: { node, incarnation },
  plus: BigInt(plus),
  minus: BigInt(minus),
  seq,
})
const keyed = (name: string): string => {
  const key = Buffer.alloc(8)
  key.writeBigUInt64LE(crc64(bytesOf(name)))
  return `#${key.toString('hex')}`
}
const CELLS = Array.from({ length: 3000 }, (_, index) =>
  cell(`name ${index >> 1}`, index % 3, index, index % 7 === 0 ? 2n ** 40n : 0),
)

test('the same cells have the same digests, whatever their order, their numbers and the seed of the table', () => {
  const replica = replicaWith(CELLS)
  assert.is(countOf(differing(replica, replicaWith([...CELLS].reverse(), OTHER_HASH, { node: 4, incarnation: 7 }))), 0)
  assert.is(countOf(differing(replica, replicaWith(CELLS.map((each) => ({ ...each, seq: each.seq + 5 }))))), 0)
  assert.ok(digestsOf(replica).some((word) => word !== 0))
})

for (const [title, change] of [
  ['P', { plus: 1_000_001n }],
  ['high words of P', { plus: 77n + 2n ** 32n }],
  ['N', { minus: 1n }],
  ['high words of N', { minus: 2n ** 33n }],
  ['node', { replica: { node: 6, incarnation: 5 } }],
  ['incarnation', { replica: { node: 2, incarnation: 5 + 2 ** 32 } }],
] as const) {
  test(`another ${title} of one cell changes one bucket, whose cells repair it`, () => {
    const index = 77
    assert.is(CELLS[index]!.replica.node, 2)
    const theirs = replicaWith(CELLS)
    const ours = replicaWith(CELLS.map((each, at) => (at === index ? { ...each, ...change } : each)))
    const buckets = differing(ours, theirs)
    assert.is(countOf(buckets), 1)
    for (const delta of ours.cellsOfBuckets(buckets)) merge(theirs, delta.slice())
    for (const delta of theirs.cellsOfBuckets(buckets)) merge(ours, delta.slice())
    assert.is(countOf(differing(ours, theirs)), 0)
  })
}

test('two cells that have changed places are told apart', () => {
  const one = replicaWith([cell('a', 1, 5), cell('b', 1, 6), cell('a', 2, 7), cell('b', 2, 8)])
  assert.is(countOf(differing(one, replicaWith([cell('a', 1, 6), cell('b', 1, 5), cell('a', 2, 7), cell('b', 2, 8)]))), 2)
  assert.is(countOf(differing(one, replicaWith([cell('a', 1, 7), cell('b', 1, 6), cell('a', 2, 5), cell('b', 2, 8)]))), 1)
})

test('a cell that was lost although the vector covers it is found, repaired and counted', () => {
  const vector = [[{ node: 1, incarnation: 5 }, 3]] as const
  const ours = replicaWith([cell('kept', 1, 1), cell('lost', 1, 5, 0, 2)])
  const theirs = replicaWith([cell('kept', 1, 1)])
  for (const replica of [ours, theirs]) merge(replica, encodeCells([], vector))
  const buckets = differing(ours, theirs)
  const steps = Array.from(ours.cellsOfBuckets(buckets), (delta) => delta.slice())
  assert.equal(
    steps.flatMap((delta) => cellsOf(decode(delta))).map(({ name }) => name),
    ['lost'],
  )
  for (const delta of steps) merge(theirs, delta)
  assert.is(theirs.value(bytesOf('lost')), 5)
  assert.is(theirs.hiddenCells, 1)
  assert.is(countOf(differing(ours, theirs)), 0)
})

test('what both have folded is equal, in whatever order it came', () => {
  const lives = [2, 3, 4].flatMap((incarnation) =>
    ['a', 'b', keyed('c')].map((name) => cell(name, 1, incarnation, 1, 1, incarnation)),
  )
  const [one, other] = [lives, [...lives].reverse()].map((cells) => {
    const replica = replicaWith(cells)
    for (const _ of replica.fold(1, 4));
    return replica
  }) as [Replica, Replica]
  assert.is(countOf(differing(one, other)), 0)
  assert.ok(countOf(differing(one, replicaWith(lives))) > 0)
})

test('rows without a name count, and are not the named ones of the same key', () => {
  const replica = replicaWith([cell(keyed('a'), 1, 5)])
  assert.is(countOf(differing(replica, replicaWith([cell(keyed('a'), 1, 5)], OTHER_HASH))), 0)
  const named = replicaWith([cell('a', 1, 5)])
  const buckets = differing(replica, named)
  assert.is(countOf(buckets), 1)
  for (const delta of replica.cellsOfBuckets(buckets)) merge(named, delta.slice())
  assert.is(named.value(bytesOf('a')), 10)
})

test('with many columns and long names a step stays small', () => {
  const long = (index: number): string => `${index}`.padEnd(60_000, 'x')
  const cells = [
    ...Array.from({ length: 100 }, (_, index) => cell(long(index), index % 3, 1)),
    ...Array.from({ length: 400 }, (_, node) => cell('many', node, node)),
    ...Array.from({ length: 2000 }, (_, index) => cell(`short ${index}`, index % 400, 1)),
  ]
  const replica = replicaWith(cells)
  let steps = 0
  for (const _ of replica.digests()) steps++
  // 6 MB of names, a megabyte a step; 2,001 rows of 401 columns, 65,536 cells a step.
  assert.ok(steps >= 17, `${steps} steps`)
  const copy = replicaWith([])
  let longest = 0
  for (const delta of replica.cellsOfBuckets(new Array<boolean>(DIGEST_BUCKETS).fill(true))) {
    longest = Math.max(longest, delta.length)
    merge(copy, delta.slice())
  }
  assert.ok(longest < 3 * 2 ** 20, `${longest} bytes`)
  assert.is(countOf(differing(replica, copy)), 0)
  assert.is(copy.value(bytesOf('many')), (400 * 399) / 2)
})

test('digests are equal exactly when the counts are, for random cells', () => {
  const random = fc.record({
    name: fc.constantFrom('a', 'b', 'wallabies', keyed('a'), 'gallabieh'),
    replica: fc.record({ node: fc.nat({ max: 2 }), incarnation: fc.constantFrom(2, 3, 2 ** 40) }),
    plus: fc.oneof(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    minus: fc.constantFrom(0n, 0n, 1n, 2n ** 32n),
    seq: fc.integer({ min: 1, max: 4 }),
  })
  const cells = fc.array(random, { maxLength: 6 })
  /** Counts above zero, by name and replica. */
  const countsOf = (list: readonly Cell[]): string => {
    const counts = new Map<string, [bigint, bigint]>()
    for (const { name, replica, plus, minus } of list) {
      const key = `${name} ${replica.node} ${replica.incarnation}`
      const [oldPlus, oldMinus] = counts.get(key) ?? [0n, 0n]
      counts.set(key, [plus > oldPlus ? plus : oldPlus, minus > oldMinus ? minus : oldMinus])
    }
    return [...counts]
      .filter(([, [plus, minus]]) => plus + minus > 0n)
      .map(String)
      .sort()
      .join()
  }
  fc.assert(
    fc.property(cells, cells, fc.boolean(), (left, right, same) => {
      const other = same ? [...left].reverse() : right
      const [one, two] = [replicaWith(left), replicaWith(other, OTHER_HASH)]
      const buckets = differing(one, two)
      assert.is(countOf(buckets) === 0, countsOf(left) === countsOf(other))
      for (const delta of one.cellsOfBuckets(buckets)) merge(two, delta.slice())
      for (const delta of two.cellsOfBuckets(buckets)) merge(one, delta.slice())
      assert.is(countOf(differing(one, two)), 0)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test.run()
