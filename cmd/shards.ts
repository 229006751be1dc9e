// `counter shards`: which shard has how many of the names, and the orders of an operator: give a new shard its share, empty one, even out. It
// speaks with the public ports of all shards; what is moved, and how far, is kept by the shards, so that it may be ended and run again.

import { type Command, InvalidArgumentError } from 'commander'
import { HttpShards } from '../lib/aggregator/index.ts'
import { hold, systemClock } from '../lib/base/clock.ts'
import { CounterError } from '../lib/base/errors.ts'
import { forget, type SlotMap, slotsToMove, widen } from '../lib/cluster/index.ts'
import { readSettings, type Settings } from '../lib/config.ts'
import { type Leg, Mover, outlookOf, RemoteReplica, type Survey, type View } from '../lib/sharding/index.ts'
import { readUrl } from './asked-node.ts'
import { addSettings, flagsOf } from './settings.ts'
import { emptiedText, ShardsDisplay, surveyTable } from './shards-display.ts'

const EXAMPLES = `Examples:
  counter shards --shards http://a:3000,http://b:3000        who has how many slots and names
  counter shards add http://c:3000 --dry-run                 what a third shard would be given, and by whom
  counter shards add 'http://c1:3000|http://c2:3000'         give a new shard, of two replicas, an even share
  counter shards remove 1                                    give all that shard 1 has to the others
  counter shards rebalance                                   even shares; also goes on with what was cut off
  counter shards give-up                                     leave what was cut off where it came from
`

/** Slots on their way at a time: writes to them wait. */
const SLOTS_MAX = 64
const CONNECTIONS_MAX = 8
/** A question may wait for what other replicas know, or for a look at all names. */
const TIMEOUT_MS_MIN = 30_000
const PAUSE_MS = 500

interface Asked {
  readonly mover: Mover
  readonly shards: Settings['shards']
  readonly connect: (url: string) => RemoteReplica
  /** How long a shard that had slots is asked about retries, in milliseconds. */
  readonly formerMs: number
}

const ARRIVED = 'what was on its way has arrived, and is only to be released: run `counter shards rebalance`\n'

export function register(program: Command): void {
  const command = program
    .command('shards')
    .summary('show the shards, add one, empty one, even out')
    .description(
      'Asks the shards that COUNTER_SHARDS names. While names are moved they go on being counted and read; writes to those that are just on ' +
        'their way wait a moment. A run may be ended, and goes on when it is started again.',
    )
    .addHelpText('before', EXAMPLES)
  addSettings(command).action(async () => {
    await withMover(command, async ({ mover }) => {
      process.stdout.write(surveyTable(await mover.survey()))
    })
  })
  const order = (name: string, summary: string) =>
    command.command(name).summary(summary).description(`${summary}. Takes the options of \`counter shards\`.`)
  order('add', 'give a new shard an even share')
    .argument('<urls>', 'the public ports of its replicas, with | between them', readReplicas)
    .option('--dry-run', 'print the plan, and move nothing')
    .action((urls: string[], options: { dryRun?: true }) =>
      withMover(command, (asked) => add(asked, urls, options.dryRun === true)),
    )
  order('remove', 'give all that a shard has to the others')
    .argument('<shard>', 'its number', readShard)
    .option('--dry-run', 'print the plan, and move nothing')
    .action((shard: number, options: { dryRun?: true }) =>
      withMover(command, (asked) => remove(asked, shard, options.dryRun === true)),
    )
  order('rebalance', 'give each shard that has slots as many as the others')
    .option('--dry-run', 'print the plan, and move nothing')
    .action((options: { dryRun?: true }) => withMover(command, (asked) => rebalance(asked, options.dryRun === true)))
  order('give-up', 'leave what was cut off on its way where it came from').action(async () => {
    await withMover(command, async ({ mover }) => {
      const map = await mover.giveUp()
      process.stdout.write(map.moving === undefined ? `nothing is on its way; the map is ${map.tag}\n` : ARRIVED)
    })
  })
}

async function add({ mover, shards, connect }: Asked, urls: readonly string[], dryRun: boolean): Promise<void> {
  const survey = await mover.survey()
  const { map } = survey
  const known = map.urls.findIndex((own) => own?.join() === urls.join())
  const named = shards.findIndex((own) => own.join() === urls.join())
  const shard = known >= 0 ? known : named >= 0 ? named : map.shards
  if (shard < map.shards) {
    await run(mover, survey, [...new Set([...withSlots(map), shard])], dryRun)
    return
  }
  if (shard > map.shards) {
    throw new CounterError(
      'SLOTS_CONFLICT',
      `COUNTER_SHARDS names these as shard ${shard}, and the next one is shard ${map.shards}`,
      {
        fix: 'add the shards in the order in which COUNTER_SHARDS names them',
      },
    )
  }
  checkNew(shard, await Promise.all(urls.map((url) => connect(url).look())))
  const wide = widen(map, urls)
  if (dryRun) {
    process.stdout.write(planText(outlookOf({ ...survey, map: wide }, [...withSlots(map), shard])))
    return
  }
  await mover.offer(survey, wide)
  await run(mover, await mover.survey(), [...withSlots(map), shard], false)
}

