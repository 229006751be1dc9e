// The parts of a keyed write that is sent again while slots move. Replicas of a shard tell by its bytes whether they have counted the same part, so
// under one key a shard gets the same bytes, whoever cuts them from whatever, unless its own slots have come or gone.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Calls, type WriteAsk } from '../../lib/aggregator/calls.ts'
import { ShardGroup } from '../../lib/aggregator/group.ts'
import type { ShardCall, ShardReply } from '../../lib/aggregator/index.ts'
import { split } from '../../lib/aggregator/pieces.ts'
import type { Prober } from '../../lib/aggregator/probe.ts'
import { Replica } from '../../lib/aggregator/replica.ts'
import { Steady } from '../../lib/aggregator/steady.ts'
import { Writes } from '../../lib/aggregator/writes.ts'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { freeze, handOver, release, SlotMap } from '../../lib/cluster/index.ts'
import { Tally } from '../../lib/text/index.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { ok, problem } from './network.ts'

const test = suite('aggregator/steady')
const TARGET = { method: 'POST', path: '/v1/increments' } as const
const ASK: WriteAsk = {
  id: 'r',
  session: new Map(),
  once: { key: 'k', fingerprint: new Uint8Array(32) },
  level: undefined,
}
const hash = createNameHash(seededRandom(1))
const [SOURCE, TARGET_SHARD, ASIDE] = [0, 1, 2]
const FIRST = SlotMap.even(3)
const ranges = [[0, 3_000]] as const
const FROZEN = freeze(FIRST, { ranges, from: SOURCE, to: TARGET_SHARD }, { sender: 1, receiver: 1 })
const MOVED = release(handOver(FROZEN, 0, 1000))

/** What each shard is sent by key, in one request of a client that begins with one map and goes on with the other. */
async function sent(tally: Tally, before: SlotMap, after = before): Promise<Map<string, string>[]> {
  const clock = new VirtualClock()
  const calls = new Calls(before, undefined)
  const bodies = FIRST.ranges.map(() => new Map<string, string>())
  const answer = (shard: number, call: ShardCall): ShardReply => {
    if (call.path.startsWith('/v1/shard/questions')) return ok('{"versions":[],"pieces":false,"body":""}')
    bodies[shard]!.set(call.headers['idempotency-key']!, new TextDecoder().decode(call.body as Uint8Array))
    return calls.map === after ? ok() : problem(503, 'no', 'slots-frozen')
  }
  const groups = FIRST.ranges.map((_, shard) => {
    const transport = { call: async (_: string, call: ShardCall) => answer(shard, call) }
    const replica = new Replica({ url: `http://${shard}`, transport, clock, connectionsMax: 4 })
    replica.set('up', '')
    return new ShardGroup({ shard, replicas: [replica], clock, hedgeMs: 0 })
  })
  const writes = new Writes({ calls, groups, timeoutMs: 1000, writeTimeoutMs: 1000, turn: 0, onTotal: () => {} })
  const prober = {
    look: async () => {
      calls.map = after
      for (const own of bodies) own.clear()
    },
  } as unknown as Prober
  const steps = split(tally, before)
  let step = steps.next()
  while (!step.done) step = steps.next()
  const parts = await new Steady({ calls, groups, writes, prober, timeoutMs: 1000, clock }).send(step.value, TARGET, ASK)
  assert.ok(parts.every(({ state }) => state === 'done'))
  return bodies
}

function tallyOf(names: readonly string[]): Tally {
  const tally = new Tally({ hash, nameBytesMax: 4096 })
  for (const name of names) tally.add(name, name.length % 3)
  return tally
}

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8, unit: 'binary' }),
  fc.constantFrom('\n', 'a\tb', '"', '\u0000', '\\'),
)
const options = { seed: Number(process.env.SEED ?? 1), numRuns: 100 }

test('a request that began before slots moved and its retry send the same bytes under the same keys', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 40 }), async (names) => {
      const tally = tallyOf(names)
      assert.equal(await sent(tally, FIRST, MOVED), await sent(tally, MOVED))
    }),
    options,
  )
})

test('a shard that no slot has come to or left is sent what it was sent before', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 40 }), async (names) => {
      const tally = tallyOf(names)
      assert.equal((await sent(tally, MOVED))[ASIDE], (await sent(tally, FIRST))[ASIDE])
    }),
    options,
  )
})

test('so it is where the names of a shard are more than go in one piece', async () => {
  const tally = tallyOf(Array.from({ length: 40_000 }, (_, index) => `n${index}`))
  const retry = await sent(tally, MOVED)
  assert.ok([...retry[ASIDE]!.keys()].length > 1)
  assert.equal(retry[ASIDE], (await sent(tally, FIRST))[ASIDE])
  assert.equal(await sent(tally, FIRST, MOVED), retry)
})

test.run()
