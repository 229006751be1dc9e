// When members are asked: each one always comes up again, whatever was under way while a node started; and what asking costs.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Transport } from '../../lib/syncsrv/index.ts'
import { Cluster, clusterOf, INTERVAL_MS, type Node, values } from './cluster.ts'

const test = suite('syncsrv/loop')

test('a node asks those too who asked it while it started', async () => {
  const { cluster, nodes } = await clusterOf([1, 2, 3])
  const [a, b, c] = nodes as [Node, Node, Node]
  b.kill()
  await cluster.settle(a.write({ x: 1 }))
  await cluster.until(() => c.value('x') === 1)
  c.kill()
  a.kill()
  // Without an answer of the others, `a` goes on under a new incarnation, and has nothing in its own column to tell of.
  await cluster.settle(a.start())
  const started = b.start()
  await cluster.pass(4 * INTERVAL_MS)
  await cluster.settle(started)
  await cluster.pass(4 * INTERVAL_MS)
  assert.equal(values([a, b], 'x'), [1, 1])
  await cluster.end()
})

test('no answer that is complete is given up, so that its connection can be used again', async () => {
  const cluster = new Cluster()
  const ended: string[] = []
  const watched = (address: string): Transport => {
    const transport = cluster.network.transport(address, cluster.clock)
    return {
      async *request(to, path, body, timeoutMs, signal) {
        let how = 'given up'
        try {
          yield* transport.request(to, path, body, timeoutMs, signal)
          how = signal?.aborted ? 'aborted' : 'read to its end'
        } finally {
          ended.push(`${path} ${how}`)
        }
      },
    }
  }
  const [a, b] = [1, 2].map((id) =>
    cluster.add(id, { digestIntervalMs: INTERVAL_MS, transport: watched(`http://10.0.0.${id}:3001`) }),
  )
  cluster.seeds = [a!.address]
  await cluster.settle(Promise.all([a!.start(), b!.start()]))
  await cluster.pass(2 * INTERVAL_MS)
  await cluster.settle(a!.write({ x: 1 }))
  await cluster.pass(4 * INTERVAL_MS)
  await cluster.settle(b!.replication.requestDrain(1))
  const paths = new Set(ended.map((line) => line.split(' ')[0]))
  assert.equal([...paths].sort(), ['/v1/digest', '/v1/drain', '/v1/exchange', '/v1/nudge', '/v1/probe'])
  assert.equal(
    ended.filter((line) => !line.endsWith('read to its end')),
    [],
  )
  await cluster.end()
})

test('under steady writes news is gathered for some milliseconds, and a single write goes at once', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  await cluster.pass(INTERVAL_MS)
  const { passages } = cluster.network
  const asked = (): number =>
    passages.filter(({ from, path, message }) => from === b.address && path === '/v1/exchange' && message === 0).length

  const { at } = await cluster.settle(a.write({ single: 1 }))
  const startMs = cluster.clock.monotonicMs()
  const { met } = await cluster.settle(a.replication.waitFor(at, 'all', 1000))
  const tookMs = cluster.clock.monotonicMs() - startMs
  assert.ok(met && tookMs < 10, `acknowledged after ${tookMs} ms`)

  const before = asked()
  for (let ms = 0; ms < 200; ms++) {
    await cluster.settle(a.write({ steady: 1 }))
    await cluster.settle(new Promise<void>((resolve) => cluster.clock.after(1, resolve)))
  }
  const exchanges = asked() - before
  assert.ok(exchanges >= 10 && exchanges <= 24, `${exchanges} exchanges in 200 ms`)
  await cluster.until(() => b.value('steady') === 200, 20)
  await cluster.end()
})

test.run()
