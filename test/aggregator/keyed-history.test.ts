// Keyed writes through several aggregators over replicas that know keys as real ones do: they refuse, lose answers, hang, fill up, and hear of each
// other late. Whatever happens, a write counts once when anybody was told that it is done, and never twice.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ShardGroup } from '../../lib/aggregator/group.ts'
import type { ShardCall } from '../../lib/aggregator/index.ts'
import type { Part } from '../../lib/aggregator/part.ts'
import { type Behaviour, Network, ok, problem } from './network.ts'

const test = suite('aggregator/keyed-history')

const URLS = ['http://a', 'http://b', 'http://c'] as const
const DIGESTS = [0, 1, 2, 3].map((byte) => Uint8Array.of(byte, 7, 7))
const CALL = { method: 'POST', path: '/v1/increments', headers: { 'idempotency-key': 'k' }, body: '{}' } as const
const TIMEOUT_MS = 2000

const FAULTS = [
  'well',
  'refuses',
  'drops',
  'loses',
  'hangs before',
  'hangs after',
  'is busy',
  'fails before',
  'fails after',
] as const
type Fault = (typeof FAULTS)[number]

/** A replica of one key: whether it has counted it, whether it can take that back, and whether it has heard of the key from another one. */
class KeyedReplica {
  counted: 'no' | 'for now' | 'for good' = 'no'
  knows = false
  /** Keeps as many writes as it may that it can take back. */
  isFull = false
  /** What happens to its next requests; then it is well. */
  readonly faults: Fault[] = []

  behave(call: ShardCall): Behaviour {
    const fault = this.faults.shift() ?? 'well'
    if (fault === 'refuses') return 'refuse'
    if (fault === 'drops') return 'break'
    if (fault === 'hangs before') return 'hang'
    if (fault === 'is busy') return problem(503)
    if (fault === 'fails before') return problem(500, 'unknown')
    const reply = this.#count(call.headers['counter-failover'] === 'true')
    if (fault === 'loses') return 'break'
    if (fault === 'hangs after') return 'hang'
    return fault === 'fails after' ? problem(500, 'unknown') : reply
  }

  #count(failover: boolean): Behaviour {
    if (this.knows) return ok('{}', { 'idempotency-replayed': 'true' })
    if (this.isFull && failover) return problem(503, 'no', 'writes-unsettled')
    this.knows = true
    this.counted = this.isFull ? 'for good' : 'for now'
    return ok()
  }
}

interface Step {
  readonly aggregator: number
  readonly faults: readonly (readonly Fault[])[]
  readonly full: readonly boolean[]
  /** Who hears of the key from somebody after the attempt. */
  readonly hears: readonly boolean[]
  /** Which replicas the aggregator takes to be down. */
  readonly down: readonly boolean[]
}

const three = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 3, maxLength: 3 })
const step: fc.Arbitrary<Step> = fc.record({
  aggregator: fc.nat(2),
  faults: three(fc.array(fc.constantFrom(...FAULTS), { maxLength: 4 })),
  full: three(fc.boolean()),
  hears: three(fc.boolean()),
  down: three(fc.boolean()),
})
const histories = fc.tuple(fc.constantFrom(...DIGESTS), fc.array(step, { minLength: 1, maxLength: 6 }))

/** Runs attempts until one is done, as a client repeats them. @param strip plants a fault: no replica is told that it is not the first */
async function run(digest: Uint8Array, steps: readonly Step[], strip: boolean) {
  const network = new Network()
  const replicas = URLS.map(() => new KeyedReplica())
  for (const [index, url] of URLS.entries()) {
    network.does(url, (call) => replicas[index]!.behave(strip ? { ...call, headers: {} } : call))
  }
  // Each names the replicas in an order of its own.
  const groups = [[...URLS], URLS.toReversed(), [URLS[1], URLS[2], URLS[0]]].map(
    (urls) => new ShardGroup({ shard: 0, replicas: urls.map((url) => network.replica(url)), clock: network.clock, hedgeMs: 0 }),
  )
  const parts: Part[] = []
  for (const { aggregator, faults, full, hears, down } of steps) {
    const group = groups[aggregator]!
    for (const [index, replica] of replicas.entries()) {
      replica.faults.splice(0, Infinity, ...faults[index]!)
      replica.isFull = full[index]!
    }
    for (const replica of group.replicas)
      replica.set(down[URLS.indexOf(replica.url as 'http://a')]! ? 'down' : 'up', 'the test says so')
    const before = network.asked.length
    const counted = replicas.filter((replica) => replica.counted !== 'no').length
    const part = await network.until(group.keyed(CALL, digest, TIMEOUT_MS, 0).write())
    const nowCounted = replicas.filter((replica) => replica.counted !== 'no').length
    parts.push(part)
    // Nothing was counted in this attempt when that is said.
    if (part.state === 'unsent' || part.state === 'refused') assert.is(nowCounted, counted, `${part.state}, and it has counted`)
    const home = group.orderOf(digest)[0]!.url
    for (const { base, headers } of network.asked.slice(before)) {
      assert.is(headers['counter-failover'], base === home ? undefined : 'true', base)
    }
    if (part.state === 'done') break
    if (replicas.some(({ knows }) => knows)) for (const [index, replica] of replicas.entries()) replica.knows ||= hears[index]!
  }
  // When all have heard of each other those that can be taken back are, but for one when there is no other.
  const good = replicas.filter(({ counted }) => counted === 'for good').length
  const total = good > 0 ? good : Math.min(1, replicas.filter(({ counted }) => counted === 'for now').length)
  return { parts, total, several: replicas.filter(({ counted }) => counted !== 'no').length > 1 }
}

const options = { seed: Number(process.env.SEED ?? 1), numRuns: 3_000 }

test('whatever happens to replicas, what is done counts once, and nothing twice', async () => {
  const seen = { done: 0, unknown: 0, unsent: 0, several: 0 }
  await fc.assert(
    fc.asyncProperty(histories, async ([digest, steps]) => {
      const { parts, total, several } = await run(digest, steps, false)
      const isDone = parts.at(-1)!.state === 'done'
      if (isDone) assert.is(total, 1)
      else if (parts.some(({ state }) => state === 'unknown')) assert.ok(total <= 1, `it counts ${total} times`)
      else assert.is(total, 0)
      for (const { state } of parts) if (state in seen) seen[state as 'done']++
      if (several) seen.several++
    }),
    options,
  )
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 100, `void: ${what} ${times} times`)
})

test('without the word that another may have counted it, a write does count twice, and the check above finds that', async () => {
  const { failed } = await fc.check(
    fc.asyncProperty(histories, async ([digest, steps]) => (await run(digest, steps, true)).total <= 1),
    options,
  )
  assert.ok(failed)
})

test.run()
