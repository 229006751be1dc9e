// A random history of sequences that have a home: clients on all nodes, links that are cut, lossy and slow, processes that die, and, where asked
// for, a home whose directory is lost and a home that moves. All from one seed.

import type { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { HomeSequencer } from '../../lib/sequence/index.ts'
import { checkHistory, type Seen, type Taken } from './history.ts'
import { type Between, homeOf, wiped } from './home-world.ts'

export interface HomeHistoryOptions {
  readonly seed: number
  readonly between?: Between
  /** The home's directory is lost, or the home moves, now and then; clients then use no keys, which do not survive that. */
  readonly losses: boolean
}

export interface HomeHistory {
  /** What is wrong, in sentences. */
  readonly found: string[]
  readonly given: number
  readonly unknown: number
  readonly nothing: number
  readonly losses: number
}

const NAMES = ['a', 'b'] as const
const CLIENTS = 8
const CALLS_EACH = 12
const TRIES_MAX = 3
/** What a client waits for an answer; its node may be dead. */
const PATIENCE_MS = 15_000
/** More than is given between two rounds in which the others are told. */
const AHEAD = 100_000

export async function homeHistory({ seed, between, losses }: HomeHistoryOptions): Promise<HomeHistory> {
  const world = await homeOf(3, seed, between)
  const { cluster, places } = world
  const { clock, network } = cluster
  const random = seededRandom(seed * 7919)
  const dice = (sides: number): number => random.uint32() % sides
  const seen = new Map<string, Seen[]>(NAMES.map((name) => [name, []]))
  const wait = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve))
  const late = async (): Promise<'unknown'> => wait(PATIENCE_MS).then(() => 'unknown')
  let [isOver, keys, lost] = [false, 0, 0]

  const call = async (name: string, count: number, key: string | undefined): Promise<Taken['outcome']> => {
    const startMs = clock.monotonicMs()
    const { sequencer } = places[dice(places.length)]!
    const asked = sequencer.next(name, { count, key }).catch(outcomeOf)
    const outcome = await Promise.race([asked, late()])
    seen.get(name)!.push({ kind: 'next', startMs, endMs: clock.monotonicMs(), count, key, outcome })
    return outcome
  }

  const look = async (name: string): Promise<void> => {
    const startMs = clock.monotonicMs()
    const asked = places[dice(places.length)]!.sequencer.get(name).catch(() => undefined)
    const value = await Promise.race([asked, late()])
    if (typeof value === 'number') seen.get(name)!.push({ kind: 'get', startMs, endMs: clock.monotonicMs(), value })
  }

  const client = async (): Promise<void> => {
    for (let left = CALLS_EACH; left > 0; left--) {
      await wait(dice(1500))
      const name = NAMES[dice(3) === 0 ? 1 : 0]!
      if (dice(3) === 0) await look(name)
      const key = !losses && dice(2) === 0 ? `k${keys++}` : undefined
      const count = 1 + dice(3)
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const outcome = await call(name, count, key)
        if (typeof outcome !== 'string' && (key === undefined || dice(4) > 0)) break
        if (outcome === 'unknown' && key === undefined) break
        await wait(dice(2500))
      }
    }
  }

  const restart = async (index: number, lose: boolean): Promise<void> => {
    const place = places[index]!
    place.node.kill()
    if (lose) wiped(place.node.disk)
    await wait(dice(1500))
    await world.start(place)
  }

  /** All nodes are started with another home, one after the other. */
  const move = async (): Promise<void> => {
    const home = dice(places.length)
    for (const [index, place] of places.entries()) {
      place.home = home
      await restart(index, false)
    }
  }

  /** A loss is recovered from before the next: when the last who has heard of a number has lost its data nobody can know of it. */
  const recovered = async (): Promise<void> => {
    const home = (): HomeSequencer => places[places[0]!.home]!.sequencer
    const given = async (): Promise<unknown> =>
      Promise.race([
        home()
          .next('recovered')
          .catch(() => undefined),
        late(),
      ])
    do {
      heal()
      await wait(1000)
      await Promise.race([
        home()
          .recover(AHEAD, { force: false })
          .catch(() => {}),
        late(),
      ])
    } while (typeof (await given()) !== 'object')
    // The others are told.
    await wait(1000)
  }

  const operate = async (): Promise<void> => {
    while (!isOver) {
      await wait(1000)
      await Promise.race([places[dice(places.length)]!.sequencer.recover(AHEAD, { force: false }).catch(() => {}), late()])
    }
  }

  const heal = (): void => network.heal()

  const trouble = async (): Promise<void> => {
    while (!isOver) {
      await wait(dice(1500))
      const [from, to] = [places[dice(3)]!.node.address, places[dice(3)]!.node.address]
      const what = dice(12)
      if (what < 2) network.cut(from, to)
      else if (what === 2) network.plan = () => (dice(5) === 0 ? 'lose' : dice(8) === 0 ? 'cut' : { delayMs: dice(60) })
      else if (what === 3) network.plan = ({ message }) => (message === 1 && dice(3) === 0 ? 'lose' : undefined)
      else if (what < 6) await restart(dice(3), false)
      else if (losses && what === 6) {
        await recovered()
        lost++
        await restart(places[0]!.home, true)
      } else if (losses && what === 7) {
        heal()
        lost++
        await move()
      } else heal()
    }
  }

  const background = [trouble(), ...(losses ? [operate()] : [])]
  await cluster.settle(Promise.all(Array.from({ length: CLIENTS }, client)), 3_600_000)
  isOver = true
  await cluster.settle(Promise.all(background), 3_600_000)
  heal()
  // What is late comes now or never.
  await world.pass(20_000)
  if (losses) await world.settle(recovered())
  const found: string[] = []
  for (const [name, history] of seen) {
    const final = await world.eventually(() => places[1]!.sequencer.get(name))
    // Where the home has lost its data numbers are left out, as the operator said.
    found.push(...checkHistory(history, final).filter((what) => !losses || !what.includes('are missing')))
  }
  await world.end()
  const calls = [...seen.values()].flat().flatMap((one) => (one.kind === 'next' ? [one.outcome] : []))
  return {
    found,
    given: calls.filter((outcome) => typeof outcome !== 'string').length,
    unknown: calls.filter((outcome) => outcome === 'unknown').length,
    nothing: calls.filter((outcome) => outcome === 'nothing').length,
    losses: lost,
  }
}

function outcomeOf(error: CounterError): 'nothing' | 'unknown' {
  if (error.code === 'SEQUENCE_UNKNOWN' || error.code === 'LOG_FAILED') return 'unknown'
  if (error.code === 'SEQUENCE_UNAVAILABLE' || error.code === 'CLOSED' || error.code === 'STARTING') return 'nothing'
  throw error
}
