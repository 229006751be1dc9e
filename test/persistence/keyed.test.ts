// Writes with an idempotency key in a cluster: one that two nodes have counted is taken back by one of them, whatever ends in between.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { Store, StoreOptions } from '../../lib/persistence/index.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import { drained } from '../support/virtual-clock.ts'
import { Machine, once, rejection, valueOf } from './harness.ts'

const test = suite('persistence/keyed')

/** Not settled: there is another member, and nothing was heard of it. */
const UNHEARD = [new VersionVector()]

class Node {
  readonly machine: Machine
  readonly #options: Partial<StoreOptions>
  store!: Store

  constructor(nodeId: number, options: Partial<StoreOptions> = {}) {
    this.machine = new Machine(nodeId)
    this.#options = { nodeId, ...options }
  }

  static async open(nodeId: number, options?: Partial<StoreOptions>): Promise<Node> {
    const node = new Node(nodeId, options)
    await node.start()
    return node
  }

  async start(): Promise<void> {
    this.store = await this.machine.open(this.#options)
    this.store.settle(UNHEARD)
    await this.machine.rest()
  }

  write(amounts: Record<string, number>, key?: ReturnType<typeof once>, body?: string) {
    return this.machine.settle(this.machine.write(this.store, amounts, key, body))
  }

  /** Takes what another node has, as its answer to an exchange. */
  async hear(other: Node): Promise<void> {
    const deltas = Array.from(other.store.since(this.store.vector()), ({ delta }) => delta.slice())
    for (const delta of deltas) await this.machine.settle(this.store.merge(delta))
  }

  value(name: string): number {
    return valueOf(this.store, name)
  }

  get counts() {
    const { replies, tentativeWrites, withdrawals } = this.store.status()
    return { replies, tentativeWrites, withdrawals }
  }
}

/** Two nodes that have both counted the key; node 2 later. */
async function bothCounted(): Promise<[Node, Node]> {
  const [one, two] = [await Node.open(1), await Node.open(2)]
  await one.write({ a: 5, b: -2 }, once('k'), 'one')
  two.machine.clock.wallMs = one.machine.clock.wallMs + 10
  await two.write({ a: 5, b: -2 }, once('k'), 'two')
  return [one, two]
}

test('a node that was told of a key gives the reply of the other again, and counts nothing', async () => {
  const [one, two] = [await Node.open(1), await Node.open(2)]
  const { at } = await one.write({ a: 5 }, once('k'), 'of one')
  await two.hear(one)
  const again = await two.write({ a: 5 }, once('k'), 'of two')
  assert.equal([again.body, again.replayed, again.at], ['of one', true, at])
  assert.equal([one.value('a'), two.value('a')], [5, 5])
  assert.is((await rejection(two.write({ a: 6 }, once('k', 'another')))).code, 'KEY_REUSED')
})

test('the reply of another is given again when what it has counted is on disk here too', async () => {
  const [one, two] = [await Node.open(1), await Node.open(2)]
  await one.write({ a: 5 }, once('k'), 'of one')
  const deltas = Array.from(one.store.since(two.store.vector()), ({ delta }) => delta.slice())
  const merged = Promise.all(deltas.map((delta) => two.store.merge(delta)))
  let given = false
  const again = two.store.replay(once('k'))!.finally(() => {
    given = true
  })
  await drained()
  assert.is(given, false)
  assert.is((await two.machine.settle(again)).body, 'of one')
  await two.machine.powerCut(0)
  await two.start()
  await merged
  assert.is(two.value('a'), 5)
})

test('of a write that two nodes have counted one takes its own back', async () => {
  const [one, two] = await bothCounted()
  await two.hear(one)
  assert.equal([two.value('a'), two.value('b')], [5, -2])
  assert.equal(two.counts, { replies: 2, tentativeWrites: 0, withdrawals: 1 })
  await one.hear(two)
  assert.equal([one.value('a'), one.value('b')], [5, -2])
  assert.equal(one.counts, { replies: 2, tentativeWrites: 1, withdrawals: 0 })
  assert.equal([(await one.write({ a: 1 }, once('k'))).replayed, (await two.write({ a: 1 }, once('k'))).replayed], [true, true])
})

test('who takes back its own does so in the turn in which the other one is shown', async () => {
  const [one, two] = await bothCounted()
  for (const delta of Array.from(one.store.since(two.store.vector()), ({ delta }) => delta.slice())) {
    const merged = two.store.merge(delta)
    assert.equal([two.value('a'), two.value('b')], [5, -2])
    await two.machine.settle(merged)
  }
  assert.is(two.counts.withdrawals, 1)
})

test('the one that stays takes nothing back, whoever hears first', async () => {
  const [one, two] = await bothCounted()
  await one.hear(two)
  assert.equal([one.value('a'), one.counts.withdrawals], [10, 0])
  await two.hear(one)
  await one.hear(two)
  assert.equal([one.value('a'), two.value('a')], [5, 5])
})

test('of three nodes that have counted it two take it back', async () => {
  const [one, two] = await bothCounted()
  const three = await Node.open(3)
  three.machine.clock.wallMs = one.machine.clock.wallMs - 10
  await three.write({ a: 5, b: -2 }, once('k'), 'three')
  await two.hear(one)
  await one.hear(two)
  await one.hear(three)
  await two.hear(one)
  await three.hear(two)
  assert.equal([one.value('a'), two.value('a'), three.value('a')], [5, 5, 5])
  assert.equal(
    [one, two, three].map(({ counts }) => counts.withdrawals),
    [1, 1, 0],
  )
})

test('it is taken back after every kind of end, from the log and from a snapshot, and once', async () => {
  for (const snapshot of [false, true]) {
    for (const end of ['kill', 'powerCut', 'close'] as const) {
      const [one, two] = await bothCounted()
      const restart = async () => {
        if (snapshot) await two.machine.settle(two.store.snapshot())
        if (end === 'close') await two.machine.settle(two.store.close())
        else await two.machine[end]()
        await two.start()
      }
      await restart()
      assert.is(two.counts.tentativeWrites, 1, `${end} ${snapshot}`)
      await two.hear(one)
      assert.equal([two.value('a'), two.counts.withdrawals], [5, 1])
      await restart()
      await two.hear(one)
      assert.equal([two.value('a'), two.value('b'), two.counts], [5, -2, { replies: 2, tentativeWrites: 0, withdrawals: 0 }])
    }
  }
})

test('whenever the node ends while it takes back, both writes come to one', async () => {
  let steps = 0
  for (let ended = true; ended; steps++) {
    const [one, two] = await bothCounted()
    const deltas = Array.from(one.store.since(two.store.vector()), ({ delta }) => delta.slice())
    const heard = (async () => {
      for (const delta of deltas) await two.store.merge(delta)
    })()
    heard.catch(() => {})
    ended = false
    for (let step = 0; step < steps; step++) ended = await two.machine.step()
    await two.machine.powerCut()
    await two.start()
    await two.hear(one)
    await one.hear(two)
    assert.equal([two.value('a'), two.value('b'), one.value('a'), one.value('b')], [5, -2, 5, -2], `after ${steps} steps`)
    if (steps === 0) ended = true
  }
  assert.ok(steps > 3)
})

test('what cannot be taken back while writes are refused is taken back later', async () => {
  const [one, two] = await bothCounted()
  two.store.refuseWrites(new CounterError('STARTING', 'not now'))
  await two.hear(one)
  assert.equal([two.value('a'), two.counts.withdrawals], [10, 0])
  two.store.refuseWrites(undefined)
  two.store.settle(UNHEARD)
  await two.machine.rest()
  assert.equal([two.value('a'), two.counts.withdrawals], [5, 1])
})

test('a write is settled when all others know it, and is then neither kept nor taken back', async () => {
  const [one, two] = await bothCounted()
  two.store.settle([two.store.vector()])
  assert.is(two.counts.tentativeWrites, 0)
  await two.hear(one)
  assert.equal([two.value('a'), two.counts.withdrawals], [10, 0])
})

test('a node without others keeps nothing to take back', async () => {
  const one = await Node.open(1)
  one.store.settle([])
  await one.write({ a: 5 }, once('k'))
  assert.is(one.counts.tentativeWrites, 0)
  assert.is((await one.write({ a: 5 }, { ...once('f'), failover: true })).replayed, false)
})

test('with too much to take back, first attempts are counted and later ones refused', async () => {
  const two = await Node.open(2, { tentativeBytesMax: 4000 })
  for (let index = 0; index < 5; index++) await two.write({ a: 1 }, once(`k${index}`))
  assert.is(two.counts.tentativeWrites, 3)
  for (let index = 0; index < 4; index++) await two.write({ a: 1 }, { ...once(`l${index}`), failover: true })
  assert.is(two.counts.tentativeWrites, 7)
  const error = await rejection(two.write({ a: 1 }, { ...once('f'), failover: true }))
  assert.is(error.code, 'KEYS_UNSETTLED')
  await two.write({ a: 1 }, once('g'))
  assert.is(two.value('a'), 10)
  two.store.settle([two.store.vector()])
  assert.is((await two.write({ a: 1 }, { ...once('f'), failover: true })).replayed, false)
})

test('what is kept without being able to be taken back stays, and the other is taken back although it was earlier', async () => {
  const [one, two] = [await Node.open(1), await Node.open(2, { tentativeBytesMax: 0 })]
  await one.write({ a: 5 }, once('k'))
  two.machine.clock.wallMs = one.machine.clock.wallMs + 10
  await two.write({ a: 5 }, once('k'))
  await one.hear(two)
  await two.hear(one)
  assert.equal([one.value('a'), two.value('a'), one.counts.withdrawals, two.counts.withdrawals], [5, 5, 1, 0])
})

test('a batch of thousands of names is taken back whole', async () => {
  const amounts = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`name-${index}`, index + 1]))
  const [one, two] = [await Node.open(1, { queueBytesMax: 1 << 24 }), await Node.open(2, { queueBytesMax: 1 << 24 })]
  await one.write(amounts, once('k'))
  two.machine.clock.wallMs = one.machine.clock.wallMs + 10
  await two.write(amounts, once('k'))
  await two.hear(one)
  assert.equal([two.value('name-0'), two.value('name-19999'), two.counts.withdrawals], [1, 20_000, 1])
})

