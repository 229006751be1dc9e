// Random histories of batches: nodes that send them, refuse, die and come back, over ways that are cut, lose, repeat and delay. Then everything is
// healed, and the checker of batches.ts has the last word. One seed is one history.

import { seededRandom } from '../../lib/base/random.ts'
import { type Batch, Batches } from './batches.ts'
import { clusterOf, type Node, SUSPECT_MS } from './cluster.ts'

export interface History {
  readonly breaches: readonly string[]
  readonly batches: readonly Batch[]
  /** How often what was done. */
  readonly done: Readonly<Record<string, number>>
}

const STEPS = 30
const TIMES = { acceptTimeoutMs: 300, confirmTimeoutMs: 400, joinTimeoutMs: 500, suspectMs: 3000 }

export async function history(seed: number, plant?: (node: Node) => void): Promise<History> {
  const random = seededRandom(seed)
  const below = (limit: number): number => random.uint32() % limit
  const { cluster, nodes } = await clusterOf(below(3) === 0 ? [1, 2, 3, 4] : [1, 2, 3], TIMES)
  const batches = new Batches(cluster, nodes, plant)
  const done: Record<string, number> = {}
  const starting: Promise<void>[] = []
  const keys = new Map<Batch, { key: string; node: Node }>()

  const anyOf = <T>(things: readonly T[]): T | undefined => (things.length === 0 ? undefined : things[below(things.length)])
  const living = (): Node[] => [...batches.running].filter((node) => started.has(node))
  const started = new Set(nodes)
  let last: Node | undefined
  /** One message in so many is lost, cut off, doubled or late. */
  let trouble = 0
  const plan = (): 'lose' | 'cut' | 'twice' | { delayMs: number } | undefined => {
    batches.look()
    if (trouble === 0 || below(trouble) > 0) return undefined
    return ([{ delayMs: 5 + below(600) }, 'lose', 'cut', 'twice'] as const)[below(4)]
  }
  cluster.network.plan = plan

  const actions: Record<string, () => void> = {
    send: () => {
      const node = anyOf(living())
      if (node === undefined) return
      const key = below(3) === 0 ? `key-${batches.all.length}` : undefined
      void batches.send(node, below(3) === 0 ? 'majority' : 'all', key)
      last = node
      if (key) keys.set(batches.all.at(-1)!, { key, node })
    },
    sendPlain: () => {
      const node = anyOf(living())
      if (node) void batches.send(node, 'plain')
    },
    sendAgain: () => {
      const kept = anyOf([...keys])
      if (kept && living().includes(kept[1].node)) void batches.sendAgain(kept[0], kept[1].node, kept[1].key)
    },
    kill: () => {
      // Best of all the one that was asked last.
      const node = last && below(2) === 0 && living().includes(last) ? last : anyOf(living())
      if (node === undefined) return
      started.delete(node)
      if (below(2) === 0) batches.kill(node)
      else batches.powerCut(node)
    },
    start: () => {
      const node = anyOf(nodes.filter((other) => !batches.running.has(other)))
      if (node) starting.push(start(node))
    },
    refuse: () => {
      const node = anyOf(living())
      if (node) batches.refuse(node)
    },
    allow: () => {
      for (const node of living()) batches.allow(node)
    },
    cut: () => {
      const [from, to] = [anyOf(nodes)!, anyOf(nodes)!]
      if (from !== to) batches.cut(from, to)
    },
    heal: () => {
      batches.heal()
      cluster.network.plan = plan
    },
    trouble: () => {
      trouble = [0, 20, 8, 4][below(4)]!
    },
  }
  const start = async (node: Node): Promise<void> => {
    await batches.start(node)
    started.add(node)
  }
  const names = Object.keys(actions)
  const weights: Record<string, number> = { send: 8, sendPlain: 3, sendAgain: 2, kill: 3, start: 4, heal: 2, allow: 2 }
  const weighted = names.flatMap((name) => Array<string>(weights[name] ?? 1).fill(name))

  for (let step = 0; step < STEPS; step++) {
    const name = anyOf(weighted)!
    done[name] = (done[name] ?? 0) + 1
    actions[name]!()
    await cluster.pass([0, below(4), below(9), below(60), below(10) === 0 ? 2 * SUSPECT_MS : below(900)][below(5)]!)
  }

  // Everything is well again.
  trouble = 0
  actions.heal!()
  actions.allow!()
  await cluster.settle(Promise.all(starting))
  for (const node of nodes) if (!batches.running.has(node)) await cluster.settle(start(node))
  for (const node of nodes) batches.allow(node)
  const breaches = await batches.conclude()
  await cluster.end()
  return { breaches, batches: batches.all, done }
}
