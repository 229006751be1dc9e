// A replica of a shard by itself: what it keeps, refuses and takes.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freeze, handOver, release, type SlotMap, slotOf, slotOfKey, slotsOfBatch, slotsOfIds } from '../../lib/cluster/index.ts'
import { answerQuestion, withVersion } from '../../lib/sharding/index.ts'
import { versionOf } from '../../lib/sharding/kept-replies.ts'
import { batchOf, nameBytes, rejection } from '../persistence/harness.ts'
import { type Member, World } from './world.ts'

const test = suite('sharding/replica')
const slotOfName = (name: string): number => slotOf(nameBytes(name), 0, nameBytes(name).length)
let world: World
let source: Member
let target: Member
let map: SlotMap
/** 'a' and 'b' are on their way from the source to the target, 'z' is not. */
let copy: SlotMap
const settle = <T>(promise: Promise<T>): Promise<T> => world.cluster.settle(promise)
const keep = (given: SlotMap): Promise<unknown> =>
  settle(Promise.all(world.members.map((member) => member.custody.keep(given, member.shard))))

test.before.each(async () => {
  world = new World(1)
  map = await world.start(2, 1)
  source = world.groups[map.shardOf(slotOfName('a'))]![0]!
  target = world.groups[1 - source.shard]![0]!
  const slots = ['a', 'b'].map(slotOfName).filter((slot) => map.shardOf(slot) === source.shard)
  copy = freeze(
    map,
    { ranges: slots.map((slot) => [slot, slot]), from: source.shard, to: target.shard },
    { sender: 1, receiver: 1 },
  )
})
test.after.each(() => world.cluster.end())

const code = async (promise: Promise<unknown>): Promise<string> => (await rejection(settle(promise))).code
const count = (member: Member, amounts: Record<string, number | bigint>) =>
  settle(member.node.store.increment(batchOf(amounts), () => ({ status: 200, contentType: '', body: '' })))
const put = (member: Member, tag: string, counters: [string, string][], items: [string, string | null][] = []) =>
  settle(member.replica.put({ tag, counters, items }))

test('names on their way are written nowhere, those of others nowhere but at home, and the total everywhere', async () => {
  const verdicts = (member: Member) =>
    ['a', 'the total'].map((name) => member.custody.refusal(slotsOfBatch(batchOf({ [name]: 1 }))))
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      [undefined, undefined],
      [undefined, undefined],
    ],
    'before anything has moved',
  )
  await keep(copy)
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['frozen', undefined],
      ['frozen', undefined],
    ],
  )
  const settled = handOver(copy, 0, 1000)
  await keep(settled)
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['frozen', undefined],
      ['frozen', undefined],
    ],
  )
  await keep(release(settled))
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['moved', undefined],
      [undefined, undefined],
    ],
  )
  assert.is(source.custody.refusal(slotsOfIds(['a'])), 'moved')
})

