// The laws of a join, on 50,000 triples of deltas. Triples are checked 25 at a time in one set of replicas, each under names of
// its own, because a replica takes a megabyte. Counts, seqs and replicas are drawn from few values so that they meet.
// time limit: 500 s

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { VersionVector } from '../../lib/storage/index.ts'
import { type Cell, deltasSince, encodeCells, merge, replicaOf, SEED, stateOf } from './harness.ts'

const test = suite('storage/laws')

const RUNS = 2000
const TRIPLES = 25

const count = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
)
const cell = fc.record({
  name: fc.constantFrom('a', 'b', 'wallabies', 'gallabieh'),
  replica: fc.constantFrom({ node: 0, incarnation: 1 }, { node: 1, incarnation: 1 }, { node: 1, incarnation: 2 }),
  plus: count,
  minus: fc.oneof(fc.constant(0n), count),
  seq: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 52 - 1)),
})
const cells = fc.array(cell, { minLength: 1, maxLength: 3 })
const triples = fc.array(fc.tuple(cells, cells, cells), { minLength: TRIPLES, maxLength: TRIPLES })

type Triple = [Cell[], Cell[], Cell[]]

/** One delta of the part `at` of all triples. */
function deltaOf(list: readonly Triple[], at: number): Uint8Array {
  return encodeCells(list.flatMap((triple, index) => triple[at]!.map((each) => ({ ...each, name: `${index}${each.name}` }))))
}

/** The naive join: how many cells of the delta change the map. */
function join(state: Map<string, readonly bigint[]>, part: readonly Cell[], index: number): number {
  let news = 0
  for (const { name, replica, plus, minus, seq } of part) {
    const key = `${index}${name} ${replica.node}.${replica.incarnation}`
    const old = state.get(key) ?? [0n, 0n, 0n]
    const joined = [plus, minus, BigInt(seq)].map((value, at) => (value > old[at]! ? value : old[at]!))
    if (joined.some((value, at) => value > old[at]!)) news++
    state.set(key, joined)
  }
  return news
}

test(`merge commutes, associates, repeats without effect and counts only news, for ${RUNS * TRIPLES} triples`, () => {
  fc.assert(
    fc.property(triples, (list) => {
      const [x, y, z] = [0, 1, 2].map((at) => deltaOf(list, at)) as [Uint8Array, Uint8Array, Uint8Array]
      const oracle = new Map<string, readonly bigint[]>()
      const expectedNews = [0, 1, 2].map((at) => list.reduce((sum, triple, index) => sum + join(oracle, triple[at]!, index), 0))

      // (x ⊔ y) ⊔ z, in order, repeated.
      const left = replicaOf(9)
      assert.equal([merge(left, x), merge(left, y), merge(left, z)], expectedNews)
      assert.equal([merge(left, y), merge(left, x), merge(left, z)], [0, 0, 0])

      // x ⊔ (y ⊔ z): the bracket is a replica of its own, handed over as its deltas.
      const bracket = replicaOf(9)
      merge(bracket, z)
      merge(bracket, y)
      const right = replicaOf(9)
      for (const delta of deltasSince(bracket)) merge(right, delta)
      merge(right, x)

      const state = stateOf(left)
      assert.equal(stateOf(right), state)
      const naive = [...oracle].map(([key, [plus, minus, seq]]) => `${key} +${plus} -${minus} @${seq}`)
      assert.equal(state, naive.sort())
    }),
    { seed: SEED, numRuns: RUNS },
  )
})

test('vectors commute, associate and repeat without effect', () => {
  const entries = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 2 ** 30 })), { maxLength: 4 })
  const vectorOf = (list: readonly (readonly [number, number])[]) => {
    const vector = new VersionVector()
    for (const [node, seq] of list) vector.raise({ node, incarnation: 1 }, seq)
    return vector
  }
  const linesOf = (vector: VersionVector) => [...vector].map(({ replica, seq }) => `${replica.node} ${seq}`).sort()
  const joined = (...vectors: VersionVector[]) => {
    const sum = new VersionVector()
    for (const vector of vectors) sum.merge(vector)
    return sum
  }
  fc.assert(
    fc.property(entries, entries, entries, (first, second, third) => {
      const [x, y, z] = [vectorOf(first), vectorOf(second), vectorOf(third)]
      const all = linesOf(joined(x, y, z))
      assert.equal(linesOf(joined(z, y, x)), all)
      assert.equal(linesOf(joined(x, joined(y, z))), all)
      assert.equal(linesOf(joined(x, y, z, y, x)), all)
    }),
    { seed: SEED, numRuns: 5000 },
  )
})

test.run()
