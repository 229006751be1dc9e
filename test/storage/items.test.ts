// Items against a model of ten lines: the same changes, delivered in any order, twice, in any steps, come to the same everywhere.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { type ItemChange, Replica, TenantList, VersionVector } from '../../lib/storage/index.ts'
import { LOG_CHUNK } from '../../lib/storage/item-log.ts'
import { HASH, merge, SEED } from './harness.ts'

const test = suite('storage/items')
const runs = { numRuns: Number(process.env.RUNS ?? 300), seed: SEED }

const replicaOf = (node: number, itemsMax = 0): Replica =>
  new Replica({ self: { node, incarnation: 10 }, hash: HASH, namesMax: 0, itemsMax })

function change(replica: Replica, changes: readonly ItemChange[], nowMs = 1000): { delta: Uint8Array; stamp: number } {
  const writer = new ByteWriter()
  const stamp = replica.changeItems(changes, nowMs, writer)
  return { delta: writer.written().slice(), stamp }
}

/** Everything of `from` that `to` does not know. */
function sync(from: Replica, to: Replica): number {
  let news = 0
  for (const { delta } of from.since(to.vector())) news += merge(to, delta)
  return news
}

const IDS = ['a', 'b', 'c', 'ä', '__proto__', 'x'.repeat(300), '\ufeffa']
const TENANTS = ['t1', 't2', 'constructor', '\ufefft1']
const changeOf = fc.record({ id: fc.constantFrom(...IDS), tenant: fc.option(fc.constantFrom(...TENANTS), { nil: undefined }) })
const batchOf = fc.array(changeOf, { minLength: 1, maxLength: 5 })

/** The last update of each id wins. */
class Model {
  readonly #items = new Map<string, { stamp: number; node: number; tenant: string | undefined }>()
  apply(changes: readonly ItemChange[], stamp: number, node: number): void {
    for (const { id, tenant } of changes) {
      const before = this.#items.get(id)
      if (!before || stamp > before.stamp || (stamp === before.stamp && node >= before.node))
        this.#items.set(id, { stamp, node, tenant })
    }
  }
  tenantOf = (id: string): string | undefined => this.#items.get(id)?.tenant
  countOf = (tenant: string): number => [...this.#items.values()].filter((item) => item.tenant === tenant).length
}

function assertLike(replica: Replica, model: Model): void {
  for (const id of IDS) assert.is(replica.items.find(id)?.tenant, model.tenantOf(id), id)
  for (const tenant of TENANTS) assert.is(replica.items.countOf(tenant), model.countOf(tenant), tenant)
  assert.is(replica.items.live, IDS.filter((id) => model.tenantOf(id) !== undefined).length)
}

test('three replicas that change, sync and jump in time agree with the model once they have spoken', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('change' as const), node: fc.nat(2), changes: batchOf, nowMs: fc.nat(5000) }),
    fc.record({ kind: fc.constant('sync' as const), node: fc.nat(2), to: fc.nat(2) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const replicas = [replicaOf(0), replicaOf(1), replicaOf(2)]
      const model = new Model()
      for (const step of steps) {
        const replica = replicas[step.node]!
        if (step.kind === 'change') model.apply(step.changes, change(replica, step.changes, step.nowMs).stamp, step.node)
        else if (step.to !== step.node) sync(replica, replicas[step.to]!)
      }
      for (const from of replicas) for (const to of replicas) if (from !== to) sync(from, to)
      for (const from of replicas) for (const to of replicas) if (from !== to) sync(from, to)
      for (const replica of replicas) assertLike(replica, model)
      for (const replica of replicas) assert.ok(replica.vector().equals(replicas[0]!.vector()))
    }),
    runs,
  )
})

test('a change that was made after another was seen is later, whatever the clock says', () => {
  const [a, b] = [replicaOf(1), replicaOf(0)]
  change(a, [{ id: 'x', tenant: 'first' }], 9_000_000)
  sync(a, b)
  change(b, [{ id: 'x', tenant: 'second' }], 1)
  sync(b, a)
  assert.equal([a.items.find('x')?.tenant, b.items.find('x')?.tenant], ['second', 'second'])
})

test('deltas may come in any order, twice and one by one: joining is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(2), batchOf), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.nat()),
      (writes, picks) => {
        const replicas = [replicaOf(0), replicaOf(1), replicaOf(2)]
        // All at one time: stamps are equal on different nodes, so that ties decide.
        const deltas = writes.map(([node, changes]) => change(replicas[node]!, changes, 1).delta)
        const [one, other] = [replicaOf(7), replicaOf(8)]
        for (const delta of deltas) merge(one, delta)
        const shuffled = [...deltas, ...deltas].map((delta) => ({ delta, at: picks.next().value! })).sort((x, y) => x.at - y.at)
        for (const { delta } of shuffled) merge(other, delta)
        for (const id of IDS) assert.is(one.items.find(id)?.tenant, other.items.find(id)?.tenant)
        for (const tenant of TENANTS) assert.is(one.items.countOf(tenant), other.items.countOf(tenant))
        for (const delta of deltas) assert.is(merge(other, delta), 0)
      },
    ),
    runs,
  )
})

