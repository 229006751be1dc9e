// Slots that move between real shards, behind a real aggregator, while clients write and read all the time: whoever takes part is killed in each
// phase, and in the end each write counts exactly once, whatever was shown in between never having been wrong.
// time limit: 900 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, untilAgreed } from '../support/cluster.ts'
import { freePort } from '../support/fault-proxy.ts'
import { HOT, Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle } from '../support/load.ts'
import { type NodeProcess, runCounter, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'

const CLIENTS = 6
const NAMES = 20_000
const test = suite('e2e/slots')
const command = await buildCounter()

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const portOf = ({ url }: { url: string }): number => Number(new URL(url).port)

type Phase = 'copy' | 'settle'
interface MovingView {
  readonly phase: Phase
  readonly from: number
  readonly to: number
}

/** What is on its way, as a shard that answers says. */
async function movingAt(urls: readonly string[]): Promise<MovingView | undefined> {
  for (const url of urls) {
    try {
      const { moving } = (await (await fetch(`${url}/v1/cluster/slots`)).json()) as { moving?: MovingView }
      if (moving !== undefined) return moving
    } catch {
      // It has just been killed.
    }
  }
  return undefined
}

/** Writes and reads until `stop`; says what was shown that cannot be. */
class Clients {
  // Without a key a text may be counted by one of its shards alone.
  readonly ledger = new Ledger({ keyedEvery: 1 })
  readonly wrong: string[] = []
  reads = 0
  #going = true
  #acknowledged = 0
  #items = { begun: 0, acknowledged: 0 }
  /** Of one name, without keys: what was sent, less what was certainly refused. */
  #plain = { begun: 0, acknowledged: 0 }
  readonly #port: number
  readonly #running: Promise<void>[]

  constructor(port: number) {
    this.#port = port
    this.#running = [
      ...Array.from({ length: CLIENTS }, () => this.#write()),
      this.#give(),
      this.#increment(),
      this.#look('/v1/counters/hot', 'valueString', () => [this.#acknowledged, this.ledger.ops.length]),
      this.#look('/v1/counters/plain', 'valueString', () => [this.#plain.acknowledged, this.#plain.begun]),
      this.#look('/v1/tenants/t/count', 'count', () => [this.#items.acknowledged, this.#items.begun]),
    ]
  }

  async stop(): Promise<void> {
    this.#going = false
    await Promise.all(this.#running)
  }

  get items(): { readonly begun: number; readonly acknowledged: number } {
    return this.#items
  }

  get plain(): { readonly begun: number; readonly acknowledged: number } {
    return this.#plain
  }

  /** Ops with keys, each sent until it is acknowledged. */
  async #write(): Promise<void> {
    const connection = new Connection(this.#port)
    while (this.#going) {
      const op = this.ledger.begin()
      do {
        const outcome = await connection.request(requestOf(op))
        settle(this.ledger, op, outcome)
        if (outcome.kind === 'answered' && outcome.status !== 200) {
          if (![409, 503, 504].includes(outcome.status)) this.wrong.push(`${op.name}: ${JSON.stringify(outcome)}`)
          await pause(20)
        }
      } while (op.state !== 'acknowledged')
      this.#acknowledged++
    }
    connection.close()
  }

  async #increment(): Promise<void> {
    const connection = new Connection(this.#port)
    while (this.#going) {
      this.#plain.begun++
      const outcome = await connection.request({ method: 'POST', path: '/v1/counters/plain/increments', headers: {}, body: '' })
      if (outcome.kind === 'answered' && outcome.status === 200) this.#plain.acknowledged++
      else if (outcome.kind === 'answered' && outcome.body.includes('"applied":"no"')) this.#plain.begun--
    }
    connection.close()
  }

  async #give(): Promise<void> {
    const connection = new Connection(this.#port)
    while (this.#going) {
      const body = JSON.stringify({ items: [{ id: `item-${this.#items.begun++}`, tenant: 't' }] })
      let given = false
      while (this.#going && !given) {
        const headers = { 'Content-Type': 'application/json' }
        const outcome = await connection.request({ method: 'POST', path: '/v1/items', headers, body })
        given = outcome.kind === 'answered' && outcome.status === 200
        if (!given) await pause(20)
      }
      if (given) this.#items.acknowledged++
    }
    connection.close()
  }

  /** Reads a number that only grows, and holds it against what it may be. */
  async #look(path: string, field: string, bounds: () => readonly [least: number, most: number]): Promise<void> {
    let shown = 0
    while (this.#going) {
      const [least] = bounds()
      const floor = shown
      const response = await fetch(`http://127.0.0.1:${this.#port}${path}?require=complete`)
      const body = (await response.json()) as Record<string, unknown>
      if (response.status === 200) {
        this.reads++
        const value = Number(body[field])
        const [, most] = bounds()
        if (!(value >= least && value <= most)) this.wrong.push(`${path} shows ${value}, which lies in ${least} to ${most}`)
        if (value < floor) this.wrong.push(`${path} shows ${value} after ${floor}`)
        shown = Math.max(shown, value)
      } else if (response.status !== 503) this.wrong.push(`${path}: ${JSON.stringify(body)}`)
      await pause(5)
    }
  }
}

test('each write counts exactly once while slots move and whoever takes part is killed in each phase', async () => {
  const { path, remove } = temporaryDirectory()
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const startShard = (shard: number): Promise<NodeProcess> =>
    startNode({
      dataDir: `${path}/s${shard}`,
      command,
      env: { COUNTER_PUBLIC_PORT: String(ports[shard]), COUNTER_LOG_LEVEL: 'error' },
    })
  const shards = await Promise.all(ports.map((_, shard) => startShard(shard)))
  const first = urls.slice(0, 2).join(',')
  const aggregator = await startNode({
    dataDir: `${path}/a`,
    command,
    args: ['aggregate'],
    env: { COUNTER_SHARDS: first, COUNTER_LOG_LEVEL: 'error', COUNTER_SHARD_TIMEOUT: '3s' },
  })
  const env = { COUNTER_SHARDS: first }
  const order = (args: readonly string[]) => runToEnd(['shards', ...args], env, command)
  let clients: Clients | undefined
  try {
    const text = Array.from({ length: NAMES }, (_, index) => `w${index}`).join(' ')
    // It takes a while, and is repeated when that is longer than the aggregator waits for a shard.
    const once = { method: 'POST', headers: { 'Idempotency-Key': 'names' }, body: text }
    await until(
      'the names are counted',
      async () => (await fetch(`${aggregator.url}/keywords`, once)).status,
      (status) => status === 200,
    )
    const plan = await order(['add', '--dry-run', urls[2]!])
    assert.match(plan.stdout, /shard 0 gives 2730 slots to shard 2: about 3\d\d\d names/)
    assert.is(await movingAt(urls), undefined, 'a plan moves nothing')
    clients = new Clients(portOf(aggregator))

    // To the new shard and away from it again, in turn.
    const killed: string[] = []
    let goal = ['add', urls[2]!]
    const turn = (): void => {
      goal = goal[0] === 'add' ? ['remove', '2'] : ['add', urls[2]!]
    }
    /** A run in which something was seen in this phase. One that had little left to move may end before anybody looks. */
    const runUntil = async (phase: Phase) => {
      for (let attempt = 1; ; attempt++) {
        const mover = runCounter(['shards', ...goal], env, { command })
        let ended = false
        void mover.exited.then(() => (ended = true))
        let moving: MovingView | undefined
        while (!ended && moving?.phase !== phase) moving = await movingAt(urls)
        if (moving?.phase === phase) return { mover, moving }
        assert.ok(attempt < 10, `nothing was seen in ${phase}: ${mover.stdout()}${mover.stderr()}`)
        turn()
      }
    }
    for (const phase of ['copy', 'settle'] as const) {
      for (const role of ['mover', 'source', 'target'] as const) {
        const { mover, moving } = await runUntil(phase)
        if (role === 'mover') mover.child.kill('SIGKILL')
        else {
          const shard = role === 'source' ? moving.from : moving.to
          await shards[shard]!.end('SIGKILL')
          shards[shard] = await startShard(shard)
        }
        killed.push(`${role} in ${phase}`)
        // The next run goes on in the middle of what this one leaves; this one, where it lives, goes on for a while or says who is missing.
        await pause(300)
        // Before it has printed its plan it has done nothing, and ends by the signal like any other program.
        await Promise.race([mover.printed(/(gives|even)/), mover.exited])
        mover.child.kill('SIGINT')
        const { code, signal } = await mover.exited
        const said = mover.stderr()
        // A signal that comes when Node takes the process down ends it.
        const isDone = code === 0 || (signal === 'SIGINT' && /done; the map|slots are left/.test(mover.stdout()))
        assert.ok(
          role === 'mover' || isDone || /does not answer|answers with status 503|still lacks/.test(said),
          `${killed.at(-1)}: exit code ${code}, ${signal}: ${mover.stdout()}${said}`,
        )
        turn()
      }
    }
    const last = await order(['add', urls[2]!])
    assert.is(last.code, 0, `${last.stdout}${last.stderr}`)
    assert.match(last.stdout, 'done; the map is')
    assert.match((await order([])).stdout, /\n2 +5461 .*\n.*nothing is on its way/)
    const { ledger, wrong } = clients
    await until(
      'enough was read and written',
      () => [clients!.reads, ledger.ops.length],
      ([reads, writes]) => reads! > 100 && writes! > 500,
    )
    await clients.stop()
    const { reads, items, plain } = clients
    assert.equal(wrong, [])
    assert.equal(await ledger.check((names) => readCounts(portOf(aggregator), names)), [])
    const { count } = (await (await fetch(`${aggregator.url}/v1/tenants/t/count?require=complete`)).json()) as { count: number }
    assert.ok(count >= items.acknowledged && count <= items.begun, `${count} items of ${items.acknowledged} to ${items.begun}`)
    const counts = await readCounts(portOf(aggregator), [...text.split(' '), 'plain'])
    const shown = counts.get('plain')!
    assert.ok(shown >= plain.acknowledged && shown <= plain.begun, `${shown} of ${plain.acknowledged} to ${plain.begun}`)
    counts.delete('plain')
    assert.equal(
      [...counts].filter(([, value]) => value !== 1),
      [],
      'what nobody touched is what it was',
    )
    console.log(
      `${ledger.ops.length} writes, ${items.begun} items, ${reads} reads of ${HOT} and a tenant; killed: ${killed.join(', ')}`,
    )
  } finally {
    await clients?.stop().catch(() => {})
    for (const node of [aggregator, ...shards]) await node.end('SIGKILL')
    remove()
  }
})

test('a client notices nothing while slots go to a group of replicas, and the plan says what goes', async () => {
  const { path, remove } = temporaryDirectory()
  const group = await Cluster.start({
    nodes: 2,
    random: seededRandom(Number(process.env.SEED ?? 1)),
    command,
    env: { COUNTER_SYNC_INTERVAL: '100ms', COUNTER_LOG_LEVEL: 'error' },
  })
  const shard = await startNode({ dataDir: `${path}/s`, command, env: { COUNTER_LOG_LEVEL: 'error' } })
  const aggregator = await startNode({
    dataDir: `${path}/a`,
    command,
    args: ['aggregate'],
    // A client of a slow machine is to wait for slots that are on their way, and not to be told so.
    env: { COUNTER_SHARDS: shard.url, COUNTER_LOG_LEVEL: 'error', COUNTER_SHARD_TIMEOUT: '1m' },
  })
  const replicas = group.nodes.map(({ publicPort }) => `http://127.0.0.1:${publicPort}`)
  const order = (args: readonly string[]) => runToEnd(['shards', ...args], { COUNTER_SHARDS: shard.url }, command)
  const port = portOf(aggregator)
  try {
    const text = Array.from({ length: 2_000 }, (_, index) => `w${index}`).join(' ')
    assert.is((await fetch(`${aggregator.url}/keywords`, { method: 'POST', body: text })).status, 200)
    // A replica that was not named would not be told.
    const incomplete = await order(['add', replicas[0]!])
    assert.is(incomplete.code, 1)
    assert.match(incomplete.stderr, /has a member, node 2, that is not among the replicas of shard 1/)
    let going = true
    const written: Record<string, number> = {}
    const failed: string[] = []
    const writers = [0, 1, 2].map(async (writer) => {
      for (let index = 0; going; index++) {
        const name = `w${(writer * 700 + index * 13) % 2_000}`
        const response = await fetch(`${aggregator.url}/v1/counters/${name}/increments`, { method: 'POST' })
        const body = await response.text()
        if (response.status === 200) written[name] = (written[name] ?? 0) + 1
        else failed.push(body)
      }
    })
    const added = await order(['add', replicas.join('|')])
    await until(
      'enough names are written',
      () => Object.keys(written).length,
      (count) => count > 100,
    )
    going = false
    await Promise.all(writers)
    assert.is(added.code, 0, `${added.stdout}${added.stderr}`)
    assert.equal(failed, [])
    const expected = new Map(text.split(' ').map((name) => [name, 1 + (written[name] ?? 0)]))
    for (const node of group.nodes) {
      // Any replica has all, and the other may be gone; the aggregator sees within a second who is there.
      const other = group.nodes.find((each) => each !== node)!
      await untilAgreed(
        () =>
          Promise.all(
            replicas.map(async (url) => ((await (await fetch(`${url}/v1/cluster`)).json()) as { agreed: boolean }).agreed),
          ),
        (agreed) => agreed.every(Boolean),
      )
      await group.end(other)
      await untilAgreed(
        async () => [...(await readCounts(port, expected.keys()))].filter(([name, value]) => value !== expected.get(name)),
        (wrong) => wrong.length === 0,
      )
      await group.start(other)
    }
    const shown = await order([])
    assert.match(shown.stdout, /\n1 +8192 +50\.0 % .*\n.*nothing is on its way/)
  } finally {
    for (const node of [aggregator, shard]) await node.end('SIGKILL')
    await group.close()
    remove()
  }
})

test.run()