test('under a new incarnation nothing is taken back any more', async () => {
  const [one, two] = await bothCounted()
  await two.machine.settle(two.store.renew('the test says so'))
  await two.hear(one)
  assert.equal([two.value('a'), two.counts.tentativeWrites, two.counts.withdrawals], [10, 0, 0])
})

/** Names that come in several deltas, the replies with the first. */
const MANY = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`name-${index}`, 1]))

/** Two nodes that count the same large batch, of which the later one has heard the reply of the other and a part of its cells. */
async function partlyHeard(
  options: Partial<StoreOptions>,
  ...writes: Array<'one' | 'two'>
): Promise<{ one: Node; two: Node; rest: () => Promise<void> }> {
  const one = await Node.open(1, { queueBytesMax: 1 << 24 })
  const two = await Node.open(2, { queueBytesMax: 1 << 24, ...options })
  if (writes.includes('one')) await one.write(MANY, once('k'))
  two.machine.clock.wallMs = one.machine.clock.wallMs + 10
  if (writes.includes('two')) await two.write(MANY, once('k'))
  const [first, ...others] = Array.from(one.store.since(two.store.vector()), ({ delta }) => delta.slice())
  await two.machine.settle(two.store.merge(first!))
  const rest = async () => {
    for (const delta of others) await two.machine.settle(two.store.merge(delta))
  }
  return { one, two, rest }
}

