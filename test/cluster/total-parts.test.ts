import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import {
  forget,
  freeze,
  handOver,
  release,
  SLOTS,
  SlotMap,
  slotOf,
  slotOfKey,
  slotsOfBatch,
  widen,
} from '../../lib/cluster/index.ts'
import { closedPart, eraOf, hasPart, isPart, openPart, readClosedPart } from '../../lib/cluster/total-parts.ts'

const test = suite('cluster/total-parts')
const NODES = { sender: 1, receiver: 2 }
const bytes = (text: string) => new TextEncoder().encode(text)
const slotOfText = (text: string) => slotOf(bytes(text), 0, bytes(text).length)
const batch = (...texts: string[]) => {
  const names = texts.map(bytes)
  let end = 0
  return { count: names.length, names: Buffer.concat(names), ends: Uint32Array.from(names, (name) => (end += name.length)) }
}
/** Gives all that a shard has to another one. */
const empty = (map: SlotMap, from: number, to: number, atMs = 0): SlotMap =>
  release(handOver(freeze(map, { ranges: map.ranges[from]!, from, to }, NODES), atMs, 1000))

test('an open part is named by its era, and nothing else has such a name', () => {
  for (const era of [0, 1, 9, 10, 999_999]) assert.is(eraOf(bytes(openPart(era))), era)
  const others = [
    '',
    'the',
    'the tota',
    'The total',
    'the total ',
    'the total 0',
    'the total 01',
    'the total 1x',
    'the total  1',
    'the totality',
  ]
  for (const name of [...others, 'the total 1000000', 'the total 1 ', 'the total {0} 1.0'])
    assert.is(eraOf(bytes(name)), undefined, name)
})

test('a closed part is named by its shard and era, lies in a slot of those it came with, and says all that', () => {
  for (const slot of [0, 1, 5461, SLOTS - 1]) {
    const name = closedPart(7, 3, (other) => other === slot)
    assert.is(slotOfText(name), slot)
    assert.equal(readClosedPart(name), { shard: 7, era: 3, slot })
    assert.is(
      closedPart(7, 3, (other) => other === slot),
      name,
      'always the same',
    )
  }
  const tags = new Set<number>()
  for (let tag = 0; tag < 200_000; tag++) tags.add(slotOfText(String(tag)))
  assert.is(tags.size, SLOTS, 'some number has each slot')
  for (const name of [
    'the total {1} 1',
    'the total {01} 1.0',
    'the total {1} 1.00',
    'the total {1} 1.0 ',
    'the total {a} 1.0',
    7,
    undefined,
  ])
    assert.is(readClosedPart(name), undefined, String(name))
})

test('clients are kept from all names of parts, and from no other', () => {
  for (const name of ['the total', 'the total 1', 'the total {17} 3.0']) {
    assert.ok(isPart(bytes(name)), name)
    assert.ok(hasPart(batch('a', name, 'the totality')), name)
  }
  for (const name of ['a', 'the totality', 'the total of all', 'the total {17} 3.0 ', `the total {17} 3.${'1'.repeat(99)}`])
    assert.not(isPart(bytes(name)), name)
  assert.not(hasPart(batch('a', 'the totality', 'total')))
  assert.not(hasPart(batch()))
})

test('in a write an open part has no slot but that of the key, and a closed one that of its name', () => {
  assert.equal([...slotsOfBatch(batch('a', 'the total', 'the total 2'))], [slotOfText('a'), SLOTS, SLOTS + 2])
  assert.equal([...slotsOfBatch(batch('the total 2', 'a'), 'k')], [SLOTS + 2, slotOfKey('k'), slotOfText('a')])
  assert.equal([...slotsOfBatch(batch('a', 'the total {17} 3.0'), 'k')], [slotOfText('a'), slotOfText('17')])
})

