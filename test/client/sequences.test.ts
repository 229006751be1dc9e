// Sequences through the client: whatever is lost on the way, a call gets its own numbers and no more are taken.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClientError, connect } from '../../lib/client/index.ts'
import { FakeSequences } from '../publicapi/fake-sequences.ts'
import { Harness } from '../publicapi/harness.ts'

const test = suite('client/sequences')
let nodes: Harness[]
let sequences: FakeSequences

/** Two nodes with the sequences of one engine. */
test.before.each(async () => {
  sequences = new FakeSequences()
  nodes = await Promise.all([1, 2].map(() => new Harness({ sequences }).open()))
})
test.after.each(async () => {
  await Promise.all(nodes.map(({ server }) => server.close()))
})

const QUICK = { backoffMs: 1, backoffMaxMs: 5 }
const urls = () => nodes.map(({ url }) => url)

test('it takes numbers, reads them back and lists sequences', async () => {
  const counter = connect(urls())
  assert.is(await counter.next('a/b'), 1)
  assert.equal(await counter.nextNumbers('a/b', 5), { name: 'a/b', first: 2, last: 6 })
  assert.is(await counter.lastNumber('a/b'), 6)
  assert.is(await counter.lastNumber('never'), 0)
  await counter.setSequence('z', 9)
  const listed: string[] = []
  for await (const { name, value } of counter.sequences({ limit: 1 })) listed.push(`${name} ${value}`)
  assert.equal(listed, ['a/b 6', 'z 9'])
  const refused = await counter.setSequence('z', 1).catch((error: unknown) => error)
  assert.instance(refused, ClientError)
  assert.is((refused as ClientError).type, 'sequence-backwards')
  await counter.setSequence('z', 1, { force: true })
  assert.is(await counter.next('z'), 2)
})

test('a call without an answer is repeated at another node, and gets what the first attempt took', async () => {
  const asked: string[] = []
  let lost = 3
  const counter = connect(urls(), {
    ...QUICK,
    async fetch(input, init) {
      asked.push(`${new URL(String(input)).port} ${new Headers(init?.headers).get('idempotency-key')}`)
      const response = await fetch(input, init)
      if (lost-- > 0) throw new TypeError('fetch failed', { cause: new Error('socket hang up') })
      return response
    },
  })
  assert.is(await counter.next('a'), 1)
  assert.is(await sequences.get('a'), 1, 'one number was taken')
  assert.is(new Set(asked.map((line) => line.split(' ')[0])).size, 2, 'both nodes were asked')
  assert.is(new Set(asked.map((line) => line.split(' ')[1])).size, 1, 'with one key')
})

test('what the engine does not know it has done is repeated with its key; what it refuses is told', async () => {
  const counter = connect(urls(), { ...QUICK, retriesMax: 1 })
  sequences.failure = 'SEQUENCE_UNKNOWN'
  assert.is(await counter.next('a', { idempotencyKey: 'mine' }), 1)
  assert.is(await counter.next('a', { idempotencyKey: 'mine' }), 1)
  sequences.failure = 'SEQUENCE_FROZEN'
  const frozen = (await counter.next('a').catch((error: unknown) => error)) as ClientError
  assert.equal([frozen.type, frozen.status, frozen.applied, frozen.fix], ['sequence-frozen', 409, 'no', 'Ask the test.'])
})

test('it gives the orders of an operator', async () => {
  const counter = connect(urls())
  assert.is((await counter.sequenceEngine()).engine, 'local')
  await counter.freezeSequences()
  assert.is((await counter.sequenceEngine()).frozen, true)
  await counter.thawSequences()
  assert.is((await counter.sequenceEngine()).frozen, false)
  await counter.recoverSequences(10)
  await counter.recoverSequences(20, { force: true })
  assert.equal(sequences.recoveries, [
    { ahead: 10, force: false },
    { ahead: 20, force: true },
  ])
  assert.equal(await counter.migrateSequences(), { sequences: 2, keys: 1, ahead: ['a'] })
})

test.run()