test('what a replica gives away holds each write as a whole, also while rows change during the walk', () => {
  const from = replicaOf(0)
  const BATCH = 100
  const batch = (n: number): ItemChange[] =>
    Array.from({ length: BATCH }, (_, at) => ({ id: `${n % 150}-${at}`, tenant: `w${n}` }))
  for (let n = 0; n < 150; n++) change(from, batch(n))
  const to = replicaOf(1)
  const vector = from.vector()
  let writes = 150
  for (const { delta } of from.since(new VersionVector())) {
    merge(to, delta.slice())
    for (let n = 0; n < writes; n++) {
      const count = to.items.countOf(`w${n}`)
      assert.ok(count === 0 || count === BATCH, `${count} of ${BATCH} items of write ${n}`)
    }
    // A write that was given already, one that is still to come, and so many that the log is cleaned.
    for (let extra = 0; extra < 60; extra++) change(from, batch(writes++))
  }
  assert.ok(from.items.log.cleanings > 0)
  assert.ok(to.vector().covers(vector))
  for (let n = 0; n < 150; n++) assert.ok(to.items.find(`${n}-7`), `item of write ${n}`)
  sync(from, to)
  for (let n = 0; n < 150; n++) assert.equal(to.items.find(`${n}-7`)?.tenant, from.items.find(`${n}-7`)?.tenant)
})

test('of a write that is made during a walk all items go along when one of them takes the place of what is to come', () => {
  const [from, to] = [replicaOf(0), replicaOf(1)]
  for (let n = 0; n < 10; n++)
    change(
      from,
      Array.from({ length: 1000 }, (_, at) => ({ id: `${n}-${at}`, tenant: 'old' })),
    )
  const walk = from.since(new VersionVector())
  merge(to, walk.next().value!.delta.slice())
  const ids = ['new', '9-500', 'newer', '9-7', 'newest']
  change(
    from,
    ids.map((id) => ({ id, tenant: 'late' })),
  )
  for (const { delta } of walk) {
    merge(to, delta.slice())
    assert.ok([0, ids.length].includes(to.items.countOf('late')), `${to.items.countOf('late')} of the late ones`)
  }
  assert.equal([to.items.countOf('late'), to.items.countOf('old')], [5, 9998])
})

test('rows that cleaning moves out of the way of a walk are given all the same', () => {
  const [from, to] = [replicaOf(0), replicaOf(1)]
  const batch = (first: number): ItemChange[] => Array.from({ length: 512 }, (_, at) => ({ id: `${first + at}`, tenant: 't' }))
  const count = 3 * LOG_CHUNK
  for (let first = 0; first < count; first += 512) change(from, batch(first))
  const walk = from.since(new VersionVector())
  merge(to, walk.next().value!.delta.slice())
  // The first chunk is left behind as a whole, and the second, which nobody has changed, is moved to the end.
  for (let turn = 0; from.items.log.cleanings < 2; turn++) change(from, batch((turn % 8) * 512))
  for (const { delta } of walk) merge(to, delta.slice())
  assert.is(to.items.live, count)
})

test('an answer that is cut off anywhere goes on where it was', () => {
  const from = replicaOf(0)
  for (let n = 0; n < 30; n++)
    change(
      from,
      Array.from({ length: 500 }, (_, at) => ({ id: `${n}-${at}`, tenant: 't' })),
    )
  const steps = [...from.since(new VersionVector())].length
  assert.ok(steps > 3)
  for (let cut = 1; cut < steps; cut++) {
    const to = replicaOf(1)
    const vector = from.vector()
    let chunk = 0
    let count = 0
    for (const { delta, nextChunk } of from.since(to.vector())) {
      merge(to, delta.slice())
      chunk = nextChunk
      if (++count === cut) break
    }
    const before = to.items.live
    let again = 0
    for (const { delta, cells } of from.since(to.vector(), { chunk, vector })) {
      merge(to, delta.slice())
      again += cells
    }
    assert.is(before + again, 15_000)
    assert.ok(to.vector().equals(from.vector()))
    assert.is(to.items.countOf('t'), 15_000)
  }
})

test('the log of changes does not grow with changes of the same items, and gives each of them once', () => {
  const from = replicaOf(0)
  for (let n = 0; n < 20 * LOG_CHUNK; n++) change(from, [{ id: `${n % 50}`, tenant: 't' }])
  assert.ok(from.items.log.end - from.items.log.first <= 3 * LOG_CHUNK)
  const given = [...from.since(new VersionVector())].reduce((sum, { cells }) => sum + cells, 0)
  assert.is(given, 50)
  const to = replicaOf(1)
  sync(from, to)
  change(from, [{ id: '7', tenant: 'u' }])
  assert.is(
    [...from.since(to.vector())].reduce((sum, { cells }) => sum + cells, 0),
    1,
  )
})

