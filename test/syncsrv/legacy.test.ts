import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nextTurn } from '../../lib/base/clock.ts'
import { CounterError } from '../../lib/base/errors.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { SLOT_BASE } from '../../lib/storage/index.ts'
import { LegacyBridge } from '../../lib/syncsrv/legacy.ts'
import { Machine, rejection, valueOf } from '../persistence/harness.ts'
import { Original } from '../support/original.ts'

const test = suite('syncsrv/legacy')

const INTERVAL_MS = 1000
const FULL_MS = 5 * 60_000

/** One node of ours and originals, and what passes between them, without sockets. */
class Site {
  readonly machine = new Machine()
  readonly originals = new Map<string, Original>()
  /** Bodies in the order in which they were sent. */
  readonly sent: { url: string; body: string }[] = []
  readonly down = new Set<string>()
  /** Whether the next request goes over a new connection, by URL. */
  readonly fresh = new Set<string>()
  ours: readonly number[] = [1]
  store!: Store
  bridge!: LegacyBridge

  static async of(...ids: number[]): Promise<Site> {
    const site = new Site()
    for (const id of ids) site.originals.set(`http://old${id}:3001`, new Original(id))
    await site.begin()
    return site
  }

  async begin(): Promise<void> {
    const { machine } = this
    this.store = await machine.open()
    this.bridge = new LegacyBridge({
      store: this.store,
      seeds: [...this.originals.keys()].map((url) => `legacy+${url}`),
      isOurs: (node) => this.ours.includes(node),
      intervalMs: INTERVAL_MS,
      clock: machine.clock,
      random: machine.random,
      logger: machine.logger,
      post: async (url, body) => {
        const base = url.replace(/\/sync$/, '')
        if (this.down.has(base)) throw new CounterError('PEER_UNREACHABLE', `${url} is down`)
        this.sent.push({ url, body: Buffer.from(body).toString() })
        this.originals.get(base)!.take(body)
        return { reused: !this.fresh.delete(base) }
      },
    })
    this.bridge.start()
  }

  original(id: number): Original {
    return this.originals.get(`http://old${id}:3001`)!
  }

  async count(amounts: Record<string, number>): Promise<void> {
    await this.machine.settle(this.machine.write(this.store, amounts))
  }

  hear(id: number): Promise<void> {
    return this.machine.settle(this.bridge.accept(this.original(id).body()))
  }

  /** Lets so many intervals go by. */
  async pass(intervals = 2): Promise<void> {
    await this.machine.pass(intervals * INTERVAL_MS)
  }
}

test('words counted there and here come to the same totals everywhere', async () => {
  const site = await Site.of(0, 2)
  site.original(0).count('apple pear apple')
  site.original(2).count('Apple wallabies')
  await site.count({ apple: 5, gallabieh: 1 })
  for (const id of [0, 2]) await site.hear(id)
  await site.pass()
  for (const [word, value] of Object.entries({ apple: 8, pear: 1, gallabieh: 2 })) {
    assert.is(valueOf(site.store, word), value, word)
    for (const id of [0, 2]) assert.is(site.original(id).value(word), BigInt(value), `${word} at ${id}`)
  }
  assert.is(site.original(0).value('wallabies'), 2n, 'there the two are one')
  assert.is(valueOf(site.store, 'wallabies'), 0)
})

test('what comes back of our own counts is an echo and changes nothing', async () => {
  const site = await Site.of(0)
  await site.count({ apple: 5 })
  await site.pass()
  await site.count({ apple: 1 })
  for (let round = 0; round < 3; round++) {
    await site.hear(0)
    await site.pass()
  }
  assert.is(valueOf(site.store, 'apple'), 6)
  assert.is(site.original(0).value('apple'), 6n)
  assert.ok(site.bridge.counters.echoes >= 3)
  assert.is(site.bridge.counters.news, 0)
})

test('what was heard is on disk before the original has its answer', async () => {
  const site = await Site.of(0)
  site.original(0).count('apple pear')
  await site.hear(0)
  await site.machine.powerCut(0)
  await site.begin()
  assert.is(valueOf(site.store, 'apple'), 1)
  site.original(0).count('apple')
  await site.hear(0)
  assert.is(valueOf(site.store, 'apple'), 2)
})

test('nothing is pushed that is not on disk', async () => {
  const site = await Site.of(0)
  const { machine, store } = site
  await site.pass()
  const before = site.sent.length
  // The log's write hangs: the disk does nothing while time goes on.
  const written = machine.write(store, { secret: 1 })
  for (let turns = 0; turns < 50; turns++) {
    await new Promise((done) => setImmediate(done))
    machine.clock.step()
    machine.clock.advance()
  }
  assert.is(site.sent.length, before)
  await machine.settle(written)
  await site.pass()
  assert.is(site.original(0).value('secret'), 1n)
})

test('only what has changed is pushed, and nothing when nothing has', async () => {
  const site = await Site.of(0)
  await site.count({ apple: 1, pear: 1, plum: 1 })
  await site.pass()
  assert.is(site.bridge.counters.entriesOut, 3)
  await site.pass(20)
  assert.is(site.bridge.counters.bodiesOut, 1)
  await site.count({ pear: 4 })
  await site.pass()
  assert.is(site.bridge.counters.entriesOut, 4)
  assert.is(site.original(0).value('pear'), 5n)
})

