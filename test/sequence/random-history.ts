// A random history of sequences in a virtual cluster: clients that call, give up and try again, ways that lose and delay, nodes that die and
// start again, owners that disagree. All from one seed.

import type { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { checkHistory, type Seen, type Taken } from './history.ts'
import { NO_TROUBLES } from './memory-kv.ts'
import { VirtualEtcd, type VirtualOptions } from './virtual.ts'

export interface HistoryOptions extends VirtualOptions {
  readonly seed: number
  readonly clients?: number
  readonly callsEach?: number
  /** What a client is told in the place of what the engine said. */
  readonly told?: (outcome: Taken['outcome']) => Taken['outcome']
}

export interface Result {
  /** What is wrong, in sentences. */
  readonly found: string[]
  readonly calls: number
  readonly unknown: number
  readonly nothing: number
  readonly replayed: number
}

const NAMES = ['a', 'b'] as const
const TROUBLE_MS = 400
/** What was surely or maybe not done is tried again so often. */
const TRIES_MAX = 3

export async function randomHistory(options: HistoryOptions): Promise<Result> {
  const { seed, clients = 12, callsEach = 12, told = (outcome) => outcome } = options
  const cluster = new VirtualEtcd(options)
  const { clock } = cluster
  const random = seededRandom(seed * 7919)
  const dice = (sides: number): number => random.uint32() % sides
  const seen = new Map<string, Seen[]>(NAMES.map((name) => [name, []]))
  let [isOver, keys] = [false, 0]

  const wait = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve))
  const pick = () => cluster.nodes[dice(cluster.nodes.length)]!.engine

  const look = async (name: string): Promise<void> => {
    const startMs = clock.monotonicMs()
    const value = await pick()
      .get(name)
      .catch(() => undefined)
    if (value !== undefined) seen.get(name)!.push({ kind: 'get', startMs, endMs: clock.monotonicMs(), value })
  }

  const call = async (name: string, count: number, key: string | undefined): Promise<Taken['outcome']> => {
    const startMs = clock.monotonicMs()
    const aborter = new AbortController()
    if (dice(15) === 0) clock.after(dice(200), () => aborter.abort())
    const outcome = told(await pick().next(name, { count, key, signal: aborter.signal }).catch(outcomeOf))
    seen.get(name)!.push({ kind: 'next', startMs, endMs: clock.monotonicMs(), count, key, outcome })
    return outcome
  }

  const client = async (): Promise<void> => {
    for (let left = callsEach; left > 0; left--) {
      await wait(dice(200))
      const name = NAMES[dice(3) === 0 ? 1 : 0]!
      if (dice(4) === 0) await look(name)
      const key = dice(2) === 0 ? `k${keys++}` : undefined
      const count = 1 + dice(3)
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const outcome = await call(name, count, key)
        // Now and then a client does not hear the answer and asks again, at the same time even.
        if (typeof outcome !== 'string' && (key === undefined || dice(4) > 0)) break
        if (typeof outcome === 'string' && key === undefined && outcome === 'unknown') break
        if (dice(2) === 0) await wait(dice(1500))
      }
    }
  }

  const trouble = async (): Promise<void> => {
    while (!isOver) {
      await wait(dice(TROUBLE_MS))
      const { kv, node } = cluster.nodes[dice(cluster.nodes.length)]!
      const share = dice(400)
      const what = dice(9)
      if (what === 0) kv.troubles = { ...NO_TROUBLES, lostAnswer: share }
      else if (what === 1) kv.troubles = { ...NO_TROUBLES, lostRequest: share }
      else if (what === 2) kv.troubles = { ...NO_TROUBLES, late: share }
      else if (what === 3) kv.troubles = { refused: share, lostRequest: 50, lostAnswer: 50, late: 50 }
      else if (what === 4) cluster.calls = { lost: dice(300), unanswered: dice(300), late: dice(300) }
      else if (what === 5) cluster.thoughtDead.set(node, new Set([dice(cluster.nodes.length)].filter((other) => other !== node)))
      else if (what === 6) kv.isCut = true
      else if (what === 7 && dice(3) === 0) {
        // Its callers never hear of their calls again; what it has sent goes its way.
        cluster.nodes = cluster.nodes.map((other) => (other.node === node ? cluster.start(node) : other))
      } else heal()
    }
  }

  const heal = (): void => {
    for (const { kv } of cluster.nodes) {
      kv.troubles = NO_TROUBLES
      kv.isCut = false
    }
    cluster.calls = { lost: 0, unanswered: 0, late: 0 }
    cluster.thoughtDead.clear()
  }

  const troubles = trouble()
  await cluster.settle(Promise.all(Array.from({ length: clients }, client)))
  isOver = true
  await cluster.settle(troubles)
  heal()
  // What is late comes now or never.
  await cluster.pass(20_000)
  const found: string[] = []
  for (const [name, history] of seen) {
    found.push(...checkHistory(history, await cluster.settle(cluster.nodes[0]!.engine.get(name))))
  }
  const calls = [...seen.values()].flat().flatMap((one) => (one.kind === 'next' ? [one] : []))
  return {
    found,
    calls: calls.length,
    unknown: calls.filter(({ outcome }) => outcome === 'unknown').length,
    nothing: calls.filter(({ outcome }) => outcome === 'nothing').length,
    replayed: calls.filter(({ outcome }) => typeof outcome !== 'string' && outcome.replayed).length,
  }
}

function outcomeOf(error: CounterError): 'nothing' | 'unknown' {
  if (error.code === 'SEQUENCE_UNKNOWN') return 'unknown'
  if (error.code === 'SEQUENCE_UNAVAILABLE' || error.code === 'CLOSED') return 'nothing'
  throw error
}
