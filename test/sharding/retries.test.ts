// A write with a key that was looked at under one map and is written under another: the reply that is kept speaks of the names that the shard had
// under the first, and must not be taken for one that speaks of those it has by now.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freeze, handOver, release, type SlotMap, slotOf } from '../../lib/cluster/index.ts'
import { createShard, type ShardApi } from '../../lib/node/slots.ts'
import { fingerprintOf } from '../../lib/publicapi/once.ts'
import { batchOf, hash, nameBytes, once, plainReply, rejection } from '../persistence/harness.ts'
import { type Member, World } from './world.ts'

const test = suite('sharding/retries')
const slotOfName = (name: string): number => slotOf(nameBytes(name), 0, nameBytes(name).length)
let world: World
let member: Member
let shard: ShardApi
let before: SlotMap
/** After another name has come to the shard of 'a'. */
let after: SlotMap
const settle = <T>(promise: Promise<T>): Promise<T> => world.cluster.settle(promise)

test.before.each(async () => {
  world = new World(1)
  const map = await world.start(2, 1)
  member = world.groups[map.shardOf(slotOfName('a'))]![0]!
  const { store, replication, clock } = member.node
  shard = createShard({ store, replication, clock, hash, nameBytesMax: 100, cluster: {} as never })
  const other = ['b', 'c', 'd', 'e'].map(slotOfName).find((slot) => map.shardOf(slot) !== member.shard)!
  before = freeze(map, { ranges: [[other, other]], from: 1 - member.shard, to: member.shard }, { sender: 1, receiver: 1 })
  after = release(handOver(before, 0, 1000))
  await keep(before)
})
test.after.each(() => world.cluster.end())

const keep = (map: SlotMap): Promise<void> => settle(shard.slots.keep({ map, shard: member.shard }))
const under = (map: SlotMap) => ({ ...once('k'), slots: `${map.tag}/${member.shard}` })
const versions = async () => {
  const { versions } = (await settle(Promise.resolve(shard.shard.answer({ ask: 'counted', key: 'k' })))) as { versions: number[] }
  return versions
}

test('counts are refused under the later map, and nothing is kept', async () => {
  await keep(after)
  const write = shard.store.increment.bind(shard.store)
  const refused = async () => write(batchOf({ a: 1 }), () => plainReply(), under(before))
  assert.is((await rejection(settle(refused()))).code, 'SLOTS_MOVED')
  assert.is(member.node.value('a'), 0)
  assert.equal(await versions(), [])
  await settle(write(batchOf({ a: 1 }), () => plainReply(), under(after)))
  assert.equal(await versions(), [after.version])
})

test('so are changes of items; those that were begun in time are of the map under which they were', async () => {
  const change = (map: SlotMap) => shard.store.changeItems([{ id: 'a', tenant: 't' }], () => plainReply(), under(map))
  const begun = change(before)
  await keep(after)
  await settle(begun)
  assert.equal(await versions(), [before.version])
  const refused = async () => change(before)
  assert.is((await rejection(settle(refused()))).code, 'SLOTS_MOVED')
})

test('a request says by which map it goes', () => {
  const headers = { 'idempotency-key': 'k', 'counter-slots': 'tag/0' }
  assert.is(fingerprintOf({ method: 'POST', url: '/', headers } as never)?.once().slots, 'tag/0')
  assert.is(fingerprintOf({ method: 'POST', url: '/', headers: { 'idempotency-key': 'k' } } as never)?.once().slots, undefined)
})

test.run()
