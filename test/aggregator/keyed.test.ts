import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullestOf } from '../../lib/aggregator/counted.ts'
import { ShardGroup } from '../../lib/aggregator/group.ts'
import type { ShardCall } from '../../lib/aggregator/index.ts'
import type { Part } from '../../lib/aggregator/part.ts'
import { type Behaviour, Network, ok, problem } from './network.ts'

const test = suite('aggregator/keyed')

const CALL = { method: 'POST', path: '/v1/increments', headers: { 'idempotency-key': 'k' }, body: '{}' } as const
const DIGEST = Uint8Array.of(3, 1, 4, 1, 5)
const TIMEOUT_MS = 3000
const IN_FLIGHT = problem(409, 'no', 'key-in-flight')
const UNSETTLED = problem(503, 'no', 'writes-unsettled')
const FROZEN = problem(503, 'no', 'slots-frozen')
const HTML = { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' }

/** A group whose replicas behave as told, the home of DIGEST first. */
function open(...behaviours: readonly (readonly (Behaviour | ((call: ShardCall) => Behaviour))[])[]) {
  const network = new Network()
  const urls = behaviours.map((_, index) => `http://${'abcde'[index]}`)
  const group = new ShardGroup({
    shard: 7,
    replicas: urls.map((url) => network.replica(url)),
    clock: network.clock,
    hedgeMs: 0,
  })
  const order = group.orderOf(DIGEST)
  for (const [index, { url }] of order.entries()) network.does(url, ...behaviours[index]!)
  const write = (timeoutMs = TIMEOUT_MS, waitMs = 0): Promise<Part> =>
    network.until(group.keyed(CALL, DIGEST, timeoutMs, waitMs).write())
  /** Who was asked, by the place in the order; with f when told that it may have been counted. */
  const asked = (): string[] =>
    network.asked.map(({ base, headers }) => {
      assert.is(headers['idempotency-key'], 'k')
      const failover = headers['counter-failover']
      assert.ok(failover === undefined || failover === 'true')
      return `${order.findIndex(({ url }) => url === base)}${failover === undefined ? '' : 'f'}`
    })
  return { network, group, order, write, asked }
}

const said = (part: Part): string => (part.state === 'refused' ? `refused ${part.status}` : part.state)

test('the home of the key is asked first, and alone when it answers', async () => {
  const { write, asked } = open([ok('home')], [ok('next')], [ok('last')])
  const part = await write()
  assert.is(part.state === 'done' && part.body, 'home')
  assert.equal(asked(), ['0'])
})

test('when the home is down, or certainly has not counted, the next one is asked and told that it is not the first', async () => {
  for (const failure of [
    'refuse',
    problem(503),
    problem(507),
    UNSETTLED,
    problem(401),
    problem(404, 'no', 'not-found'),
  ] as const) {
    const { write, asked } = open([failure], [ok()], [ok()])
    assert.is(said(await write()), 'done')
    assert.equal(asked(), ['0', '1f'])
  }
  for (const state of ['down', 'conflict', 'unknown'] as const) {
    const { order, write, asked } = open([ok()], [problem(503)], [ok()])
    order[0]!.set(state, 'is away')
    assert.is(said(await write()), 'done')
    assert.equal(asked(), ['1f', '2f'])
  }
})

test('when the answer of the home is lost it is asked again, and then the next one', async () => {
  const found = open(['break', ok('kept')], [ok()])
  const part = await found.write()
  assert.is(part.state === 'done' && part.body, 'kept')
  assert.equal(found.asked(), ['0', '0'])

  const gone = open(['break'], [ok()], [ok()])
  assert.is(said(await gone.write()), 'done')
  assert.equal(gone.asked(), ['0', '0', '0', '1f'])

  const died = open(['break', 'refuse'], [ok()])
  assert.is(said(await died.write()), 'done')
  assert.equal(died.asked(), ['0', '0', '1f'])
})

test('what a home that is in trouble says leaves open whether it has counted, and the next one is asked', async () => {
  for (const failure of [problem(500, 'unknown'), problem(503, 'unknown'), HTML] as const) {
    const { write, asked } = open([failure], [ok()])
    assert.is(said(await write()), 'done')
    assert.equal(asked(), ['0', '1f'])
  }
})

test('replicas that hang have equal shares of the time, so that each is asked', async () => {
  const { network, write, asked } = open(['hang'], ['hang'], ['hang'])
  const starts: number[] = []
  const call = network.call.bind(network)
  network.call = (...args) => {
    starts.push(network.clock.monotonicMs())
    return call(...args)
  }
  assert.is(said(await write(3000)), 'unknown')
  assert.equal(asked(), ['0', '1f', '2f'])
  assert.equal(starts, [0, 1000, 2000])
  assert.is(network.clock.monotonicMs(), 3000)
})

test('a share is long enough for a slow flush, though the last ones may then go short', async () => {
  const { network, write, asked } = open(['hang'], ['hang'], ['hang'], [ok()])
  assert.is(said(await write(600)), 'unknown')
  assert.equal(asked(), ['0', '1f', '2f'])
  assert.is(network.clock.monotonicMs(), 600)
  const short = open(['hang'], [ok()])
  assert.is(said(await short.write(200)), 'unknown')
  assert.equal(short.asked(), ['0'])
})

test('however short the time is, a replica that refuses at once leaves enough of it for the next', async () => {
  const { write, asked } = open(['refuse'], [problem(503)], [ok()])
  assert.is(said(await write(40)), 'done')
  assert.equal(asked(), ['0', '1f', '2f'])
})

test('a write that waits for members may wait for them at the home', async () => {
  const { network, order, write, asked } = open([ok()], [ok()], [ok()])
  network.delays.set(order[0]!.url, 2900)
  assert.is(said(await write(5000, 2000)), 'done')
  assert.equal(asked(), ['0'])
  const hung = open(['hang'], [ok()], [ok()])
  assert.is(said(await hung.write(5000, 2000)), 'done')
  assert.is(hung.network.clock.monotonicMs(), 3001)
})

test('what the home refuses it refuses for all', async () => {
  for (const refusal of [problem(400), problem(409, 'no', 'count-overflow'), problem(422, 'no', 'key-reused')]) {
    const { write, asked } = open([refusal], [ok()])
    assert.is(said(await write()), `refused ${refusal.status}`)
    assert.equal(asked(), ['0'])
    // Of its own lost attempt it says what became of that, because it looks for the key first.
    const again = open(['break', refusal], [ok()])
    assert.is(said(await again.write()), `refused ${refusal.status}`)
    assert.equal(again.asked(), ['0', '0'])
  }
})

test('once any replica may have counted the write stays unknown, unless another one knows the key', async () => {
  const rows: [Behaviour, string][] = [
    ['refuse', 'unknown'],
    ['break', 'unknown'],
    ['hang', 'unknown'],
    [problem(503), 'unknown'],
    [problem(507), 'unknown'],
    [UNSETTLED, 'unknown'],
    [FROZEN, 'unknown'],
    [problem(421), 'unknown'],
    [problem(400), 'unknown'],
    [problem(401), 'unknown'],
    [problem(409, 'no', 'count-overflow'), 'unknown'],
    [problem(422, 'no', 'key-reused'), 'refused 422'],
    [ok(), 'done'],
  ]
  for (const [next, expected] of rows) {
    for (const first of ['break', 'hang', problem(500, 'unknown')] as const) {
      const { write } = open([first], [next])
      assert.is(said(await write()), expected, JSON.stringify([first, next]))
    }
  }
  // The same of one replica alone: what it says later is about its later attempt, unless it has looked for the key.
  for (const second of ['refuse', 'break', problem(503), problem(421), problem(401), problem(408)] as const) {
    const { write } = open(['break', second])
    assert.is(said(await write()), 'unknown', JSON.stringify(second))
  }
})

test('when certainly nobody has counted, that is said', async () => {
  for (const [failure, expected] of [
    ['refuse', 'unsent'],
    [problem(503), 'unsent'],
    [UNSETTLED, 'unsent'],
    [problem(507), 'refused 507'],
  ] as const) {
    const { write, asked } = open([failure], [failure], [failure])
    assert.is(said(await write()), expected)
    assert.equal(asked(), ['0', '1f', '2f'])
  }
  const { order, write, asked } = open([ok()], [ok()])
  for (const replica of order) replica.set('down', `${replica.url} is gone`)
  const part = await write()
  assert.is(said(part), 'unsent')
  for (const { url } of order) assert.match('detail' in part ? part.detail : '', `${url} is gone`)
  assert.equal(asked(), [])
})

test('what moves is said at once, so that the map is looked at; a replica that lags in it is not gone past', async () => {
  for (const moving of [problem(421), FROZEN]) {
    const { write, asked } = open([moving], [ok()])
    const part = await write()
    assert.ok('moves' in part)
    assert.equal(asked(), ['0'])
  }
})

test('a home for which too much waits here is busy, and nobody else gets its load; one that has gone down is passed by', async () => {
  const { network, group, order, write, asked } = open(['hang'], [ok()])
  // Four under way and sixteen that wait.
  const others = Array.from({ length: 20 }, () => group.keyed(CALL, DIGEST, 60_000, 0).write())
  assert.is(said(await write()), 'busy')
  assert.not.ok(asked().includes('1f'))
  // Those under way time out and break the circuit, and what still waits goes to the next one.
  const waiting = await network.until(Promise.all(others))
  assert.is(order[0]!.state, 'down')
  assert.ok(
    waiting.every(({ state }) => state === 'done'),
    waiting.map(said).join(),
  )
  assert.is(order[0]!.gate.taken, 0)
})

test('a home that still writes the first request with the key is waited for as long as its share lasts', async () => {
  const soon = open([...Array.from({ length: 5 }, () => IN_FLIGHT), ok('kept')], [ok()])
  const part = await soon.write()
  assert.is(part.state === 'done' && part.body, 'kept')
  assert.equal(new Set(soon.asked()).size, 1)

  const stuck = open([IN_FLIGHT], [ok('next')])
  const next = await stuck.write()
  assert.is(next.state === 'done' && next.body, 'next')
  assert.is(stuck.asked().at(-1), '1f')
  assert.ok(stuck.network.clock.monotonicMs() > TIMEOUT_MS / 3 && stuck.network.clock.monotonicMs() <= TIMEOUT_MS / 2 + 1)

  assert.is(said(await open([IN_FLIGHT]).write()), 'refused 409')
  assert.is(said(await open([IN_FLIGHT], [problem(400)]).write()), 'refused 409')
  assert.is(said(await open(['break', IN_FLIGHT]).write()), 'unknown')
})

const replies = (versions: number[], pieces = false) => ok(JSON.stringify({ versions, pieces, body: '' }))

test('a question about a key goes to its home, and when that does not answer to all others', async () => {
  const ask = async (...behaviours: Behaviour[]) => {
    const world = open(...behaviours.map((one) => [one]))
    const parts = await world.network.until(world.group.keyed(CALL, DIGEST, TIMEOUT_MS, 0).question())
    return { ...world, parts }
  }
  const well = await ask(replies([1]), replies([1, 2]), replies([]))
  assert.equal(well.parts.map(said), ['done'])
  assert.equal(well.asked(), ['0'])

  for (const failure of ['refuse', 'break', 'hang', problem(503), problem(500, 'unknown')] as const) {
    const { parts, asked } = await ask(failure, replies([1]), 'refuse', replies([1, 3]))
    assert.equal(parts.map(said), ['done', 'done'], JSON.stringify(failure))
    assert.equal(asked().slice(-3), ['1f', '2f', '3f'])
    const fullest = fullestOf(parts)
    assert.match(fullest.state === 'done' ? fullest.body : '', '[1,3]')
  }
  assert.equal((await ask('refuse', problem(503))).parts.map(said), ['unsent'])
  const moving = await ask(FROZEN, replies([1]))
  assert.ok('moves' in moving.parts[0]!)
  assert.equal(moving.asked(), ['0'])

  const away = open([replies([1])], [replies([2])])
  away.order[0]!.set('down', 'is gone')
  const parts = await away.network.until(away.group.keyed(CALL, DIGEST, TIMEOUT_MS, 0).question())
  assert.equal(parts.map(said), ['done'])
  assert.equal(away.asked(), ['1f'])
})

test('of several answers about a key that of the replica counts that knows of most replies, or of pieces', () => {
  const done = (versions: number[], pieces = false): Part => ({
    shard: 0,
    state: 'done',
    status: 200,
    body: JSON.stringify({ versions, pieces, body: '' }),
    session: undefined,
    level: undefined,
    replayed: false,
  })
  const nonsense: Part = { ...done([]), state: 'done', body: '{}' } as Part
  const unsent: Part = { shard: 0, state: 'unsent', detail: '' }
  for (const [parts, best] of [
    [[done([]), done([1]), done([1, 2])], 2],
    [[done([1, 2]), done([1])], 0],
    [[done([1, 2]), done([1], true)], 1],
    [[nonsense, done([])], 1],
    [[unsent], 0],
  ] as const) {
    assert.is(fullestOf(parts), parts[best])
  }
})

test.run()
