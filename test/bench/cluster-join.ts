// P9: a node joins one that holds a million names. What that takes of both, and whether the one that gives still answers; beside it what
// the whole as JSON takes, which is how the original tells its state. Then the same with the line cut in the middle: what was sent
// before is not sent again.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/base/random.ts'
import { FaultProxy, freePort } from '../support/fault-proxy.ts'
import { Client } from './client.ts'
import { type Figures, figuresOf, median, type Node, spread, startNode, verdict } from './cluster-nodes.ts'

const NAMES = Number(process.env.NAMES ?? 1_000_000)
const NAMES_A_TEXT = 50_000
const LETTERS = 8
const JOINS = 3
/** By the wall clock: on a busy machine most of a delay is waiting for a core, so compare with the giver before. */
const DELAY_TARGET_MS = 10
const RESUMED_TARGET = 1.1
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
    console.log(
      `P9  a node joins one that holds ${NAMES} names of ${LETTERS} letters, which is written to meanwhile; median of ${JOINS}`,
    )
    const quiet = await whileWriting(giver, () => sleep(2000))
    console.log(`  the giver before     ${delays([quiet])}`)
    const joins: Joined[] = []
    for (let id = 2; id < 2 + JOINS; id++) joins.push(await join(giver, id, proxy))
    const of = (read: (joined: Joined) => number): number => median(joins.map(read))
    const bytes = of((joined) => joined.bytes)
    console.log(
      `  complete ${of(({ seconds }) => seconds).toFixed(2)} s after it listens   ` +
        `CPU ${of(({ giverSeconds }) => giverSeconds).toFixed(2)} s of the giver, ` +
        `${of(({ newcomerSeconds }) => newcomerSeconds).toFixed(2)} s of the newcomer with its start   ` +
        `${(bytes / MB).toFixed(1)} MB, ${(bytes / NAMES).toFixed(1)} bytes a name`,
    )
    const met = of(({ figures }) => figures.loopDelayP99Ms) <= DELAY_TARGET_MS
    console.log(`  the giver meanwhile  ${delays(joins)}   target p99 ${DELAY_TARGET_MS} ms: ${verdict(met)}`)
    json()
    await joinCut(2 + JOINS, proxy, bytes)
  } finally {
    await giver.stop()
    await proxy.close()
  }
}

interface Watched {
  readonly writesMs: number[]
  readonly figures: Figures
}

interface Joined extends Watched {
  readonly seconds: number
  readonly giverSeconds: number
  readonly newcomerSeconds: number
  readonly bytes: number
}

function delays(watched: readonly Watched[]): string {
  const late = (read: (figures: Figures) => number): string =>
    Math.max(0, median(watched.map(({ figures }) => read(figures)))).toFixed(1)
  return (
    `event loop late by p99 ${late(({ loopDelayP99Ms }) => loopDelayP99Ms)} ms, at most ${late(({ loopDelayMaxMs }) => loopDelayMaxMs)} ms   ` +
    `writes ${spread(watched.flatMap(({ writesMs }) => writesMs))}`
  )
}

/** A new node id each time: the node that joined before is still a member, although it is down. */
async function join(giver: Node, id: number, proxy: FaultProxy): Promise<Joined> {
  const before = await figuresOf(giver)
  const newcomer = await startNode(id, [proxy.port])
  const startMs = performance.now()
  const watched = await whileWriting(giver, () => untilHas(newcomer, NAMES))
  const seconds = (performance.now() - startMs) / 1000
  const { bytesIn, cpuSeconds } = await figuresOf(newcomer)
  await newcomer.stop()
  return {
    ...watched,
    seconds,
    giverSeconds: watched.figures.cpuSeconds - before.cpuSeconds,
    newcomerSeconds: cpuSeconds,
    bytes: bytesIn,
  }
}

/** The same once more over a line that is narrow, and cut when half has passed. */
async function joinCut(id: number, proxy: FaultProxy, wholeBytes: number): Promise<void> {
  proxy.set({ bytesPerSecond: NARROW_BYTES_A_SECOND })
  const from = proxy.counts.bytes
  const newcomer = await startNode(id, [proxy.port])
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
      `(from the beginning again: 1.5x)   target at most ${RESUMED_TARGET}x: ${verdict(cuts === 1 && bytesIn < RESUMED_TARGET * wholeBytes)}`,
  )
  await newcomer.stop()
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
async function whileWriting(node: Node, task: () => Promise<unknown>): Promise<Watched> {
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