test('with the last slots of a shard its part of the total is frozen, given along, and another one begun', async () => {
  const [first, last] = map.ranges[source.shard]![0]!
  const all = { ranges: [[first, last]] as const, from: source.shard, to: target.shard }
  const verdicts = (member: Member, key?: string) =>
    ['the total', 'the total 1'].map((name) => member.custody.refusal(slotsOfBatch(batchOf({ [name]: 1 }), key)))
  const value = (member: Member, name: string) => String(member.node.store.value(nameBytes(name)))
  copy = freeze(map, all, { sender: 1, receiver: 1 })
  const { part } = copy.moving!
  await count(source, { 'the total': 7 })
  await count(target, { 'the total': 1000 })
  // Of an attempt that was given up.
  await count(target, { [part!]: 99 })
  await count(source, { [part!]: 98 })
  await keep(copy)
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['frozen', 'frozen'],
      [undefined, 'moved'],
    ],
  )
  const page = await settle(source.replica.take({ tag: copy.tag, from: 0 }))
  assert.equal(page.counters, [[part, '7']])
  assert.equal((await settle(source.replica.find({ tag: copy.tag, names: [part!], ids: [] }))).counters, [[part, '7']])
  await put(target, copy.tag, [...page.counters] as [string, string][])
  await put(target, copy.tag, [...page.counters] as [string, string][])
  assert.equal([value(target, part!), value(target, 'the total')], ['7', '1000'])
  const digest = (member: Member) => settle(member.replica.digest({ tag: copy.tag }))
  assert.equal(await digest(target), await digest(source))
  assert.is((await digest(source)).counters, 1)
  const settled = handOver(copy, 0, 1000)
  await keep(settled)
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['moved', 'moved'],
      [undefined, 'moved'],
    ],
  )
  await keep(release(settled))
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['moved', 'moved'],
      [undefined, 'moved'],
    ],
  )
  await keep(
    release(
      handOver(
        freeze(release(settled), { ranges: [[first, first]], from: target.shard, to: source.shard }, { sender: 1, receiver: 1 }),
        0,
        1000,
      ),
    ),
  )
  assert.equal(
    [verdicts(source), verdicts(target)],
    [
      ['moved', undefined],
      [undefined, 'moved'],
    ],
  )
})

test('a part that is 0 is as good as none', async () => {
  const [range] = map.ranges[source.shard]!
  copy = freeze(map, { ranges: [range!], from: source.shard, to: target.shard }, { sender: 1, receiver: 1 })
  await keep(copy)
  const digest = (member: Member) => settle(member.replica.digest({ tag: copy.tag }))
  assert.is((await digest(source)).counters, 0)
  assert.equal(await digest(target), await digest(source))
})

test('an addition to the total with a key is written where the slot of the key is', async () => {
  await keep(copy)
  const keys = Array.from({ length: 500 }, (_, index) => `k${index}`)
  const moving = copy.moving!.ranges.map(([slot]) => slot)
  const total = (member: Member, key: string) => member.custody.refusal(slotsOfBatch(batchOf({ 'the total': 1 }), key))
  for (const key of keys) {
    const owner = copy.shardOf(slotOfKey(key))
    if (moving.includes(slotOfKey(key))) continue
    for (const member of [source, target]) assert.is(total(member, key), owner === member.shard ? undefined : 'moved', key)
  }
  const frozen = Array.from({ length: 100_000 }, (_, index) => `k${index}`).find((key) => moving.includes(slotOfKey(key)))!
  assert.equal([total(source, frozen), total(target, frozen)], ['frozen', 'frozen'])
})

test('a map is kept after the one that it was made from, and none that is older or of the same number', async () => {
  await keep(copy)
  const other = freeze(map, { ranges: [[0, 0]], from: 0, to: 1 }, { sender: 1, receiver: 1 })
  assert.is(await code(source.custody.keep(map, source.shard)), 'SLOTS_CONFLICT')
  assert.is(await code(source.custody.keep(other, source.shard)), 'SLOTS_CONFLICT')
  assert.is(await code(source.custody.keep(release(copy), source.shard, map.tag)), 'SLOTS_CONFLICT')
  assert.is(await code(source.custody.keep(release(copy), target.shard)), 'SLOTS_CONFLICT')
  await settle(source.custody.keep(copy, source.shard, 'anything'))
  await settle(source.custody.keep(release(copy), source.shard, copy.tag))
  assert.is(source.custody.kept?.map.tag, release(copy).tag)
})

test('a map outlives its node', async () => {
  await keep(copy)
  source.kill()
  await settle(source.start())
  assert.is(source.custody.kept?.map.tag, copy.tag)
  assert.is(source.custody.refusal(slotsOfBatch(batchOf({ a: 1 }))), 'frozen')
})

