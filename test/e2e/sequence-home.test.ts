// Sequences with a home, on three processes (A20 of docs/GUARANTEES.md): clients on all nodes while the home is killed, paused and cut off, and what
// becomes of a home that has lost its directory. CALLS=60000 is the long run, then by itself: CALLS=60000 node --import tsx THIS_FILE
// time limit: 1200 s

import { rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { checkHistory, type Seen } from '../sequence/history.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { PATIENCE_MS, runToEnd } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'
import { runSequenceClients, type SequenceSeen, type SequenceTally } from './sequence-load.ts'

/** Of all clients together. */
const CALLS = Number(process.env.CALLS ?? 4000)
const CLIENTS = 12

const ENV = {
  COUNTER_SEQUENCE_HOME: '1',
  COUNTER_LOG_LEVEL: 'warn',
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '1s',
  COUNTER_JOIN_TIMEOUT: '500ms',
}

const test = suite('e2e/sequence-home')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const urlOf = ({ process }: ClusterNode): string | undefined => process?.url

/** The reply of a node that gives numbers again. */
async function eventually(ask: () => Promise<Response>): Promise<Response> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await pause(100)) {
    const reply = await ask().catch(() => undefined)
    if (reply?.ok) return reply
    if (performance.now() > deadline) throw new Error(`no numbers: ${await reply?.text()}`)
  }
}

const valueOn = async (node: ClusterNode, name: string): Promise<number> => {
  const reply = await eventually(() => fetch(`${urlOf(node)}/v1/sequences/${name}`))
  return ((await reply.json()) as { value: number }).value
}

async function underLoad(
  cluster: Cluster,
  isEnough: (tally: SequenceTally) => boolean,
  trouble: () => Promise<void>,
): Promise<SequenceSeen> {
  let isOver = false
  const urls = () => cluster.nodes.map(urlOf)
  const load = runSequenceClients({ urls, name: 'a', calls: CALLS, isEnough, clients: CLIENTS, random })
  const watched = load.finally(() => {
    isOver = true
  })
  watched.catch(() => {})
  while (!isOver) await trouble()
  return watched
}

test('each number is given once, in order, while nodes are killed, paused and cut off', async () => {
  const cluster = await Cluster.start({ nodes: 3, random, env: ENV, command: await buildCounter() })
  try {
    const [home] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    await eventually(() => fetch(`${urlOf(home)}/next`, { method: 'POST' }))
    let kills = 0
    const isEnough = ({ given, unknown, nothing }: SequenceTally): boolean =>
      given > CALLS / 3 && unknown > 0 && nothing > 0 && kills > 0
    const { seen, ...counts } = await underLoad(cluster, isEnough, async () => {
      await pause(below(600))
      const node = below(3) > 0 ? home : cluster.nodes[below(3)]!
      const what = below(5)
      if (what < 2) {
        kills++
        await cluster.end(node)
        await pause(below(500))
        await cluster.start(node)
      } else if (what === 2) {
        node.process?.child.kill('SIGSTOP')
        await pause(below(1500))
        node.process?.child.kill('SIGCONT')
      } else if (what === 3) {
        node.proxy.set({ there: 'swallow', back: below(2) === 0 ? 'swallow' : 'open' })
        await pause(below(1500))
        cluster.heal()
      } else {
        node.proxy.set({ back: 'swallow', delayMs: 20, jitterMs: 50 })
        await pause(below(1500))
        cluster.heal()
      }
    })
    const final = await valueOn(cluster.nodes[2]!, 'a')
    assert.equal(checkHistory(seen, final), [])
    console.log(`${JSON.stringify(counts)}, ${kills} kills, the value is ${final}`)
    assert.ok(isEnough(counts), 'void: there was no trouble, or there were no numbers')
    await swapped(seen, final)
  } finally {
    await cluster.close()
  }
})

/** The checker sees two numbers that have changed places in the history that was just found to be well. */
async function swapped(seen: readonly Seen[], final: number): Promise<void> {
  const given = seen.flatMap((one) =>
    one.kind === 'next' && typeof one.outcome === 'object' && one.key === undefined ? [one] : [],
  )
  const singles = given.filter(({ count }) => count === 1).sort((a, b) => a.startMs - b.startMs)
  const [early, late] = [singles[0]!, singles.at(-1)!]
  const history = seen.map((one): Seen => {
    if (one === early) return { ...early, outcome: late.outcome }
    return one === late ? { ...late, outcome: early.outcome } : one
  })
  assert.ok(checkHistory(history, final).length > 0, 'swapped numbers are seen')
}

test('a home whose directory is lost refuses until an operator says where to go on', async () => {
  const cluster = await Cluster.start({ nodes: 3, random, env: ENV, command: await buildCounter() })
  try {
    const [home, other] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (let number = 1; number <= 50; number++) {
      // A machine that is busy may be late, and then it is asked for again.
      const once = { method: 'POST', headers: { 'Idempotency-Key': `number-${number}` } }
      const reply = await eventually(() => fetch(`${urlOf(cluster.nodes[number % 3]!)}/next`, once))
      assert.is(await reply.text(), `${number}\n`)
    }
    // The others are told every quarter of a second what the home has given by itself. Nothing shows that they have been.
    await pause(3000)
    await cluster.end(home)
    rmSync(home.dataDir, { recursive: true })
    await cluster.start(home)
    for (let round = 0; round < 10; round++) {
      for (const node of cluster.nodes) {
        const reply = await fetch(`${urlOf(node)}/next`, { method: 'POST' })
        assert.is(reply.status, 503, await reply.text())
      }
      await pause(200)
    }
    for (const node of cluster.nodes) {
      await until(
        `node ${node.id} says what to do`,
        async () => (await fetch(`${urlOf(node)}/next`, { method: 'POST' })).text(),
        (text) => text.includes('counter sequence recover --ahead 1000'),
      )
    }
    const ready = await fetch(`${urlOf(home)}/readyz?verbose`)
    assert.is(ready.status, 200, 'it counts all the same')
    assert.match(await ready.text(), /\[-\] sequences: .*wiped/)
    const args = ['sequence', '--url', urlOf(other)!, 'recover', '--ahead', '1000']
    const { code, stderr } = await runToEnd(args, {}, await buildCounter())
    assert.is(code, 0, stderr)
    const reply = await eventually(() =>
      fetch(`${urlOf(other)}/next`, { method: 'POST', headers: { 'Idempotency-Key': 'after' } }),
    )
    assert.is(await reply.text(), '1051\n')
  } finally {
    await cluster.close()
  }
})

test.run()
