// P11: how long after a write was acknowledged by one node it can be read on the others. Names are fresh each time, so a read says 1 or
// 0; the others are asked again and again over a kept connection of each, and what one such read takes is shown beside it.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/base/random.ts'
import { Client } from './client.ts'
import { type Node, percentile, postTexts, spread, untilAgreed, verdict } from './cluster-nodes.ts'

const WRITES = 300
const PAUSE_MS = 10
const TEXT_BYTES = 1000
const CAPACITY_SECONDS = 4
const IDLE_TARGET_MS = 20
const LOADED_TARGET_MS = 100
const TEXT_ONLY = 'Accept: text/plain\r\n'

interface Lags {
  /** Until the write was acknowledged by its own node. */
  readonly acknowledgedMs: number[]
  /** From then until each of the others showed it. */
  readonly readableMs: number[]
  /** One read. */
  readonly readMs: number[]
}

const random = seededRandom(3)
let written = 0

/** @returns how many texts a second the cluster takes */
export async function measureLag(nodes: readonly Node[]): Promise<number> {
  console.log(`P11  ${nodes.length} nodes on loopback; writes on one of them are looked for on the others, ${WRITES} times`)
  await lagsOf(nodes, 100)

  const idle = await lagsOf(nodes, WRITES)
  show('idle', idle, IDLE_TARGET_MS)
  for (const level of ['1', 'majority', 'all']) {
    console.log(`    a write with w=${level.padEnd(9)}          ${spread(await latencies(nodes[0]!, level))}`)
  }

  const most = await (await postTexts(nodes, { rate: 0, seconds: CAPACITY_SECONDS, textBytes: TEXT_BYTES })).done
  await untilAgreed(nodes)
  const textsASecond = most.posted / most.seconds
  const load = await postTexts(nodes, { rate: textsASecond / 2, seconds: 8, textBytes: TEXT_BYTES })
  await sleep(500)
  const loaded = await lagsOf(nodes, WRITES, 7000)
  const half = await load.done
  const rates = `${Math.round(half.posted / half.seconds)} of ${Math.round(textsASecond)} texts of ${TEXT_BYTES} B a second`
  show(`half load: ${rates}`, loaded, LOADED_TARGET_MS)
  if (half.failed + most.failed > 0) console.log(`    ${half.failed + most.failed} texts were refused`)
  return textsASecond
}

function show(title: string, { acknowledgedMs, readableMs, readMs }: Lags, targetMs: number): void {
  console.log(`  ${title}`)
  console.log(`    acknowledged where it was written  ${spread(acknowledgedMs)}`)
  console.log(`    one read of another node           ${spread(readMs)}`)
  const p99 = percentile(readableMs, 0.99)
  console.log(
    `    from there readable on the others  ${spread(readableMs)}   target p99 ${targetMs} ms: ${verdict(p99 <= targetMs)}`,
  )
}

async function lagsOf(nodes: readonly Node[], writes: number, limitMs = 60_000): Promise<Lags> {
  const clients = await Promise.all(nodes.map(({ port }) => Client.connect(port)))
  const [writer, ...readers] = clients as [Client, ...Client[]]
  const lags: Lags = { acknowledgedMs: [], readableMs: [], readMs: [] }
  const endMs = performance.now() + limitMs
  for (let index = 0; index < writes && performance.now() < endMs; index++) {
    const path = `/v1/counters/written-${written++}`
    const startMs = performance.now()
    await writer.post(`${path}/increments`)
    const acknowledgedMs = performance.now()
    lags.acknowledgedMs.push(acknowledgedMs - startMs)
    await Promise.all(
      readers.map(async (reader) => {
        for (let value = '0'; value !== '1'; ) {
          const askedMs = performance.now()
          value = (await reader.get(path, TEXT_ONLY)).body
          lags.readMs.push(performance.now() - askedMs)
        }
        lags.readableMs.push(performance.now() - acknowledgedMs)
      }),
    )
    await sleep(PAUSE_MS + (random.uint32() % PAUSE_MS))
  }
  for (const client of clients) client.close()
  return lags
}

async function latencies({ port }: Node, level: string): Promise<number[]> {
  const client = await Client.connect(port)
  const took: number[] = []
  for (let index = 0; index < WRITES / 2; index++) {
    const startMs = performance.now()
    await client.post(`/v1/counters/leveled/increments?w=${level}`)
    took.push(performance.now() - startMs)
    await sleep(PAUSE_MS)
  }
  client.close()
  return took
}
