// What a replica of a shard does for slots on their way: says what it holds of them, and makes what it holds be what the source holds. Values are
// set and never added: by as much as is lacking here, worked out in the turn in which it is written. So a page may come again, or late.

import { assert } from '../base/assert.ts'
import { type Clock, nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { strictUtf8 } from '../base/utf8.ts'
import { eraOf, flagsOf, type Moving, openPart, SlotMap, slotOf } from '../cluster/index.ts'
import {
  type Batch,
  type Count,
  FOLDED,
  type Item,
  type ItemChange,
  type ReplicaId,
  SLOT_BASE,
  type SlottedView,
  type StoredReply,
  type VersionVector,
} from '../storage/index.ts'
import type { Custody, Kept } from './custody.ts'
import { DigestSum } from './digest.ts'
import { versionOf } from './kept-replies.ts'
import type { Contents, Counted, Digest, KeepRequest, Known, Page, View } from './port.ts'

/** What this needs of the store. */
export interface ShardStore {
  readonly self: ReplicaId
  vector(): VersionVector
  value(name: Uint8Array): Count
  item(id: string): Item | undefined
  admit(batch: Batch): Promise<void> | undefined
  increment(batch: Batch, reply: () => StoredReply): Promise<unknown>
  changeItems(changes: readonly ItemChange[], reply: () => StoredReply): Promise<unknown>
  /** The reply that is kept under an idempotency key. */
  keptReply(key: string): StoredReply | undefined
  settled(): Promise<void> | undefined
  status(): { readonly names: number; readonly items: number; readonly tableBytes: number; readonly withdrawalsDue: number }
}

/** What this needs of the replica's cluster. */
export interface ShardCluster {
  /** Node ids of those that have not left, this one included. */
  members(): readonly number[]
  waitUntilKnown(entries: readonly { replica: ReplicaId; seq: number }[], timeoutMs: number): Promise<boolean>
}

/** A batch that is filled by names. lib/text's Tally is one. */
export interface Amounts extends Batch {
  add(name: string, delta: bigint | number): void
  reset(): void
}

export interface ShardReplicaOptions {
  readonly store: ShardStore
  readonly cluster: ShardCluster
  readonly custody: Custody
  readonly view: SlottedView
  readonly amounts: Amounts
  readonly clock: Clock
  /** How long `know` waits, in milliseconds. */
  readonly knowTimeoutMs: number
}

/** A map that this replica has a part in. */
type Copying = Kept & { readonly moving: Moving }

/** Of replies under one key: each is of another version. */
const ATTEMPTS_MAX = 10_000
/** Of a page. */
const ENTRIES_MAX = 5_000
const BYTES_MAX = 512 * 1024
const REPLY: StoredReply = { status: 200, contentType: '', body: '' }
/** An amount of a write ends below it. */
const AMOUNT_LIMIT = 2n ** 64n
const DIGITS = /^-?\d{1,40}$/
const encoder = new TextEncoder()

export class ShardReplica {
  readonly #options: ShardReplicaOptions

  constructor(options: ShardReplicaOptions) {
    this.#options = options
  }

  async look(): Promise<View> {
    const { store, cluster, custody, view } = this.#options
    const { names, items, tableBytes, withdrawalsDue } = store.status()
    const { kept } = custody
    const looked: View = {
      node: store.self.node,
      kept: kept && { map: kept.map.plain(), shard: kept.shard },
      members: cluster.members(),
      known: knownIn(store.vector()),
      names,
      items,
      tableBytes,
      nameless: view.nameless,
      withdrawalsDue,
    }
    await store.settled()
    return looked
  }

  async keep({ map, shard, after }: KeepRequest): Promise<void> {
    await this.#options.custody.keep(SlotMap.read(map), shard, after ?? undefined)
  }

  know(known: readonly Known[]): Promise<boolean> {
    const entries = known.map(([node, incarnation, seq]) => ({ replica: { node, incarnation }, seq }))
    return this.#options.cluster.waitUntilKnown(entries, this.#options.knowTimeoutMs)
  }

  async take({ tag, from }: { tag: string; from: number }): Promise<Page> {
    const kept = this.#copying(tag)
    const { moving } = kept
    const given = givenPart(kept)
    const counters: [string, string][] = []
    const items: [string, string][] = []
    let bytes = 0
    let next: number | null = null
    for (const each of this.#options.view.in(flagsOf(moving.ranges), from)) {
      if (each === undefined) await nextTurn(this.#options.clock)
      else if (each.kind === 'counter') {
        if (isElsewhere(each.name, given)) continue
        counters.push([strictUtf8.decode(each.name), String(each.value)])
        bytes += each.name.length
        next = each.next
      } else {
        items.push([strictUtf8.decode(each.id), strictUtf8.decode(each.tenant)])
        bytes += each.id.length + each.tenant.length
        next = each.next
      }
      if (counters.length + items.length === ENTRIES_MAX || bytes > BYTES_MAX) return this.#shown(tag, { counters, items, next })
    }
    if (given !== undefined) counters.push([given.name, this.#partDigits(given)])
    return this.#shown(tag, { counters, items, next: null })
  }

  async find({ tag, names, ids }: { tag: string; names: readonly string[]; ids: readonly string[] }): Promise<Contents> {
    const { store } = this.#options
    const given = givenPart(this.#copying(tag))
    const digits = (name: string): string =>
      name === given?.name ? this.#partDigits(given) : String(store.value(encoder.encode(name)))
    return this.#shown(tag, {
      counters: names.map((name) => [name, digits(name)] as const),
      items: ids.map((id) => [id, store.item(id)?.tenant ?? null] as const),
    })
  }

  /** Which replies are kept under a key: the key itself, and `+1`, `+2` and so on for what was counted after a move; `/1` is a second piece. */
  async counted({ key }: { key: string }): Promise<Counted> {
    const { store } = this.#options
    const versions: number[] = []
    let pieces = false
    let body = ''
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const own = attempt === 0 ? key : `${key}+${attempt}`
      const reply = store.keptReply(own)
      if (reply === undefined) break
      if (attempt === 0) body = reply.body
      versions.push(versionOf(reply.contentType))
      if (store.keptReply(`${own}/1`) !== undefined) pieces = true
    }
    await store.settled()
    return { versions, pieces, body }
  }

  async digest({ tag }: { tag: string }): Promise<Digest> {
    const kept = this.#copying(tag)
    const { moving } = kept
    const given = givenPart(kept)
    const sum = new DigestSum()
    for (const each of this.#options.view.in(flagsOf(moving.ranges))) {
      if (each === undefined) await nextTurn(this.#options.clock)
      else if (each.kind === 'item') sum.item(each.id, each.tenant)
      else if (!isElsewhere(each.name, given)) sum.counter(each.name, String(each.value))
    }
    const digits = given && this.#partDigits(given)
    // What is 0 is as good as not there.
    if (given !== undefined && digits !== '0') sum.counter(encoder.encode(given.name), digits!)
    return this.#shown(tag, sum.digest)
  }

  /** Tracked, so that the next map waits for it: a page that is late must not be written over what clients write then. */
  put(request: { readonly tag: string } & Contents): Promise<void> {
    return this.#options.custody.track(this.#put(request))
  }

  async #put({ tag, counters, items }: { readonly tag: string } & Contents): Promise<void> {
    const flags = flagsOf(this.#copying(tag).moving.ranges)
    for (const [name] of [...counters, ...items]) {
      const bytes = encoder.encode(name)
      if (flags[slotOf(bytes, 0, bytes.length)] !== 1) throw invalid(`'${name.slice(0, 40)}' is in no slot on its way`)
    }
    await this.#putCounters(tag, counters)
    const { store } = this.#options
    const changes = items
      .filter(([id, tenant]) => (store.item(id)?.tenant ?? null) !== tenant)
      .map(([id, tenant]) => ({ id, tenant: tenant ?? undefined }))
    if (changes.length > 0) {
      this.#receiving(tag)
      await store.changeItems(changes, () => REPLY)
    }
    await store.settled()
  }

  async #putCounters(tag: string, counters: Contents['counters']): Promise<void> {
    const { store, amounts: batch } = this.#options
    for (;;) {
      // What is lacking may be another thing in each turn, and the batch is another's in the next.
      this.#receiving(tag)
      batch.reset()
      for (const [name, digits] of counters) {
        if (!DIGITS.test(digits)) throw invalid(`'${digits.slice(0, 50)}' is no value`)
        const lacking = BigInt(digits) - BigInt(store.value(encoder.encode(name)))
        if (lacking >= AMOUNT_LIMIT || lacking <= -AMOUNT_LIMIT) throw overflow(name)
        if (lacking !== 0n) batch.add(name, lacking)
      }
      if (batch.count === 0) return
      const wait = store.admit(batch)
      if (wait === undefined) {
        await store.increment(batch, () => REPLY)
        return
      }
      await wait
    }
  }

  #partDigits({ open }: GivenPart): string {
    return String(this.#options.store.value(open))
  }

  /** @throws CounterError SLOTS_CONFLICT unless this replica goes by the map of the tag, and has a part in what is on its way */
  #copying(tag: string): Copying {
    const { kept } = this.#options.custody
    const moving = kept?.map.moving
    if (kept === undefined || kept.map.tag !== tag || moving?.phase !== 'copy') throw passed(kept, tag)
    if (kept.shard !== moving.from && kept.shard !== moving.to) throw passed(kept, tag)
    return { ...kept, moving }
  }

  #receiving(tag: string): void {
    const { moving, shard } = this.#copying(tag)
    const { node } = this.#options.store.self
    if (shard === moving.to && node === moving.receiver) return
    throw new CounterError(
      'SLOTS_CONFLICT',
      `node ${node} of shard ${shard} was given what goes to node ${moving.receiver} of ${moving.to}`,
    )
  }

  /** What was found leaves when it is durable, and only if it was looked for under this map to the end. */
  async #shown<T>(tag: string, found: T): Promise<T> {
    await this.#options.store.settled()
    this.#copying(tag)
    return found
  }
}

