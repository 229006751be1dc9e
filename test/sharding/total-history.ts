// A random history of the one total: clients add and read through real aggregators, with keys and without, while shards are emptied and filled
// again; movers come and die, replicas are killed and come back, messages are lost. In the end each shard but one is emptied and stopped. Says what
// was wrong.

import { Aggregator, type Part } from '../../lib/aggregator/index.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { type SlotMap, widen } from '../../lib/cluster/index.ts'
import { Mover } from '../../lib/sharding/index.ts'
import { once, SaidLogger } from '../persistence/harness.ts'
import { type TotalFault, TotalTransport } from './total-transport.ts'
import { World } from './world.ts'

export interface TotalOptions {
  readonly seed: number
  readonly replicas: number
  readonly faults?: readonly TotalFault[]
}

export interface TotalResult {
  readonly wrong: readonly string[]
  readonly acknowledged: number
  /** Additions with a key that were sent more than once. */
  readonly retried: number
  readonly reads: number
  /** How often a part went along, and in which phases of that something was killed. */
  readonly emptied: number
  readonly killedIn: ReadonlySet<string>
}

const RUN_MS = 25_000
const ADDERS = 4
const READERS = 2
const TIMEOUT_MS = 4_000
/** Of all slots; larger than in use, so that shards are emptied often. */
const SLOTS_MAX = 6_000
const GOALS = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]
const session = new Map<number, string>()

