// The shards of a World as an aggregator reaches them: what their public ports answer to additions to the total, reads of it, maps and questions
// about keys, over a network that loses. What a node does with them is done here as lib/publicapi/total.ts and lib/node/slots.ts do it.

import { type ShardCall, type ShardReply, type ShardTransport, Unanswered } from '../../lib/aggregator/index.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { type PlainSlotMap, SlotMap, slotsOfBatch, TOTAL_NAME } from '../../lib/cluster/index.ts'
import { answerQuestion, withVersion } from '../../lib/sharding/index.ts'
import type { Once } from '../../lib/storage/index.ts'
import { batchOf, nameBytes, once } from '../persistence/harness.ts'
import type { Member, World } from './world.ts'

export type TotalFault =
  | 'a part is not frozen'
  | 'a shard adds to the same part for ever'
  | 'nobody asks who had the slot of a key'

const ok = (body: object, headers: ShardReply['headers'] = {}): ShardReply => ({
  status: 200,
  headers,
  body: JSON.stringify(body),
})
const problem = (status: number, type: string): ShardReply => ({
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: JSON.stringify({ type: `/problems/${type}`, status, detail: type, applied: 'no' }),
})

export class TotalTransport implements ShardTransport {
  readonly #world: World
  readonly #faults: ReadonlySet<TotalFault>
  /** Of a hundred additions, so many lose their connection before the reply. */
  breakPercent = 0

  constructor(world: World, faults: readonly TotalFault[]) {
    this.#world = world
    this.#faults = new Set(faults)
  }

  async call(base: string, call: ShardCall): Promise<ShardReply> {
    const member = this.#world.members.find(({ node }) => node.address === base)!
    try {
      const reply = await this.#world.call(member, () => this.#answer(member, call), false)
      if (call.path.startsWith('/increment') && this.#world.below(100) < this.breakPercent) throw new Error('broke off')
      return reply
    } catch (error) {
      const isRefused = error instanceof CounterError && error.message === 'refused'
      throw new Unanswered(isRefused ? 'unsent' : 'unknown', `${base}: ${error}`)
    }
  }

  async #answer(member: Member, { method, path, headers, body }: ShardCall): Promise<ShardReply> {
    const { custody, replica, node } = member
    const { store } = node
    const asked = headers['counter-slots']
    if (asked !== undefined && custody.kept?.tag !== asked) return problem(421, 'slots-moved')
    const text = body === undefined ? '' : Buffer.from(body).toString()
    if (path === '/v1/cluster/slots' && method === 'GET') return ok(kept(member))
    if (path === '/v1/cluster/slots') {
      try {
        const given = JSON.parse(text) as PlainSlotMap & { shard: number }
        await custody.keep(SlotMap.read(given), given.shard)
        return ok(kept(member))
      } catch (error) {
        if (error instanceof CounterError && error.code === 'SLOTS_CONFLICT') return problem(409, 'slots-conflict')
        throw error
      }
    }
    if (path === '/v1/shard/questions') {
      if (this.#faults.has('nobody asks who had the slot of a key')) return ok({ versions: [], pieces: false, body: '' })
      return ok(await answerQuestion(replica, JSON.parse(text)))
    }
    if (path === '/total') {
      const total = this.#shown(member)
      await store.settled()
      // One read is of one map.
      return custody.kept?.tag === asked ? ok({ total }) : problem(421, 'slots-moved')
    }
    const [, fingerprint] = path.split('of=')
    const key = headers['idempotency-key']
    const failover = headers['counter-failover'] === 'true'
    return this.#add(
      member,
      (JSON.parse(text) as { value: number }).value,
      key === undefined ? undefined : { ...once(key, fingerprint), failover },
    )
  }

  async #add(member: Member, value: number, once: Once | undefined): Promise<ShardReply> {
    const world = this.#world
    const { custody, node } = member
    const { store } = node
    // A body that comes late, and a log that has no room at once.
    if (world.below(4) === 0) await world.pause(world.below(1_500))
    const batch = batchOf({ [this.#open(member)]: value })
    if (world.below(8) === 0) await world.pause(world.below(1_500))
    if (!member.up || node.store !== store) return new Promise(() => {})
    const seen = once && store.replay(once)
    const refusal = custody.refusal(this.#slots(batch, once?.key))
    if (seen === undefined && refusal !== undefined && !(refusal === 'frozen' && this.#faults.has('a part is not frozen'))) {
      return refusal === 'frozen' ? problem(503, 'slots-frozen') : problem(421, 'slots-moved')
    }
    const reply = () => {
      const made = {
        status: 200,
        contentType: 'application/json',
        body: JSON.stringify({ success: true, shardId: 0, count: this.#shown(member) }),
      }
      return withVersion(made, custody.kept!.map.version)
    }
    const { at, body, replayed } = await (seen ?? store.increment(batch, reply, once))
    if (world.waitsForAll && world.groups[member.shard]!.length > 1) {
      const { met } = await node.replication.waitFor(at, 'all', 2_000)
      if (!met) throw new CounterError('PEER_UNREACHABLE', 'not everywhere')
    }
    return { status: 200, headers: replayed ? { 'idempotency-replayed': 'true' } : {}, body }
  }

  #open({ custody }: Member): string {
    if (this.#faults.has('a shard adds to the same part for ever')) return TOTAL_NAME
    const { map, shard } = custody.kept!
    return map.partsOf(shard)[0] ?? TOTAL_NAME
  }

  *#slots(batch: ReturnType<typeof batchOf>, key: string | undefined): Generator<number> {
    if (!this.#faults.has('a shard adds to the same part for ever')) yield* slotsOfBatch(batch, key)
  }

  #shown(member: Member): number {
    const { map, shard } = member.custody.kept!
    const [open, ...closed] = map.partsOf(shard)
    const names =
      open === undefined ? [] : [this.#faults.has('a shard adds to the same part for ever') ? TOTAL_NAME : open, ...closed]
    return names.reduce((sum, name) => sum + Number(member.node.store.value(nameBytes(name))), 0)
  }
}

function kept({ custody }: Member): object {
  if (custody.kept === undefined) return { version: 0 }
  const { map, shard } = custody.kept
  return { ...map.plain(), shard }
}
