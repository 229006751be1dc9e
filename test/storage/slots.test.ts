import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { FOLDED, type HeardTotals, type Replica, SLOT_BASE, VersionVector } from '../../lib/storage/index.ts'
import { collidingNames } from '../support/collisions.ts'
import { bytesOf, type Cell, deltasSince, encodeCells, increment, merge, replicaOf, SEED, stateOf } from './harness.ts'

const test = suite('storage/slots')

const MAX = 2n ** 64n - 1n
const valueOf = (replica: Replica, name: string) => replica.value(bytesOf(name))
const keyOf = (name: string): bigint => crc64(bytesOf(name))
const nobody = (): boolean => false

function keyName(key: bigint): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(key)
  return `#${bytes.toString('hex')}`
}

type Said = readonly [name: string, slot: number, total: number | bigint]

function totalsOf(said: readonly Said[]): HeardTotals {
  const words = (values: bigint[]) =>
    Uint32Array.from(values.flatMap((value) => [Number(value & 0xffff_ffffn), Number(value >> 32n)]))
  return {
    count: said.length,
    keys: words(said.map(([name]) => keyOf(name))),
    slots: Uint32Array.from(said, ([, slot]) => slot),
    words: words(said.map(([, , total]) => BigInt(total))),
  }
}

/** Lets the replica hear this; how many were news. */
function hear(replica: Replica, said: readonly Said[], isOurs: (node: number) => boolean = nobody): number {
  const { delta, news } = replica.hear(totalsOf(said), isOurs)
  assert.is(delta === undefined ? 0 : merge(replica, delta), news)
  return news
}

/** What would be told to an original, by key. */
function told(replica: Replica, known = new VersionVector()): Map<bigint, bigint[]> {
  const all = new Map<bigint, bigint[]>()
  for (const { count, keys, ends, slots, words } of replica.changedTotals(known)) {
    for (let index = 0; index < count; index++) {
      const key = (BigInt(keys[index * 2 + 1]!) << 32n) | BigInt(keys[index * 2]!)
      assert.not(all.has(key), 'a key comes once')
      const totals: bigint[] = []
      for (let at = index === 0 ? 0 : ends[index - 1]!; at < ends[index]!; at++) {
        while (totals.length < slots[at]!) totals.push(0n)
        totals.push((BigInt(words[at * 2 + 1]!) << 32n) | BigInt(words[at * 2]!))
      }
      all.set(key, totals)
    }
  }
  return all
}

const cell = (name: string, node: number, incarnation: number, plus: bigint | number, seq = 1): Cell => ({
  name,
  replica: { node, incarnation },
  plus: BigInt(plus),
  minus: 0n,
  seq,
})

test('what is heard of a slot counts for the name with the key, beside what is counted here', () => {
  const replica = replicaOf(0)
  increment(replica, [['wallabies', 1]])
  assert.is(
    hear(replica, [
      ['wallabies', 1, 5],
      ['wallabies', 3, 7],
      ['fresh', 1, 2],
    ]),
    3,
  )
  assert.is(valueOf(replica, 'wallabies'), 13)
  assert.is(valueOf(replica, 'gallabieh'), 0)
  assert.is(valueOf(replica, 'fresh'), 2)
  increment(replica, [
    ['gallabieh', 100],
    ['fresh', 1],
  ])
  assert.is(valueOf(replica, 'wallabies'), 13)
  assert.is(valueOf(replica, 'gallabieh'), 100)
  assert.is(valueOf(replica, 'fresh'), 3)
})

test('only what is more than what was heard before is news', () => {
  const replica = replicaOf(0)
  hear(replica, [['a', 1, 5]])
  const before = stateOf(replica)
  assert.is(
    hear(replica, [
      ['a', 1, 5],
      ['a', 1, 3],
    ]),
    0,
  )
  assert.equal(stateOf(replica), before)
  assert.is(
    hear(replica, [
      ['a', 1, 6],
      ['a', 2, 1],
    ]),
    2,
  )
  assert.is(valueOf(replica, 'a'), 7)
})

test('a slot that two nodes have heard counts once, by the greater', () => {
  const [first, second] = [replicaOf(0), replicaOf(1)]
  hear(first, [['a', 7, 5]])
  second.become({ node: 1, incarnation: 9 })
  hear(second, [['a', 7, 6]])
  for (const delta of deltasSince(first)) merge(second, delta)
  for (const delta of deltasSince(second)) merge(first, delta)
  assert.is(valueOf(first, 'a'), 6)
  assert.is(valueOf(second, 'a'), 6)
  assert.is(hear(first, [['a', 7, 6]]), 0)
})