test('above itemsMax new ids are refused whole, while those that exist can be changed, and deleted ones count', () => {
  const replica = replicaOf(0, 3)
  change(replica, [
    { id: 'a', tenant: 't' },
    { id: 'b', tenant: 't' },
    { id: 'a', tenant: 'u' },
  ])
  change(replica, [{ id: 'b', tenant: undefined }])
  assert.throws(
    () =>
      change(replica, [
        { id: 'a', tenant: 'v' },
        { id: 'c', tenant: 't' },
        { id: 'd', tenant: 't' },
      ]),
    /2 new items/,
  )
  assert.equal([replica.items.find('a')?.tenant, replica.items.find('c'), replica.seq], ['u', undefined, 2])
  change(replica, [
    { id: 'c', tenant: 't' },
    { id: 'b', tenant: 't' },
  ])
  assert.is(replica.items.countOf('t'), 2)
})

test('the delta of a write can be made anywhere from what was changed, byte by byte', () => {
  const changes: ItemChange[] = [
    { id: 'a', tenant: 't' },
    { id: 'b', tenant: undefined },
    { id: 'a', tenant: 'u' },
  ]
  const [coordinator, member] = [replicaOf(0), replicaOf(1)]
  const { delta, stamp } = change(coordinator, changes)
  assert.equal(member.itemsDelta(changes, coordinator.self, coordinator.seq, stamp), delta)
})

test('digests of replicas that hold the same items are the same, and find one that is missing', () => {
  const [a, b] = [replicaOf(0), replicaOf(1)]
  for (let n = 0; n < 100; n++)
    change(n % 2 ? a : b, [
      { id: `${n}`, tenant: `t${n % 3}` },
      { id: `${n - 5}`, tenant: undefined },
    ])
  sync(a, b)
  sync(b, a)
  const digest = (replica: Replica): Uint32Array => {
    const walk = replica.digests()
    for (;;) {
      const { done, value } = walk.next()
      if (done) return value
    }
  }
  assert.equal(digest(a), digest(b))
  const { delta } = change(a, [{ id: 'lost', tenant: 't' }])
  const differ = digest(a).findIndex((word, at) => word !== digest(b)[at])
  assert.ok(differ >= 0)
  const wanted = Array.from({ length: 4096 }, (_, bucket) => bucket === differ >>> 1)
  for (const cells of a.cellsOfBuckets(wanted)) merge(b, cells.slice())
  assert.is(b.items.find('lost')?.tenant, 't')
  assert.equal(digest(a), digest(b))
  assert.is(merge(b, delta), 0)
})

test('what one incarnation has written can be put under another, and is then sent again', () => {
  const [a, b] = [replicaOf(0), replicaOf(1)]
  change(a, [{ id: 'x', tenant: 't' }])
  sync(a, b)
  assert.ok(a.move(0, 10, 20))
  assert.is(a.tracesOf({ node: 0, incarnation: 20 }).get({ node: 0, incarnation: 20 }), 1)
  assert.is(sync(a, b), 1)
  assert.is(b.tracesOf({ node: 0, incarnation: 20 }).get({ node: 0, incarnation: 20 }), 1)
  assert.is(b.items.countOf('t'), 1)
})

test('tenants are listed by the bytes of their names, page by page, without those that have no items', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, unit: 'grapheme' }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      (names, limit) => {
        const replica = replicaOf(0)
        const list = new TenantList(replica.items)
        const page = (prefix: string, after: string | undefined) => {
          const walk = list.page({ prefix, after, limit })
          for (;;) {
            const { done, value } = walk.next()
            if (done) return value
          }
        }
        for (const [at, tenant] of names.entries()) {
          change(replica, [
            { id: `i${at}`, tenant },
            { id: `j${at}`, tenant: at % 3 === 0 ? tenant : 'gone' },
          ])
          if (at === 20) page('', undefined)
        }
        change(
          replica,
          names.map((_, at) => ({ id: `j${at}`, tenant: undefined })),
        )
        const found: string[] = []
        for (let after: string | undefined; ; ) {
          const { tenants, more } = page('', after)
          assert.ok(tenants.every(({ count }) => count === 1))
          found.push(...tenants.map(({ tenant }) => tenant))
          if (!more) break
          after = tenants.at(-1)!.tenant
        }
        const sorted = [...names].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
        assert.equal(found, sorted)
        const [first] = sorted
        if (first !== undefined) {
          const expected = sorted.filter((name) => name.startsWith(first)).slice(0, limit)
          assert.equal(
            page(first, undefined).tenants.map(({ tenant }) => tenant),
            expected,
          )
        }
      },
    ),
    { ...runs, numRuns: 100 },
  )
})

test.run()