export async function runTotalHistory({ seed, replicas, faults = [] }: TotalOptions): Promise<TotalResult> {
  const world = new World(seed)
  const { cluster } = world
  cluster.network.latencyMs = 1 + world.below(300)
  const wrong = new Set<string>()
  const map = await world.start(2, replicas)
  world.addShard(replicas)
  const added = world.groups[2]!
  await cluster.settle(Promise.all(added.map((member) => member.start())))
  const addresses = world.groups.map((group) => group.map(({ node }) => node.address))
  const wide = widen(map, addresses[2]!)
  await cluster.settle(Promise.all(world.members.map((member) => member.custody.keep(wide, member.shard))))
  const transport = new TotalTransport(world, faults)
  const aggregators = [0, 1].map(
    (number) =>
      new Aggregator({
        shards: addresses.slice(0, 2),
        transport,
        token: undefined,
        timeoutMs: TIMEOUT_MS,
        writeTimeoutMs: TIMEOUT_MS,
        hedgeMs: 0,
        connectionsMax: 16,
        clock: cluster.clock,
        random: seededRandom(seed + number),
        logger: new SaidLogger(),
      }),
  )
  await cluster.settle(Promise.all(aggregators.map((aggregator) => aggregator.start())))
  const anyOf = (): Aggregator => aggregators[world.below(aggregators.length)]!

  let [acknowledged, unknown, retried, reads, shown, requests] = [0, 0, 0, 0, 0, 0]
  /** What two replicas may have counted until they have heard of each other. */
  let twice = 0
  let going = true
  const ask = () => ({ id: `r${requests++}`, session })
  const add = (amount: number, key?: string): Promise<Part> =>
    anyOf().addToTotal(amount, { ...ask(), once: key === undefined ? undefined : once(key), level: undefined })

  /** Until it is done: with a key it counts once, however often it was sent. */
  const addOnce = async (amount: number, key: string): Promise<void> => {
    unknown += amount
    twice += amount * (replicas - 1)
    for (let attempt = 0; ; attempt++) {
      // Two at a time now and then, as of a client that has lost patience.
      const parts = await Promise.all([add(amount, key), ...(world.below(6) === 0 ? [add(amount, key)] : [])])
      if (attempt === 1) retried++
      if (parts.some(({ state }) => state === 'done')) break
      await world.pause(world.below(2_000))
    }
    unknown -= amount
    acknowledged += amount
  }

  const addPlain = async (amount: number): Promise<void> => {
    unknown += amount
    const { state } = await add(amount)
    if (state !== 'unknown') unknown -= amount
    if (state === 'done') acknowledged += amount
  }

  const total = async (): Promise<number | undefined> => {
    const { values, missing } = await anyOf().total(ask())
    return missing.length > 0 ? undefined : values.reduce((sum, { value }) => sum + Number(value), 0)
  }

  const adder = async (number: number): Promise<void> => {
    for (let index = 0; going; index++) {
      const amount = 1 + world.below(5)
      // Where all have keys nothing is left open, and what counts twice shows.
      if (number % 2 === 0 && seed % 2 === 0) await addPlain(amount)
      else await addOnce(amount, `key ${number} ${index}`)
      await world.pause(world.below(150))
    }
  }

  const reader = async (): Promise<void> => {
    while (going) {
      const [least, floor] = [acknowledged, shown]
      const value = await total()
      if (value !== undefined) {
        reads++
        const most = acknowledged + unknown + twice
        if (value < least || value > most) wrong.add(`the total was shown as ${value}, and lies in ${least} to ${most}`)
        // Another replica may not have heard of all that one has shown.
        if (replicas === 1 && value < floor) wrong.add(`the total was shown as ${floor} and then as ${value}`)
        shown = Math.max(shown, value)
      }
      await world.pause(world.below(100))
    }
  }

  const newest = (): SlotMap => {
    const maps = world.members.flatMap(({ up, custody }) => (up && custody.kept !== undefined ? [custody.kept.map] : []))
    return maps.reduce((last, other) => (other.version > last.version ? other : last), wide)
  }
  const phase = (): string => {
    const { moving } = newest()
    return moving === undefined ? 'rest' : `${moving.phase}${moving.part === undefined ? '' : ' of a part'}`
  }
  const killedIn = new Set<string>()
  const moverOf = (life: { alive: boolean }): Mover =>
    new Mover({
      shards: world.ports(life),
      connect: (url) => {
        throw new Error(`nobody is at ${url}`)
      },
      slotsMax: SLOTS_MAX,
      formerMs: 3_600_000,
      now: () => cluster.clock.now(),
      pause: () => world.pause(200),
    })
  const move = async (): Promise<void> => {
    while (going) {
      const life = { alive: true }
      const run = moverOf(life)
        .run({ members: GOALS[world.below(GOALS.length)]! })
        .catch(() => {})
      await Promise.race([run, world.pause(300 + world.below(5_000))])
      killedIn.add(`mover in ${phase()}`)
      life.alive = false
      await world.pause(world.below(400))
    }
  }
  const trouble = async (): Promise<void> => {
    while (going) {
      await world.pause(500 + world.below(2_000))
      const up = world.members.filter((member) => member.up)
      const { moving } = newest()
      const concerned = up.filter(({ shard }) => shard === moving?.from || shard === moving?.to)
      const victims = concerned.length > 0 ? concerned : up
      const victim = victims[world.below(victims.length)]
      if (victim === undefined || !going) continue
      const role = victim.shard === moving?.from ? 'source' : victim.shard === moving?.to ? 'target' : 'nobody'
      killedIn.add(`${role} in ${phase()}`)
      victim.kill()
      await world.pause(world.below(1_500))
      await victim.start()
    }
  }

  world.losePercent = world.below(4)
  transport.breakPercent = world.below(3) * 30
  const running = [
    ...Array.from({ length: ADDERS }, (_, number) => adder(number)),
    ...Array.from({ length: READERS }, reader),
    move(),
    trouble(),
  ]
  await cluster.pass(RUN_MS)
  going = false
  world.losePercent = 0
  transport.breakPercent = 0
  // What is on its way is brought there, so that additions with keys come to an end.
  const mended = cluster.pass(3_000).then(() => moverOf({ alive: true }).run({ members: [0, 1, 2] }))
  await cluster.settle(Promise.all([...running, mended]))

  // All but one are emptied and stopped.
  const last = world.below(3)
  let emptied = 0
  try {
    const end = await cluster.settle(moverOf({ alive: true }).run({ members: [last] }))
    emptied = end.parts.length
    await cluster.pass(3_000)
    for (const member of world.members) if (member.shard !== last) member.kill()
    await cluster.pass(3_000)
    for (let index = 0; index < 10; index++) await cluster.settle(addPlain(1))
    const value = await cluster.settle(total())
    if (value === undefined || value < acknowledged || value > acknowledged + unknown) {
      wrong.add(`the total is ${value} in the end, of ${acknowledged} and ${unknown} unknown`)
    }
  } catch (error) {
    wrong.add(`the last run did not come to its end: ${error}`)
  }
  for (const aggregator of aggregators) aggregator.stop()
  await cluster.end()
  return { wrong: [...wrong], acknowledged, retried, reads, emptied, killedIn }
}