/** The part of the total that the sender gives along: under which name, and the bytes of the one that it has here. */
interface GivenPart {
  readonly name: string
  readonly open: Uint8Array
}

/** undefined: none, or this is where it goes. */
function givenPart({ moving: { part, from }, map, shard }: Copying): GivenPart | undefined {
  if (part === undefined || shard !== from) return undefined
  return { name: part, open: encoder.encode(openPart(map.eraOf(from))) }
}

/** Whether a counter is in no slot; or left here, of an earlier attempt, under the name of what is given now. */
const isElsewhere = (name: Uint8Array, given: GivenPart | undefined): boolean =>
  eraOf(name) !== undefined || (given !== undefined && strictUtf8.decode(name) === given.name)

/** Lives of nodes; what is folded is known to every member, and what was heard of an original system nobody waits for. */
function knownIn(vector: VersionVector): Known[] {
  const known: Known[] = []
  for (const { replica, seq } of vector) {
    assert(seq >= 0, 'a sequence number')
    if (replica.node < SLOT_BASE && replica.incarnation !== FOLDED && seq > 0)
      known.push([replica.node, replica.incarnation, seq])
  }
  return known
}

const invalid = (why: string): CounterError => new CounterError('SLOTS_INVALID', why)
const passed = (kept: Kept | undefined, tag: string): CounterError =>
  new CounterError('SLOTS_CONFLICT', `asked about a move of the map ${tag}, while this node goes by ${kept?.tag ?? 'none'}`)
const overflow = (name: string): CounterError =>
  new CounterError('COUNT_OVERFLOW', `the value of '${name.slice(0, 80)}' is more than one write can bring`, {
    fix: 'give the move up, or use a new name and leave this one where it is',
  })