/** @throws CounterError SLOTS_CONFLICT when these are not all the replicas of a new shard */
function checkNew(shard: number, views: readonly View[]): void {
  const nodes = new Set(views.map(({ node }) => node))
  for (const { node, names, items, kept, members } of views) {
    const other = members.find((member) => !nodes.has(member))
    if (other !== undefined) {
      throw new CounterError(
        'SLOTS_CONFLICT',
        `node ${node} has a member, node ${other}, that is not among the replicas of shard ${shard}`,
        {
          fix: 'name all replicas of the new shard, with | between them',
        },
      )
    }
    if (kept !== undefined && kept.shard !== shard) {
      throw new CounterError(
        'SLOTS_CONFLICT',
        `node ${node} is shard ${kept.shard} of a map already, and was to be shard ${shard}`,
        {
          fix: 'name a node that is no shard yet; `counter shards` lists those that are',
        },
      )
    }
    if (names > 0 || items > 0) {
      throw new CounterError('SLOTS_CONFLICT', `node ${node} of the new shard has ${names} names and ${items} items already`, {
        fix: 'start it with an empty data directory: what it has counted by itself would be lost from sight',
      })
    }
  }
}

async function remove({ mover, formerMs }: Asked, shard: number, dryRun: boolean): Promise<void> {
  const survey = await mover.survey()
  const { map } = survey
  const others = withSlots(map).filter((other) => other !== shard)
  if (shard >= map.shards || others.length === 0) {
    const why = shard >= map.shards ? `there is no shard ${shard}` : `shard ${shard} is the last one with slots`
    throw new CounterError('SLOTS_CONFLICT', why, { fix: '`counter shards` lists the shards' })
  }
  const end = await run(mover, survey, others, dryRun)
  if (end === undefined || end.sizeOf(shard) > 0) return
  const idle = end.moving === undefined ? forget(end, shard, systemClock.now(), formerMs) : undefined
  if (idle === undefined) {
    process.stdout.write(emptiedText(end, shard, formerMs))
    return
  }
  await mover.offer(await mover.survey(), idle)
  process.stdout.write(emptiedText(await mover.run({ members: others }), shard, formerMs))
}

async function rebalance({ mover }: Asked, dryRun: boolean): Promise<void> {
  const survey = await mover.survey()
  const { map } = survey
  // One that is on its way into a shard has been meant to have some.
  const members = map.moving === undefined ? withSlots(map) : [...new Set([...withSlots(map), map.moving.to])]
  await run(mover, survey, members, dryRun)
}

/** Shows the plan and carries it out. Resolves with the last map; undefined after a dry run. */
async function run(mover: Mover, survey: Survey, members: readonly number[], dryRun: boolean): Promise<SlotMap | undefined> {
  const plan = planText(outlookOf(survey, members))
  if (dryRun) {
    process.stdout.write(plan)
    return undefined
  }
  const signals = new Signals()
  process.stdout.write(plan)
  const display = new ShardsDisplay(slotsToMove(survey.map, members))
  try {
    const map = await mover.run({
      members,
      onBatch: (now) => display.show(slotsToMove(now, members)),
      stop: () => signals.stopped,
    })
    display.end()
    const left = slotsToMove(map, members)
    process.stdout.write(left === 0 ? `done; the map is ${map.tag}\n` : `${left} slots are left; run the same again to go on\n`)
    return map
  } catch (error) {
    display.end()
    throw error
  } finally {
    signals.over = true
  }
}

/** Takes the first signal from here to the end of the process: one that comes when the run is over does not change how it ends. */
class Signals {
  stopped = false
  /** The run has come to its end. */
  over = false

  constructor() {
    process.once('SIGINT', this.#take)
    process.once('SIGTERM', this.#take)
  }

  #take = (): void => {
    this.stopped = true
    if (!this.over) process.stderr.write('\nends after this batch; a second signal ends it at once\n')
  }
}

const withSlots = (map: SlotMap): number[] => map.ranges.flatMap((ranges, shard) => (ranges.length > 0 ? [shard] : []))

function planText(legs: readonly Leg[]): string {
  if (legs.length === 0) return 'the shares are even; there is nothing to move\n'
  const lines = legs.map(
    ({ from, to, slots, names, bytes }) =>
      `shard ${from} gives ${slots} slots to shard ${to}: about ${names} names and items, ${(bytes / 1024 / 1024).toFixed(1)} MiB in memory`,
  )
  return `${lines.join('\n')}\n`
}

/** The shards that the settings name, for as long as `order` runs. */
async function withMover(command: Command, order: (asked: Asked) => Promise<void>): Promise<void> {
  const { settings } = readSettings(flagsOf(command))
  const { shards, token, shardTimeoutMs, idempotencyTtlMs } = settings
  if (shards.length === 0) {
    throw new CounterError('CONFIG_INVALID', 'COUNTER_SHARDS names no shards', {
      fix: 'Name them as the aggregators have them: counter shards --shards http://a:3000,http://b:3000',
    })
  }
  const transport = new HttpShards({ clock: systemClock, connectionsMax: CONNECTIONS_MAX, connectTimeoutMs: shardTimeoutMs })
  const timeoutMs = Math.max(TIMEOUT_MS_MIN, shardTimeoutMs)
  const connect = (url: string): RemoteReplica => new RemoteReplica({ url, transport, token, timeoutMs })
  const mover = new Mover({
    shards: shards.map((urls) => urls.map(connect)),
    connect,
    slotsMax: SLOTS_MAX,
    formerMs: idempotencyTtlMs,
    now: () => systemClock.now(),
    pause: () => hold(PAUSE_MS),
  })
  try {
    await order({ mover, shards, connect, formerMs: idempotencyTtlMs })
  } finally {
    await transport.close()
  }
}

const readReplicas = (text: string): string[] => text.split('|').map((url) => readUrl(url.trim()).replace(/\/+$/, ''))

function readShard(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new InvalidArgumentError('expected the number of a shard, as `counter shards` shows them')
  return Number(text)
}
