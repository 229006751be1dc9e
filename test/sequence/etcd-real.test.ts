// The etcd engine on a real etcd of three members: as every engine, and through deaths, pauses, cuts and delays of members.

import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { EtcdKv, type EtcdSequencer } from '../../lib/sequence/index.ts'
import { type Etcd, type EtcdMember, etcdProgram, startEtcd } from '../support/etcd.ts'
import { conformance, refusal, type World } from './conformance.ts'
import { enginesOn, runClients } from './etcd-cluster.ts'
import { checkHistory, type Seen } from './history.ts'

const SEED = Number(process.env.SEED ?? 1)
const CLIENTS = 24

let etcd: Etcd
let worlds = 0
const open: EtcdSequencer[] = []

/** Engines under a prefix of their own. */
function engines(count = 3): EtcdSequencer[] {
  const made = enginesOn(etcd, count, `w${++worlds}/`)
  open.push(...made)
  return made
}

const test = suite('sequence/etcd-real')

test.before(async () => {
  if (etcdProgram.present) etcd = await startEtcd({ random: seededRandom(SEED) })
})
test.after(async () => {
  await Promise.all(open.map((engine) => engine.close()))
  if (etcdProgram.present) await etcd.close()
})

const conforming = suite('sequence/etcd-real as every engine')
if (etcdProgram.present) {
  conformance(test, async (): Promise<World> => {
    const nodes = engines()
    return {
      nodes,
      keyTtlMs: 3_600_000,
      settle: (promise) => promise,
      end: async () => {
        await Promise.all(nodes.map((node) => node.close()))
      },
    }
  })
} else etcdProgram.test(conforming, 'conformance', () => {})
conforming.run()

/** Something happens to the leader, or to another member, for a while, under load. */
const TROUBLES: [what: string, begin: (member: EtcdMember) => unknown, end: (member: EtcdMember) => unknown][] = [
  ['is killed and started again', (member) => member.kill(), (member) => member.start()],
  ['is paused', (member) => member.pause(), (member) => member.resume()],
  ['is cut off from the nodes', ({ proxy }) => proxy.cut(), ({ proxy }) => proxy.heal()],
  ['is cut off from the members that send to it', ({ peerProxy }) => peerProxy.cut(), ({ peerProxy }) => peerProxy.heal()],
  ['loses what it answers', ({ proxy }) => proxy.set({ back: 'swallow' }), ({ proxy }) => proxy.heal()],
  ['is slow', ({ proxy }) => proxy.set({ delayMs: 80, jitterMs: 200 }), ({ proxy }) => proxy.heal()],
  ['breaks connections off', ({ proxy }) => proxy.set({ resetPermille: 200 }), ({ proxy }) => proxy.heal()],
]

etcdProgram.test(test, 'numbers are given once, in order, without a gap, whatever happens to a member', async () => {
  const nodes = engines()
  const random = seededRandom(SEED)
  const trouble = async (): Promise<void> => {
    for (const [index, [, begin, end]] of TROUBLES.entries()) {
      await wait(300)
      const leader = await etcd.leader()
      const member = index % 3 === 2 ? etcd.members.find((other) => other !== leader)! : leader
      await begin(member)
      await wait(1200)
      await end(member)
    }
  }
  const forMs = TROUBLES.length * 1600 + 1500
  const [history] = await Promise.all([
    runClients(nodes, { name: 'a', clients: CLIENTS, forMs, callsMin: 1500, random }),
    trouble(),
  ])
  await etcd.ready()
  assert.equal(checkHistory(history, await nodes[0]!.get('a')), [])
  const taken = history.flatMap((seen) => (seen.kind === 'next' ? [seen] : []))
  const failed = taken.filter(({ outcome }) => typeof outcome === 'string').length
  assert.ok(taken.length > 1000, `${taken.length} calls are too few to show anything`)
  assert.ok(failed < taken.length / 20, `${failed} of ${taken.length} calls failed, though a majority was there`)
})

