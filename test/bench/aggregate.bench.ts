// What shards cost and bring: the same load on one node and, in turns, on aggregators before 1, 2 and 3 shards. Requests a second show what
// the machine made of it, which on few cores is less with more processes; CPU time a request, of the aggregator and of all shards together,
// is what holds.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { build, cpuSeconds, load, type Server, startCounter } from './server.ts'

interface Contestant {
  readonly name: string
  readonly port: number
  /** undefined: the node itself is asked. */
  readonly aggregator: number | undefined
  readonly nodes: readonly number[]
}

interface Case {
  readonly title: string
  readonly kind: 'keywords' | 'get'
  readonly requests: number
  readonly textBytes: number
}

interface Figures {
  /** A second of the clock. */
  perSecond: number
  /** Microseconds of CPU a request. */
  aggregatorUs: number
  nodesUs: number
}

const ROUNDS = 3
const CASES: readonly Case[] = [
  { title: 'GET of one name', kind: 'get', requests: 4000, textBytes: 0 },
  { title: 'texts of 100 B', kind: 'keywords', requests: 2000, textBytes: 100 },
  { title: 'texts of 1 kB', kind: 'keywords', requests: 1500, textBytes: 1000 },
  { title: 'texts of 10 kB', kind: 'keywords', requests: 400, textBytes: 10_000 },
]

build()
const stops: (() => Promise<void>)[] = []
const started = async (): Promise<Server> => {
  const node = await startCounter()
  stops.push(() => node.stop())
  return node
}
try {
  const alone = await started()
  const contestants: Contestant[] = [{ name: 'one node', port: alone.port, aggregator: undefined, nodes: [alone.pid] }]
  for (const count of [1, 2, 3]) {
    // Shards keep their map, so each aggregator has its own.
    const shards = await Promise.all(Array.from({ length: count }, started))
    const { pid, port } = await startAggregator(shards.map((shard) => shard.port))
    contestants.push({
      name: `${count} shard${count > 1 ? 's' : ''}`,
      port,
      aggregator: pid,
      nodes: shards.map((shard) => shard.pid),
    })
  }
  for (const contestant of contestants) await load('keywords', contestant.port, 300, 10_000)
  console.log(
    `${availableParallelism()} cores; 16 connections; best of ${ROUNDS} rounds in turns; the load runs on the same cores\n`,
  )
  for (const one of CASES) await compare(one, contestants)
} finally {
  for (const stop of stops.reverse()) await stop()
}

async function compare({ title, kind, requests, textBytes }: Case, contestants: readonly Contestant[]): Promise<void> {
  const best = contestants.map((): Figures => ({ perSecond: 0, aggregatorUs: Infinity, nodesUs: Infinity }))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { port, aggregator, nodes }] of contestants.entries()) {
      const before = [aggregator === undefined ? 0 : cpuSeconds(aggregator), sumOf(nodes)]
      const { seconds } = await load(kind, port, requests, textBytes)
      const after = [aggregator === undefined ? 0 : cpuSeconds(aggregator), sumOf(nodes)]
      const figures = best[index]!
      figures.perSecond = Math.max(figures.perSecond, requests / seconds)
      figures.aggregatorUs = Math.min(figures.aggregatorUs, ((after[0]! - before[0]!) / requests) * 1e6)
      figures.nodesUs = Math.min(figures.nodesUs, ((after[1]! - before[1]!) / requests) * 1e6)
    }
  }
  console.log(`${title}, ${requests} requests a round`)
  const [alone] = best
  for (const [index, { perSecond, aggregatorUs, nodesUs }] of best.entries()) {
    const { name, nodes } = contestants[index]!
    const own =
      index === 0
        ? ''
        : `  aggregator ${micros(aggregatorUs)}  all shards ${micros(nodesUs)}  each ${micros(nodesUs / nodes.length)}`
    const ratio = index === 0 ? `  the node   ${micros(nodesUs)}` : own
    console.log(
      `  ${name.padEnd(10)} ${perSecond.toFixed(0).padStart(6)}/s  ${(perSecond / alone!.perSecond).toFixed(2)}x${ratio}`,
    )
  }
  console.log('')
}

function micros(us: number): string {
  return `${us.toFixed(0).padStart(5)} µs`
}

function sumOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
}

async function startAggregator(ports: readonly number[]): Promise<{ pid: number; port: number }> {
  const program = `${process.env.BENCH_DIST ?? 'dist'}/cmd/counter.js`
  const shards = ports.map((port) => `http://127.0.0.1:${port}`).join(',')
  const child: ChildProcess = spawn(
    process.execPath,
    [program, 'aggregate', '--public-port', '0', '--log-level', 'warn', '--shards', shards],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH } },
  )
  stops.push(async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  })
  let printed = ''
  for await (const piece of child.stdout!.iterator({ destroyOnReturn: false })) {
    printed += piece
    const port = /API\s+http:\/\/[^:]+:(\d+)\//.exec(printed)?.[1]
    if (port === undefined) continue
    child.stdout!.resume()
    return { pid: child.pid!, port: Number(port) }
  }
  throw new Error(`the aggregator ended before it was ready:\n${printed}`)
}