test('an original that was away hears everything again, and the trouble is reported once', async () => {
  const site = await Site.of(0)
  const { machine } = site
  await site.count({ apple: 1, pear: 1 })
  await site.pass()
  site.down.add('http://old0:3001')
  await site.count({ apple: 1 })
  await site.pass(60)
  assert.ok(site.bridge.counters.failures > 2 && site.bridge.counters.failures < 15, `${site.bridge.counters.failures} tries`)
  site.original(0).totals.clear()
  site.down.clear()
  await machine.pass(30_000)
  assert.is(site.original(0).value('apple'), 2n)
  assert.is(site.original(0).value('pear'), 1n)
  const said = machine.logger.lines.filter((line) => line.includes('of the original'))
  assert.is(said.length, 2, said.join('\n'))
})

test('an original that has restarted unseen is known by its new connection', async () => {
  const site = await Site.of(0)
  await site.count({ apple: 1, pear: 1 })
  await site.pass()
  site.original(0).totals.clear()
  site.fresh.add('http://old0:3001')
  await site.count({ pear: 1 })
  await site.pass()
  await site.pass(30)
  assert.is(site.original(0).value('apple'), 1n)
})

test('now and then everything is pushed, whatever an original has forgotten', async () => {
  const site = await Site.of(0)
  await site.count({ apple: 1 })
  await site.pass()
  site.original(0).totals.clear()
  await site.machine.pass(FULL_MS)
  assert.is(site.original(0).value('apple'), 1n)
  assert.is(site.bridge.counters.fullPushes, 2)
})

test('an original gets its own counts back that it has lost', async () => {
  const site = await Site.of(0)
  site.original(0).count('apple apple')
  await site.hear(0)
  site.original(0).totals.clear()
  await site.machine.pass(FULL_MS)
  assert.is(site.original(0).value('apple'), 2n)
})

test('what one original has said reaches the others', async () => {
  const site = await Site.of(0, 2)
  site.original(2).count('apple')
  await site.hear(2)
  await site.pass()
  assert.is(site.original(0).value('apple'), 1n)
})

test('an original with a higher node id can count words that it first heard from here', async () => {
  const site = await Site.of(9)
  await site.count({ apple: 1 })
  await site.pass()
  site.original(9).count('apple')
  assert.is(site.original(9).value('apple'), 2n)
  const low = new Original(9)
  low.take(Buffer.from(site.sent[0]!.body.replace(/\[0,1,.*?\]/, '[0,1]')))
  assert.throws(() => low.count('apple'), /out of range/, 'the stand-in has the fault')
})

test('after a restart everything is pushed again', async () => {
  const site = await Site.of(0)
  await site.count({ apple: 1 })
  await site.pass()
  await site.machine.settle(site.bridge.stop())
  await site.machine.settle(site.store.close())
  await site.begin()
  await site.pass()
  assert.is(site.sent.length, 2)
})

test('after stop nothing is pushed or heard', async () => {
  const site = await Site.of(0)
  await site.machine.settle(site.bridge.stop())
  await site.count({ apple: 1 })
  await site.pass(10)
  assert.is(site.sent.length, 0)
  assert.is((await rejection(site.bridge.accept(site.original(0).body()))).code, 'CLOSED')
})

test('a malformed body is refused whole', async () => {
  const site = await Site.of(0)
  const entries = Array.from({ length: 30_000 }, (_, key) => `{"hash_keyword":${key},"totals":[1]}`).join()
  const error = await rejection(site.machine.settle(site.bridge.accept(Buffer.from(`[${entries},{"hash_keyword":-1}]`))))
  assert.is(error.code, 'SYNC_INVALID')
  assert.is(site.store.status().names, 0)
  await site.machine.settle(site.bridge.accept(Buffer.from(`[${entries}]`)))
  assert.is(site.store.status().names, 30_000)
  assert.is(site.bridge.counters.news, 30_000)
})

test('bodies that come at once are heard one after the other', async () => {
  const site = await Site.of(0)
  const { machine, store } = site
  const bridge = new LegacyBridge({
    store: {
      self: store.self,
      vector: () => store.vector(),
      settled: () => store.settled(),
      hear: (heard, isOurs) => store.hear(heard, isOurs),
      changedTotals: (known) => store.changedTotals(known),
      // As when the log has no room at first.
      merge: async (delta) => {
        await nextTurn(machine.clock)
        return store.merge(delta)
      },
    },
    seeds: [],
    isOurs: () => false,
    intervalMs: INTERVAL_MS,
    clock: machine.clock,
    random: machine.random,
    logger: machine.logger,
    post: async () => ({ reused: true }),
  })
  assert.is((await rejection(bridge.accept(Buffer.from('[]')))).code, 'CLOSED')
  bridge.start()
  const bodies = [3, 1, 4].map((total) =>
    Buffer.from(`[{"hash_keyword":7,"totals":[${total}]},{"hash_keyword":${total},"totals":[1]}]`),
  )
  await machine.settle(Promise.all(bodies.map((body) => bridge.accept(body))))
  const slots = [...store.vector()].filter(({ replica }) => replica.node === SLOT_BASE)
  assert.equal(
    slots.map(({ seq }) => seq),
    [3],
  )
  assert.is(bridge.counters.news, 5)
})

test('a large state is pushed in several bodies', async () => {
  const site = await Site.of(0)
  await site.count(Object.fromEntries(Array.from({ length: 20_000 }, (_, number) => [`w${number}`, 1])))
  await site.pass()
  assert.ok(site.sent.length >= 2)
  for (const { body } of site.sent) assert.ok(body.length < 1.1 * 2 ** 20)
  assert.is(site.original(0).totals.size, 20_000)
})

test.run()
