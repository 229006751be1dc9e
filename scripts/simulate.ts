// npm run simulate: the life of three counters of items, step by step: items before and after one of them is stopped, and then two, and what
// each has when they are back. Every node is a process of its own, asked through the API of the original counters. After each step all that
// run are to have the counts that a list kept here has; when one has not, it says so and ends with 1.
//
//   npm run simulate [-- --items 1000] [-- --limit 30]      items of a step; seconds that the nodes have to agree

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

interface Item {
  readonly id: string
  readonly tenant: string
}

interface Ports {
  readonly api: number
  readonly sync: number
}

const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '300' },
    limit: { type: 'string', default: '30' },
    program: { type: 'string', default: 'dist/cmd/counter.js' },
  },
})
const STEP_ITEMS = Number(values.items)
const LIMIT_MS = Number(values.limit) * 1000
const NODES = [0, 1, 2]
const TENANTS = ['red', 'green', 'blue']
const READY_MS = 60_000

/** What all nodes are to have: the tenant of each item. */
const expected = new Map<string, string>()
const directory = mkdtempSync(join(tmpdir(), 'counter-simulate-'))
const ports = await freePorts(NODES.length)
const running = new Map<number, ChildProcess>()
let step = 0
let batches = 0

process.once('SIGINT', () => void end(130))
process.once('SIGTERM', () => void end(143))
try {
  await simulate()
  await end(0)
} catch (error) {
  console.error(`counter: ${(error as Error).message}`)
  await end(1)
}

async function simulate(): Promise<void> {
  title('Starts three nodes.')
  await Promise.all(NODES.map(start))

  title(`Posts ${STEP_ITEMS} items to each.`)
  for (const node of NODES) await post(node, newItems())
  await allCount(NODES)

  title('Posts the same items again, to another node: they are the same items.')
  await post(
    1,
    [...expected].slice(0, STEP_ITEMS).map(([id, tenant]) => ({ id, tenant })),
  )
  await allCount(NODES)

  title('Stops node 2, and posts to the two others.')
  await stop(2)
  for (const node of [0, 1]) await post(node, newItems())
  await allCount([0, 1])

  title('Brings node 2 back: it gets what it has missed, and takes items again.')
  await start(2)
  await allCount(NODES)
  await post(2, newItems())
  await allCount(NODES)

  title('Stops nodes 0 and 1, and posts to the one that is left. It also moves items to another tenant.')
  await stop(0)
  await stop(1)
  await post(2, newItems())
  await post(
    2,
    [...expected.keys()].slice(0, 10).map((id) => ({ id, tenant: 'gold' })),
  )
  await allCount([2])

  title('Brings both back.')
  await Promise.all([start(0), start(1)])
  await allCount(NODES)

  title('Posts items that all three must accept, or none keeps one.')
  await allAlive(0)
  await post(0, newItems(), '?accept=all')
  await allCount(NODES)

  title('Posts a batch with an item without an id: nothing of it is kept.')
  const wrong = await fetch(`${urlOf(1)}/items`, {
    method: 'POST',
    body: JSON.stringify([...newItems(), { id: '', tenant: 'red' }]),
  })
  say(`  node 1  answered ${wrong.status}: ${((await wrong.json()) as { message: string }).message}`)
  if (wrong.status !== 400) throw new Error(`node 1 answered ${wrong.status} to a wrong batch, expected 400`)
  await allCount(NODES)

  say(`\nAll three have the same ${expected.size} items, and nothing was lost.`)
}

/** Items that nobody has yet, of all tenants. */
function newItems(): Item[] {
  const first = ++batches * 1_000_000
  return Array.from({ length: STEP_ITEMS }, (_, index) => ({
    id: `item-${first + index}`,
    tenant: TENANTS[index % TENANTS.length]!,
  }))
}