test('what is put is set, however often, up and down, and beyond what a number holds', async () => {
  await keep(copy)
  await count(target, { a: 5 })
  for (const digits of ['3', '3', '18446744073709551600', '18446744073709551600', '-2', '0', '0']) {
    await put(target, copy.tag, [['a', digits]])
    assert.is(String(target.node.store.value(nameBytes('a'))), digits)
  }
  await put(target, copy.tag, [], [['a', 't']])
  await put(target, copy.tag, [], [['a', 't']])
  assert.is(target.node.store.item('a')?.tenant, 't')
  await put(target, copy.tag, [], [['a', null]])
  assert.is(target.node.store.item('a'), undefined)
})

test('a page is taken by the replica that the map names, under that map, and of names on their way alone', async () => {
  const page: [string, string][] = [['a', '1']]
  assert.is(await code(put(target, copy.tag, page)), 'SLOTS_CONFLICT', 'before it keeps the map')
  await keep(copy)
  assert.is(await code(put(source, copy.tag, page)), 'SLOTS_CONFLICT')
  assert.is(await code(put(target, map.tag, page)), 'SLOTS_CONFLICT')
  assert.is(await code(put(target, copy.tag, [['z', '1']])), 'SLOTS_INVALID')
  assert.is(await code(put(target, copy.tag, [['a', '1.5']])), 'SLOTS_INVALID')
  assert.is(await code(put(target, copy.tag, [['a', String(2n ** 70n)]])), 'COUNT_OVERFLOW')
  assert.is(target.node.value('a'), 0)
  await keep(handOver(copy, 0, 1000))
  assert.is(await code(put(target, copy.tag, page)), 'SLOTS_CONFLICT', 'when they have arrived')
})

test('a digest tells contents apart, whatever came first', async () => {
  await keep(copy)
  const digest = (member: Member) => settle(member.replica.digest({ tag: copy.tag }))
  const empty = await digest(source)
  await count(source, { a: 1, z: 7 })
  const one = await digest(source)
  assert.equal([one.counters, one.items], [1, 0])
  assert.is.not(one.sum, empty.sum)
  await put(target, copy.tag, [['a', '2']])
  assert.is.not((await digest(target)).sum, one.sum)
  await put(target, copy.tag, [['a', '1']])
  assert.equal(await digest(target), one)
})

test('questions of movers are read with suspicion', async () => {
  const replica = target.replica
  for (const question of [
    null,
    7,
    {},
    { ask: 'other' },
    { ask: 'take' },
    { ask: 'take', tag: 'x', from: -1 },
    { ask: 'put', tag: 'x', counters: [['a']], items: [] },
    { ask: 'put', tag: 'x', counters: [['a', 1]], items: [] },
    { ask: 'put', tag: 'x', counters: 'all', items: [] },
    { ask: 'know', known: [[1, 2]] },
    { ask: 'find', tag: 'x', names: [1], ids: [] },
    { ask: 'digest' },
    { ask: 'counted' },
  ]) {
    assert.is(await code(answerQuestion(replica, question)), 'SLOTS_INVALID', JSON.stringify(question))
  }
  assert.equal(await settle(answerQuestion(replica, { ask: 'know', known: [] })), { known: true })
  assert.equal(await settle(answerQuestion(replica, { ask: 'counted', key: 'k' })), { versions: [], pieces: false, body: '' })
})

test('replies that are kept say under which version of the map they were given', async () => {
  const reply = (body: string) => ({ status: 200, contentType: 'application/json', body })
  const once = (key: string) => ({ key, fingerprint: new Uint8Array(32) })
  const given = (key: string, version: number) =>
    settle(target.node.store.increment(batchOf({ a: 1 }), () => withVersion(reply(key), version), once(key)))
  await given('k', 1)
  await given('k+1', 4)
  await given('k+3', 9)
  await given('other', 4)
  await given('other/1', 4)
  const counted = (key: string) => settle(target.replica.counted({ key }))
  assert.equal(await counted('k'), { versions: [1, 4], pieces: false, body: 'k' })
  assert.equal(await counted('other'), { versions: [4], pieces: true, body: 'other' })
  assert.equal(await counted('none'), { versions: [], pieces: false, body: '' })
  assert.is(versionOf(withVersion(reply(''), 12).contentType), 12)
})

test.run()
