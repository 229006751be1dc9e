import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freeze, handOver, nextBatch, release, SLOTS, SlotMap, slotsToMove, widen } from '../../lib/cluster/index.ts'

const test = suite('cluster/slot-moves')
const NODES = { sender: 1, receiver: 2 }
const KEEP_MS = 1000

/** Moves all that is to be moved. Returns the map and how many batches it took. */
function moveAll(start: SlotMap, members: readonly number[], slotsMax: number): { map: SlotMap; batches: number } {
  let map = start
  for (let batches = 0; ; batches++) {
    const batch = nextBatch(map, members, slotsMax)
    if (batch === undefined) return { map, batches }
    assert.ok(batches < 2 * SLOTS, 'it ends')
    map = release(handOver(freeze(map, batch, NODES), 0, KEEP_MS))
  }
}
const sizes = (map: SlotMap): number[] => map.ranges.map((_, shard) => map.sizeOf(shard))

test('slots on their way belong to the source, then to the target, and are nobody’s to write', () => {
  const map = SlotMap.even(2)
  const copy = freeze(map, { ranges: [[0, 9]], from: 0, to: 1 }, NODES)
  const settle = handOver(copy, 5, KEEP_MS)
  const done = release(settle)
  const row = (map: SlotMap) => [map.version, map.shardOf(9), map.isMoving(9), map.isMoving(10), map.moving?.phase]
  assert.equal(row(map), [1, 0, false, false, undefined])
  assert.equal(row(copy), [2, 0, true, false, 'copy'])
  assert.equal(row(settle), [3, 1, true, false, 'settle'])
  assert.equal(row(done), [4, 1, false, false, undefined])
  assert.equal(row(release(copy)), [3, 0, false, false, undefined], 'given up')
  assert.equal(done.former, [{ version: 3, ranges: [[0, 9]], shard: 0, atMs: 5 }])
  assert.is(new Set([map, copy, settle, done, release(copy)].map(({ tag }) => tag)).size, 5)
})

test('a former owner is forgotten when its time is over', () => {
  const first = release(handOver(freeze(SlotMap.even(2), { ranges: [[0, 0]], from: 0, to: 1 }, NODES), 100, KEEP_MS))
  const next = freeze(first, { ranges: [[1, 1]], from: 0, to: 1 }, NODES)
  assert.is(handOver(next, 100 + KEEP_MS, KEEP_MS).former.length, 2)
  assert.is(handOver(next, 101 + KEEP_MS, KEEP_MS).former.length, 1)
})

test('a shard that was added gets an even share, and each other gives of its own alone', () => {
  for (const shards of [1, 2, 3, 7]) {
    const wide = widen(SlotMap.even(shards), ['http://new:1'])
    const members = sizes(wide).map((_, shard) => shard)
    const { map } = moveAll(wide, members, 64)
    const all = sizes(map)
    assert.ok(Math.max(...all) - Math.min(...all) <= 1, all.join())
    for (let slot = 0; slot < SLOTS; slot++) {
      assert.ok(map.shardOf(slot) === wide.shardOf(slot) || map.shardOf(slot) === shards, 'moved to the new one, or not at all')
    }
    assert.equal(map.urls[shards], ['http://new:1'])
  }
})

test('a shard that is removed is left with nothing', () => {
  const { map } = moveAll(SlotMap.even(3), [0, 2], 64)
  assert.equal(sizes(map), [8192, 0, 8192])
})

test('whatever the map, moving ends with even shares, and every map on the way goes through JSON', () => {
  const owners = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 40 })
  const members = fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1 })
  fc.assert(
    fc.property(owners, members, fc.integer({ min: 200, max: 3000 }), (pattern, goal, slotsMax) => {
      const width = Math.ceil(SLOTS / pattern.length)
      const ownerOf = (slot: number) => pattern[Math.floor(slot / width)]!
      const ranges = [0, 1, 2, 3, 4].map((shard) => {
        const own: [number, number][] = []
        for (let slot = 0; slot < SLOTS; slot++) if (ownerOf(slot) === shard) own.push([slot, slot])
        return { shard, ranges: own }
      })
      const start = SlotMap.read({ version: 2, shards: ranges })
      const expected = slotsToMove(start, goal)
      const { map, batches } = moveAll(start, goal, slotsMax)
      assert.ok(batches <= Math.ceil(expected / slotsMax) + 25, `${batches} batches for ${expected} slots`)
      assert.is(SlotMap.read(JSON.parse(JSON.stringify(map.plain()))).tag, map.tag)
      const all = sizes(map)
      const own = all.filter((_, shard) => goal.includes(shard))
      assert.ok(Math.max(...own) - Math.min(...own) <= 1, all.join())
      assert.is(
        own.reduce((sum, size) => sum + size, 0),
        SLOTS,
      )
      assert.is(slotsToMove(map, goal), 0)
    }),
    { numRuns: 20, seed: Number(process.env.SEED ?? 1) },
  )
})

test('of what moves, and of former owners, nothing is believed that does not fit', () => {
  const good = handOver(freeze(SlotMap.even(3), { ranges: [[0, 9]], from: 0, to: 1 }, NODES), 5, KEEP_MS).plain()
  const moving = good.moving!
  const former = good.former![0]!
  const cases: [string, object][] = [
    ['phase', { moving: { ...moving, phase: 'other' } }],
    ['not of its owner', { moving: { ...moving, phase: 'copy' } }],
    ['to itself', { moving: { ...moving, to: 0 } }],
    ['to nobody', { moving: { ...moving, to: 3 } }],
    ['no node', { moving: { ...moving, sender: -1 } }],
    ['nothing', { moving: { ...moving, ranges: [] } }],
    ['no slots', { moving: { ...moving, ranges: [[0, SLOTS]] } }],
    ['null', { moving: null }],
    ['no list', { former: {} }],
    ['a later version', { former: [{ ...former, version: good.version + 1 }] }],
    ['no shard', { former: [{ ...former, shard: 3 }] }],
    ['no time', { former: [{ ...former, atMs: 'now' }] }],
    ['no address', { shards: good.shards.map((entry) => ({ ...entry, urls: ['ftp://x'] })) }],
    ['no addresses', { shards: good.shards.map((entry) => ({ ...entry, urls: [] })) }],
  ]
  for (const [what, change] of cases) assert.throws(() => SlotMap.read({ ...good, ...change }), /no map of slots/, what)
  assert.ok(SlotMap.read(good))
})

test.run()
