import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SlotMap } from '../../lib/cluster/index.ts'
import { createKeptSlots } from '../../lib/node/slots.ts'
import { Custody } from '../../lib/sharding/index.ts'
import { MemoryNotes } from '../support/memory-notes.ts'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/slots')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const map = SlotMap.even(3)
const give = (shard: number, given = map) => api.postJson('/v1/cluster/slots', { ...given.plain(), shard })
const by = (tag: string): Record<string, string> => ({ 'Counter-Slots': tag })

test('a node on its own has all slots, and refuses who takes it for a shard', async () => {
  const shown = (await (await api.get('/v1/cluster/slots')).json()) as { version: number; tag: string }
  assert.equal(shown, { version: 0, tag: '', shard: 0, shards: [{ shard: 0, ranges: [[0, 16_383]], replicas: null }] })
  const problem = await problemOf(await api.get('/v1/counters/a', by(`${map.tag}/0`)))
  assert.is(problem.type, '/problems/slots-moved')
  assert.is(problem.applied, 'no')
})

test('a node keeps the first map, and goes by it and as that shard alone', async () => {
  assert.is((await give(1)).status, 200)
  const shown = (await (await api.get('/v1/cluster/slots')).json()) as { tag: string; shard: number; shards: unknown[] }
  assert.is(shown.tag, map.tag)
  assert.is(shown.shard, 1)
  assert.is(shown.shards.length, 3)
  assert.is((await api.get('/v1/counters/a', by(`${map.tag}/1`))).status, 200)
  assert.is((await api.post('/keywords', 'a', by(`${map.tag}/1`))).status, 200)
  for (const other of [`${map.tag}/0`, `${map.tag}/2`, `${SlotMap.even(2).tag}/1`, 'x']) {
    const read = await problemOf(await api.get('/v1/counters/a', by(other)))
    assert.is(read.status, 421, other)
    assert.is((read.slots as { tag: string }).tag, map.tag)
    assert.is((await api.post('/keywords', 'a', by(other))).status, 421, other)
  }
  assert.is(api.store.writes, 1)
  // Who goes by no map is not asked for one.
  assert.is((await api.post('/keywords', 'a')).status, 200)
})

test('given once more it stays, given another it refuses', async () => {
  assert.is((await give(1)).status, 200)
  assert.is((await give(1)).status, 200)
  for (const response of [await give(2), await give(1, SlotMap.even(2))]) {
    const problem = await problemOf(response)
    assert.is(problem.type, '/problems/slots-conflict')
    assert.match(String(problem.fix), 'COUNTER_SHARDS')
  }
  assert.is(((await (await api.get('/v1/cluster/slots')).json()) as { shard: number }).shard, 1)
})

test('of two maps at once one is kept', async () => {
  const statuses = await Promise.all([0, 1, 2].map(async (shard) => (await give(shard)).status))
  assert.equal(statuses.sort(), [200, 409, 409])
})

test('what is no map, or none of its shards, is refused', async () => {
  for (const body of [
    {},
    { ...map.plain() },
    { ...map.plain(), shard: 3 },
    { ...map.plain(), shard: '1' },
    { version: 1, shard: 0 },
  ]) {
    assert.is(
      (await problemOf(await api.postJson('/v1/cluster/slots', body))).type,
      '/problems/body-invalid',
      JSON.stringify(body),
    )
  }
  assert.is((await api.post('/v1/cluster/slots', '{}')).status, 415)
})

test('the map outlives the node, and one that could not be kept is none', async () => {
  const notes = new MemoryNotes()
  const custody = () => new Custody(notes, { hide: () => {} })
  const slots = createKeptSlots(custody())
  notes.failure = new Error('the disk is full')
  try {
    await slots.keep({ map, shard: 2 })
    assert.unreachable()
  } catch (error) {
    assert.is(error, notes.failure)
  }
  assert.is(slots.kept(), undefined)
  notes.failure = undefined
  await slots.keep({ map, shard: 2 })
  const again = createKeptSlots(custody()).kept()
  assert.is(again?.shard, 2)
  assert.is(again?.map.tag, map.tag)
})

test.run()
