// Shards in memory, for histories of moves: real stores on virtual disks, real replication within each shard, and between them and those who ask
// a network that loses, delays and repeats. Who asks goes by a map and learns of others, as an aggregator does. Time goes on only when told.

import { countedBy, type Replies, tenuresOf } from '../../lib/aggregator/counted.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { SlotMap, slotOf, slotsOfBatch, slotsOfIds } from '../../lib/cluster/index.ts'
import { Custody, type ShardPort, ShardReplica, type ShardStore, withVersion } from '../../lib/sharding/index.ts'
import type { Once, WriteAt } from '../../lib/storage/index.ts'
import { Tally } from '../../lib/text/index.ts'
import { batchOf, hash, nameBytes, once, plainReply } from '../persistence/harness.ts'
import { Cluster, type Node } from '../syncsrv/cluster.ts'

export type Fault =
  | 'nobody freezes'
  | 'values are added'
  | 'pages get lost and nothing is compared'
  | 'the home keeps any version'
  | 'items in transit count'
  | 'a map does not wait for writes under way'
  | 'values are copied before writes are taken back'

const CALL_TIMEOUT_MS = 3_000
/** A replica waits for its group rather than give its incarnation up, and with it what it may have to take back. */
const JOIN_TIMEOUT_MS = 60_000
const slotOfName = (name: string): number => slotOf(nameBytes(name), 0, nameBytes(name).length)

export class Member {
  readonly world: World
  readonly shard: number
  readonly node: Node
  custody!: Custody
  replica!: ShardReplica
  up = false
  #withdrawals = 0

  constructor(world: World, shard: number, node: Node) {
    this.world = world
    this.shard = shard
    this.node = node
  }

  async start(): Promise<void> {
    const { faults } = this.world
    await this.node.open()
    const { store, replication, clock } = this.node
    const view = store.slotted(slotOf)
    if (faults.has('items in transit count')) view.hide = () => {}
    this.custody = new Custody(store, view)
    if (faults.has('the home keeps any version')) {
      const encode = (map: SlotMap) => new TextEncoder().encode(JSON.stringify({ ...map.plain(), shard: this.shard }))
      this.custody.keep = (map) => store.keepNotes([['slots', encode(map)]])
    }
    if (faults.has('a map does not wait for writes under way')) this.custody.track = (write) => write
    this.replica = new ShardReplica({
      store: faults.has('values are added') ? withoutValues(store) : store,
      cluster: {
        members: () =>
          replication
            .status()
            .members.filter(({ state }) => state !== 'left')
            .map(({ node }) => node),
        waitUntilKnown: (entries, timeoutMs) => replication.waitUntilKnown(entries, timeoutMs),
      },
      custody: this.custody,
      view,
      amounts: new Tally({ hash, nameBytesMax: 100, tokenizer: 'space' }),
      clock,
      knowTimeoutMs: 2_000,
    })
    await replication.start()
    this.up = true
  }

  kill(): void {
    this.#withdrawals = this.withdrawals
    this.up = false
    this.node.kill()
  }

  /** Writes that all its lives have taken back. */
  get withdrawals(): number {
    return this.#withdrawals + (this.up ? this.node.store.status().withdrawals : 0)
  }

  /** Whether a client that goes by whatever map this replica keeps could write to the slot here. */
  takes(slot: number): boolean {
    const kept = this.up ? this.custody.kept : undefined
    return kept !== undefined && kept.map.shardOf(slot) === this.shard && !kept.map.isMoving(slot)
  }
}

/** A store that says of every value that it is 0, so that what is to be set is added. */
function withoutValues(store: Node['store']): ShardStore {
  return {
    self: store.self,
    vector: () => store.vector(),
    value: () => 0,
    item: (id) => store.item(id),
    keptReply: (key) => store.keptReply(key),
    admit: (batch) => store.admit(batch),
    increment: (batch, reply) => store.increment(batch, reply),
    changeItems: (changes, reply) => store.changeItems(changes, reply),
    settled: () => store.settled(),
    status: () => store.status(),
  }
}

