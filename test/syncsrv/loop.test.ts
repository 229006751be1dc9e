// When members are asked: each one always comes up again, whatever was under way while a node started.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterOf, INTERVAL_MS, type Node, values } from './cluster.ts'

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

test.run()