test('the part of a shard goes with its last slots, and then by its slot; the next one is another', () => {
  const start = widen(SlotMap.even(2), ['http://c'])
  const some = freeze(start, { ranges: [[0, 8190]], from: 0, to: 2 }, NODES)
  assert.is(some.moving?.part, undefined, 'it keeps a slot')
  assert.equal(some.partsOf(0), ['the total'])
  const most = release(handOver(some, 0, 1000))
  const copy = freeze(most, { ranges: [[8191, 8191]], from: 0, to: 1 }, NODES)
  const part = copy.moving!.part!
  assert.equal(readClosedPart(part), { shard: 0, era: 0, slot: 8191 })
  assert.equal([copy.partsOf(0), copy.partsOf(1), copy.eraOf(0)], [['the total'], ['the total'], 0])
  assert.equal(release(copy).plain(), { ...most.plain(), version: copy.version + 1 }, 'given up it stays')
  const settle = handOver(copy, 0, 1000)
  assert.equal([settle.partsOf(0), settle.partsOf(1), settle.eraOf(0)], [[], ['the total', part], 1])
  const gone = release(settle)
  const on = release(handOver(freeze(gone, { ranges: [[8191, 8191]], from: 1, to: 2 }, NODES), 0, 1000))
  assert.equal([on.partsOf(1), on.partsOf(2)], [['the total'], ['the total', part]])
  const back = release(handOver(freeze(on, { ranges: [[8191, 8191]], from: 2, to: 0 }, NODES), 0, 1000))
  assert.equal([back.partsOf(0), back.partsOf(2)], [['the total 1', part], ['the total']])
  const again = empty(back, 0, 1)
  assert.equal(again.eraOf(0), 2)
  assert.equal(
    again.parts.map((name) => readClosedPart(name)!.era),
    [0, 1],
  )
  for (const map of [some, copy, settle, gone, on, back, again]) {
    const read = SlotMap.read(JSON.parse(JSON.stringify(map.plain())))
    assert.equal([read.tag, read.plain()], [map.tag, map.plain()])
  }
  assert.is(new Set([most, copy, settle, gone].map(({ tag }) => tag.split('.')[1])).size, 4)
})

test('maps without closed parts have the tags that they had before there were any', () => {
  assert.is(SlotMap.even(3).tag, '1.226fd0b1e9e9')
  const moved = release(handOver(freeze(SlotMap.even(3), { ranges: [[0, 9]], from: 0, to: 1 }, NODES), 5, 1000))
  assert.is(moved.tag, '4.c2211de4ea22')
})

test('a former owner is forgotten when the time of all that it had is over', () => {
  const map = empty(SlotMap.even(2), 0, 1, 500)
  assert.is(forget(map, 0, 1500, 1000), undefined)
  assert.is(forget(map, 1, 9999, 1000), undefined, 'it never gave any')
  const next = forget(map, 0, 1501, 1000)!
  assert.equal([next.version, next.former, next.parts], [map.version + 1, [], map.parts])
  assert.is(forget(next, 0, 9999, 1000), undefined)
  const later = empty(
    SlotMap.read({ ...map.plain(), shards: [1, 0].map((from, shard) => ({ shard, ranges: map.ranges[from]! })) }),
    0,
    1,
    1400,
  )
  assert.is(forget(later, 0, 1501, 1000), undefined, 'not all of it')
  assert.is(forget(later, 0, 2401, 1000)!.former.length, 0)
})

test('of parts nothing is believed that does not fit', () => {
  const copy = freeze(SlotMap.even(2), { ranges: [[0, 8191]], from: 0, to: 1 }, NODES).plain()
  const settle = handOver(SlotMap.read(copy), 0, 1000).plain()
  const { moving } = settle
  const part = moving!.part!
  const other = (shard: number, era: number) => closedPart(shard, era, (slot) => slot <= 8191)
  const cases: [string, object][] = [
    ['no list', { ...settle, parts: part }],
    ['no part', { ...settle, parts: ['the total'] }],
    ['no shard', { ...settle, parts: [part, other(2, 0)], moving: undefined }],
    ['an era is lacking', { ...settle, parts: [part, other(0, 2)], moving: undefined }],
    ['an era twice', { ...settle, parts: [part, part], moving: undefined }],
    ['too many', { ...settle, parts: Array.from({ length: 1025 }, (_, era) => other(0, era)), moving: undefined }],
    ['it has not arrived', { ...settle, parts: [] }],
    ['another has arrived since', { ...settle, parts: [part, other(1, 0)] }],
    ['of another shard', { ...copy, moving: { ...copy.moving, part: other(1, 0) } }],
    ['of another era', { ...copy, moving: { ...copy.moving, part: other(0, 1) } }],
    ['in another slot', { ...copy, moving: { ...copy.moving, part: closedPart(0, 0, (slot) => slot > 8191) } }],
    ['no name', { ...copy, moving: { ...copy.moving, part: 7 } }],
    ['with slots left', { ...copy, moving: { ...copy.moving, ranges: [[0, 8190]], part: closedPart(0, 0, (slot) => slot < 9) } }],
  ]
  for (const [what, plain] of cases) assert.throws(() => SlotMap.read(plain), /no map of slots/, what)
  assert.ok(SlotMap.read(copy) && SlotMap.read(settle))
})

test('when the map has no room for a part more, the last slots stay where they are', () => {
  let map = SlotMap.even(2)
  const parts = Array.from({ length: 1024 }, (_, era) => `the total {0} 1.${era}`)
  map = SlotMap.read({ ...map.plain(), version: 2, parts })
  assert.ok(freeze(map, { ranges: [[0, 9]], from: 0, to: 1 }, NODES))
  try {
    empty(map, 0, 1)
    assert.unreachable('it had no room')
  } catch (error) {
    assert.ok(error instanceof CounterError && error.code === 'SLOTS_CONFLICT', String(error))
  }
})

test.run()