etcdProgram.test(test, 'without a majority there is no number; with it again, they go on', async () => {
  const nodes = engines()
  await nodes[0]!.next('a')
  const leader = await etcd.leader()
  const others = etcd.members.filter((member) => member !== leader)
  await others[0]!.kill()
  const hurt = await nodes[0]!.status()
  assert.equal([hurt.reachable, hurt.faultTolerant], [true, false])
  assert.match(hurt.detail, new RegExp(`does not reach ${others[0]!.name}`))
  others[0]!.start()
  await etcd.ready()
  for (const member of others) member.pause()
  const refused = await refusal(nodes[0]!.next('a', { key: 'k' }))
  assert.match(refused.code, /SEQUENCE_(UNKNOWN|UNAVAILABLE)/)
  assert.ok(refused.fix)
  assert.is((await refusal(nodes[1]!.get('a'))).code, 'SEQUENCE_UNAVAILABLE', 'no value that may be old')
  assert.is((await nodes[0]!.status()).reachable, false)
  for (const member of others) member.resume()
  await etcd.ready()
  const { first } = await nodes[1]!.next('a', { key: 'k' })
  assert.is(first, 2)
  assert.is(await nodes[2]!.get('a'), 2)
  const status = await nodes[0]!.status()
  assert.equal([status.reachable, status.faultTolerant, status.members?.length], [true, true, 3])
  assert.is(status.leader, (await etcd.leader()).name)
})

etcdProgram.test(test, 'where nobody listens, that is said at the end of the time', async () => {
  const kv = new EtcdKv({ endpoints: ['http://127.0.0.1:1'], deadlineMs: 1000, clock: systemClock })
  const [engine] = enginesOn(etcd, 1, 'nobody/', { kv, timeoutMs: 500 })
  const error = await refusal(engine!.next('a'))
  assert.is(error.code, 'SEQUENCE_UNAVAILABLE')
  assert.match(error.message, /cannot be reached/)
  assert.is((await engine!.status()).reachable, false)
  await engine!.close()
})

etcdProgram.test(test, 'the checker sees reads that a paused member answers with what it had', async () => {
  const nodes = engines()
  const leader = await etcd.leader()
  const behind = etcd.members.find((member) => member !== leader)!
  await nodes[0]!.next('a', { count: 10 })
  // What such a read is: one that asks no majority, by a member that the others no longer reach.
  const stales: Seen[] = []
  const stale = async (): Promise<Seen> => {
    const startMs = performance.now()
    const key = Buffer.from(`w${worlds}/value/a`).toString('base64')
    const reply = await fetch(`http://127.0.0.1:${behind.port}/v3/kv/range`, {
      method: 'POST',
      body: JSON.stringify({ key, serializable: true }),
    })
    const { kvs } = (await reply.json()) as { kvs?: { value: string }[] }
    const { value } = kvs === undefined ? { value: 0 } : JSON.parse(Buffer.from(kvs[0]!.value, 'base64').toString())
    stales.push({ kind: 'get', startMs, endMs: performance.now(), value })
    return stales.at(-1)!
  }
  const history: Seen[] = [{ kind: 'next', startMs: 0, endMs: 0, count: 10, outcome: { first: 1, last: 10, replayed: false } }]
  // How soon a member catches up is its own affair, so there is more than one try.
  for (let tries = 0, isOld = false; !isOld; tries++) {
    assert.ok(tries < 20, 'the member that was paused was never behind')
    behind.pause()
    history.push(
      ...(await runClients([nodes[0]!], { name: 'a', clients: 8, forMs: 200, callsMin: 20, random: seededRandom(tries) })),
    )
    const read = stale()
    behind.resume()
    history.push(await read)
    isOld = checkHistory(history, await nodes[0]!.get('a')).length > 0
  }
  await etcd.ready()
  const final = await nodes[0]!.get('a')
  assert.match(checkHistory(history, final).join(), /the value \d+, asked for at .* came after/)
  const sound = history.filter((seen) => !(seen.kind === 'get' && stales.includes(seen)))
  assert.equal(checkHistory(sound, final), [], 'without those reads all is well')
})

etcdProgram.test(test, 'the checker sees numbers that were swapped', async () => {
  const nodes = engines()
  const history = await runClients(nodes, { name: 'a', clients: 4, forMs: 1000, callsMin: 100, random: seededRandom(SEED) })
  const final = await nodes[0]!.get('a')
  assert.equal(checkHistory(history, final), [])
  const plain = history.flatMap((seen) => (seen.kind === 'next' && seen.key === undefined && seen.count === 1 ? [seen] : []))
  const one = plain[0]!
  const other = plain.find(({ startMs }) => startMs > one.endMs)!
  const swapped = history.map((seen) =>
    seen === one ? { ...one, outcome: other.outcome } : seen === other ? { ...other, outcome: one.outcome } : seen,
  )
  assert.match(checkHistory(swapped, final).join(), /came after/)
})

test.run()
