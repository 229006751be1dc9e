// Clusters of real processes for benches: nodes on loopback that know each other, what they say of themselves, and load on them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from './client.ts'
import { type Server, startCounter } from './server.ts'

export interface Node extends Server {
  readonly directory: string
  readonly syncPort: number
}

/** Starts a node with this id. @param seeds sync ports of others */
export const startNode = (id: number, seeds: readonly number[] = [], flags: readonly string[] = []): Promise<Node> =>
  startCounter(['--node-id', String(id), '--seeds', seeds.map((port) => `http://127.0.0.1:${port}`).join(','), ...flags])

/** Starts nodes with ids from 1 that are all members of each other. */
export async function startCluster(count: number, flags: readonly string[] = []): Promise<Node[]> {
  const nodes: Node[] = []
  for (let id = 1; id <= count; id++)
    nodes.push(
      await startNode(
        id,
        nodes.map(({ syncPort }) => syncPort),
        flags,
      ),
    )
  await untilAgreed(nodes)
  return nodes
}

/** Resolves when each node knows all the others, and nobody lacks anything. */
export async function untilAgreed(nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) {
    const client = await Client.connect(node.port)
    for (let agreed = false; !agreed; await sleep(20)) {
      const lags = samples((await client.get('/metrics')).body).filter(({ name }) =>
        name.startsWith('counter_replication_lag_changes'),
      )
      agreed = lags.length === 2 * (nodes.length - 1) && lags.every(({ value }) => value === 0)
    }
    client.close()
  }
}

/** What a node says of itself. */
export interface Figures {
  readonly cpuSeconds: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly exchanges: number
  readonly names: number
  readonly logGroups: number
  /** Since the last time it was asked, in milliseconds, without the period at which it is looked at. */
  readonly loopDelayP99Ms: number
  readonly loopDelayMaxMs: number
}

/** Of a timer that should run each 10 ms node measures the whole time from run to run. */
const LOOP_PERIOD_MS = 10

export async function figuresOf({ port }: Server): Promise<Figures> {
  const client = await Client.connect(port)
  const all = new Map(samples((await client.get('/metrics')).body).map(({ name, value }) => [name, value]))
  client.close()
  const of = (name: string): number => all.get(name) ?? Number.NaN
  return {
    cpuSeconds: of('process_cpu_seconds_total'),
    bytesIn: of('counter_sync_bytes_in_total'),
    bytesOut: of('counter_sync_bytes_out_total'),
    exchanges: of('counter_sync_exchanges_total'),
    names: of('counter_names'),
    logGroups: of('counter_log_groups_total'),
    loopDelayP99Ms: of('nodejs_eventloop_lag_p99_seconds') * 1000 - LOOP_PERIOD_MS,
    loopDelayMaxMs: of('nodejs_eventloop_lag_max_seconds') * 1000 - LOOP_PERIOD_MS,
  }
}

function samples(text: string): { name: string; value: number }[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ name: line.slice(0, line.lastIndexOf(' ')), value: Number(line.slice(line.lastIndexOf(' ') + 1)) }))
}

export interface Posted {
  readonly posted: number
  readonly failed: number
  readonly seconds: number
}

/** Posts texts to the nodes from another process, see cluster-load.ts. Resolves when it has begun; `done` when it has ended. */
export async function postTexts(
  nodes: readonly Server[],
  { rate, seconds, textBytes }: { rate: number; seconds: number; textBytes: number },
): Promise<{ done: Promise<Posted> }> {
  const file = new URL('cluster-load.ts', import.meta.url).pathname
  const args = [rate, seconds, textBytes, ...nodes.map(({ port }) => port)].map(String)
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const ended = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), ended])
  return { done: ended.then(() => JSON.parse(/\{.*\}/.exec(output)![0]) as Posted) }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

/** `p50 1.23 ms  p99 4.56 ms`. */
export const spread = (valuesMs: readonly number[]): string =>
  `p50 ${percentile(valuesMs, 0.5).toFixed(2)} ms   p99 ${percentile(valuesMs, 0.99).toFixed(2)} ms`

export const verdict = (met: boolean): string => (met ? 'met' : 'MISSED')