/** What a write became: `no` is certain. */
export type Outcome = 'yes' | 'no' | 'unknown'

export class World {
  readonly cluster: Cluster
  readonly random: Random
  readonly faults: ReadonlySet<Fault>
  readonly groups: Member[][] = []
  /** Of a hundred messages, so many are lost, and so many come twice. */
  losePercent = 0
  twicePercent = 0
  delayMsMax = 20
  /** Whether a write is acknowledged when all replicas of its shard have it. */
  waitsForAll = true
  /** Whether the logs always have room at once. */
  hasRoom = false
  /** Bytes of writes with keys that a replica keeps to take them back, at most. */
  tentativeBytesMax = 1 << 20

  constructor(seed: number, faults: readonly Fault[] = []) {
    this.cluster = new Cluster(seed)
    this.random = seededRandom(seed ^ 0x5eed)
    this.faults = new Set(faults)
  }

  get members(): Member[] {
    return this.groups.flat()
  }

  below(limit: number): number {
    return this.random.uint32() % limit
  }

  addShard(replicas: number): Member[] {
    const shard = this.groups.length
    const nodes: Node[] = []
    for (let id = 1; id <= replicas; id++) {
      nodes.push(
        this.cluster.add(id, {
          seeds: async () => nodes.map(({ address }) => address),
          intervalMs: 200,
          joinTimeoutMs: JOIN_TIMEOUT_MS,
        }),
      )
    }
    for (const node of nodes) node.tentativeBytesMax = this.tentativeBytesMax
    const group = nodes.map((node) => new Member(this, shard, node))
    this.groups.push(group)
    return group
  }

