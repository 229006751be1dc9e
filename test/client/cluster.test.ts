import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Client, ClientError, connect, type Reached } from '../../lib/client/index.ts'
import { peer } from '../publicapi/fake-cluster.ts'
import { Harness } from '../publicapi/harness.ts'

const test = suite('client/cluster')
let nodes: Harness[]
let urls: string[]

test.before.each(async () => {
  nodes = await Promise.all([1, 2, 3].map(() => new Harness().open()))
  urls = nodes.map(({ url }) => url)
  for (const [index, { store }] of nodes.entries()) store.replica = { node: index + 1, incarnation: 40 }
})
test.after.each(async () => {
  await Promise.all(nodes.map(({ server }) => server.close()))
})

const QUICK = { backoffMs: 1, backoffMaxMs: 5 }
const counts = (): number[] => nodes.map(({ store }) => store.writes)

type Fault = 'unsent' | 'lost' | 'dropped' | 'silent' | 'in flight' | 'busy' | 'busy, applied or not' | 'proxy' | undefined

/** fetch with what happens to the attempts said up front; what is not said goes through. */
function faulty(...faults: Fault[]): { fetch: typeof fetch; asked: number[]; headers: Headers[] } {
  const asked: number[] = []
  const headers: Headers[] = []
  return {
    asked,
    headers,
    async fetch(input, init) {
      asked.push(urls.findIndex((url) => String(input).startsWith(url)))
      headers.push(new Headers(init?.headers))
      const fault = faults.shift()
      const failed = (message: string, code: string) =>
        new TypeError('fetch failed', { cause: Object.assign(new Error(message), { code }) })
      const answered = (status: number, body: string) => new Response(body, { status, headers: { 'Retry-After': '0' } })
      if (fault === 'unsent') throw failed('connect ECONNREFUSED', 'ECONNREFUSED')
      if (fault === 'dropped') throw failed('read ECONNRESET', 'ECONNRESET')
      if (fault === 'silent')
        await new Promise((_, reject) => init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason)))
      if (fault === 'in flight') return answered(409, '{"type":"/problems/key-in-flight","applied":"no"}')
      if (fault === 'busy') return answered(503, '{"type":"/problems/draining","applied":"no"}')
      if (fault === 'busy, applied or not') return answered(503, '{"type":"/problems/x","applied":"unknown"}')
      if (fault === 'proxy') return answered(503, '<html>')
      const response = await fetch(input, init)
      await response.clone().text()
      if (fault === 'lost') throw failed('socket hang up', 'UND_ERR_SOCKET')
      return response
    },
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof ClientError)) throw new Error(`expected a ClientError, got ${String(error)}`)
  return error
}

test('a write goes to the next node while it is certain that it has not counted, and stays there', async () => {
  const { fetch, asked } = faulty('unsent', 'busy')
  const counter = connect(urls, { ...QUICK, fetch })
  assert.is(await counter.increment('a'), 1n)
  assert.is(await counter.increment('a'), 2n)
  assert.is(await counter.value('a'), 2n)
  assert.equal(asked, [0, 1, 2, 2, 2])
  assert.equal(counts(), [0, 0, 2])
})

const failovers = (headers: readonly Headers[]): (string | null)[] => headers.map((each) => each.get('counter-failover'))

test('a write that may have counted is asked for once more where it was sent, where its reply is', async () => {
  for (const fault of ['lost', 'dropped', 'busy, applied or not', 'proxy'] as const) {
    const before = counts()
    const { fetch, asked, headers } = faulty(fault)
    await connect(urls, { ...QUICK, fetch }).increment('a')
    assert.equal(asked, [0, 0], fault)
    assert.equal(failovers(headers), [null, null])
    assert.equal(
      counts().map((count, index) => count - before[index]!),
      [1, 0, 0],
    )
  }
})

