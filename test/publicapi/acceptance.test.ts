import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, problemOf, withServer } from './harness.ts'

const test = suite('publicapi/acceptance')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const ITEM = { id: 'a', tenant: 't' }
type Ask = (node: Harness, query: string, headers?: Record<string, string>) => Promise<Response>
/** Every operation that changes items. */
const WRITES: ReadonlyArray<readonly [name: string, ask: Ask]> = [
  ['POST /items', (node, query, headers) => node.postJson(`/items${query}`, [ITEM], headers)],
  ['POST /v1/items', (node, query, headers) => node.postJson(`/v1/items${query}`, { items: [ITEM] }, headers)],
  ['DELETE', (node, query, headers = {}) => fetch(`${node.url}/v1/items/a${query}`, { method: 'DELETE', headers })],
]

test('one node is enough when nothing else is asked for, and nothing is said of others', async () => {
  for (const query of ['', '?accept=one', '?x=%zz', '?acceptance=all']) {
    for (const [name, ask] of WRITES) {
      const response = await ask(api, query)
      assert.is(response.status, 200, name)
      assert.is(response.headers.get('counter-accept'), null)
    }
  }
  assert.equal(api.cluster.acceptances, [])
})

test('a batch that enough members have accepted says how many', async () => {
  for (const accept of ['majority', 'all']) {
    for (const [name, ask] of WRITES) {
      const response = await ask(api, `?accept=${accept}`)
      assert.is(response.status, 200, name)
      assert.is(response.headers.get('counter-accept'), `${accept}; accepted=3; members=3`)
      assert.ok(response.headers.get('counter-session'))
      assert.is(api.cluster.acceptances.at(-1), accept)
    }
  }
})

test('a refused batch says who refused and why, and is kept nowhere', async () => {
  const refusals = [
    { node: 2, code: 'DRAINING', reason: 'the node is leaving the cluster' },
    { node: 3, code: 'PEER_UNREACHABLE', reason: 'no answer in 2000 ms' },
  ]
  api.cluster.refusals.push(...refusals)
  for (const accept of ['majority', 'all']) {
    const problem = await problemOf(await api.postJson(`/v1/items?accept=${accept}`, { items: [ITEM] }))
    assert.is(problem.status, 503)
    assert.is(problem.type, '/problems/items-refused')
    assert.is(problem.applied, 'no')
    assert.is(problem.retryAfter, '1')
    assert.equal(problem.refusals, refusals)
    assert.match(problem.detail as string, /node 2: .*DRAINING.*node 3: /)
    assert.match(problem.fix as string, 'accept=one')
  }
  assert.is(api.store.items.size, 0)
  assert.is((await WRITES[2]![1](api, '?accept=all')).status, 503)
  api.cluster.refusals.pop()
  const enough = await api.postJson('/v1/items?accept=majority', { items: [ITEM] })
  assert.is(enough.headers.get('counter-accept'), 'majority; accepted=2; members=3')
})

test('the setting holds for requests that do not say, and those that do say are heard', async () => {
  await withServer({ itemsAccept: 'all' }, async (node) => {
    for (const [name, ask] of WRITES) {
      await ask(node, '')
      assert.is(node.cluster.acceptances.pop(), 'all', name)
      await ask(node, '?accept=majority')
      assert.is(node.cluster.acceptances.pop(), 'majority', name)
      await ask(node, '?accept=one')
      assert.is(node.cluster.acceptances.pop(), undefined, name)
    }
  })
})

test('an unknown acceptance, or two that differ, are refused before anything is changed', async () => {
  for (const query of ['?accept', '?accept=', '?accept=ALL', '?accept=2', '?accept=one&accept=all']) {
    for (const [name, ask] of WRITES) {
      const response = await ask(api, query)
      assert.is(response.status, 400, `${name} ${query}`)
      const { type, errors } = (await response.json()) as { type: string; errors: { in: string; path: string }[] }
      assert.is(type, '/problems/accept-invalid')
      assert.is(errors[0]!.in, 'query')
      assert.is(errors[0]!.path, 'accept')
    }
  }
  assert.is(api.store.writes, 0)
  assert.is((await WRITES[0]![1](api, '?accept=all&accept=all')).status, 200)
})

test('a batch waits for its write level too, once it is accepted', async () => {
  api.cluster.reached = 2
  const response = await api.postJson('/v1/items?accept=all&w=all', { items: [ITEM] })
  assert.is(response.status, 202)
  assert.is(response.headers.get('counter-accept'), 'all; accepted=3; members=3')
  assert.is(response.headers.get('counter-write-level'), 'all; reached=2; members=3')
})

test('a repetition with its Idempotency-Key gets the first reply and asks nobody again', async () => {
  const headers = { 'Idempotency-Key': 'k' }
  const first = await api.postJson('/v1/items?accept=all', { items: [ITEM] }, headers)
  api.cluster.refusals.push({ node: 2, code: 'DISK_FULL', reason: 'the disk is full' })
  const second = await api.postJson('/v1/items?accept=all', { items: [ITEM] }, headers)
  assert.is(second.status, 200)
  assert.is(second.headers.get('idempotency-replayed'), 'true')
  assert.is(await second.text(), await first.text())
  assert.is(api.cluster.acceptances.length, 1)
  assert.is(api.store.writes, 1)
})

test('a refused batch keeps no reply: its key is free for the repetition', async () => {
  const headers = { 'Idempotency-Key': 'k' }
  api.cluster.refusals.push({ node: 2, code: 'DISK_FULL', reason: 'the disk is full' })
  assert.is((await api.postJson('/v1/items?accept=all', { items: [ITEM] }, headers)).status, 503)
  api.cluster.refusals.length = 0
  const again = await api.postJson('/v1/items?accept=all', { items: [ITEM] }, headers)
  assert.is(again.status, 200)
  assert.is(again.headers.get('idempotency-replayed'), null)
})

test('nobody is asked to accept nothing', async () => {
  api.cluster.refusals.push({ node: 2, code: 'DISK_FULL', reason: 'the disk is full' })
  for (const headers of [{}, { 'Idempotency-Key': 'k' }]) {
    assert.is((await api.postJson('/v1/items?accept=all', { items: [] }, headers)).status, 200)
  }
  assert.equal(api.cluster.acceptances, [])
})

test.run()
