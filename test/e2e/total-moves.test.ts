// The one total of real shards, added to and read all the time, while a shard is emptied with kills at the last moment, stopped, wiped and used
// again: it is exact, and complete.
// time limit: 2400 s

import { rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../support/fault-proxy.ts'
import { Connection } from '../support/load.ts'
import { type NodeProcess, runCounter, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/total-moves')
const command = await buildCounter()
const KEYED = 3
const PLAIN = 2
/** How long an emptied shard is asked about retries. No client here repeats a request for as long. */
const TTL_MS = 10_000

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** Add and read until `stop`; say what was shown that cannot be. */
class Clients {
  readonly wrong: string[] = []
  acknowledged = 0
  unknown = 0
  additions = 0
  reads = 0
  /** Reads that were refused because a shard was missing. */
  refused = 0
  /** The shards that counted lately. */
  readonly shards = new Set<number>()
  #going = true
  readonly #port: number
  readonly #running: Promise<void>[]

  constructor(port: number) {
    this.#port = port
    this.#running = [
      ...Array.from({ length: KEYED }, (_, number) => this.#addOnce(number)),
      ...Array.from({ length: PLAIN }, () => this.#add()),
      this.#look(),
    ]
  }

  async stop(): Promise<void> {
    this.#going = false
    await Promise.all(this.#running)
  }

  /** Each sent until it is acknowledged. */
  async #addOnce(number: number): Promise<void> {
    const connection = new Connection(this.#port)
    for (let index = 0; this.#going; index++) {
      const value = 1 + (index % 7)
      this.unknown += value
      for (;;) {
        const outcome = await connection.request(request(value, { 'Idempotency-Key': `key-${number}-${index}` }))
        if (outcome.kind === 'answered' && outcome.status === 200) break
        if (outcome.kind === 'answered' && ![409, 503, 504].includes(outcome.status)) this.wrong.push(JSON.stringify(outcome))
        await pause(20)
      }
      this.#done(value)
    }
    connection.close()
  }

  async #add(): Promise<void> {
    const connection = new Connection(this.#port)
    while (this.#going) {
      this.unknown += 3
      const outcome = await connection.request(request(3))
      if (outcome.kind !== 'answered') continue
      if (outcome.status === 200) {
        this.shards.add((JSON.parse(outcome.body) as { shardId: number }).shardId)
        this.#done(3)
      } else if (outcome.body.includes('"applied":"no"')) this.unknown -= 3
    }
    connection.close()
  }

  #done(value: number): void {
    this.unknown -= value
    this.acknowledged += value
    this.additions++
  }

  async #look(): Promise<void> {
    let shown = 0
    while (this.#going) {
      const [least, floor] = [this.acknowledged, shown]
      const response = await fetch(`http://127.0.0.1:${this.#port}/total?require=complete`)
      const { total } = (await response.json()) as { total: number }
      if (response.status === 200) {
        this.reads++
        const most = this.acknowledged + this.unknown
        if (!(total >= least && total <= most)) this.wrong.push(`it shows ${total}, which lies in ${least} to ${most}`)
        if (total < floor) this.wrong.push(`it shows ${total} after ${floor}`)
        shown = Math.max(shown, total)
      } else this.refused++
      await pause(5)
    }
  }
}

const request = (value: number, headers = {}) => ({
  method: 'POST' as const,
  path: '/increment',
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify({ value }),
})

/** Whether a part of the total is on its way, as a shard that answers says. */
async function partMoves(urls: readonly string[]): Promise<boolean> {
  for (const url of urls) {
    try {
      const { moving } = (await (await fetch(`${url}/v1/cluster/slots`)).json()) as { moving?: { phase: string; part?: string } }
      if (moving?.part !== undefined) return true
    } catch {
      // It has just been killed.
    }
  }
  return false
}

test('the total stays exact while a shard is emptied, stopped, wiped and used again', async () => {
  const { path, remove } = temporaryDirectory()
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const directory = (shard: number) => `${path}/s${shard}`
  const startShard = (shard: number): Promise<NodeProcess> =>
    startNode({
      dataDir: directory(shard),
      command,
      env: { COUNTER_PUBLIC_PORT: String(ports[shard]), COUNTER_LOG_LEVEL: 'error' },
    })
  const shards = await Promise.all(ports.map((_, shard) => startShard(shard)))
  const aggregator = await startNode({
    dataDir: `${path}/a`,
    command,
    args: ['aggregate'],
    env: { COUNTER_SHARDS: urls.join(), COUNTER_LOG_LEVEL: 'error', COUNTER_SHARD_TIMEOUT: '3s' },
  })
  const env = { COUNTER_SHARDS: urls.join(), COUNTER_IDEMPOTENCY_TTL: `${TTL_MS / 1000}s` }
  const order = (...args: string[]) => runToEnd(['shards', ...args], env, command)
  const clients = new Clients(Number(new URL(aggregator.url).port))
  try {
    // Killed at the moment at which the part goes; a run that nobody caught there is done again.
    for (const role of ['mover', 'source', 'target'] as const) {
      for (let caught = false, attempt = 1; !caught; attempt++) {
        assert.ok(attempt < 10, `no part was seen on its way, to kill the ${role}`)
        const mover = runCounter(['shards', 'remove', '1'], env, { command })
        let ended = false
        void mover.exited.then(() => (ended = true))
        while (!ended && !caught) caught = await partMoves(urls)
        if (caught && role === 'mover') mover.child.kill('SIGKILL')
        // Shard 2 or 0 takes the last slots: whichever, both are asked in the end.
        if (caught && role !== 'mover') {
          const shard = role === 'source' ? 1 : 2
          await shards[shard]!.end('SIGKILL')
          shards[shard] = await startShard(shard)
        }
        await mover.exited
        const again = await order('remove', '1')
        assert.is(again.code, 0, `${again.stdout}${again.stderr}`)
        // On a slow machine the time of retries may be over when it is run again.
        assert.match(
          again.stdout,
          /shard 1 has nothing left: .*(ask it until \d{4}-\S+Z .*Run this again|Nobody asks it any more)/,
        )
        if (!caught || role !== 'target') assert.is((await order('add', urls[1]!)).code, 0)
      }
    }
    await pause(TTL_MS + 500)
    const done = await order('remove', '1')
    assert.match(done.stdout, 'Nobody asks it any more: it may be stopped')
    const ready = async () => (await fetch(`${aggregator.url}/readyz?verbose`)).text()
    await until('the aggregator has the map', ready, (text) => text.includes('has nothing left and may be stopped'))

    const { refused } = clients
    assert.is((await shards[1]!.end('SIGTERM')).code, 0)
    await until('its end is seen', ready, (text) => text.includes('has nothing left and may be stopped; 0 of 1 in service'))
    const { reads, additions } = clients
    await until(
      'all goes on',
      () => [clients.reads - reads, clients.additions - additions],
      (more) => more.every((count) => count > 20),
    )
    assert.is(clients.refused, refused, 'no read misses the shard')
    const complete = (await (await fetch(`${aggregator.url}/total`)).json()) as { complete?: boolean }
    assert.is(complete.complete, undefined, 'nothing is missing')

    // Its memory is free; now it is a shard like a new one.
    rmSync(directory(1), { recursive: true })
    shards[1] = await startShard(1)
    const back = await order('add', urls[1]!)
    assert.is(back.code, 0, `${back.stdout}${back.stderr}`)
    clients.shards.clear()
    await until(
      'all three count',
      () => [...clients.shards],
      ({ length }) => length === 3,
    )
    await until(
      'enough was read and added',
      () => [clients.reads, clients.additions],
      ([reads, additions]) => reads! > 100 && additions! > 500,
    )

    await clients.stop()
    assert.equal(clients.wrong, [])
    const { total } = (await (await fetch(`${aggregator.url}/total?require=complete`)).json()) as { total: number }
    const { acknowledged, unknown } = clients
    assert.ok(total >= acknowledged && total <= acknowledged + unknown, `${total} of ${acknowledged} and ${unknown} unknown`)
    console.log(`${clients.additions} additions, ${clients.reads} reads; ${acknowledged} and ${unknown} unknown: ${total}`)
  } finally {
    await clients.stop().catch(() => {})
    for (const node of [aggregator, ...shards]) await node.end('SIGKILL')
    remove()
  }
})

test.run()
