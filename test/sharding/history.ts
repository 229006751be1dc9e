// A random history of a move: askers write and read all the time, movers come and die, replicas are killed and come back, or do not hear each
// other, messages are lost and repeated; then everything mends and a last mover brings it to its end. Says what was wrong.

import { type SlotMap, slotOf, widen } from '../../lib/cluster/index.ts'
import { Mover } from '../../lib/sharding/index.ts'
import { nameBytes } from '../persistence/harness.ts'
import { Asker, type Fault, type Outcome, World } from './world.ts'

export interface HistoryOptions {
  readonly seed: number
  readonly replicas: number
  readonly faults?: readonly Fault[]
  /** Nothing dies, the log has room at once, and replicas hear each other late: more moves, with more that is known to one replica alone. */
  readonly isSlow?: boolean
}

export interface HistoryResult {
  readonly wrong: readonly string[]
  readonly acknowledged: number
  readonly reads: number
  readonly kills: number
  readonly versions: number
  /** Writes that two replicas have counted and one has taken back. */
  readonly withdrawals: number
  /** In which phases something was killed. */
  readonly killedIn: ReadonlySet<string>
}

/** What is known of a count: at least what was acknowledged, and at most what was tried as well. */
class Bounds {
  readonly name: string
  acknowledged = 0
  unknown = 0
  /** What may be counted twice until the replicas have heard of each other. */
  twice = 0
  /** The greatest that was shown. */
  shown = 0

  constructor(name: string) {
    this.name = name
  }

  begin(amount: number): (outcome: Outcome) => void {
    this.unknown += amount
    return (outcome) => {
      if (outcome !== 'unknown') this.unknown -= amount
      if (outcome === 'yes') this.acknowledged += amount
    }
  }
}

const TENANTS = ['t', 'u']
const RUN_MS = 25_000
const ASKERS = 3
/** Of all slots; larger than in use, so that a history has several batches and not hundreds. */
const SLOTS_MAX = 3_000

/** Names whose slots lie all over. */
const NAMES = Array.from({ length: 12 }, (_, index) => `name${index}`)
/** Of these, so many are counted under keys too. */
const KEYED_NAMES = 4
const ANSWERS_LATE_MS = 500

