// Sequences in etcd, through the API of three processes (A20 of docs/GUARANTEES.md): clients on all nodes while nodes and members of etcd are
// killed, paused and cut off; and the move there from a home. CALLS=60000 is the long run, then by itself: CALLS=60000 node --import tsx THIS_FILE
// time limit: 1200 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { checkHistory } from '../sequence/history.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { ask, type Etcd, etcdProgram, startEtcd } from '../support/etcd.ts'
import { type Command, PATIENCE_MS, runToEnd } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'
import { runSequenceClients } from './sequence-load.ts'

/** Of all clients together. */
const CALLS = Number(process.env.CALLS ?? 9000)
const CLIENTS = 24

const ENV = {
  COUNTER_LOG_LEVEL: 'warn',
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '1s',
  COUNTER_JOIN_TIMEOUT: '500ms',
}

const test = suite('e2e/sequence-etcd')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const urlOf = ({ process }: ClusterNode): string | undefined => process?.url

/** The text of a reply that is fine, once there is one. */
async function eventually(ask: () => Promise<Response>): Promise<string> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await pause(100)) {
    const reply = await ask().catch(() => undefined)
    const text = await reply?.text()
    if (reply?.ok) return text!
    if (performance.now() > deadline) throw new Error(`no numbers: ${text}`)
  }
}

let numbers = 0

/** The next number. With a key: one that was given, but not in time, is not left out when it is asked for again. */
function next(node: ClusterNode): Promise<string> {
  const headers = { 'Idempotency-Key': `number-${++numbers}` }
  return eventually(() => fetch(`${urlOf(node)}/next`, { method: 'POST', headers }))
}

/** Starts the nodes. When they do not start, etcd ends too: its members would outlive this process. */
async function startBeside(etcd: Etcd, env: Record<string, string>, command?: Command): Promise<Cluster> {
  try {
    return await Cluster.start({ nodes: 3, random, env, command: command ?? (await buildCounter()) })
  } catch (error) {
    await etcd.close()
    throw error
  }
}

etcdProgram.test(
  test,
  'each number is given once, in order, while nodes and members are killed, paused and cut off',
  async () => {
    const etcd = await startEtcd({ random })
    const env = { ...ENV, COUNTER_ETCD: etcd.proxyUrls.join() }
    const cluster = await startBeside(etcd, env)
    try {
      for (const node of cluster.nodes) await next(node)
      let [isOver, kills] = [false, 0]
      const isEnough = ({ given }: { readonly given: number }): boolean => given > CALLS / 2 && kills > 0
      const urls = () => cluster.nodes.map(urlOf)
      const load = runSequenceClients({ urls, name: 'a', calls: CALLS, isEnough, clients: CLIENTS, random })
      const watched = load.finally(() => {
        isOver = true
      })
      watched.catch(() => {})
      while (!isOver) {
        await pause(below(800))
        const member = below(2) === 0 ? await etcd.leader() : etcd.members[below(3)]!
        const node = cluster.nodes[below(3)]!
        const what = below(7)
        if (what === 0) {
          kills++
          await member.kill()
          await pause(below(1000))
          member.start()
        } else if (what === 1) {
          member.pause()
          await pause(below(1500))
          member.resume()
        } else if (what === 2) {
          member.proxy.set({ there: below(2) === 0 ? 'swallow' : 'open', back: 'swallow' })
          await pause(below(1500))
        } else if (what === 3) {
          member.peerProxy.cut()
          await pause(below(1500))
        } else if (what === 4) {
          kills++
          await cluster.end(node)
          await pause(below(500))
          await cluster.start(node)
        } else if (what === 5) {
          node.process?.child.kill('SIGSTOP')
          await pause(below(1500))
          node.process?.child.kill('SIGCONT')
        } else {
          node.proxy.set({ back: 'swallow', delayMs: 20, jitterMs: 50 })
          await pause(below(1500))
        }
        etcd.heal()
        cluster.heal()
      }
      const { seen, ...counts } = await watched
      const final = JSON.parse(await eventually(() => fetch(`${urlOf(cluster.nodes[2]!)}/v1/sequences/a`))) as { value: number }
      assert.equal(checkHistory(seen, final.value), [])
      console.log(`${JSON.stringify(counts)}, ${kills} kills, the value is ${final.value}`)
      assert.ok(isEnough(counts), 'void: there was no trouble, or there were no numbers')
    } finally {
      await cluster.close()
      await etcd.close()
    }
  },
)

