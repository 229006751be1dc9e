// The one total over shards whose slots have moved: who is asked, and who is not any more.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { onceOf } from '../../lib/aggregator/calls.ts'
import { forget, freeze, handOver, release, SlotMap, slotOfKey } from '../../lib/cluster/index.ts'
import { Harness, problemOf } from '../publicapi/harness.ts'
import { Sharded } from './harness.ts'

const NODES = { sender: 1, receiver: 1 }
/** Shard 1 has given all that it had to shard 0. */
const copy = freeze(SlotMap.even(3), { ranges: SlotMap.even(3).ranges[1]!, from: 1, to: 0 }, NODES)
const emptied = release(handOver(copy, 0, 1_000))
const [part] = emptied.parts

interface Context {
  api: Sharded
  /** What shard 1 says of the replies that it keeps under a key. */
  replies: { versions: number[]; pieces: boolean; body: string }
  asked: unknown[]
}
const test = suite<Context>('aggregator/total')

test.before.each(async (context) => {
  context.replies = { versions: [], pieces: false, body: '' }
  context.asked = []
  const answer = async (question: unknown): Promise<object> => {
    context.asked.push(question)
    return context.replies
  }
  const look = async (): Promise<object> => ({})
  const options = [{}, { shard: { look, answer } }, {}]
  const shards = await Promise.all(options.map((own) => new Harness({ nameBytesMax: 256, ...own }).open()))
  context.api = await Sharded.before(
    shards,
    shards.map(({ url }) => [url]),
  )
})
test.after.each(({ api }) => api.close().catch(() => {}))

const keep = (api: Sharded, map: SlotMap) => Promise.all(api.shards.map(({ slots }, shard) => slots.keep({ map, shard })))
const total = async (api: Sharded) => (await api.get('/total')).text()
const add = async (api: Sharded, value: number, headers = {}) => {
  const response = await api.postJson('/increment', { value }, headers)
  assert.is(response.status, 200, await response.clone().text())
  return (await response.json()) as { shardId: number; count: number }
}
/** A key whose slot was once the shard's. */
const keyOf = (shard: number): string => {
  for (let number = 0; ; number++) {
    const { key } = onceOf({
      id: '',
      session: new Map(),
      level: undefined,
      once: { key: `k${number}`, fingerprint: Buffer.of() },
    })!
    if (SlotMap.even(3).shardOf(slotOfKey(key)) === shard) return `k${number}`
  }
}

test('a shard that was emptied has no part of the total, is not added to, and may be gone', async ({ api }) => {
  for (let turn = 0; turn < 3; turn++) await add(api, 10 ** turn)
  const { count } = JSON.parse((await api.shards[1]!.get('/total').then((reply) => reply.text())).replace('total', 'count')) as {
    count: number
  }
  assert.is(await total(api), '{"total":111}')
  // What a mover does.
  await api.shards[0]!.postJson('/v1/increments', { items: [{ name: part, delta: String(count) }] })
  await keep(api, copy)
  assert.is(await total(api), '{"total":111}', 'it is on its way')
  await keep(api, emptied)
  assert.is(await total(api), '{"total":111}', 'it has arrived')
  await api.shards[1]!.server.close()
  assert.is(await (await api.get('/total?require=complete')).text(), '{"total":111}')
  const shards = new Set<number>()
  for (let turn = 0; turn < 6; turn++) shards.add((await add(api, 1)).shardId)
  assert.equal([...shards].sort(), [0, 2])
  assert.is(await total(api), '{"total":117}')
  const ready = async () => (await api.get('/readyz?verbose')).text()
  assert.not(/nothing left/.test(await ready()), 'retries ask it still')
  await keep(api, forget(emptied, 1, 1_001, 1_000)!)
  assert.is(await total(api), '{"total":117}')
  assert.match(await ready(), /\[\+\] shard 1: has nothing left and may be stopped;/)
})

test('what a shard had when it had other parts does not stand in for what it has now', async ({ api }) => {
  for (let turn = 0; turn < 3; turn++) await add(api, 10)
  assert.is(await total(api), '{"total":30}')
  await api.shards[0]!.server.close()
  const before = JSON.parse(await total(api)) as object
  assert.equal({ ...before, missing: [] }, { total: 30, answered: 20, complete: false, missing: [] })
  await Promise.all([1, 2].map((shard) => api.shards[shard]!.slots.keep({ map: emptied, shard })))
  const after = JSON.parse(await total(api)) as object
  assert.equal({ ...after, missing: [] }, { total: null, answered: 10, complete: false, missing: [] })
})

test('an addition with a key goes to the shard that has the slot of the key, and a retry again', async ({ api }) => {
  for (const shard of [0, 1, 2]) {
    const key = { 'Idempotency-Key': keyOf(shard) }
    for (let again = 0; again < 3; again++) assert.equal(await add(api, 5, key), { success: true, shardId: shard, count: 5 })
  }
  assert.is(await total(api), '{"total":15}')
})

test('when the slot of a key has moved, who had it is asked first, and what that has counted is not counted again', async ({
  api,
  replies,
  asked,
}) => {
  await keep(api, emptied)
  await add(api, 5, { 'Idempotency-Key': keyOf(0) })
  assert.equal(asked, [], 'where nothing has moved nobody is asked')
  const key = { 'Idempotency-Key': keyOf(1) }
  assert.is((await add(api, 7, key)).shardId, 0)
  assert.is(asked.length, 1)
  assert.is(await total(api), '{"total":12}')
  replies.versions.push(1)
  replies.body = '{"success":true,"shardId":0,"count":33}'
  const other = { 'Idempotency-Key': `${keyOf(1)}` }
  const response = await api.postJson('/increment', { value: 7 }, other)
  assert.is(await response.text(), '{"success":true,"shardId":1,"count":33}')
  assert.is(response.headers.get('idempotency-replayed'), 'true')
  assert.is(await total(api), '{"total":12}')
})

test('while who had the slot of a key does not answer, nothing is added with that key', async ({ api }) => {
  await keep(api, emptied)
  await total(api)
  await api.shards[1]!.server.close()
  const problem = await problemOf(await api.postJson('/increment', { value: 7 }, { 'Idempotency-Key': keyOf(1) }))
  assert.equal([problem.status, problem.applied], [503, 'no'])
  assert.is(await total(api), '{"total":0}')
  await add(api, 7, { 'Idempotency-Key': keyOf(2) })
})

test.run()
