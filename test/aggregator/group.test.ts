import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ShardGroup } from '../../lib/aggregator/group.ts'
import { Unanswered } from '../../lib/aggregator/index.ts'
import { Network, ok, problem } from './network.ts'

const test = suite('aggregator/group')

const [A, B, C] = ['http://a', 'http://b', 'http://c'] as const
const READ = { method: 'GET', path: '/total', headers: {} } as const
const WRITE = { method: 'POST', path: '/v1/increments', headers: {}, body: '{}' } as const
const TIMEOUT_MS = 1000

function groupOf(network: Network, urls: readonly string[] = [A, B, C], hedgeMs = 0): ShardGroup {
  return new ShardGroup({ shard: 0, replicas: urls.map((url) => network.replica(url)), clock: network.clock, hedgeMs })
}

const said = (heard: unknown): string | number =>
  heard instanceof Unanswered ? heard.silence : (heard as { status: number }).status

test('one replica is asked, and no two are added up', async () => {
  const network = new Network().does(A, ok('a')).does(B, ok('b')).does(C, ok('c'))
  const group = groupOf(network)
  const heard = await network.until(group.read(READ, TIMEOUT_MS))
  assert.is((heard as { body: string }).body, 'a')
  assert.equal(network.basesAsked(), [A])
})

test('a read goes on to the next replica, whatever failed, and gives the last failure when all do', async () => {
  for (const failure of ['refuse', 'break', problem(503), problem(500, 'unknown'), problem(412), problem(421)] as const) {
    const network = new Network().does(A, failure).does(B, failure).does(C, ok('c'))
    assert.is(said(await network.until(groupOf(network).read(READ, TIMEOUT_MS))), 200)
    assert.equal(network.basesAsked(), [A, B, C])
  }
  const network = new Network().does(A, 'break').does(B, problem(503)).does(C, 'refuse')
  assert.is(said(await network.until(groupOf(network).read(READ, TIMEOUT_MS))), 'unsent')
})

test('a read that is wrong itself is wrong at every replica, and is asked once', async () => {
  const network = new Network().does(A, problem(400))
  assert.is(said(await network.until(groupOf(network).read(READ, TIMEOUT_MS))), 400)
  assert.equal(network.basesAsked(), [A])
})

test('a slow replica is asked beside another, and the loser is given up', async () => {
  const network = new Network().does(A, ok('a')).does(B, ok('b'))
  network.delays.set(A, 900)
  const heard = await network.until(groupOf(network, [A, B], 50).read(READ, TIMEOUT_MS))
  assert.is((heard as { body: string }).body, 'b')
  assert.is(network.clock.monotonicMs(), 51)
  assert.equal(
    network.asked.map(({ base, aborted }) => [base, aborted]),
    [
      [A, true],
      [B, true],
    ],
  )
})

test('hedges are few: when all are slow, not every read is asked twice', async () => {
  const network = new Network().does(A, ok('a')).does(B, ok('b'))
  network.delays.set(A, 200).set(B, 200)
  const group = groupOf(network, [A, B], 50)
  for (let read = 0; read < 200; read++) await network.until(group.read(READ, TIMEOUT_MS))
  const hedges = network.asked.filter(({ base }) => base === B).length
  assert.ok(hedges >= 20 && hedges <= 41, `${hedges} hedges`)
})

test('a replica that leaves three requests unanswered is asked no more, one that refuses a connection at once', async () => {
  const network = new Network().does(A, 'hang').does(B, 'refuse')
  const group = groupOf(network, [A])
  for (let read = 0; read < 5; read++)
    assert.is(said(await network.until(group.read(READ, TIMEOUT_MS))), read < 3 ? 'unknown' : 'unsent')
  assert.is(network.asked.length, 3)
  assert.is(group.replicas[0]!.state, 'down')
  const refused = groupOf(network, [B])
  await network.until(refused.read(READ, TIMEOUT_MS))
  assert.is(refused.replicas[0]!.state, 'down')
  assert.match(refused.replicas[0]!.trouble, 'http://b refuses connections')
})

test('a write goes on only while it is certain that it was not counted', async () => {
  for (const failure of ['refuse', problem(503), problem(507), problem(421)] as const) {
    const network = new Network().does(A, failure).does(B, ok())
    assert.is(said(await network.until(groupOf(network).write(WRITE, TIMEOUT_MS))), 200)
    assert.equal(network.basesAsked(), [A, B])
  }
  for (const failure of ['break', 'hang', problem(500, 'unknown'), problem(503, 'unknown'), problem(400)] as const) {
    const network = new Network().does(A, failure).does(B, ok())
    const heard = said(await network.until(groupOf(network).write(WRITE, TIMEOUT_MS)))
    assert.is(heard, typeof failure === 'string' ? 'unknown' : failure.status)
    assert.equal(network.basesAsked(), [A])
  }
})

test('the home of a key does not depend on the order of replicas, and one more takes its share alone', () => {
  const network = new Network()
  const digests = Array.from({ length: 600 }, (_, index) => Uint8Array.of(index & 255, index >> 8, 7, 7))
  const homes = (urls: readonly string[]): string[] => {
    const group = groupOf(network, urls)
    return digests.map((digest) => group.orderOf(digest)[0]!.url)
  }
  const before = homes([A, B, C])
  assert.equal(homes([C, A, B]), before)
  for (const url of [A, B, C]) assert.ok(Math.abs(before.filter((one) => one === url).length - 200) < 60, url)
  const after = homes([A, B, C, 'http://d'])
  const moved = after.filter((url, index) => url !== before[index])
  assert.ok(moved.length > 90 && moved.length < 220, `${moved.length} moved`)
  assert.ok(moved.every((url) => url === 'http://d'))
})

test('after its home a key goes to the others in one order, whoever lives and however they are named, and each is next for some', () => {
  const network = new Network()
  const orders = new Set<string>()
  for (let byte = 0; byte < 60; byte++) {
    const digest = Uint8Array.of(0, byte)
    const group = groupOf(network)
    const order = group.orderOf(digest).map(({ url }) => url)
    assert.equal([...order].sort(), [A, B, C])
    for (const replica of group.replicas) replica.set('down', 'is gone')
    assert.equal(
      group.orderOf(digest).map(({ url }) => url),
      order,
    )
    assert.equal(
      groupOf(network, [C, B, A])
        .orderOf(digest)
        .map(({ url }) => url),
      order,
    )
    orders.add(order.join())
  }
  assert.is(orders.size, 6)
})

test('what piles up is refused before it is sent, and whoever waits gets the next place in order', async () => {
  const network = new Network().does(A, ok())
  network.delays.set(A, 100)
  const replica = network.replica(A, 2)
  const all = Array.from({ length: 12 }, () =>
    new ShardGroup({ shard: 0, replicas: [replica], clock: network.clock, hedgeMs: 0 }).write(WRITE, 350),
  )
  const heard = (await network.until(Promise.all(all))).map(said)
  // Two at a time, each takes 100 of 350 ms: six of the ten that may wait or go get through, two wait in vain, two were too many.
  assert.equal(heard.filter((one) => one === 200).length, 6)
  assert.equal(heard.slice(10), ['busy', 'busy'])
  assert.equal(heard.filter((one) => one === 'busy').length + heard.filter((one) => one === 'unknown').length, 6)
  assert.is(replica.gate.taken, 0)
  assert.is(replica.gate.waiting, 0)
  assert.is(replica.state, 'up')
})

test.run()