test('each thing heard has the next number of its slot, and the vector knows it', () => {
  const replica = replicaOf(0)
  hear(replica, [
    ['a', 1, 5],
    ['b', 1, 6],
    ['a', 2, 1],
  ])
  hear(replica, [['a', 1, 9]])
  const known = replica.vector()
  assert.is(known.get({ node: SLOT_BASE + 1, incarnation: 1 }), 2)
  assert.is(known.get({ node: SLOT_BASE + 2, incarnation: 1 }), 1)
  const other = replicaOf(5)
  for (const delta of deltasSince(replica)) merge(other, delta)
  assert.is(valueOf(other, 'a'), 10)
  assert.is(deltasSince(replica, other.vector()).length, 1, 'nothing but the vector')
  assert.is(other.hiddenCells, 0)
})

test('what is said of nodes of this cluster is an echo', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 5]])
  assert.is(
    hear(
      replica,
      [
        ['a', 0, 100],
        ['a', 2, 100],
      ],
      (node) => node === 2,
    ),
    0,
  )
  assert.is(
    replica.hear(
      totalsOf([
        ['a', 0, 100],
        ['a', 2, 100],
      ]),
      (node) => node === 2,
    ).echoes,
    2,
  )
  assert.is(valueOf(replica, 'a'), 5)
})

test('a node of the original whose file was imported goes on from there', () => {
  const replica = replicaOf(0)
  merge(replica, encodeCells([cell(keyName(keyOf('a')), 3, 0, 40)]))
  assert.is(hear(replica, [['a', 3, 42]]), 1)
  assert.is(valueOf(replica, 'a'), 42)
  assert.is(hear(replica, [['b', 3, 1]]), 1)
  merge(replica, encodeCells([cell(keyName(keyOf('b')), 3, 0, 4)]))
  assert.is(valueOf(replica, 'b'), 4)
})

test('an echo that was heard before its node was known counts by the greater', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 1]])
  hear(replica, [['a', 4, 10]])
  merge(replica, encodeCells([cell('a', 4, 7, 10), cell('a', 4, 9, 2)]))
  assert.is(valueOf(replica, 'a'), 13)
})

test('cells that a folded one includes do not count beside it', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 1]])
  hear(replica, [['a', 4, 3]])
  merge(replica, encodeCells([cell('a', 4, 7, 10)]))
  assert.is(valueOf(replica, 'a'), 11)
  const known = told(replica).get(keyOf('a'))
  merge(replica, encodeCells([cell('a', 4, FOLDED, 10, 7)]))
  assert.equal(told(replica).get(keyOf('a')), known)
})

test('sums with slots are exact beyond 2^53', () => {
  const replica = replicaOf(0)
  increment(replica, [['a', 2n ** 63n]])
  hear(replica, [
    ['a', 1, MAX],
    ['a', 2, 2n ** 53n + 1n],
  ])
  assert.is(valueOf(replica, 'a'), 2n ** 63n + MAX + 2n ** 53n + 1n)
  merge(replica, encodeCells([cell('a', 2, 0, 2n ** 53n)]))
  assert.is(valueOf(replica, 'a'), 2n ** 63n + MAX + 2n ** 53n + 1n)
  assert.is(
    hear(replica, [
      ['a', 2, 2n ** 53n + 1n],
      ['a', 1, MAX],
    ]),
    0,
  )
  assert.equal(told(replica).get(keyOf('a')), [2n ** 63n, MAX, 2n ** 53n + 1n])
})

test('each node has one total a key, over its lives, or what was heard of it', () => {
  const replica = replicaOf(0)
  increment(replica, [
    ['a', 5],
    ['b', 1],
  ])
  increment(replica, [['a', -2]])
  merge(replica, encodeCells([cell('a', 2, 7, 3), cell('a', 2, 8, 4), cell('a', 1, 0, 6), cell('a', 100_000, 7, 1)]))
  hear(replica, [
    ['a', 1, 8],
    ['c', 4, 2],
  ])
  assert.equal(
    told(replica),
    new Map([
      [keyOf('a'), [5n, 8n, 7n]],
      [keyOf('b'), [1n]],
      [keyOf('c'), [0n, 0n, 0n, 0n, 2n]],
    ]),
  )
})

test('names with one key are told as one', () => {
  const replica = replicaOf(0)
  increment(replica, [
    ['wallabies', 5],
    ['gallabieh', 7],
  ])
  hear(replica, [['wallabies', 1, 4]])
  assert.equal(told(replica), new Map([[keyOf('wallabies'), [12n, 4n]]]))
  const known = replica.vector()
  increment(replica, [['gallabieh', 1]])
  assert.equal(told(replica, known), new Map([[keyOf('wallabies'), [13n, 4n]]]))
  assert.equal(told(replica, replica.vector()), new Map())
})

