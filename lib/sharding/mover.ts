// Moves slots between shards, a batch at a time. It keeps nothing: each turn it looks at all replicas, takes the newest map and does what that
// says is next. So it may die anywhere, be run again, and even run twice at a time: what two of them ask is the same, and of two next versions
// the home keeps one. The home is the replica with the lowest node id of the first shard that has slots: each version is kept there first.
//
// A batch: freeze (all replicas of both shards keep it: nobody takes writes) - the sender knows what all of its group know, the receiver what all
// of its own - pages from one to the other - all replicas of the target say the same digest as the sender - hand over - all keep it, and each of
// the target knows what the others do - release.

import { CounterError } from '../base/errors.ts'
import { freeze, handOver, type Moving, nextBatch, release, SlotMap } from '../cluster/index.ts'
import type { Contents, Digest, Known, ShardPort, View } from './port.ts'

export interface MoverOptions {
  /** The replicas of each shard, by its number. */
  readonly shards: readonly (readonly ShardPort[])[]
  /** A replica that the map names and `shards` does not. */
  readonly connect: (url: string) => ShardPort
  /** Slots that are on their way at a time. Higher: fewer versions; writes to them wait longer. */
  readonly slotsMax: number
  /** How long a former owner is asked for kept replies, in milliseconds. */
  readonly formerMs: number
  /** The wall clock. */
  readonly now: () => number
  /** Between two attempts, where a replica did not answer. */
  readonly pause: () => Promise<void>
}

/** What a run is to come to: which shards are to have slots. */
export interface Plan {
  readonly members: readonly number[]
  /** Called after each batch, and at the start. */
  readonly onBatch?: (map: SlotMap) => void
  /** Asked before each batch. */
  readonly stop?: () => boolean
}

/** A replica, and what it said of itself. */
interface Seen {
  readonly port: ShardPort
  readonly view: View
}

/** All that answered, by shard, and the newest of their maps. */
export interface Survey {
  readonly map: SlotMap
  readonly seen: readonly (readonly Seen[])[]
  /** By shard, where the replicas are that did not answer, and why. */
  readonly silent: readonly (readonly { readonly url: string; readonly why: unknown }[])[]
}

/** Names asked for at a time where two replicas differ. */
const FIND_MAX = 500
/** How often in a row something may get no answer before the run ends. */
const ATTEMPTS = 5

export class Mover {
  readonly #options: MoverOptions

  constructor(options: MoverOptions) {
    this.#options = options
  }

  /** @throws CounterError PEER_UNREACHABLE, SLOTS_CONFLICT when no replica keeps a map, or one is another shard than it is named as */
  async survey(): Promise<Survey> {
    const { shards, connect } = this.#options
    const groups = await Promise.all(shards.map(lookAt))
    let map = newestOf(groups)
    for (let shard = groups.length; map !== undefined && shard < map.shards; shard++) {
      const urls = map.urls[shard]
      if (urls === undefined) throw unnamed(map.shards, shards.length)
      groups.push(await lookAt(urls.map(connect)))
      map = newestOf(groups)
    }
    if (map === undefined) {
      for (const [shard, { silent }] of groups.entries()) for (const { url, why } of silent) throw unreachable(shard, url, why)
      throw unmapped()
    }
    return { map, seen: groups.map(({ seen }) => seen), silent: groups.map(({ silent }) => silent) }
  }

  /**
   * Moves slots until the members have even shares, or stop() says so; nothing is on its way then. Resolves with the last map.
   * @throws CounterError PEER_UNREACHABLE, SLOTS_CONFLICT, COUNT_OVERFLOW and their like. What was on its way stays with its source where the
   *   home can still be told; else it waits for the next run
   */
  async run({ members, onBatch, stop }: Plan): Promise<SlotMap> {
    let seen: SlotMap | undefined
    for (let attempt = 1; ; ) {
      try {
        const survey = await this.survey()
        seen = survey.map
        const next = await this.#next(survey, { members, ...(onBatch && { onBatch }), ...(stop && { stop }) })
        if (next === undefined) return this.#tellOthers(survey, survey.map)
        await this.#offer(survey, next)
        attempt = 1
      } catch (error) {
        // What another run has asked for before it died may arrive late: then the map is later than it was.
        if (isConflict(error) && seen !== undefined && (await this.survey()).map.version > seen.version) continue
        if (!isSilence(error)) throw error
        if (attempt++ < ATTEMPTS) await this.#options.pause()
        else await this.#giveUpAfter(error)
      }
    }
  }