async function start(node: number): Promise<void> {
  const { api, sync } = ports[node]!
  const child = spawn(process.execPath, ['--enable-source-maps', values.program, 'serve'], {
    env: {
      PATH: process.env.PATH,
      COUNTER_NODE_ID: String(node),
      COUNTER_SEEDS: ports
        .filter((other) => other.sync !== sync)
        .map((other) => `http://127.0.0.1:${other.sync}`)
        .join(','),
      COUNTER_PUBLIC_PORT: String(api),
      COUNTER_SYNC_PORT: String(sync),
      COUNTER_DATA_DIR: join(directory, String(node)),
      COUNTER_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  running.set(node, child)
  await until(READY_MS, `node ${node} did not become ready on port ${api}`, async () => {
    if (child.exitCode !== null) throw new Error(`node ${node} ended with exit code ${child.exitCode}; what it said is above`)
    return (await fetch(`${urlOf(node)}/readyz`).catch(() => undefined))?.ok ?? false
  })
  say(`  node ${node}  runs on ${urlOf(node)}`)
}

/** Stops a node as a power cut would. */
async function stop(node: number): Promise<void> {
  const child = running.get(node)!
  running.delete(node)
  child.kill('SIGKILL')
  await once(child, 'exit')
  say(`  node ${node}  stopped (kill -9)`)
}

async function post(node: number, items: readonly Item[], query = ''): Promise<void> {
  const reply = await fetch(`${urlOf(node)}/items${query}`, { method: 'POST', body: JSON.stringify(items) })
  if (!reply.ok) throw new Error(`node ${node} answered ${reply.status} to ${items.length} items: ${await reply.text()}`)
  for (const { id, tenant } of items) expected.set(id, tenant)
  say(`  node ${node}  took ${items.length} items`)
}

/** Waits until these nodes have the counts that they should, and prints them. */
async function allCount(nodes: readonly number[]): Promise<void> {
  const tenants = [...new Set([...TENANTS, ...expected.values()])]
  const counts = new Map(tenants.map((tenant) => [tenant, 0]))
  for (const tenant of expected.values()) counts.set(tenant, counts.get(tenant)! + 1)
  const wanted = shown(tenants.map((tenant) => counts.get(tenant)!))
  const startedMs = performance.now()
  let seen: string[] = []

  function shown(all: readonly number[]): string {
    return tenants.map((tenant, index) => `${tenant} ${all[index]}`).join('  ')
  }
  const look = async (node: number): Promise<string> => shown(await Promise.all(tenants.map((tenant) => count(node, tenant))))
  const differing = () => nodes.map((node, index) => `node ${node} has ${seen[index]}`).join('; ')
  await until(
    LIMIT_MS,
    () => `the counts differ: expected ${wanted}; ${differing()}`,
    async () => {
      seen = await Promise.all(nodes.map(look))
      return seen.every((counts) => counts === wanted)
    },
  )
  const ms = Math.round(performance.now() - startedMs)
  for (const [index, node] of nodes.entries())
    say(`  node ${node}  counts ${seen[index]}${index === 0 ? `   as expected, after ${ms} ms` : ''}`)
}

/** Waits until the node has heard of all others that they are back. */
async function allAlive(node: number): Promise<void> {
  await until(LIMIT_MS, `node ${node} has not heard of all others`, async () => {
    const reply = await fetch(`${urlOf(node)}/v1/cluster`)
    const { members } = (await reply.json()) as { members: Array<{ state: string }> }
    return members.filter(({ state }) => state === 'alive').length === NODES.length
  })
}

async function count(node: number, tenant: string): Promise<number> {
  const reply = await fetch(`${urlOf(node)}/items/${tenant}/count`)
  return ((await reply.json()) as { count: number }).count
}

async function until(limitMs: number, otherwise: string | (() => string), done: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!(await done())) {
    const message = typeof otherwise === 'string' ? otherwise : otherwise()
    if (performance.now() > endMs) throw new Error(`${message} (after ${limitMs / 1000} s)`)
    await sleep(20)
  }
}

async function end(code: number): Promise<never> {
  await Promise.all(
    [...running.values()].map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined
      child.kill('SIGTERM')
      return once(child, 'exit')
    }),
  )
  rmSync(directory, { recursive: true, force: true })
  process.exit(code)
}

/** Ports that nobody uses now, all held until the last is known. */
async function freePorts(count: number): Promise<Ports[]> {
  const servers = Array.from({ length: 2 * count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const numbers = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return Array.from({ length: count }, (_, node) => ({ api: numbers[2 * node]!, sync: numbers[2 * node + 1]! }))
}

function urlOf(node: number): string {
  return `http://127.0.0.1:${ports[node]!.api}`
}

function title(text: string): void {
  say(`\n${++step}. ${text}`)
}

function say(line: string): void {
  console.log(line)
}