test('then it goes to the others, who are told that it may have counted, and the first one never is', async () => {
  for (const fault of ['lost', 'dropped', 'busy, applied or not', 'proxy'] as const) {
    const { fetch, asked, headers } = faulty('unsent', fault, 'unsent', 'dropped', 'busy')
    await connect(urls, { ...QUICK, fetch }).increment('a')
    // The first that may have counted is the second node here.
    assert.equal(asked, [0, 1, 1, 2, 0, 1], fault)
    assert.equal(failovers(headers), [null, null, null, 'true', 'true', null])
    assert.is(new Set(headers.map((each) => each.get('idempotency-key'))).size, 1)
  }
})

test('a node that is silent for the whole time is not asked once more before the others are', async () => {
  const { fetch, asked, headers } = faulty('silent')
  await connect(urls, { ...QUICK, fetch, timeoutMs: 20 }).increment('a')
  assert.equal(asked, [0, 1])
  assert.equal(failovers(headers), [null, 'true'])
})

test('a node that is still writing the first request is waited for once', async () => {
  const waited = faulty('dropped', 'in flight')
  await connect(urls, { ...QUICK, fetch: waited.fetch }).increment('a')
  assert.equal(waited.asked, [0, 0, 0])
  const { fetch, asked, headers } = faulty('in flight', 'in flight')
  await connect(urls, { ...QUICK, fetch }).increment('a')
  assert.equal(asked, [0, 0, 1])
  assert.equal(failovers(headers), [null, null, 'true'])
})

test('an error says that the write may have counted when any attempt may', async () => {
  const retries = { ...QUICK, retriesMax: 1 }
  for (const [faults, applied] of [
    [['unsent', 'busy'], 'no'],
    [['busy', 'unsent'], 'no'],
    [['lost', 'busy'], 'unknown'],
    [['dropped', 'unsent'], 'unknown'],
  ] as const) {
    const error = await failureOf(connect(urls, { ...retries, fetch: faulty(...faults).fetch }).increment('a'))
    assert.is(error.applied, applied, faults.join())
  }
})

test('an operation with a key of its own goes to the first node first, and any other is told that it is not the first', async () => {
  const { fetch, asked, headers } = faulty(undefined, 'unsent', 'busy')
  const counter = connect(urls, { ...QUICK, fetch })
  for (let round = 0; round < 3; round++) await counter.increment('a', 1, { idempotencyKey: 'job-7' })
  assert.equal(asked, [0, 0, 1, 2, 0])
  assert.equal(failovers(headers), [null, null, 'true', 'true', null])
  // These nodes do not hear of each other; those of a cluster do, and count it once.
  assert.equal(counts(), [1, 0, 1])
})

test('items and deletions go on as counts do; a read says nothing of it', async () => {
  for (const write of [
    (counter: Client) => counter.addItems([{ id: 'a', tenant: 't' }]),
    (counter: Client) => counter.deleteItem('a'),
  ]) {
    const { fetch, asked, headers } = faulty('dropped', 'dropped')
    await write(connect(urls, { ...QUICK, fetch }))
    assert.equal(asked, [0, 0, 1])
    assert.equal(failovers(headers), [null, null, 'true'])
  }
  const { fetch, headers } = faulty('dropped', 'dropped')
  await connect(urls, { ...QUICK, fetch }).value('a', { idempotencyKey: 'k' })
  assert.equal(failovers(headers), [null, null, null])
})

test('a read goes to the next node after any failure that may pass', async () => {
  for (const fault of ['unsent', 'lost', 'dropped', 'busy', 'proxy'] as const) {
    const { fetch, asked } = faulty(fault)
    assert.is(await connect(urls, { ...QUICK, fetch }).value('a'), 0n)
    assert.equal(asked, [0, 1], fault)
  }
  nodes[0]!.cluster.known = false
  const { fetch, asked } = faulty()
  const counter = connect(urls, { ...QUICK, fetch, session: true })
  await counter.increment('a')
  assert.is(await counter.value('a'), 0n, 'the nodes of this test do not agree')
  assert.equal(asked, [0, 0, 1])
})

test('it pauses when all nodes have failed, and gives up after its retries', async () => {
  const { fetch, asked } = faulty('unsent', 'unsent', 'unsent', 'unsent', 'unsent')
  const error = await failureOf(connect(urls, { ...QUICK, fetch, retriesMax: 4 }).increment('a'))
  assert.equal(asked, [0, 1, 2, 0, 1])
  assert.is(error.type, 'unreachable')
  assert.throws(() => connect([]), /needs the URL/)
})