  /** Starts the shards, each with the map. */
  async start(shards: number, replicas: number): Promise<SlotMap> {
    const map = SlotMap.even(shards)
    for (let shard = 0; shard < shards; shard++) this.addShard(replicas)
    await this.cluster.settle(Promise.all(this.members.map((member) => member.start())))
    await this.cluster.until(() =>
      this.members.every((member) => member.node.replication.status().members.length === this.groups[member.shard]!.length),
    )
    await this.cluster.settle(Promise.all(this.members.map((member) => member.custody.keep(map, member.shard))))
    return map
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.cluster.clock.after(ms, resolve))
  }

  /** From now on some replicas get what they ask others of their shard for so much later, so that one knows more than the other for a while. */
  slowAnswers(msMax: number): void {
    const { network, random } = this.cluster
    const late = new Map<string, number>()
    for (const group of this.groups) {
      for (const one of group) {
        for (const other of group) {
          if (random.uint32() % 2 === 0) late.set(`${one.node.address} ${other.node.address}`, random.uint32() % msMax)
        }
      }
    }
    network.plan = ({ from, to, message }) => ({
      delayMs: network.latencyMs + (message === 1 ? (late.get(`${from} ${to}`) ?? 0) : 0),
    })
  }

  /** Two replicas of a shard do not hear each other for so long. */
  async cut(one: Member, other: Member, ms: number): Promise<void> {
    const { network } = this.cluster
    const [left, right] = [one.node.address, other.node.address]
    network.cut(left, right)
    network.cut(right, left)
    await this.pause(ms)
    network.mend(left, right)
    network.mend(right, left)
  }

  /**
   * A request over the network.
   * @param mayRepeat whether it may come twice
   * @throws CounterError PEER_UNREACHABLE when there is no answer: whether it arrived is not known
   */
  async call<T>(member: Member, ask: () => Promise<T>, mayRepeat = true): Promise<T> {
    return new Promise((resolve, reject) => {
      const lost = (why: string) => new CounterError('PEER_UNREACHABLE', why)
      const cancel = this.cluster.clock.after(CALL_TIMEOUT_MS, () => reject(lost('no answer')))
      const times = mayRepeat && this.below(100) < this.twicePercent ? 2 : 1
      for (let time = 0; time < times; time++) {
        if (this.below(100) < this.losePercent) continue
        void this.pause(this.below(this.delayMsMax) + time * this.below(2_000)).then(() => {
          if (!member.up) {
            cancel()
            return reject(lost('refused'))
          }
          const answer = ask()
          answer.then(
            async (value) => {
              if (this.below(100) < this.losePercent) return
              await this.pause(this.below(this.delayMsMax))
              cancel()
              resolve(value)
            },
            (error) => {
              cancel()
              reject(error)
            },
          )
        })
      }
    })
  }

  /** The replicas as a mover sees them. `alive` false: the mover is dead, and what it asks goes nowhere. */
  ports(mover: { alive: boolean }): ShardPort[][] {
    return this.groups.map((group) => group.map((member) => this.#port(member, mover)))
  }

  #port(member: Member, mover: { alive: boolean }): ShardPort {
    const { faults } = this
    const via = <T>(ask: () => Promise<T>): Promise<T> =>
      mover.alive
        ? this.call(member, ask).then((value) => (mover.alive ? value : new Promise<T>(() => {})))
        : new Promise<T>(() => {})
    /** The map under which a source was asked to know something: for the first time in this life of the mover. */
    let firstUnder: string | undefined
    const skips = (): boolean => {
      const { map, shard } = member.custody.kept ?? {}
      if (!faults.has('values are copied before writes are taken back') || map?.moving?.from !== shard) return false
      const isFirst = firstUnder !== map?.tag
      firstUnder = map?.tag
      return isFirst
    }
    return {
      url: member.node.address,
      look: () => via(() => member.replica.look()),
      keep: (request) => via(() => member.replica.keep(request)),
      know: (known) => via(async () => skips() || member.replica.know(known)),
      take: (request) => via(() => member.replica.take(request)),
      find: (request) => via(() => member.replica.find(request)),
      put: (request) =>
        via(async () => {
          if (faults.has('pages get lost and nothing is compared') && this.below(4) === 0) return
          await member.replica.put(request)
        }),
      digest: (request) =>
        via(async () => {
          const digest = await member.replica.digest(request)
          return faults.has('values are added') || faults.has('pages get lost and nothing is compared')
            ? { counters: 0, items: 0, sum: '' }
            : digest
        }),
    }
  }
}

/** Somebody who goes by a map, as an aggregator does. */
export class Asker {
  readonly world: World
  map: SlotMap

  constructor(world: World, map: SlotMap) {
    this.world = world
    this.map = map
  }