test('a write is taken back only when all that the other one added is here, so none is ever shown less than once', async () => {
  const { two, rest } = await partlyHeard({}, 'one', 'two')
  assert.equal([two.value('name-0'), two.value('name-19999'), two.counts.withdrawals], [2, 1, 0])
  await rest()
  assert.equal([two.value('name-0'), two.value('name-19999'), two.counts.withdrawals], [1, 1, 1])
})

test('a write stays when nobody knows any more what the other one added', async () => {
  const { two } = await partlyHeard({}, 'one', 'two')
  two.store.settle([two.store.vector()])
  await two.machine.rest()
  assert.equal([two.value('name-19999'), two.counts.tentativeWrites, two.counts.withdrawals], [1, 0, 0])
})

test('a reply is given again only when all that was counted is here, and the retry that comes before counts and is taken back', async () => {
  const { two, rest } = await partlyHeard({}, 'one')
  assert.is((await two.write(MANY, once('k'))).replayed, false)
  assert.is(two.value('name-19999'), 1)
  await rest()
  assert.equal([two.value('name-0'), two.value('name-19999'), two.counts.withdrawals], [1, 1, 1])
  assert.is((await two.write(MANY, once('k'))).replayed, true)
})

test('a reply is given again as soon as the cells are here, before the vector says so', async () => {
  const [one, two] = [await Node.open(1), await Node.open(2)]
  const { at } = await one.write({ a: 5, b: -2 }, once('k'), 'of one')
  const [first] = Array.from(one.store.since(two.store.vector()), ({ delta }) => delta.slice())
  await two.machine.settle(two.store.merge(first!))
  const again = await two.write({ a: 5, b: -2 }, once('k'))
  assert.equal([again.body, again.replayed, again.at, two.value('a')], ['of one', true, at, 5])
})

