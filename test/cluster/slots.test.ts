import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { type PlainSlotMap, SHARDS_MAX, SLOTS, SlotMap, slotOf } from '../../lib/cluster/index.ts'

const test = suite('cluster/slots')

const slot = (name: string): number => {
  const bytes = new TextEncoder().encode(name)
  return slotOf(bytes, 0, bytes.length)
}

test('slots are those of Redis Cluster', () => {
  // From `redis-cli cluster keyslot`, and of 123456789 the check value of the CRC, 0x31c3.
  const known: Record<string, number> = { foo: 12_182, bar: 5061, hello: 866, '123456789': 0x31c3, '': 0 }
  for (const [name, expected] of Object.entries(known)) assert.is(slot(name), expected, name)
})

test('a tag in braces decides alone, the first one, unless it is empty or open', () => {
  assert.is(slot('{user7}:views'), slot('user7'))
  assert.is(slot('a{user7}{other}'), slot('user7'))
  assert.is(slot('foo{{bar}}zap'), slot('{bar'))
  assert.is.not(slot('{}foo'), slot('foo'))
  assert.is.not(slot('foo{bar'), slot('bar'))
  // Neither the tag nor its end is looked for in the name that lies behind.
  const bytes = new TextEncoder().encode('foo{bar}')
  assert.is(slotOf(bytes, 0, 3), slot('foo'))
  assert.is(slotOf(bytes, 0, 7), slot('foo{bar'))
  assert.is(slotOf(bytes, 3, 8), slot('bar'))
})

test('an even map gives every slot to one shard, and none more than one slot more than another', () => {
  for (const shards of [1, 2, 3, 5, 16, SHARDS_MAX]) {
    const map = SlotMap.even(shards)
    const sizes = new Array<number>(shards).fill(0)
    for (let at = 0; at < SLOTS; at++) sizes[map.shardOf(at)]!++
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${shards}`)
    assert.is(map.version, 1)
  }
  assert.equal(SlotMap.even(3).ranges, [[[0, 5461]], [[5462, 10_922]], [[10_923, 16_383]]])
  for (const shards of [0, 1.5, SHARDS_MAX + 1]) assert.throws(() => SlotMap.even(shards), /no map of slots/)
})

test('a map goes through JSON unchanged, whatever its ranges', () => {
  const owners = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 8, maxLength: 64 })
  fc.assert(
    fc.property(owners, fc.integer({ min: 1, max: 1000 }), (given, version) => {
      // Every shard has a slot, and the rest lies as it falls.
      const pattern = [0, 1, 2, 3, ...given]
      const ranges: Array<Array<[number, number]>> = [[], [], [], []]
      for (let at = 0; at < SLOTS; at++) ranges[pattern[at % pattern.length]!]!.push([at, at])
      const map = SlotMap.read({ version, shards: ranges.map((own, shard) => ({ shard, ranges: own })) })
      const again = SlotMap.read(JSON.parse(JSON.stringify(map.plain())))
      assert.is(again.tag, map.tag)
      assert.equal(again.plain(), map.plain())
      for (let at = 0; at < SLOTS; at++) assert.is(again.shardOf(at), pattern[at % pattern.length])
    }),
    { numRuns: 20, seed: Number(process.env.SEED ?? 1) },
  )
})

test('maps that differ have different tags', () => {
  const tags = [2, 3, 4].map((shards) => SlotMap.even(shards).tag)
  const plain = SlotMap.even(2).plain()
  tags.push(SlotMap.read({ ...plain, version: 2 }).tag)
  tags.push(SlotMap.read({ version: 1, shards: [0, 1].map((shard) => ({ shard, ranges: plain.shards[1 - shard]!.ranges })) }).tag)
  assert.is(new Set(tags).size, tags.length)
})

test('what is no map is refused whole', () => {
  const good = SlotMap.even(2).plain()
  const withRanges = (first: unknown, second: unknown): unknown => ({
    version: 1,
    shards: [
      { shard: 0, ranges: first },
      { shard: 1, ranges: second },
    ],
  })
  const cases: unknown[] = [
    undefined,
    null,
    7,
    'map',
    [],
    {},
    { ...good, version: 0 },
    { ...good, version: 1.5 },
    { ...good, version: '1' },
    { ...good, shards: [] },
    { ...good, shards: [...good.shards].reverse() },
    { ...good, shards: Array(SHARDS_MAX + 1).fill(good.shards[0]) },
    { ...good, shards: [null, null] },
    withRanges([[0, 8191]], []),
    withRanges([[0, 8191]], [[8193, 16_383]]),
    withRanges([[0, 8191]], [[8191, 16_383]]),
    withRanges([[0, 8191]], [[8192, 16_384]]),
    withRanges([[8191, 0]], [[8192, 16_383]]),
    withRanges([[0, 8191.5]], [[8192, 16_383]]),
    withRanges([[0]], [[8192, 16_383]]),
    withRanges('all', [[8192, 16_383]]),
    withRanges([[-1, 8191]], [[8192, 16_383]]),
  ]
  for (const plain of cases) {
    try {
      SlotMap.read(plain)
      assert.unreachable(JSON.stringify(plain))
    } catch (error) {
      assert.ok(error instanceof CounterError && error.code === 'SLOTS_INVALID', JSON.stringify(plain))
    }
  }
  assert.ok(SlotMap.read(good as PlainSlotMap))
})

test.run()
