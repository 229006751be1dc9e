// A node that starts while a member does not answer: reads are answered from the first moment, writes when it is decided under which
// incarnation they count, which is as soon as the member is back.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../support/fault-proxy.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/starting')
const command = await buildCounter()

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

test('while the members are asked reads are answered, writes get 503, and /readyz says at which step it is', async () => {
  const [one, other] = [temporaryDirectory(), temporaryDirectory()]
  const [port, otherSyncPort] = [await freePort(), await freePort()]
  const nodes: NodeProcess[] = []
  try {
    const env = { COUNTER_NODE_ID: '1', COUNTER_PUBLIC_PORT: String(port), COUNTER_JOIN_TIMEOUT: '10m' }
    const first = await startNode({ dataDir: one.path, command, env })
    nodes.push(first)
    const sync = /Sync +(http:\/\/\S+)/.exec(first.stdout())![1]!
    const startOther = () =>
      startNode({
        dataDir: other.path,
        command,
        env: {
          COUNTER_NODE_ID: '2',
          COUNTER_SYNC_PORT: String(otherSyncPort),
          COUNTER_SEEDS: sync,
          COUNTER_JOIN_TIMEOUT: '100ms',
        },
      })
    const second = await startOther()
    nodes.push(second)
    const written = await fetch(`${first.url}/keywords?w=all`, { method: 'POST', body: 'be' })
    assert.is(written.headers.get('counter-write-level'), 'all; reached=2; members=2')
    await second.end('SIGKILL')
    await first.end('SIGTERM')

    const starting = startNode({ dataDir: one.path, command, env })
    let ready: Response | undefined
    while (ready === undefined) {
      ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
      if (ready === undefined) await pause(20)
    }
    assert.is(ready.status, 503)
    assert.match(await ready.text(), '[-] members: are asked what they know of this node')
    const refused = await fetch(`http://127.0.0.1:${port}/keywords`, { method: 'POST', body: 'be' })
    assert.is(refused.status, 503)
    assert.is(((await refused.json()) as { type: string }).type, '/problems/starting')
    const read = await fetch(`http://127.0.0.1:${port}/v1/counters/be`, { headers: { accept: 'text/plain' } })
    assert.is(await read.text(), '1')

    nodes.push(await startOther())
    const again = await starting
    nodes.push(again)
    assert.is((await fetch(`${again.url}/readyz`)).status, 200)
    assert.is((await fetch(`${again.url}/keywords`, { method: 'POST', body: 'be' })).status, 200)
  } finally {
    for (const node of nodes) await node.end('SIGKILL')
    one.remove()
    other.remove()
  }
})

test.run()