etcdProgram.test(test, 'any one node and any one member may die, and numbers go on at once', async () => {
  const etcd = await startEtcd({ random })
  const env = { ...ENV, COUNTER_ETCD: etcd.proxyUrls.join() }
  const cluster = await startBeside(etcd, env)
  try {
    const [one, two, three] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (const [index, node] of cluster.nodes.entries()) assert.is(await next(node), `${index + 1}\n`)
    const engine = JSON.parse(await eventually(() => fetch(`${urlOf(two)}/v1/sequence-engine`)))
    assert.equal([engine.engine, engine.faultTolerant, engine.reachable, engine.members.length], ['etcd', true, true, 3])
    for (const [index, node] of cluster.nodes.entries()) {
      const claimed = await ask(etcd.members[0]!.port, '/v3/kv/range', {
        key: Buffer.from(`counter/node/${index + 1}`).toString('base64'),
      })
      const [entry] = (claimed.kvs ?? []) as { value: string }[]
      assert.match(Buffer.from(entry?.value ?? '', 'base64').toString(), node.proxy.url, 'its id is claimed')
    }
    await (await etcd.leader()).kill()
    await cluster.end(one)
    assert.is(await next(two), '4\n')
    assert.is(await next(three), '5\n')
  } finally {
    await cluster.close()
    await etcd.close()
  }
})

etcdProgram.test(test, 'sequences move from a home to etcd without a number given twice', async () => {
  const etcd = await startEtcd({ random })
  const COUNTER_ETCD = etcd.proxyUrls.join()
  const command = await buildCounter()
  const env = { ...ENV, COUNTER_SEQUENCE_HOME: '1' }
  const cluster = await startBeside(etcd, env, command)
  try {
    for (const [index, node] of cluster.nodes.entries()) assert.is(await next(node), `${index + 1}\n`)
    const keyed = { method: 'POST', headers: { 'Idempotency-Key': 'k' } }
    assert.is(await eventually(() => fetch(`${urlOf(cluster.nodes[2]!)}/next`, keyed)), '4\n')
    const restart = async (env: Record<string, string>) => {
      for (const node of cluster.nodes) {
        await cluster.end(node, 'SIGTERM')
        await cluster.start(node, env)
      }
    }

    // Who forgets the move gets no numbers.
    await restart({ COUNTER_ETCD })
    await until(
      'it is refused, and said what to do',
      async () => {
        const refused = await fetch(`${urlOf(cluster.nodes[1]!)}/next`, { method: 'POST' })
        return { status: refused.status, text: await refused.text() }
      },
      ({ status, text }) => {
        assert.is(status, 503, text)
        return text.includes('counter sequence migrate')
      },
    )

    await restart({ COUNTER_ETCD, COUNTER_SEQUENCE: 'home' })
    assert.is(await next(cluster.nodes[1]!), '5\n')
    const { code, stdout, stderr } = await runToEnd(['sequence', '--url', urlOf(cluster.nodes[1]!)!, 'migrate'], {}, command)
    assert.is(code, 0, stderr)
    assert.match(stdout, '1 sequences and 5 idempotency keys are in etcd')
    await until(
      'the home gives no more',
      async () => (await fetch(`${urlOf(cluster.nodes[0]!)}/next`, { method: 'POST' })).status,
      (status) => {
        assert.is.not(status, 200)
        return status === 409
      },
    )
    await restart({ COUNTER_ETCD })
    assert.is(await next(cluster.nodes[1]!), '6\n')
    assert.is(await eventually(() => fetch(`${urlOf(cluster.nodes[0]!)}/next`, keyed)), '4\n', 'keys go along')
  } finally {
    await cluster.close()
    await etcd.close()
  }
})

test.run()
