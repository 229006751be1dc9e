// P9: a node joins one that holds a million names. What that takes of both, and whether the one that gives still answers; beside it what
// the whole as JSON takes, which is how the original tells its state. Then the same with the line cut in the middle: what was sent
// before is not sent again.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/base/random.ts'
import { FaultProxy, freePort } from '../support/fault-proxy.ts'
import { Client } from './client.ts'
import { type Figures, figuresOf, type Node, percentile, spread, startNode, verdict } from './cluster-nodes.ts'

const NAMES = Number(process.env.NAMES ?? 1_000_000)
const NAMES_A_TEXT = 50_000
const LETTERS = 8
const DELAY_TARGET_MS = 10
const WRITE_EVERY_MS = 5
const MB = 1e6
/** Slow enough to be cut in the middle. */
const NARROW_BYTES_A_SECOND = 12 * MB

export async function measureJoin(): Promise<void> {
  const syncPort = await freePort()
  const proxy = await FaultProxy.open({ target: syncPort, random: seededRandom(5) })
  const giver = await startNode(1, [], ['--sync-port', String(syncPort), '--sync-advertise', proxy.url])
  try {
    await fill(giver)
    const quiet = await whileWriting(giver, () => sleep(2000))
    console.log(`P9  a node joins one that holds ${NAMES} names of ${LETTERS} letters, which is written to meanwhile`)
    console.log(`  the giver before: writes ${spread(quiet.writesMs)}   event loop ${delays(quiet.figures)}`)
    const bytes = await join(giver, proxy)
    json()
    await joinCut(giver, proxy, bytes)
  } finally {
    await giver.stop()
    await proxy.close()
  }
}

const delays = ({ loopDelayP99Ms, loopDelayMaxMs }: Figures): string =>
  `late by p99 ${Math.max(0, loopDelayP99Ms).toFixed(1)} ms, at most ${Math.max(0, loopDelayMaxMs).toFixed(1)} ms`

async function join(giver: Node, proxy: FaultProxy): Promise<number> {
  const before = await figuresOf(giver)
  let seconds = 0
  let newcomer: Node | undefined
  let heard: Figures | undefined
  const { writesMs, figures } = await whileWriting(giver, async () => {
    newcomer = await startNode(2, [proxy.port])
    const startMs = performance.now()
    await untilHas(newcomer, NAMES)
    seconds = (performance.now() - startMs) / 1000
    heard = await figuresOf(newcomer)
  })
  const bytes = heard!.bytesIn
  console.log(
    `  joined ${seconds.toFixed(2)} s after its start   CPU ${(figures.cpuSeconds - before.cpuSeconds).toFixed(2)} s of the giver, ` +
      `${heard!.cpuSeconds.toFixed(2)} s of the newcomer from its start   ${(bytes / MB).toFixed(1)} MB, ${(bytes / NAMES).toFixed(1)} bytes a name`,
  )
  console.log(
    `  the giver meanwhile: writes ${spread(writesMs)}   event loop ${delays(figures)}   target p99 ${DELAY_TARGET_MS} ms: ` +
      verdict(figures.loopDelayP99Ms <= DELAY_TARGET_MS),
  )
  await newcomer!.stop()
  return bytes
}

/** The same newcomer with an empty directory; its node id is another, as its last life is still a member. */
async function joinCut(giver: Node, proxy: FaultProxy, wholeBytes: number): Promise<void> {
  proxy.set({ bytesPerSecond: NARROW_BYTES_A_SECOND })
  const newcomer = await startNode(3, [proxy.port])
  const from = proxy.counts.bytes
  let cuts = 0
  for (let had = false; !had; await sleep(5)) {
    if (cuts === 0 && proxy.counts.bytes - from > wholeBytes / 2) {
      proxy.reset()
      cuts++
    }
    had = (await figuresOf(newcomer)).names >= NAMES
  }
  const { bytesIn } = await figuresOf(newcomer)
  proxy.heal()
  console.log(
    `  cut once in the middle: ${(bytesIn / MB).toFixed(1)} MB together, ${(bytesIn / wholeBytes).toFixed(2)}x of uncut ` +
      `(from the beginning again: 1.5x)   resumed: ${verdict(cuts === 1 && bytesIn < 1.2 * wholeBytes)}`,
  )
  await newcomer.stop()
  void giver
}

/** All names as the original tells them, made and read by this process. */
function json(): void {
  const entries = Array.from({ length: NAMES }, (_, index) => ({
    hash_keyword: index * 7919 + 2 ** 40,
    totals: [1 + (index % 1000)],
  }))
  const start = process.cpuUsage()
  const text = JSON.stringify(entries)
  const made = process.cpuUsage(start)
  const totals = new Map<number, number[]>()
  for (const { hash_keyword, totals: list } of JSON.parse(text) as typeof entries) totals.set(hash_keyword, list)
  const read = process.cpuUsage(start)
  const seconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1e6
  console.log(
    `  the whole as JSON: ${(text.length / MB).toFixed(1)} MB without names   CPU ${seconds(made).toFixed(2)} s to make, ` +
      `in one go; ${(seconds(read) - seconds(made)).toFixed(2)} s to read into a Map   again for each change`,
  )
}

/** Does `task` while names are written to the node one at a time; its figures are of that time. */
async function whileWriting(node: Node, task: () => Promise<unknown>): Promise<{ writesMs: number[]; figures: Figures }> {
  const client = await Client.connect(node.port)
  const writesMs: number[] = []
  let ended = false
  await figuresOf(node)
  const writes = (async () => {
    while (!ended) {
      const startMs = performance.now()
      await client.post('/v1/counters/aaaaaaaa/increments')
      writesMs.push(performance.now() - startMs)
      await sleep(WRITE_EVERY_MS)
    }
  })()
  await task()
  const figures = await figuresOf(node)
  ended = true
  await writes
  client.close()
  return { writesMs, figures }
}

async function untilHas(node: Node, names: number): Promise<void> {
  while ((await figuresOf(node)).names < names) await sleep(20)
}

async function fill(node: Node): Promise<void> {
  const client = await Client.connect(node.port)
  for (let from = 0; from < NAMES; from += NAMES_A_TEXT) {
    const text = Array.from({ length: Math.min(NAMES_A_TEXT, NAMES - from) }, (_, index) => nameOf(from + index)).join(' ')
    const { status, body } = await client.post('/keywords', Buffer.from(text))
    if (status !== 200) throw new Error(`status ${status}: ${body}`)
  }
  client.close()
}

function nameOf(number: number): string {
  let rest = (number * 123_456_789) % 26 ** LETTERS
  let name = ''
  for (let letter = 0; letter < LETTERS; letter++) {
    name += String.fromCharCode(97 + (rest % 26))
    rest = Math.floor(rest / 26)
  }
  return name
}

void percentile