test('thousands of names with one key are told as one, without going through them for each', () => {
  const replica = replicaOf(0)
  const names = collidingNames().slice(0, 20_000)
  increment(
    replica,
    names.map((name) => [name, 2]),
  )
  assert.equal(told(replica), new Map([[keyOf(names[0]!), [40_000n]]]))
})

test('only keys with a change are told', () => {
  const replica = replicaOf(0)
  increment(
    replica,
    Array.from({ length: 40_000 }, (_, number) => [`w${number}`, 1]),
  )
  assert.is(told(replica).size, 40_000)
  const known = replica.vector()
  increment(replica, [
    ['w7', 1],
    ['w39999', 1],
  ])
  hear(replica, [['w20000', 3, 9]])
  assert.equal(
    told(replica, known),
    new Map([
      [keyOf('w7'), [2n]],
      [keyOf('w20000'), [1n, 0n, 0n, 9n]],
      [keyOf('w39999'), [2n]],
    ]),
  )
})

test('a sum beyond 2^64 - 1 is told as that', () => {
  const replica = replicaOf(0)
  merge(replica, encodeCells([cell('a', 2, 7, MAX), cell('a', 2, 8, 5)]))
  assert.equal(told(replica).get(keyOf('a')), [0n, 0n, MAX])
})

test('whatever is counted and heard in whatever order, values and totals are those of a plain reckoning', () => {
  const names = ['a', 'b', 'wallabies', 'gallabieh']
  const step = fc.oneof(
    fc.record({ kind: fc.constant('count' as const), name: fc.constantFrom(...names), node: fc.nat(1), plus: fc.nat(5) }),
    fc.record({
      kind: fc.constant('hear' as const),
      name: fc.constantFrom(...names),
      slot: fc.integer({ min: 2, max: 4 }),
      total: fc.integer({ min: 1, max: 20 }),
    }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, late) => {
      const replicas = [replicaOf(0), replicaOf(1)]
      // Slots are told apart by the hearer's incarnation alone, and 1 is that of a folded column.
      replicas[0]!.become({ node: 0, incarnation: 3 })
      replicas[1]!.become({ node: 1, incarnation: 2 })
      const order: string[] = []
      const real = new Map<string, bigint[]>()
      const heard = new Map<bigint, bigint[]>()
      const exchange = (): void => {
        for (const [from, to] of [
          [0, 1],
          [1, 0],
        ] as const) {
          for (const delta of deltasSince(replicas[from]!, replicas[to]!.vector())) merge(replicas[to]!, delta)
        }
      }
      for (const each of steps) {
        if (each.kind === 'count') {
          increment(replicas[each.node]!, [[each.name, each.plus]])
          if (!order.includes(each.name)) order.push(each.name)
          const sums = real.get(each.name) ?? [0n, 0n]
          sums[each.node]! += BigInt(each.plus)
          real.set(each.name, sums)
        } else {
          hear(replicas[each.total % 2]!, [[each.name, each.slot, each.total]])
          const totals = heard.get(keyOf(each.name)) ?? [0n, 0n, 0n]
          const at = each.slot - 2
          if (BigInt(each.total) > totals[at]!) totals[at] = BigInt(each.total)
          heard.set(keyOf(each.name), totals)
        }
        if (!late) exchange()
      }
      exchange()
      if (!late) {
        // With one order of arrival, the first name has what is known by its key.
        for (const name of order) {
          const first = order.find((other) => keyOf(other) === keyOf(name))
          const sum = [...(real.get(name) ?? []), ...(first === name ? (heard.get(keyOf(name)) ?? []) : [])].reduce(
            (a, b) => a + b,
            0n,
          )
          for (const replica of replicas) assert.is(BigInt(valueOf(replica, name)), sum, name)
        }
      }
      const expected = new Map<bigint, bigint[]>()
      for (const name of names) {
        const totals = [0n, 0n, ...(heard.get(keyOf(name)) ?? [])]
        for (const other of names) {
          if (keyOf(other) !== keyOf(name)) continue
          real.get(other)?.forEach((plus, node) => {
            totals[node]! += plus
          })
        }
        while (totals.at(-1) === 0n) totals.pop()
        if (totals.length > 0) expected.set(keyOf(name), totals)
      }
      for (const replica of replicas) assert.equal([...told(replica)].sort(), [...expected].sort())
    }),
    { seed: SEED },
  )
})

test.run()