test('a retry of what another node is known to have counted is refused when it could not be taken back', async () => {
  const { two, rest } = await partlyHeard({ tentativeBytesMax: 1000 }, 'one')
  assert.is((await rejection(two.write(MANY, once('k')))).code, 'KEYS_UNSETTLED')
  await rest()
  assert.is((await two.write(MANY, once('k'))).replayed, true)
})

test('what an earlier incarnation has counted is not taken back after a restart either', async () => {
  const [one, two] = await bothCounted()
  await two.machine.settle(two.store.renew('the test says so'))
  await two.hear(one)
  await two.machine.kill()
  await two.start()
  await two.hear(one)
  two.store.settle(UNHEARD)
  await two.machine.rest()
  assert.equal([two.value('a'), two.counts.tentativeWrites, two.counts.withdrawals], [10, 0, 0])
})

test('what was taken back is not taken back again from a restored backup', async () => {
  const [one, two] = await bothCounted()
  two.machine.disk.copyDirectory('/data', '/saved')
  await two.hear(one)
  await one.hear(two)
  await two.machine.kill()
  two.machine.disk.copyDirectory('/saved', '/data')
  for (let start = 0; start < 2; start++) {
    await two.start()
    await two.hear(one)
    two.store.settle(UNHEARD)
    await two.machine.rest()
    assert.equal([two.value('a'), two.value('b')], [5, -2], `start ${start}`)
    await two.machine.kill()
  }
})

test('what cannot be taken back while a new incarnation cannot be opened fails nothing else', async () => {
  const [one, two] = await bothCounted()
  two.machine.disk.plan = ({ kind }) => (kind === 'rename' ? 'EIO' : undefined)
  assert.is((await rejection(two.machine.settle(two.store.renew('the test says so')))).code, 'EIO')
  await two.hear(one)
  two.store.settle(UNHEARD)
  await two.machine.rest()
  assert.equal([two.value('a'), two.counts.withdrawals], [10, 0])
  two.machine.disk.plan = () => undefined
  two.store.settle(UNHEARD)
  await two.machine.rest()
  assert.equal([two.value('a'), two.counts.tentativeWrites], [10, 0], 'it was opened, and nothing of the last one is taken back')
})

test('what a later incarnation has taken back is not taken back again by one that does not know of it', async () => {
  const [one, two] = await bothCounted()
  await two.machine.kill()
  const image = two.machine.disk.image()
  for (let life = 0; life < 2; life++) {
    two.machine.disk.load(image)
    await two.start()
    await two.machine.settle(two.store.renew('not all could be asked', 0, true))
    await two.hear(one)
    two.store.settle([one.store.vector()])
    await two.machine.rest()
    await one.hear(two)
    assert.equal([two.value('a'), two.counts.withdrawals, one.value('a')], [5, 1 - life, 5], `life ${life}`)
    await two.machine.kill()
  }
})

test.run()
