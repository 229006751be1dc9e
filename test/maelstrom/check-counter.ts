// The property of the workloads pn-counter and g-counter, as Jepsen's checker has it: after healing every node shows a sum that the adds
// allow (each acknowledged one counted, each failed one not, each unknown one counted or not), and besides, which Jepsen does not ask:
// all nodes show the same sum; every read on the way has what its node had acknowledged before, and nothing that nobody had begun to add;
// a counter that only grows never shows less on a node than it did before, also after a restart.
// Source of the first: jepsen-io/maelstrom, src/maelstrom/workload/pn_counter.clj.

import type { Operation } from './history.ts'

export interface CheckOptions {
  readonly nodes: readonly string[]
  /** Whether the workload only adds, as g-counter does. */
  readonly grows: boolean
}

/** Sentences about what should not be; empty when all is well. Sums are small: the possible ones are listed. */
export function checkCounter(operations: readonly Operation[], { nodes, grows }: CheckOptions): string[] {
  const adds = operations.filter(({ kind, outcome }) => kind === 'add' && outcome !== 'failed')
  const reads = operations.filter(({ kind, outcome }) => kind === 'read' && outcome === 'ok')
  const finals = reads.filter(({ final }) => final)
  return [
    ...checkFinals(adds, finals, nodes),
    ...reads.flatMap((read) => checkBounds(adds, read)),
    ...(grows ? checkGrowth(reads) : []),
  ]
}

function checkFinals(adds: readonly Operation[], finals: readonly Operation[], nodes: readonly string[]): string[] {
  const breaches = nodes.filter((node) => !finals.some((read) => read.node === node)).map((node) => `${node} has no last read.`)
  const possible = possibleSums(adds)
  for (const { node, value } of finals) {
    if (!possible.has(value)) breaches.push(`${node} shows ${value} in the end, and possible is ${describe(possible)}.`)
  }
  const shown = new Set(finals.map(({ value }) => value))
  if (shown.size > 1) {
    breaches.push(`The nodes do not agree in the end: ${finals.map(({ node, value }) => `${node} shows ${value}`).join(', ')}.`)
  }
  return breaches
}

/** Every sum of all acknowledged adds and any of the unknown ones. */
function possibleSums(adds: readonly Operation[]): Set<number> {
  const sums = new Set([sumOf(adds.filter(({ outcome }) => outcome === 'ok'))])
  for (const { delta, outcome } of adds) {
    if (outcome === 'unknown') for (const sum of [...sums]) sums.add(sum + delta)
  }
  return sums
}

/** What a read must have: the adds that its own node had acknowledged. What it may have: all that were begun before it ended. */
function checkBounds(adds: readonly Operation[], read: Operation): string[] {
  let [low, high] = [0, 0]
  for (const { node, delta, outcome, began, ended } of adds) {
    if (began > read.ended) continue
    const must = outcome === 'ok' && node === read.node && ended < read.began
    low += must ? delta : Math.min(delta, 0)
    high += must ? delta : Math.max(delta, 0)
  }
  if (read.value >= low && read.value <= high) return []
  return [`${read.node} shows ${read.value} at ${read.began}, outside [${low}, ${high}].`]
}

function checkGrowth(reads: readonly Operation[]): string[] {
  return reads.flatMap((read) => {
    const before = reads.filter(({ node, ended }) => node === read.node && ended < read.began)
    const most = before.reduce((highest, { value }) => Math.max(highest, value), 0)
    return read.value >= most ? [] : [`${read.node} shows ${read.value} at ${read.began}, and ${most} before.`]
  })
}

const sumOf = (adds: readonly Operation[]): number => adds.reduce((sum, { delta }) => sum + delta, 0)

function describe(possible: ReadonlySet<number>): string {
  const sorted = [...possible].sort((a, b) => a - b)
  return sorted.length === 1 ? `${sorted[0]} only` : `one of ${sorted.length} from ${sorted[0]} to ${sorted.at(-1)}`
}
