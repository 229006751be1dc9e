// What being a cluster costs: nodes at rest, and a node that takes writes which two others hear of, beside one that is alone and takes the same.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Figures, figuresOf, median, type Node, postTexts, startNode, untilAgreed } from './cluster-nodes.ts'

const REST_SECONDS = 8
const LOAD_SECONDS = 4
const ROUNDS = 3
const TEXT_BYTES = 1000

export async function measureRest(nodes: readonly Node[]): Promise<void> {
  await untilAgreed(nodes)
  await sleep(1500)
  const before = await Promise.all(nodes.map(figuresOf))
  await sleep(REST_SECONDS * 1000)
  const after = await Promise.all(nodes.map(figuresOf))
  // What a node says of its CPU time was read before the rest of the same answer was made: the cost of one asking is in the difference.
  const askings = await askingCost(nodes)
  const mean = (read: (figures: Figures) => number): number =>
    after.reduce((sum, figures, at) => sum + read(figures) - read(before[at]!), 0) / nodes.length / REST_SECONDS
  const share = mean(({ cpuSeconds }) => cpuSeconds) - askings / REST_SECONDS
  console.log(`At rest  ${nodes.length} nodes that nobody writes to, for ${REST_SECONDS} s, a node`)
  console.log(
    `  ${(share * 100).toFixed(2)} % of a core   ` +
      `${mean(({ bytesIn, bytesOut }) => bytesIn + bytesOut).toFixed(0)} bytes/s in and out, without heads of HTTP   ` +
      `${mean(({ exchanges }) => exchanges).toFixed(1)} exchanges/s`,
  )
}

/** CPU seconds that asking a node for its figures takes. */
async function askingCost([node]: readonly Node[]): Promise<number> {
  const first = await figuresOf(node!)
  let last = first
  for (let times = 0; times < 5; times++) last = await figuresOf(node!)
  return (last.cpuSeconds - first.cpuSeconds) / 5
}

/** @param textsASecond what the cluster takes; a quarter of it is posted to one node */
export async function measureReplication(nodes: readonly Node[], textsASecond: number): Promise<void> {
  const alone = await startNode(9)
  const rate = Math.round(textsASecond / 4)
  const costs: { alone: number[]; followed: number[]; follower: number[]; ratio: number[] } = {
    alone: [],
    followed: [],
    follower: [],
    ratio: [],
  }
  let groups = 0
  try {
    await cost([alone], rate)
    for (let round = 0; round < ROUNDS; round++) {
      const without = await cost([alone], rate)
      const withPeers = await cost(nodes, rate)
      costs.alone.push(without.micros[0]!)
      costs.followed.push(withPeers.micros[0]!)
      costs.follower.push(withPeers.micros[1]!)
      costs.ratio.push(withPeers.micros[0]! / without.micros[0]!)
      groups = withPeers.groups / without.groups
    }
  } finally {
    await alone.stop()
  }
  console.log(`Writes  ${rate} texts of ${TEXT_BYTES} B a second to one node, CPU a text, median of ${ROUNDS}`)
  console.log(`  alone                    ${median(costs.alone).toFixed(0)} µs`)
  console.log(
    `  with two others          ${median(costs.followed).toFixed(0)} µs   ${median(costs.ratio).toFixed(2)}x   (log groups ${groups.toFixed(2)}x)`,
  )
  console.log(`  of each that follows     ${median(costs.follower).toFixed(0)} µs`)
}

/** CPU microseconds a text of each node, while texts are posted to the first. */
async function cost(nodes: readonly Node[], rate: number): Promise<{ micros: number[]; groups: number }> {
  const before = await Promise.all(nodes.map(figuresOf))
  const { posted } = await (await postTexts(nodes.slice(0, 1), { rate, seconds: LOAD_SECONDS, textBytes: TEXT_BYTES })).done
  const after = await Promise.all(nodes.map(figuresOf))
  return {
    micros: after.map(({ cpuSeconds }, at) => ((cpuSeconds - before[at]!.cpuSeconds) / posted) * 1e6),
    groups: (after[0]!.logGroups - before[0]!.logGroups) / posted,
  }
}
