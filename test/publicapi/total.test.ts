import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SlotMap } from '../../lib/cluster/index.ts'
import { closedPart } from '../../lib/cluster/total-parts.ts'
import { Harness, problemOf } from './harness.ts'

const test = suite('publicapi/total')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const total = async () => (await api.get('/total')).text()

test('the total is the sum of what was added, in the shapes of the original', async () => {
  assert.is(await total(), '{"total":0}')
  const response = await api.postJson('/increment', { value: 5 })
  assert.is(response.status, 200)
  assert.is(response.headers.get('content-type'), 'application/json')
  assert.is(await response.text(), '{"success":true,"shardId":0,"count":5}')
  assert.is(
    await (await api.postJson('/increment', { value: 7, note: 'ignored' })).text(),
    '{"success":true,"shardId":0,"count":12}',
  )
  assert.is(await total(), '{"total":12}')
})

test('a shard adds to the part of its era, and shows the sum of that and the closed parts in its slots', async () => {
  const name = (shard: number, era: number, slot: number) => closedPart(shard, era, (other) => other === slot)
  const parts = [name(0, 0, 5), name(1, 0, 9_000), name(1, 1, 16_000)]
  const slots = { map: SlotMap.read({ ...SlotMap.even(2).plain(), version: 7, parts }), shard: 1 }
  await api.postJson('/increment', { value: 1000 })
  for (const [index, part] of parts.entries()) {
    await api.postJson(`/v1/counters/${encodeURIComponent(part)}/increments`, { delta: 10 ** index })
  }
  await api.slots.keep(slots)
  assert.is(await total(), '{"total":110}', 'its own of era 0 is closed')
  assert.is(await (await api.postJson('/increment', { value: 5 })).text(), '{"success":true,"shardId":0,"count":115}')
  assert.is(await total(), '{"total":115}')
  assert.is(await (await api.get('/v1/counters/the%20total%202', { Accept: 'text/plain' })).text(), '5')
})

test('without a body, or without a value, 1 is added', async () => {
  assert.is(await (await api.post('/increment', undefined)).text(), '{"success":true,"shardId":0,"count":1}')
  assert.is(await (await api.postJson('/increment', {})).text(), '{"success":true,"shardId":0,"count":2}')
})

test('0 adds nothing, a negative value counts down, digits beyond 2^53 stay exact', async () => {
  assert.match(await (await api.postJson('/increment', { value: 0 })).text(), '"count":0}')
  assert.match(await (await api.postJson('/increment', { value: -3 })).text(), '"count":-3}')
  assert.is(await total(), '{"total":-3}')
  assert.match(await (await api.postJson('/increment', '{"value":9007199254740996}')).text(), '"count":9007199254740993}')
  assert.is(await total(), '{"total":9007199254740993}')
})

test('text, fractions and what is too large are refused, and the answer says how to write it', async () => {
  for (const value of ['"5"', '""', '1.5', 'true', 'null', '[5]', '18446744073709551616']) {
    const problem = await problemOf(await api.postJson('/increment', `{"value":${value}}`))
    assert.is(problem.type, '/problems/body-invalid', value)
    assert.match(JSON.stringify(problem.errors), 'without quotes')
    assert.is(problem.applied, 'no')
  }
  const typed = await problemOf(await api.post('/increment', 'value=5', { 'Content-Type': 'application/x-www-form-urlencoded' }))
  assert.is(typed.type, '/problems/media-type-unsupported')
  assert.is(await total(), '{"total":0}')
})

test('a retry with its key adds once', async () => {
  const key = { 'Idempotency-Key': 'k1' }
  const first = await api.postJson('/increment', { value: 5 }, key)
  const again = await api.postJson('/increment', { value: 5 }, key)
  assert.is(await again.text(), await first.text())
  assert.is(again.headers.get('idempotency-replayed'), 'true')
  assert.is(await total(), '{"total":5}')
  assert.is((await problemOf(await api.postJson('/increment', { value: 6 }, key))).type, '/problems/key-reused')
})

test('no text can count the total', async () => {
  await api.post('/keywords', 'the total the total')
  assert.is(await total(), '{"total":0}')
})

test.run()