test('a real refused connection counts as not sent', async () => {
  await nodes[0]!.server.close()
  assert.is(await connect(urls, QUICK).increment('a'), 1n)
  assert.equal(counts(), [0, 1, 0])
  assert.is((await failureOf(connect(urls[0]!, { ...QUICK, retriesMax: 0 }).increment('a'))).applied, 'no')
})

test('with a session every request carries all that was written, whichever node took it', async () => {
  const { fetch, headers } = faulty(undefined, undefined, 'unsent')
  const counter = connect(urls, { ...QUICK, fetch, session: true })
  await counter.value('a')
  await counter.increment('a')
  await counter.increment('a')
  await counter.value('a')
  const sent = headers.map((each) => each.get('counter-session'))
  assert.equal(sent, [null, null, '1.14.1', '1.14.1', '1.14.1,2.14.1'])
  const plain = faulty()
  const other = connect(urls, { fetch: plain.fetch })
  await other.increment('a')
  await other.value('a')
  assert.equal(
    plain.headers.map((each) => each.get('counter-session')),
    [null, null],
  )
})

test('replies that come out of order do not take a session back, and the oldest lives are let go', async () => {
  const tokens = ['1.a.z', '1.a.10', '1.a.9', ...Array.from({ length: 100 }, (_, index) => `2.${(1000 + index).toString(36)}.1`)]
  let sent: string | null = null
  const counter = connect('http://localhost', {
    session: true,
    async fetch(_, init) {
      sent = new Headers(init?.headers).get('counter-session')
      return new Response('{"items":1}', { headers: { 'Counter-Session': tokens.shift() ?? '1.a.1' } })
    },
  })
  for (let round = 0; round < 4; round++) await counter.incrementAll([])
  assert.is(sent, `1.a.10,2.${(1000).toString(36)}.1`.split(',')[0])
  while (tokens.length > 0) await counter.incrementAll([])
  await counter.incrementAll([])
  const lives = sent!.split(',')
  assert.is(lives.length, 63)
  assert.not.ok(lives.some((life) => life.startsWith('1.')))
  assert.ok(lives.includes(`2.${(1099).toString(36)}.1`))
})

test('a write level is asked for of all writes or of one, and what was reached is told', async () => {
  const told: Reached[] = []
  const onReached = (reached: Reached): void => void told.push(reached)
  const counter = connect(urls, { w: 'majority' })
  await counter.increment('a', 1, { onReached })
  nodes[0]!.cluster.reached = 1
  assert.is(await counter.increment('a', 1, { w: 'all', onReached }), 2n)
  assert.equal(await counter.count('b', { w: 1, onReached }), { tokens: 1, distinct: 1 })
  assert.is(await counter.value('a', { onReached }), 2n)
  assert.equal(told, [
    { level: 'majority', reached: 3, members: 3, met: true },
    { level: 'all', reached: 1, members: 3, met: false },
    { level: 1, reached: 1, members: 3, met: true },
  ])
  await connect(urls).increment('a', 1, { onReached })
  assert.is(told.length, 3)
})

test('it shows the members, drains and removes them, and waits until one has left', async () => {
  const [first] = nodes
  const counter = connect(urls, QUICK)
  const { members, agreed } = await counter.cluster()
  assert.is(agreed, true)
  assert.equal(
    members.map(({ node }) => node),
    [1, 2, 3],
  )
  await counter.drain(2)
  await counter.remove(3)
  assert.equal(first!.cluster.orders, ['drain 2', 'remove 3'])
  const left = counter.untilLeft(2)
  while (first!.log.filter(({ fields }) => fields.path === '/v1/cluster').length < 2) await (await first!.get('/livez')).text()
  first!.cluster.members = [peer(1), peer(2, { state: 'left' }), peer(3)]
  await left
  await counter.untilLeft(9)
  first!.cluster.refusal = 'MEMBER_ALIVE'
  assert.is((await failureOf(counter.remove(3))).type, 'member-alive')
})

test.run()
