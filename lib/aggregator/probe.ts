// Asks each replica now and then whether it answers, which map of slots it keeps and which shard it is; gives it the map when it keeps none. Only
// what a probe has found sound is asked anything else, so a circuit is mended here, and shards in the wrong order never get a request.

import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { SlotMap } from '../cluster/index.ts'
import type { ShardGroup } from './group.ts'
import type { Replica, ReplicaState } from './replica.ts'
import { type ShardReply, Unanswered } from './transport.ts'

export interface ProberOptions {
  /** The map that this aggregator goes by. */
  readonly map: () => SlotMap
  /** A shard keeps a later version of it. False: it is no map of these shards. */
  readonly onMap: (map: SlotMap) => boolean
  readonly groups: readonly ShardGroup[]
  readonly headers: Readonly<Record<string, string>>
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Called after each sound answer. */
  readonly onAnswer: (group: ShardGroup) => void
}

const PATH = '/v1/cluster/slots'

interface Found {
  readonly state: ReplicaState
  readonly detail: string
}

export class Prober {
  readonly #options: ProberOptions
  readonly #cancels = new Map<Replica, () => void>()
  #stopped = false

  constructor(options: ProberOptions) {
    this.#options = options
  }

  /** Resolves when each replica has been asked once. */
  async start(): Promise<void> {
    await Promise.all(this.#options.groups.map((group) => this.watch(group)))
  }

  /** The same of a group that is new. */
  async watch(group: ShardGroup): Promise<void> {
    await Promise.all(group.replicas.map((replica) => this.#turn(group, replica)))
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#cancels.values()) cancel()
  }

  /** Asks the replicas of a group at once, because one of them has spoken of another map. */
  async look(group: ShardGroup): Promise<void> {
    await Promise.all(
      group.replicas.map(async (replica) => {
        const { state, detail } = await this.#find(group.shard, replica)
        if (!this.#stopped) replica.set(state, detail)
      }),
    )
  }

  /** Asks a replica now, and from then on in turn. */
  async #turn(group: ShardGroup, replica: Replica): Promise<void> {
    const { clock, random, intervalMs, logger, onAnswer } = this.#options
    const before = replica.state
    const { state, detail } = await this.#find(group.shard, replica)
    if (this.#stopped) return
    replica.set(state, detail)
    const fields = { shard: group.shard, replica: replica.url }
    if (state !== before && state === 'up') logger.info(fields, 'a replica of a shard answers')
    else if (state !== before) logger.warn({ ...fields, detail }, 'a replica of a shard is not in service')
    if (state === 'up') onAnswer(group)
    // Spread, so that several aggregators do not ask in step.
    const waitMs = intervalMs * (0.75 + (random.uint32() / 2 ** 32) * 0.5)
    this.#cancels.set(
      replica,
      clock.after(waitMs, () => void this.#turn(group, replica)),
    )
  }

  async #find(shard: number, replica: Replica): Promise<Found> {
    try {
      // While slots move the map may be another between the question and the answer.
      for (let attempt = 1; ; attempt++) {
        const found = await this.#findOnce(shard, replica)
        if (found !== 'again') return found
        if (attempt === ATTEMPTS)
          return { state: 'conflict', detail: 'its map changed whenever it was given the one of this aggregator' }
      }
    } catch (error) {
      if (error instanceof Unanswered) return { state: 'down', detail: error.message }
      throw error
    }
  }

  async #findOnce(shard: number, replica: Replica): Promise<Found | 'again'> {
    const { headers, timeoutMs, map, onMap } = this.#options
    const shown = await replica.probe({ method: 'GET', path: PATH, headers }, timeoutMs)
    if (shown.status !== 200) return { state: 'down', detail: statusText(shown) }
    const kept = readKept(shown.body)
    if (kept === undefined) return { state: 'conflict', detail: 'its answer about slots is none; is it a node of Counter?' }
    if (kept.map !== undefined && kept.shard !== shard) return misplaced(kept.shard, shard)
    // What is known by now may be later than what was known when it was asked.
    const own = map()
    if (kept.map?.tag === own.tag) return UP
    if (kept.map !== undefined && kept.map.version >= own.version) {
      return kept.map.version > own.version && onMap(kept.map) ? UP : otherMap(kept.map, own)
    }
    if (shard >= own.shards) return { state: 'conflict', detail: `the map ${own.tag} has no shard ${shard} yet` }
    const body = JSON.stringify({ ...own.plain(), shard })
    const given = await replica.probe(
      { method: 'POST', path: PATH, headers: { ...headers, 'content-type': 'application/json' }, body },
      timeoutMs,
    )
    if (given.status === 200) return UP
    return given.status === 409 ? 'again' : { state: 'down', detail: statusText(given) }
  }
}

/** A map that differs whenever it is looked at is moved faster than this aggregator follows. */
const ATTEMPTS = 10
const UP: Found = { state: 'up', detail: '' }
const NAME_AS_BEFORE = 'name the shards in COUNTER_SHARDS as they were first named'

const misplaced = (kept: number, named: number): Found => ({
  state: 'conflict',
  detail: `it is shard ${kept} and COUNTER_SHARDS names it in the place of shard ${named}; ${NAME_AS_BEFORE}`,
})

const otherMap = (kept: SlotMap, own: SlotMap): Found => ({
  state: 'conflict',
  detail: `it keeps the map ${kept.tag} of ${kept.shards} shards, and COUNTER_SHARDS makes ${own.tag} of ${own.shards}; ${NAME_AS_BEFORE}`,
})

interface Kept {
  /** undefined when it keeps none. */
  readonly map: SlotMap | undefined
  readonly shard: number
}

function readKept(body: string): Kept | undefined {
  try {
    const plain = JSON.parse(body) as { version?: unknown; shard?: unknown }
    if (plain.version === 0) return { map: undefined, shard: 0 }
    const map = SlotMap.read(plain)
    return Number.isSafeInteger(plain.shard) ? { map, shard: plain.shard as number } : undefined
  } catch {
    return undefined
  }
}

const SAID_LENGTH_MAX = 200

/** What a reply that is no answer says, in a line. */
export function statusText({ status, body }: ShardReply): string {
  let said = ''
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown }
    if (typeof detail === 'string') said = `: ${detail.slice(0, SAID_LENGTH_MAX)}`
  } catch {
    // Only a problem document has something to say.
  }
  return `it answers with status ${status}${said}`
}
