// npm run cluster: three nodes on this machine, and what a cluster is for. Starts them, counts a text on each, kills one, counts
// on, brings it back, and shows that all three agree. They then run until Ctrl-C; --once ends them at once.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PORTS = [3000, 4000, 5000]
const WORDS = ['be', 'or', 'not', 'question', 'dream']
const TEXTS = [
  'to be or not to be that is the question',
  'whether tis nobler in the mind to suffer the slings and arrows of outrageous fortune',
  'or to take arms against a sea of troubles and by opposing end them',
  'to die to sleep to sleep perchance to dream ay there is the rub',
]
const READY_MS = 30_000
const AGREE_MS = 10_000

const directory = mkdtempSync(join(tmpdir(), 'counter-cluster-'))
const running = new Map<number, ChildProcess>()

process.once('SIGINT', () => void end(0))
process.once('SIGTERM', () => void end(0))
try {
  await show()
  if (process.argv.includes('--once')) await end(0)
  say('\nThe nodes run on; press Ctrl-C to end them. Try:')
  say(`  curl -d 'to be or not to be' ${urlOf(0)}/keywords`)
  say(`  curl '${urlOf(2)}/keywords?keywords=be'`)
  say(`  curl ${urlOf(1)}/v1/cluster`)
  say(`  curl -X POST ${urlOf(2)}/next`)
} catch (error) {
  console.error(`counter: ${(error as Error).message}`)
  await end(1)
}

async function show(): Promise<void> {
  say('Starts three nodes.')
  await Promise.all(PORTS.map((_, node) => start(node)))

  say('\nCounts a text on each.')
  for (const node of [0, 1, 2]) await count(node, TEXTS[node]!)
  await agreed([0, 1, 2])

  say('\nKills node 2 and counts on.')
  running.get(2)!.kill('SIGKILL')
  await once(running.get(2)!, 'exit')
  await count(0, TEXTS[3]!)
  await count(1, TEXTS[0]!)
  await agreed([0, 1])

  say('\nBrings node 2 back.')
  await start(2)
  await agreed([0, 1, 2])
  say('\nAll three agree, and nothing was lost.')
}

async function start(node: number): Promise<void> {
  const port = PORTS[node]!
  const others = PORTS.filter((other) => other !== port)
  const child = spawn(process.execPath, ['--enable-source-maps', 'dist/cmd/counter.js', 'serve'], {
    env: {
      ...process.env,
      COUNTER_NODE_ID: String(node),
      COUNTER_SEEDS: others.map((other) => `http://127.0.0.1:${other + 1}`).join(','),
      COUNTER_PUBLIC_PORT: String(port),
      COUNTER_SYNC_PORT: String(port + 1),
      COUNTER_DATA_DIR: join(directory, String(node)),
      COUNTER_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  running.set(node, child)
  await until(READY_MS, `node ${node} did not become ready on port ${port}`, async () => {
    if (child.exitCode !== null) throw new Error(`node ${node} ended with exit code ${child.exitCode}; what it said is above`)
    return (await ask(`${urlOf(node)}/readyz`))?.ok ?? false
  })
  say(`  node ${node}  ${urlOf(node)}  sync port ${port + 1}`)
}

async function count(node: number, text: string): Promise<void> {
  const reply = await fetch(`${urlOf(node)}/keywords`, { method: 'POST', body: text })
  if (!reply.ok) throw new Error(`node ${node} answered ${reply.status}: ${await reply.text()}`)
  say(`  node ${node}  counted ${text.split(' ').length} words: ${text.slice(0, 40)}...`)
}

/** Waits until these nodes show the same counts, and prints them. */
async function agreed(nodes: number[]): Promise<void> {
  const started = performance.now()
  let shown: string[] = []
  await until(AGREE_MS, 'the nodes do not agree', async () => {
    shown = await Promise.all(nodes.map(read))
    return new Set(shown).size === 1
  })
  say(`  agree after ${Math.round(performance.now() - started)} ms:`)
  for (const [index, node] of nodes.entries()) say(`  node ${node}  ${shown[index]}`)
}

async function read(node: number): Promise<string> {
  const reply = await fetch(`${urlOf(node)}/keywords?${WORDS.map((word) => `keywords=${word}`).join('&')}`)
  const counts = (await reply.json()) as Array<{ key: string; count: number }>
  return counts.map(({ key, count }) => `${key} ${count}`).join('  ')
}

async function until(limitMs: number, otherwise: string, done: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!(await done())) {
    if (performance.now() > endMs) throw new Error(`${otherwise} within ${limitMs / 1000} s`)
    await sleep(20)
  }
}

function ask(url: string): Promise<Response | undefined> {
  return fetch(url).catch(() => undefined)
}

async function end(code: number): Promise<never> {
  const children = [...running.values()].filter((child) => child.exitCode === null && child.signalCode === null)
  await Promise.all(
    children.map((child) => {
      child.kill('SIGTERM')
      return once(child, 'exit')
    }),
  )
  rmSync(directory, { recursive: true, force: true })
  process.exit(code)
}

function urlOf(node: number): string {
  return `http://127.0.0.1:${PORTS[node]}`
}

function say(line: string): void {
  console.log(line)
}