  /** The version after the newest one, when all is done that it needs; undefined when there is to be none. */
  async #next(survey: Survey, { members, onBatch, stop }: Plan): Promise<SlotMap | undefined> {
    const { map } = survey
    if (map.moving?.phase === 'copy') {
      const { now, formerMs } = this.#options
      try {
        await this.#copy(survey, map.moving)
      } catch (error) {
        if (!isSilence(error)) await this.#giveUpAfter(error, map)
        throw error
      }
      return handOver(map, now(), formerMs)
    }
    if (map.moving !== undefined) {
      await this.#spread(survey, map, [map.moving.from, map.moving.to])
      // From now on a request brings the target names beside those that it has brought before, so that its parts are other ones. What one replica
      // alone has counted of those before nobody could tell later.
      await this.#exchange(map.moving.to)
    }
    onBatch?.(map)
    const frozen = stop?.() ? undefined : this.#frozen(survey, members)
    return frozen ?? (map.moving === undefined ? undefined : release(map))
  }

  /**
   * Lets go of what is on its way, as far as the home answers, and throws on.
   * @param map unless it is another by now, because another run has gone on
   */
  async #giveUpAfter(error: unknown, map?: SlotMap): Promise<never> {
    try {
      const survey = await this.survey()
      const isSame = map === undefined || survey.map.tag === map.tag
      if (isSame && survey.map.moving?.phase === 'copy') await this.giveUp()
    } catch {
      // What stood in the way first is what is to be said.
    }
    throw error
  }

  /** Offers one version more, such as one with a new shard. @throws CounterError PEER_UNREACHABLE; SLOTS_CONFLICT when another came first */
  async offer(survey: Survey, next: SlotMap): Promise<void> {
    await this.#offer(survey, next)
    const { map } = await this.survey()
    if (map.tag !== next.tag && map.version <= next.version) throw overtaken(map, next)
  }

  /** Leaves what is on its way with its source. Resolves with the map then. */
  async giveUp(): Promise<SlotMap> {
    const survey = await this.survey()
    const { map } = survey
    if (map.moving?.phase !== 'copy') return map
    await this.#offer(survey, release(map))
    const after = await this.survey()
    return this.#tellOthers(after, after.map)
  }

  /** The version in which the next slots are on their way; undefined when there are none to move. */
  #frozen(survey: Survey, members: readonly number[]): SlotMap | undefined {
    const { map } = survey
    const batch = nextBatch(map, members, this.#options.slotsMax)
    if (batch === undefined) return undefined
    const [sender] = this.#wholeGroup(survey, batch.from)
    const [receiver] = this.#wholeGroup(survey, batch.to)
    return freeze(map, batch, { sender: sender!.view.node, receiver: receiver!.view.node })
  }

  async #copy({ map }: Survey, { from, to, sender: senderNode, receiver: receiverNode }: Moving): Promise<void> {
    const { tag } = map
    await this.#spread(await this.survey(), map, [from, to])
    // Only now has the last write been taken that they are to know. Who hears that another replica has counted one too takes it back.
    await this.#exchange(from)
    const survey = await this.survey()
    const sources = this.#wholeGroup(survey, from)
    for (const source of sources) if (source.view.withdrawalsDue > 0) throw withdraws(source)
    const targets = this.#wholeGroup(survey, to)
    const sender = nodeOf(sources, senderNode, from)
    const receiver = nodeOf(targets, receiverNode, to)
    await Promise.all([know(sender, sources), know(receiver, targets)])
    const expected = await sender.port.digest({ tag })

    await this.#pages(sender.port, receiver.port, tag)
    if (!isSame(await receiver.port.digest({ tag }), expected)) await this.#reconcile(sender.port, receiver.port, tag)
    const written = { ...receiver, view: await receiver.port.look() }
    for (const target of targets) {
      await know(target, [written])
      const found = await target.port.digest({ tag })
      if (!isSame(found, expected)) throw differ(sender.port, expected, target.port, found)
    }
  }

  async #pages(sender: ShardPort, receiver: ShardPort, tag: string): Promise<void> {
    for (let from: number | null = 0; from !== null; ) {
      const page = await sender.take({ tag, from })
      const { counters, items } = page
      if (counters.length + items.length > 0) await receiver.put({ tag, counters, items })
      from = page.next
    }
  }

  /** Takes away what the receiver has and the sender has not: what is left of an earlier move, or was written past the map. */
  async #reconcile(sender: ShardPort, receiver: ShardPort, tag: string): Promise<void> {
    for (let from: number | null = 0; from !== null; ) {
      const page = await receiver.take({ tag, from })
      const { counters, items } = page
      for (let at = 0; at < Math.max(counters.length, items.length); at += FIND_MAX) {
        const names = counters.slice(at, at + FIND_MAX).map(([name]) => name)
        const ids = items.slice(at, at + FIND_MAX).map(([id]) => id)
        const there: Contents = await sender.find({ tag, names, ids })
        await receiver.put({ tag, counters: there.counters, items: there.items })
      }
      from = page.next
    }
  }

  /** Offers the home the next version. Another run may be first: the next survey shows it. @throws CounterError PEER_UNREACHABLE */
  async #offer(survey: Survey, next: SlotMap): Promise<void> {
    const { map } = survey
    const { shard, home } = this.#homeOf(survey)
    try {
      if (home.view.kept?.map.version !== map.version) await home.port.keep({ map: map.plain(), shard, after: null })
      await home.port.keep({ map: next.plain(), shard, after: map.tag })
    } catch (error) {
      if (isSilence(error)) throw error
      const now = await this.survey()
      if (!isConflict(error) || now.map.version < next.version) throw error
    }
  }

  #homeOf(survey: Survey): { shard: number; home: Seen } {
    const shard = survey.map.ranges.findIndex((ranges) => ranges.length > 0)
    const group = [...this.#wholeGroup(survey, shard)].sort((a, b) => a.view.node - b.view.node)
    return { shard, home: group[0]! }
  }

  /** Has all replicas of the shards keep the map. @throws CounterError PEER_UNREACHABLE */
  async #spread(survey: Survey, map: SlotMap, shards: readonly number[]): Promise<void> {
    for (const shard of shards) {
      const group = this.#wholeGroup(survey, shard)
      // Also those that keep it: a write that was taken before may be under way.
      await Promise.all(group.map(({ port }) => port.keep({ map: map.plain(), shard, after: null })))
    }
  }

  /** Each replica of a shard knows what all of them know now. @throws CounterError PEER_UNREACHABLE */
  async #exchange(shard: number): Promise<void> {
    const group = this.#wholeGroup(await this.survey(), shard)
    await Promise.all(group.map((replica) => know(replica, group)))
  }

  /** Has all others keep it too, as far as they answer: aggregators tell the rest. */
  async #tellOthers({ seen }: Survey, map: SlotMap): Promise<SlotMap> {
    await Promise.allSettled(
      seen.flatMap((group, shard) =>
        shard < map.shards ? group.map(({ port }) => port.keep({ map: map.plain(), shard, after: null })) : [],
      ),
    )
    return map
  }

  /** All replicas of a shard. @throws CounterError PEER_UNREACHABLE when one does not answer, or is not named */
  #wholeGroup({ seen, silent }: Survey, shard: number): readonly Seen[] {
    const [missing] = silent[shard]!
    if (missing !== undefined) throw unreachable(shard, missing.url, missing.why)
    const group = seen[shard]!
    const nodes = new Set(group.map(({ view }) => view.node))
    for (const { port, view } of group) {
      const other = view.members.find((node) => !nodes.has(node))
      if (other !== undefined) throw notNamed(shard, other, port)
      if (view.nameless > 0) throw nameless(port, view.nameless)
    }
    return group
  }
}

