// The laws of a join of items, on 50,000 triples of deltas. Triples are checked 25 at a time in one set of replicas, each under ids and tenants
// of its own. Stamps, nodes, incarnations, numbers and tenants are drawn from few values so that they meet, and every tie is decided.
// time limit: 500 s

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Replica } from '../../lib/storage/index.ts'
import { STAMP_MAX } from '../../lib/storage/item-delta.ts'
import { bytesOf, decode, deltasSince, itemLinesOf, merge, replicaOf, SEED, varint } from './harness.ts'

const test = suite('storage/item-laws')

const RUNS = Number(process.env.RUNS ?? 2000)
const TRIPLES = 25

interface Change {
  readonly id: string
  readonly tenant: string | undefined
  readonly stamp: number
  readonly node: number
  readonly incarnation: number
  readonly seq: number
}

const change = fc.record({
  id: fc.constantFrom('a', 'b', '__proto__'),
  tenant: fc.constantFrom('red', 'redder', 'ü', undefined),
  stamp: fc.constantFrom(1, 2, 2 ** 32 - 1, 2 ** 32, STAMP_MAX),
  node: fc.constantFrom(0, 1, 2 ** 31 - 1),
  incarnation: fc.constantFrom(2, 3, 2 ** 52 - 1),
  seq: fc.constantFrom(1, 2, 2 ** 32, 2 ** 52 - 1),
})
const changes = fc.array(change, { minLength: 1, maxLength: 3 })
const triples = fc.array(fc.tuple(changes, changes, changes), { minLength: TRIPLES, maxLength: TRIPLES })
type Triple = [Change[], Change[], Change[]]

/** The changes of the part `at` of all triples, each triple under names of its own. */
const partOf = (list: readonly Triple[], at: number): Change[] =>
  list.flatMap((triple, index) =>
    triple[at]!.map((each) => ({ ...each, id: `${index} ${each.id}`, tenant: each.tenant && `${index} ${each.tenant}` })),
  )

/** Writes the format by its description alone: a part an item, everything in full. */
function encode(list: readonly Change[]): Uint8Array {
  const out: number[] = [2]
  for (const { id, tenant, stamp, node, incarnation, seq } of list) {
    const [name, of] = [bytesOf(id), tenant === undefined ? undefined : bytesOf(tenant)]
    out.push(3, 0, 1, ...varint(node), ...varint(incarnation))
    out.push(...(of ? [1, ...varint(of.length), ...of] : [0]), 1, ...varint(name.length), ...name)
    out.push(...varint(BigInt(seq) * 2n), ...varint(BigInt(stamp) * 2n), of ? 1 : 0)
  }
  return Uint8Array.from(out)
}

/** Above 0 when the first is the later; docs/FORMATS.md, section 1. */
function compare(one: Change, other: Change): number {
  const places = one.stamp - other.stamp || one.node - other.node || one.incarnation - other.incarnation || one.seq - other.seq
  if (places !== 0 || one.tenant === other.tenant) return places
  if (one.tenant === undefined || other.tenant === undefined) return one.tenant === undefined ? 1 : -1
  return Buffer.compare(bytesOf(one.tenant), bytesOf(other.tenant))
}

/** The naive join: how many of the changes were news. */
function join(model: Map<string, Change>, list: readonly Change[]): number {
  let news = 0
  for (const each of list) {
    const before = model.get(each.id)
    if (before !== undefined && compare(each, before) <= 0) continue
    model.set(each.id, each)
    news++
  }
  return news
}

const linesOf = (replica: Replica): string[] =>
  deltasSince(replica)
    .flatMap((delta) => itemLinesOf(decode(delta)))
    .sort()

const lineOf = ({ id, tenant, stamp, node, incarnation, seq }: Change): string =>
  `item ${id} ${tenant === undefined ? 'deleted' : `of ${tenant}`} ${node}.${incarnation} @${seq} ${stamp} us`

test(`merge of items commutes, associates, repeats without effect and counts only news, for ${RUNS * TRIPLES} triples`, () => {
  fc.assert(
    fc.property(triples, (list) => {
      const parts = [0, 1, 2].map((at) => partOf(list, at))
      const [x, y, z] = parts.map(encode) as [Uint8Array, Uint8Array, Uint8Array]
      const model = new Map<string, Change>()
      const expectedNews = parts.map((part) => join(model, part))

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

      const state = linesOf(left)
      assert.equal(linesOf(right), state)
      assert.equal(state, [...model.values()].map(lineOf).sort())
      const counts = new Map<string, number>()
      for (const { tenant } of model.values()) if (tenant !== undefined) counts.set(tenant, (counts.get(tenant) ?? 0) + 1)
      for (const replica of [left, right]) {
        for (const tenant of new Set(parts.flat().map((each) => each.tenant))) {
          if (tenant !== undefined) assert.is(replica.items.countOf(tenant), counts.get(tenant) ?? 0, tenant)
        }
        assert.is(replica.items.live, [...model.values()].filter(({ tenant }) => tenant !== undefined).length)
      }
    }),
    { seed: SEED, numRuns: RUNS },
  )
})

test.run()
