// The node as a shard: the map of slots that it keeps, what it takes writes for, and what it answers a mover.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { NameHash } from '../base/hash.ts'
import { slotOf, slotsOfBatch, slotsOfIds } from '../cluster/index.ts'
import type { Store } from '../persistence/index.ts'
import type { ApiCluster, ApiShard, ApiSlots, ApiStore, Once, StoredReply } from '../publicapi/index.ts'
import { answerQuestion, Custody, type Refusal, ShardReplica, withVersion } from '../sharding/index.ts'
import type { ItemChange } from '../storage/index.ts'
import type { Replication } from '../syncsrv/index.ts'
import { Tally } from '../text/index.ts'

export interface ShardParts {
  readonly store: Store
  readonly cluster: ApiCluster
  readonly replication: Replication
  readonly clock: Clock
  readonly hash: NameHash
  readonly nameBytesMax: number
}

/** What the public API is given, of a node that may be a shard. */
export interface ShardApi {
  readonly slots: ApiSlots
  readonly shard: ApiShard
  readonly store: ApiStore
  readonly cluster: ApiCluster
}

/** How long a mover's question waits for what other replicas know. */
const KNOW_TIMEOUT_MS = 5_000

export function createShard({ store, cluster, replication, clock, hash, nameBytesMax }: ShardParts): ShardApi {
  const view = store.slotted(slotOf)
  const custody = new Custody(store, view)
  const replica = new ShardReplica({
    store,
    cluster: {
      members: () => replication.status().members.flatMap(({ node, state }) => (state === 'left' ? [] : [node])),
      waitUntilKnown: (entries, timeoutMs) => replication.waitUntilKnown(entries, timeoutMs),
    },
    custody,
    view,
    amounts: new Tally({ hash, nameBytesMax, tokenizer: 'space' }),
    clock,
    knowTimeoutMs: KNOW_TIMEOUT_MS,
  })
  return {
    slots: createKeptSlots(custody),
    shard: { look: () => replica.look(), answer: (question) => answerQuestion(replica, question) },
    store: guardStore(store, custody),
    cluster: {
      ...cluster,
      acceptItems: (changes, accept, reply, once) => {
        check(custody, slotsOf(changes), once)
        return custody.track(cluster.acceptItems(changes, accept, versioned(custody, reply, once), once))
      },
    },
  }
}

export const createKeptSlots = (custody: Custody): ApiSlots => ({
  kept: () => custody.kept,
  keep: ({ map, shard }, after) => custody.keep(map, shard, after),
})

/** The store, with writes refused to names whose slots are another's or on their way: in the turn in which they would be written. */
function guardStore(store: Store, custody: Custody): ApiStore {
  return {
    admit: (batch, once) => store.admit(batch, once),
    increment: (batch, reply, once) => {
      check(custody, slotsOfBatch(batch, once?.key), once)
      return store.increment(batch, versioned(custody, reply, once), once)
    },
    replay: (once) => store.replay(once),
    vector: () => store.vector(),
    value: (name) => store.value(name),
    changeItems: (changes, reply, once) => {
      check(custody, slotsOf(changes), once)
      return custody.track(store.changeItems(changes, versioned(custody, reply, once), once))
    },
    item: (id) => store.item(id),
    tenantCount: (tenant) => store.tenantCount(tenant),
    tenants: (page) => store.tenants(page),
    settled: () => store.settled(),
  }
}

/** A reply that is kept says under which map the write was taken: the one of the turn in which this is called. */
function versioned(custody: Custody, reply: () => StoredReply, once: Once | undefined): () => StoredReply {
  const version = custody.kept?.map.version
  return once === undefined || version === undefined ? reply : () => withVersion(reply(), version)
}

const slotsOf = (changes: readonly ItemChange[]): Iterable<number> => slotsOfIds(changes.map(({ id }) => id))

/**
 * The map may be another by now than when the request was looked at. With a key that would be said wrongly afterwards: its names are those of the
 * map by which it was made.
 * @throws CounterError SLOTS_MOVED, SLOTS_FROZEN
 */
function check(custody: Custody, slots: Iterable<number>, once: Once | undefined): void {
  const refusal: Refusal = custody.refusal(slots)
  if (refusal === 'frozen') throw new CounterError('SLOTS_FROZEN', 'some of the names are on their way to another shard')
  if (refusal === 'moved') throw new CounterError('SLOTS_MOVED', 'some of the names belong to another shard')
  const { kept } = custody
  if (once?.slots === undefined || once.slots === kept?.tag) return
  throw new CounterError('SLOTS_MOVED', `the request goes by ${once.slots.slice(0, 80)}, and this node by ${kept?.tag} by now`)
}
