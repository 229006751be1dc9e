// How fast slots move, and what a client notices: two shards with names give a third one its share while single names are written through the
// aggregator, one after the other. Names a second, batches a second, and how long the writes took, next to how long they took before.

import { freePort } from '../support/fault-proxy.ts'
import { type Command, type NodeProcess, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { build } from './server.ts'

const SIZES = [10_000, 200_000]
const TEXT_NAMES = 50_000
const BEFORE_MS = 1_500

build()
const command: Command = [process.execPath, 'dist/cmd/counter.js']

for (const names of SIZES) {
  const { path, remove } = temporaryDirectory()
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const running: NodeProcess[] = []
  try {
    for (const [shard, port] of ports.entries()) {
      const env = { COUNTER_PUBLIC_PORT: String(port), COUNTER_LOG_LEVEL: 'error' }
      running.push(await startNode({ dataDir: `${path}/s${shard}`, command, env }))
    }
    const env = { COUNTER_SHARDS: urls.slice(0, 2).join(','), COUNTER_LOG_LEVEL: 'error' }
    const aggregator = await startNode({ dataDir: `${path}/a`, command, args: ['aggregate'], env })
    running.push(aggregator)
    for (let from = 0; from < names; from += TEXT_NAMES) {
      const words = Array.from({ length: Math.min(TEXT_NAMES, names - from) }, (_, index) => `name-${from + index}`)
      const response = await fetch(`${aggregator.url}/keywords`, { method: 'POST', body: words.join(' ') })
      if (response.status !== 200) throw new Error(await response.text())
    }
    const before = await writeUntil(aggregator.url, new Promise((done) => setTimeout(done, BEFORE_MS)))
    const startMs = performance.now()
    const run = runToEnd(['shards', 'add', urls[2]!], { COUNTER_SHARDS: env.COUNTER_SHARDS }, command)
    const during = await writeUntil(aggregator.url, run)
    const { code, stdout, stderr } = await run
    if (code !== 0) throw new Error(`${stdout}${stderr}`)
    const seconds = (performance.now() - startMs) / 1000
    const batches = 86
    console.log(
      `${names} names, a third of them moved in ${seconds.toFixed(1)} s: ${Math.round(names / 3 / seconds)} names/s, ` +
        `${(batches / seconds).toFixed(1)} batches/s`,
    )
    console.log(`  a write took ${timesOf(before)} before, ${timesOf(during)} meanwhile`)
  } finally {
    for (const node of running) await node.end('SIGKILL')
    remove()
  }
}

/** How long writes of single names took until then, in milliseconds, least first. */
async function writeUntil(url: string, end: Promise<unknown>): Promise<number[]> {
  let going = true
  void end.finally(() => (going = false)).catch(() => {})
  const times: number[] = []
  for (let index = 0; going; index++) {
    const startMs = performance.now()
    const response = await fetch(`${url}/v1/counters/name-${(index * 7919) % SIZES[0]!}/increments`, { method: 'POST' })
    if (response.status !== 200) throw new Error(await response.text())
    await response.arrayBuffer()
    times.push(performance.now() - startMs)
  }
  return times.sort((a, b) => a - b)
}

function timesOf(times: readonly number[]): string {
  const at = (share: number): string => `${times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1)} ms`
  return `${at(0.5)} (p50), ${at(0.99)} (p99), ${at(1)} (longest of ${times.length})`
}