  increment(name: string, amount: number): Promise<Outcome> {
    return this.#write(slotOfName(name), async (member, tag) => {
      if (member.custody.kept?.tag !== tag) return 'moved'
      const { store } = member.node
      const batch = batchOf({ [name]: amount })
      const refusal = this.#refusal(member, slotsOfBatch(batch))
      if (refusal !== undefined) return refusal
      const write = async (): Promise<WriteAt> => {
        await this.#room()
        for (let wait = store.admit(batch); wait !== undefined; wait = store.admit(batch)) await wait
        return (await store.increment(batch, () => plainReply())).at
      }
      await everywhere(member, await member.custody.track(write()))
      return 'taken'
    })
  }

  /**
   * Adds under a key: sent to its home in the group of the shard and then, or at once, to another replica of it, whatever became of the first. Again
   * while that may have been counted; once slots have moved only after a look at who has counted it, as an aggregator does.
   */
  async incrementOnce(name: string, amount: number, key: string): Promise<Outcome> {
    const slot = slotOfName(name)
    let isUnsure = false
    for (let attempt = 0; attempt < 60; attempt++) {
      const { map } = this
      const shard = map.shardOf(slot)
      const counted = map.former.length > 0 && (await this.#isCounted(map, slot, key))
      if (counted === undefined) continue
      if (counted) return 'yes'
      const home = this.#homeOf(shard, key)
      const add = (member: Member): Promise<Outcome | 'moved' | 'frozen'> =>
        this.#addOnce(member, `${map.tag}/${shard}`, { [name]: amount }, { ...once(key), failover: member !== home })
      const first = add(home)
      if (this.world.below(2) === 0) await first
      // Now and then the home again.
      const others = this.world.groups[shard]!.filter((member) => member !== home || this.world.below(8) === 0)
      const other = others[this.world.below(others.length)] ?? home
      const said = await Promise.all([first, add(other)])
      if (said.includes('yes')) return 'yes'
      if (said.includes('unknown')) isUnsure = true
      if (said.includes('moved')) await this.#agreeWith(said[0] === 'moved' ? home : other)
      else await this.world.pause(50)
    }
    return isUnsure ? 'unknown' : 'no'
  }

  /** Whether a shard has counted the key that had the slot; undefined: not all of them say. */
  async #isCounted(map: SlotMap, slot: number, key: string): Promise<boolean | undefined> {
    const tenures = tenuresOf(map, slot)
    const replies = new Map<number, Replies>()
    for (const { shard } of tenures) {
      const home = this.#homeOf(shard, key)
      const order = [home, ...this.world.groups[shard]!.filter((member) => member !== home)]
      for (const member of order) {
        const said = await this.#counted(member, `${map.tag}/${shard}`, key)
        if (said === 'moved') {
          await this.#agreeWith(member)
          return undefined
        }
        if (said === undefined) continue
        replies.set(shard, said)
        break
      }
      if (!replies.has(shard)) return undefined
    }
    const shard = countedBy(tenures, replies)
    // What the present owner has counted it says once more, when all its replicas are to have it.
    return shard !== undefined && !(this.world.waitsForAll && shard === map.shardOf(slot))
  }

  async #counted(member: Member, tag: string, key: string): Promise<Replies | 'moved' | undefined> {
    try {
      return await this.world.call(member, async () =>
        member.custody.kept?.tag === tag ? await member.replica.counted({ key }) : 'moved',
      )
    } catch {
      return undefined
    }
  }

  async #addOnce(
    member: Member,
    tag: string,
    amounts: Record<string, number>,
    once: Once,
  ): Promise<Outcome | 'moved' | 'frozen'> {
    const batch = batchOf(amounts)
    try {
      return await this.world.call(
        member,
        async () => {
          if (member.custody.kept?.tag !== tag) return 'moved'
          const refusal = this.#refusal(member, slotsOfBatch(batch))
          if (refusal !== undefined) return refusal
          const { store } = member.node
          const write = async (): Promise<WriteAt> => {
            for (let wait = store.admit(batch, once); wait !== undefined; wait = store.admit(batch, once)) await wait
            // Whatever was waited for, this is the turn of the write.
            const kept = member.custody.kept!
            if (kept.tag !== tag) throw new CounterError('SLOTS_MOVED', 'by now it goes by another map')
            return (await store.increment(batch, () => withVersion(plainReply(), kept.map.version), once)).at
          }
          await everywhere(member, await member.custody.track(write()))
          return 'yes'
        },
        false,
      )
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      if (error.code === 'SLOTS_MOVED') return 'moved'
      return error.message === 'refused' || error.code === 'KEYS_UNSETTLED' ? 'no' : 'unknown'
    }
  }

  giveItem(id: string, tenant: string | undefined): Promise<Outcome> {
    return this.#write(slotOfName(id), async (member, tag) => {
      if (member.custody.kept?.tag !== tag) return 'moved'
      const refusal = this.#refusal(member, slotsOfIds([id]))
      if (refusal !== undefined) return refusal
      const write = async (): Promise<WriteAt> => {
        await this.#room()
        return (await member.node.store.changeItems([{ id, tenant }], () => plainReply())).at
      }
      await everywhere(member, await member.custody.track(write()))
      return 'taken'
    })
  }

  /** The log has no room at once, now and then. */
  async #room(): Promise<void> {
    if (!this.world.hasRoom && this.world.below(4) === 0) await this.world.pause(this.world.below(1_200))
  }

  #refusal(member: Member, slots: Iterable<number>) {
    const refusal = member.custody.refusal(slots)
    return refusal === 'frozen' && this.world.faults.has('nobody freezes') ? undefined : refusal
  }

  async #write(slot: number, write: (member: Member, tag: string) => Promise<'taken' | 'moved' | 'frozen'>): Promise<Outcome> {
    for (let attempt = 0; attempt < 40; attempt++) {
      const member = this.#anyOf(this.map.shardOf(slot))
      const tag = `${this.map.tag}/${member.shard}`
      try {
        const outcome = await this.world.call(member, () => write(member, tag), false)
        if (outcome === 'taken') return 'yes'
        if (outcome === 'moved') await this.#agreeWith(member)
        else await this.world.pause(50)
      } catch (error) {
        if (error instanceof CounterError && error.message === 'refused') await this.world.pause(100)
        else return 'unknown'
      }
    }
    return 'no'
  }

  /** undefined: nobody answered. */
  value(name: string): Promise<number | undefined> {
    return this.#read(
      () => [this.map.shardOf(slotOfName(name))],
      ({ node }) => Number(node.store.value(nameBytes(name))),
    )
  }

  /** The items of a tenant, over all shards, under one map. */
  tenantCount(tenant: string): Promise<number | undefined> {
    return this.#read(
      () => this.map.ranges.flatMap((ranges, shard) => (ranges.length > 0 ? [shard] : [])),
      ({ node }) => node.store.tenantCount(tenant),
    )
  }

  /** The sum over shards, when all answer under one map. */
  async #read(shards: () => number[], show: (member: Member) => number): Promise<number | undefined> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const members = shards().map((shard) => this.#anyOf(shard))
      const { tag } = this.map
      const parts = await Promise.allSettled(
        members.map((member) =>
          this.world.call(member, async () => {
            const own = `${tag}/${member.shard}`
            if (member.custody.kept?.tag !== own) return undefined
            const value = show(member)
            await member.node.store.settled()
            return member.custody.kept?.tag === own ? value : undefined
          }),
        ),
      )
      let sum: number | undefined = 0
      for (const [index, part] of parts.entries()) {
        if (part.status === 'fulfilled' && part.value === undefined) await this.#agreeWith(members[index]!)
        if (part.status === 'rejected' || part.value === undefined) sum = undefined
        else if (sum !== undefined) sum += part.value
      }
      if (sum !== undefined) return sum
      await this.world.pause(100)
    }
    return undefined
  }

  /** Of two maps both go by the later. */
  async #agreeWith(member: Member): Promise<void> {
    try {
      const kept = await this.world.call(member, async () => {
        const { kept } = member.custody
        await member.node.store.settled()
        return kept
      })
      if (kept !== undefined && kept.map.version > this.map.version) this.map = kept.map
      else {
        const { map } = this
        await this.world.call(member, () => member.custody.keep(map, member.shard))
      }
    } catch {
      await this.world.pause(50)
    }
  }

  /** Of each key the same one, whoever asks. */
  #homeOf(shard: number, key: string): Member {
    const group = this.world.groups[shard]!
    return group[slotOfName(key) % group.length]!
  }

  #anyOf(shard: number): Member {
    const group = this.world.groups[shard]!
    return group[this.world.below(group.length)]!
  }
}

/** Where a write counts as acknowledged only when all replicas have it, any of them may be asked. */
async function everywhere(member: Member, at: WriteAt): Promise<void> {
  if (!member.world.waitsForAll || member.world.groups[member.shard]!.length === 1) return
  const { met } = await member.node.replication.waitFor(at, 'all', 2_000)
  if (!met) throw new CounterError('PEER_UNREACHABLE', 'not everywhere')
}