interface Group {
  readonly seen: Seen[]
  readonly silent: { readonly url: string; readonly why: unknown }[]
}

async function lookAt(ports: readonly ShardPort[]): Promise<Group> {
  const group: Group = { seen: [], silent: [] }
  const looks = await Promise.allSettled(ports.map((port) => port.look()))
  for (const [index, look] of looks.entries()) {
    if (look.status === 'fulfilled') group.seen.push({ port: ports[index]!, view: look.value })
    else group.silent.push({ url: ports[index]!.url, why: look.reason })
  }
  return group
}

/** The newest map that is kept. @throws CounterError SLOTS_CONFLICT when a replica is another shard than it is named as */
function newestOf(groups: readonly Group[]): SlotMap | undefined {
  let map: SlotMap | undefined
  for (const [shard, { seen }] of groups.entries()) {
    for (const { port, view } of seen) {
      if (view.kept === undefined) continue
      if (view.kept.shard !== shard) throw misnamed(port, view.kept.shard, shard)
      if (map === undefined || view.kept.map.version > map.version) map = SlotMap.read(view.kept.map)
    }
  }
  return map
}

/** Waits until one replica knows all that the others said they know. */
async function know({ port }: Seen, all: readonly Seen[]): Promise<void> {
  const known: Known[] = all.flatMap(({ view }) => view.known)
  if (await port.know(known)) return
  throw new CounterError('PEER_UNREACHABLE', `${port.url} still lacks what other replicas of its shard have`, {
    fix: 'look at `counter cluster status` of that shard until its members agree, then run this again',
  })
}

