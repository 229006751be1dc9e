// A batch and a crash: one run of a cluster in which a node dies at the n-th moment after a batch was sent. A moment is each message as it
// leaves, each call of a disk as it takes effect, and each step in between; so there is one before and one after whatever can be lost.

import { type Batch, Batches } from './batches.ts'
import { clusterOf, type Node } from './cluster.ts'

export interface Scenario {
  readonly name: string
  readonly nodes: number
  readonly accept: 'majority' | 'all'
  /** Before the batch is sent, to the first node. */
  readonly prepare?: (batches: Batches, nodes: readonly Node[]) => void
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'all accept', nodes: 3, accept: 'all' },
  { name: 'one refuses', nodes: 3, accept: 'all', prepare: (batches, nodes) => batches.refuse(nodes[2]!) },
  {
    name: 'a majority, and one is not reached',
    nodes: 3,
    accept: 'majority',
    prepare: (batches, nodes) => batches.cut(nodes[0]!, nodes[2]!),
  },
  { name: 'a node alone', nodes: 1, accept: 'all' },
]

export interface CrashOptions {
  readonly scenario: Scenario
  /** Index of the node that dies. */
  readonly victim: number
  readonly how: 'kill' | 'powerCut'
  readonly moment: number
  readonly plant?: (node: Node) => void
}

export interface Crashed {
  readonly batch: Batch
  /** What was wrong. */
  readonly breaches: readonly string[]
  /** Whether the node has died: there were so many moments. */
  readonly crashed: boolean
  /** Whether the batch is there in the end. */
  readonly kept: boolean
}

/** From a batch that is sent to when nothing comes of it any more, when all goes well. */
const BATCH_MS = 40
/** Until a promise has expired, of which nobody heard any more. */
const EXPIRY_MS = 700
const TIMES = { acceptTimeoutMs: 200, confirmTimeoutMs: 300 }

export async function crash({ scenario, victim, how, moment, plant }: CrashOptions): Promise<Crashed> {
  const ids = Array.from({ length: scenario.nodes }, (_, index) => index + 1)
  const { cluster, nodes } = await clusterOf(ids, TIMES)
  const batches = new Batches(cluster, nodes, plant)
  scenario.prepare?.(batches, nodes)
  const dying = nodes[victim]!
  let passed = 0
  const pass = (): undefined => {
    batches.look()
    if (passed++ === moment) batches[how](dying)
  }
  cluster.onStep = pass
  cluster.network.plan = pass
  for (const { disk } of nodes) disk.plan = pass
  void batches.send(nodes[0]!, scenario.accept)
  await cluster.pass(BATCH_MS)
  const crashed = passed > moment

  // The dead node comes back after the others have given up, or before.
  cluster.onStep = () => batches.look()
  for (const { disk } of nodes) disk.plan = () => undefined
  batches.heal()
  for (const node of batches.refusing) if (batches.running.has(node)) batches.allow(node)
  await cluster.pass(moment % 2 === 0 ? EXPIRY_MS : 0)
  if (!batches.running.has(dying)) await cluster.settle(batches.start(dying))
  const breaches = await batches.conclude()
  await cluster.end()
  const [batch] = batches.all as [Batch]
  return { batch, breaches, crashed, kept: batches.countOn(nodes[0]!, batch) > 0 }
}
