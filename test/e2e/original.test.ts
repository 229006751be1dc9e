// Two nodes of the original and one of ours, on real sockets and a real disk: all three count and come to the same totals, also
// after each of them was restarted. ORIGINAL_BINARY=/path/to/it runs real ones; otherwise stand-ins behave as those do.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'
import { nodeDisk, Store, takeLock } from '../../lib/persistence/index.ts'
import { createLegacyClient, LegacyBridge } from '../../lib/syncsrv/index.ts'
import { batchOf, hash, nameBytes, plainReply, SaidLogger } from '../persistence/harness.ts'
import { freePort } from '../support/fault-proxy.ts'
import { serveOriginal } from '../support/original.ts'
import { PATIENCE_MS, temporaryDirectory } from '../support/process.ts'

const BINARY = process.env.ORIGINAL_BINARY
/** The real one pushes every two seconds. */
const INTERVAL_MS = BINARY === undefined ? 100 : 2000

const test = suite('e2e/original')
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

interface Node {
  count(text: string): Promise<unknown>
  value(word: string): Promise<number>
  /** As kill -9 does. */
  kill(): Promise<void>
}

const overHttp = (publicUrl: string) => ({
  count: (text: string) => fetch(`${publicUrl}/keywords`, { method: 'POST', body: text }),
  async value(word: string): Promise<number> {
    const response = await fetch(`${publicUrl}/keywords?keywords=${word}`)
    const [answer] = (await response.json()) as { count: number }[]
    return answer!.count
  },
})

async function startOriginal(
  id: number,
  ports: readonly [number, number],
  seeds: readonly string[],
  directory: string,
): Promise<Node> {
  const [publicPort, syncPort] = ports
  if (BINARY === undefined) {
    const node = await serveOriginal(id, seeds, INTERVAL_MS, ports)
    return { ...overHttp(node.publicUrl), kill: () => node.close() }
  }
  mkdirSync(directory, { recursive: true })
  const child: ChildProcess = spawn(BINARY, {
    cwd: directory,
    stdio: 'ignore',
    env: {
      COUNTER_NODE_ID: `${id}`,
      COUNTER_SEEDS: seeds.join(),
      COUNTER_PUBLIC_PORT: `${publicPort}`,
      COUNTER_SYNC_PORT: `${syncPort}`,
    },
  })
  const exited = once(child, 'exit')
  const node = overHttp(`http://127.0.0.1:${publicPort}`)
  await until(() => node.value('x').then((value) => value === 0))
  return {
    ...node,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function startOurs(syncPort: number, seeds: readonly string[], directory: string): Promise<Node> {
  const logger = new SaidLogger()
  const store = await Store.open({
    directory,
    nodeId: 0,
    hash,
    clock: systemClock,
    random: systemRandom,
    disk: nodeDisk,
    lock: takeLock,
    logger,
    namesMax: 0,
    itemsMax: 0,
    itemsAheadMsMax: 60_000,
    fsync: 'always',
    fsyncIntervalMs: 50,
    segmentBytes: 1 << 20,
    queueBytesMax: 1 << 20,
    snapshotIntervalMs: 0,
    snapshotLogBytes: 0,
    replyTtlMs: 1000,
    repliesMax: 10,
    tentativeBytesMax: 1 << 20,
  })
  const client = createLegacyClient({ clock: systemClock, timeoutMs: 10_000 })
  const isOurs = (node: number): boolean => node === 0
  const random = seededRandom(1)
  const common = { clock: systemClock, random, logger, post: client.post }
  const bridge = new LegacyBridge({ ...common, store, seeds, isOurs, intervalMs: INTERVAL_MS })
  bridge.start()
  const server = createServer(async (incoming, outgoing) => {
    const parts: Buffer[] = []
    for await (const part of incoming) parts.push(part)
    await bridge.accept(Buffer.concat(parts))
    outgoing.writeHead(200, { 'Content-Length': 0 }).end()
  })
  await new Promise<void>((done) => server.listen(syncPort, '127.0.0.1', done))
  return {
    count(text) {
      const amounts: Record<string, number> = {}
      for (const word of text.split(' ')) amounts[word] = (amounts[word] ?? 0) + 1
      return store.increment(batchOf(amounts), () => plainReply())
    },
    value: async (word) => Number(store.value(nameBytes(word))),
    async kill() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      client.close()
      await bridge.stop()
      await store.close()
    },
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS
  while (!(await holds().catch(() => false))) {
    if (Date.now() > endMs) throw new Error('it never came true')
    await pause(50)
  }
}

test(`originals${BINARY === undefined ? ' (stand-ins)' : ''} and our node count side by side, and after a restart of each`, async () => {
  const { path, remove } = temporaryDirectory()
  const [ourSync, ...ports] = (await Promise.all(Array.from({ length: 5 }, freePort))) as [number, number, number, number, number]
  const url = (port: number): string => `http://127.0.0.1:${port}`
  const first = () => startOriginal(1, [ports[0], ports[1]], [url(ourSync), url(ports[3])], join(path, 'first'))
  const second = () => startOriginal(2, [ports[2], ports[3]], [url(ourSync), url(ports[1])], join(path, 'second'))
  const ours = () => startOurs(ourSync, [`legacy+${url(ports[1])}`, `legacy+${url(ports[3])}`], join(path, 'ours'))
  const nodes = await Promise.all([first(), second(), ours()])
  const agree = (word: string, count: number) =>
    until(async () => (await Promise.all(nodes.map((node) => node.value(word)))).every((value) => value === count))
  try {
    // The higher id first: an original panics when it counts a word that it has heard of from a lower one alone.
    await nodes[1]!.count('apple wallabies')
    await nodes[0]!.count('apple apple pear gallabieh')
    await nodes[2]!.count('apple pear own')
    for (const [word, count] of [
      ['apple', 4],
      ['pear', 2],
      ['own', 1],
    ] as const)
      await agree(word, count)
    // There the two are one; here the name that came first has what is known by the key, and no name is counted here.
    for (const word of ['gallabieh', 'wallabies']) await agree(word, 2)

    // Each in turn is away while another counts.
    for (const [index, start] of [first, second, ours].entries()) {
      // An original's last second is not on its disk.
      await pause(BINARY === undefined ? 0 : 1500)
      await nodes[index]!.kill()
      await nodes[(index + 1) % 3]!.count(`away${index} apple`)
      nodes[index] = await start()
      await agree(`away${index}`, 1)
      await agree('apple', 5 + index * 2)
      await nodes[index]!.count('apple')
      await agree('apple', 6 + index * 2)
    }
    assert.is(await nodes[2]!.value('own'), 1)
  } finally {
    for (const node of nodes) await node.kill()
    remove()
  }
})

test.run()