const withdraws = ({ port, view }: Seen): CounterError =>
  new CounterError(
    'PEER_UNREACHABLE',
    `${port.url} has yet to take back ${view.withdrawalsDue} writes that other replicas of its shard have counted too`,
    { fix: 'see why it takes no writes (its disk may be full), then run this again' },
  )

const isSame = (left: Digest, right: Digest): boolean =>
  left.counters === right.counters && left.items === right.items && left.sum === right.sum

function nodeOf(group: readonly Seen[], node: number, shard: number): Seen {
  const found = group.find(({ view }) => view.node === node)
  if (found !== undefined) return found
  throw new CounterError('PEER_UNREACHABLE', `node ${node} of shard ${shard}, which began this move, is no replica any more`, {
    fix: 'run this again: the slots stay where they were, and the move begins anew',
  })
}

function unreachable(shard: number, url: string, cause: unknown): CounterError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new CounterError('PEER_UNREACHABLE', `shard ${shard} misses a replica: ${why.includes(url) ? why : `${url}: ${why}`}`, {
    fix: 'slots move only while all replicas of both shards answer: start it, or remove it from its cluster and from COUNTER_SHARDS',
  })
}

const isSilence = (error: unknown): boolean => error instanceof CounterError && error.code === 'PEER_UNREACHABLE'
const isConflict = (error: unknown): boolean => error instanceof CounterError && error.code === 'SLOTS_CONFLICT'

const overtaken = (map: SlotMap, next: SlotMap): CounterError =>
  new CounterError('SLOTS_CONFLICT', `the map is ${map.tag} by now, and was to be ${next.tag}`, {
    fix: 'another run is under way; wait for it, or look at what it has done and run this again',
  })
const notNamed = (shard: number, node: number, { url }: ShardPort): CounterError =>
  new CounterError('SLOTS_CONFLICT', `${url} has a member, node ${node}, that is not among the replicas of shard ${shard}`, {
    fix: 'name all replicas of the shard in COUNTER_SHARDS, or take out the member that is gone: counter cluster remove',
  })
const nameless = ({ url }: ShardPort, count: number): CounterError =>
  new CounterError(
    'SLOTS_CONFLICT',
    `${url} has ${count} counts whose names nobody knows, as after an import, and so nobody knows their slots`,
    {
      fix: 'count each of those names once, by 0 if need be, and run this again',
    },
  )
const misnamed = ({ url }: ShardPort, shard: number, named: number): CounterError =>
  new CounterError('SLOTS_CONFLICT', `${url} is shard ${shard} and is named as shard ${named}`, {
    fix: 'name the shards in COUNTER_SHARDS as they were first named: as many, and in the same order',
  })
const unmapped = (): CounterError =>
  new CounterError('SLOTS_CONFLICT', 'no shard keeps a map of slots yet', { fix: 'start an aggregator over them first' })
const unnamed = (shards: number, named: number): CounterError =>
  new CounterError('SLOTS_CONFLICT', `the map has ${shards} shards, and ${named} are named`, {
    fix: 'name all shards in COUNTER_SHARDS, in their order',
  })
const differ = (sender: ShardPort, expected: Digest, target: ShardPort, found: Digest): CounterError =>
  new CounterError(
    'SLOTS_CONFLICT',
    `${target.url} does not hold what ${sender.url} does: ${found.counters} counters and ${found.items} items, ` +
      `not ${expected.counters} and ${expected.items}, or other values`,
    { fix: 'nothing has moved; end what writes to a shard past the aggregator, such as an original node, and run this again' },
  )