export async function runHistory({ seed, replicas, faults = [], isSlow = false }: HistoryOptions): Promise<HistoryResult> {
  const world = new World(seed, faults)
  const { cluster } = world
  // Where it is acknowledged by one replica another may show less for a while; in the end it is there all the same.
  world.waitsForAll = seed % 2 === 0
  world.hasRoom = isSlow
  // Where so little may be kept the first replica counts for good, and the others refuse.
  if (seed % 5 === 0) world.tentativeBytesMax = 2_000
  cluster.network.latencyMs = isSlow ? 150 : 1 + world.below(400)
  const isExact = replicas === 1 || world.waitsForAll
  const wrong = new Set<string>()
  const map = await world.start(2, replicas)
  world.addShard(replicas)
  const added = world.groups[2]!
  await cluster.settle(Promise.all(added.map((member) => member.start())))
  const wide = widen(map, [added[0]!.node.address])
  await cluster.settle(Promise.all(world.members.map((member) => member.custody.keep(wide, member.shard))))

  if (seed % 3 === 0) world.slowAnswers(ANSWERS_LATE_MS)

  const slots = new Set(NAMES.map((name) => slotOf(nameBytes(name), 0, nameBytes(name).length)))
  cluster.onStep = () => {
    for (const slot of slots) {
      const takers = new Set(world.members.filter((member) => member.takes(slot)).map(({ shard }) => shard))
      if (takers.size > 1) wrong.add(`slot ${slot} is taken by the shards ${[...takers].join(' and ')}`)
    }
  }

  const counts = new Map(NAMES.map((name) => [name, new Bounds(name)]))
  const tenants = new Map(TENANTS.map((tenant) => [tenant, new Bounds(tenant)]))
  const askers = Array.from({ length: ASKERS }, () => new Asker(world, wide))
  const killedIn = new Set<string>()
  let reads = 0
  let kills = 0
  let items = 0
  let keys = 0
  let going = true

  /** Whether the value lies within what it may be. A single replica, too, never shows less than before. */
  const check = (what: string, bounds: Bounds, least: number, floor: number, value: number | undefined): void => {
    if (value === undefined) return
    reads++
    const most = bounds.acknowledged + bounds.unknown + bounds.twice
    if ((isExact && value < least) || value > most) wrong.add(`${what} was shown as ${value}, and lies in ${least} to ${most}`)
    if (replicas === 1 && value < floor) wrong.add(`${what} was shown as ${floor} and then as ${value}`)
    bounds.shown = Math.max(bounds.shown, value)
  }

  const ask = async (asker: Asker): Promise<void> => {
    while (going) {
      const name = NAMES[world.below(NAMES.length)]!
      const tenant = TENANTS[world.below(TENANTS.length)]!
      switch (world.below(6)) {
        case 0:
        case 1: {
          const amount = 1 + world.below(5)
          const end = counts.get(name)!.begin(amount)
          end(await asker.increment(name, amount))
          break
        }
        case 2: {
          const end = tenants.get(tenant)!.begin(1)
          end(await asker.giveItem(`item${items++}`, tenant))
          break
        }
        case 3:
        case 4: {
          const bounds = counts.get(name)!
          const [least, floor] = [bounds.acknowledged, bounds.shown]
          check(name, bounds, least, floor, await asker.value(name))
          break
        }
        default: {
          const bounds = tenants.get(tenant)!
          const [least, floor] = [bounds.acknowledged, bounds.shown]
          check(`tenant ${tenant}`, bounds, least, floor, await asker.tenantCount(tenant))
        }
      }
      await world.pause(world.below(100))
    }
  }

  /** Adds under keys, without waiting for one to be done before the next. */
  const askOnce = async (asker: Asker): Promise<void> => {
    const asked: Promise<void>[] = []
    const pauseMs = replicas > 1 ? 150 : 600
    while (going) {
      const bounds = counts.get(NAMES[world.below(KEYED_NAMES)]!)!
      const amount = 1 + world.below(5)
      bounds.twice += amount * (replicas - 1)
      asked.push(asker.incrementOnce(bounds.name, amount, `key${keys++}`).then(bounds.begin(amount)))
      await world.pause(world.below(pauseMs))
    }
    await Promise.all(asked)
  }

  const phase = (): string => newestOf(world)?.moving?.phase ?? 'rest'
  const moverOf = (life: { alive: boolean }): Mover =>
    new Mover({
      shards: world.ports(life),
      connect: (url) => {
        throw new Error(`nobody is at ${url}`)
      },
      slotsMax: SLOTS_MAX,
      formerMs: 60_000,
      now: () => cluster.clock.now(),
      pause: () => world.pause(200),
    })
  const goals = [
    [0, 1, 2],
    [0, 2],
    [0, 1],
    [1, 2],
  ]
  const move = async (): Promise<void> => {
    while (going) {
      const life = { alive: true }
      const goal = goals[world.below(goals.length)]!
      const run = moverOf(life)
        .run({ members: goal })
        .catch(() => {})
      await Promise.race([run, world.pause(isSlow ? RUN_MS : 300 + world.below(6_000))])
      // Where it is still running it dies here.
      if (life.alive) killedIn.add(`mover in ${phase()}`)
      life.alive = false
      await world.pause(world.below(400))
    }
  }

  const trouble = async (): Promise<void> => {
    while (going) {
      await world.pause(500 + world.below(2_500))
      const members = world.members.filter(({ up }) => up)
      const victim = members[world.below(members.length)]
      if (victim === undefined || !going) continue
      const moving = newestOf(world)?.moving
      const role =
        moving === undefined
          ? 'nobody'
          : victim.shard === moving.from
            ? 'source'
            : victim.shard === moving.to
              ? 'target'
              : 'nobody'
      killedIn.add(`${role} in ${phase()}`)
      kills++
      victim.kill()
      await world.pause(world.below(1_500))
      await victim.start()
    }
  }

  const cuts = async (): Promise<void> => {
    while (going) {
      await world.pause(500 + world.below(4_000))
      const group = world.groups[world.below(world.groups.length)]!
      const [one, other] = [group[world.below(group.length)]!, group[world.below(group.length)]!]
      if (one !== other && going) await world.cut(one, other, world.below(4_000))
    }
  }

  world.losePercent = world.below(4)
  world.twicePercent = world.below(10)
  const running = [...askers.map(ask), askOnce(new Asker(world, wide)), move()]
  if (!isSlow) running.push(...(world.below(3) === 0 ? [move()] : []), trouble(), cuts())
  await cluster.pass(RUN_MS)
  going = false
  world.losePercent = 0
  world.twicePercent = 0
  await cluster.settle(Promise.all(running))

  // All mends; a last run brings the move to its end.
  let end: SlotMap | undefined
  try {
    end = await cluster.settle(moverOf({ alive: true }).run({ members: goals[world.below(goals.length)]! }))
  } catch (error) {
    wrong.add(`the last run did not come to its end: ${error}`)
  }
  await cluster.pass(5_000)
  const last = new Asker(world, wide)
  for (const [name, bounds] of counts) {
    const { acknowledged, unknown } = bounds
    const value = await cluster.settle(last.value(name))
    if (value === undefined || value < acknowledged || value > acknowledged + unknown) {
      wrong.add(`${name} is ${value} in the end, of ${acknowledged} and ${unknown} unknown`)
    }
    if (end === undefined) continue
    const owner = end.shardOf(slotOf(nameBytes(name), 0, nameBytes(name).length))
    for (const { node } of world.groups[owner]!) {
      if (node.value(name) !== value) wrong.add(`${name} is ${value}, and ${node.value(name)} on a replica of its shard`)
    }
  }
  for (const [tenant, { acknowledged, unknown }] of tenants) {
    const count = await cluster.settle(last.tenantCount(tenant))
    if (count === undefined || count < acknowledged || count > acknowledged + unknown) {
      wrong.add(`tenant ${tenant} has ${count} in the end, of ${acknowledged} and ${unknown} unknown`)
    }
  }
  for (const { node, shard } of world.members) {
    const { withdrawalsDue } = node.store.status()
    if (withdrawalsDue > 0)
      wrong.add(`node ${node.id} of shard ${shard} has yet to take back ${withdrawalsDue} writes in the end`)
  }
  const withdrawals = world.members.reduce((sum, member) => sum + member.withdrawals, 0)
  if (end !== undefined && end.moving !== undefined) wrong.add('something is on its way in the end')
  cluster.onStep = () => {}
  await cluster.end()
  return {
    wrong: [...wrong],
    acknowledged: [...counts.values()].reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    reads,
    kills,
    versions: newestOf(world)?.version ?? 0,
    withdrawals,
    killedIn,
  }
}

function newestOf(world: World): SlotMap | undefined {
  let newest: SlotMap | undefined
  for (const { custody, up } of world.members) {
    const map = up ? custody.kept?.map : undefined
    if (map !== undefined && map.version > (newest?.version ?? 0)) newest = map
  }
  return newest
}
