// Batches of items that all nodes keep or none, on real processes: kill -9 of the coordinator or of a member at every step of prepare and commit,
// held at that step by the proxies between the nodes; then kills at random under clients. On every node at every read a batch is there as a
// whole or not at all.
// time limit: 900 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import type { Conditions } from '../support/fault-proxy.ts'
import { metricOf, until } from './asking.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/acceptance')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

const ITEMS = 50
/** Long ids, so that a batch is told from all else that a proxy holds. */
const ID_LENGTH = 400
const BATCH_BYTES = ITEMS * ID_LENGTH
const ACCEPT_MS = 2000
/** What a link may be like between two kills. */
const LINKS: ReadonlyArray<Partial<Conditions>> = [
  {},
  {},
  { there: 'swallow', back: 'swallow' },
  { back: 'hold' },
  { resetPermille: 200 },
  { delayMs: 10, jitterMs: 50 },
]
/** Kills under clients. */
const KILLS = Number(process.env.KILLS ?? 8)
/** On a slow machine there are so many times as many. */
const LONGER_MAX = 5
/** Batches that are sent until one comes to its step. */
const ATTEMPTS_MAX = 5

const ENV = {
  COUNTER_FSYNC: 'always',
  COUNTER_LOG_LEVEL: 'warn',
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '60s',
  COUNTER_JOIN_TIMEOUT: '500ms',
  COUNTER_WRITE_TIMEOUT: '2s',
  COUNTER_ITEMS_ACCEPT_TIMEOUT: `${ACCEPT_MS}ms`,
}

interface Sent {
  readonly tenant: string
  /** Of performance.now(). */
  readonly startMs: number
  outcome: 'unknown' | 'acknowledged' | 'refused'
  /** There is an answer, or none will come. */
  isOver: boolean
  accept: string | null
  /** What the answer said, for who looks for why. */
  said: string
}

let named = 0
const sent: Sent[] = []

/** Sends a batch under a tenant of its own. Resolves when there is an answer, or none will come. */
async function send(node: ClusterNode, accept: 'majority' | 'all', key?: string): Promise<Sent> {
  const tenant = `tenant-${named++}`
  const batch: Sent = { tenant, startMs: performance.now(), outcome: 'unknown', isOver: false, accept: null, said: '' }
  sent.push(batch)
  const items = Array.from({ length: ITEMS }, (_, index) => ({ id: `${tenant}-${index}`.padEnd(ID_LENGTH, 'x'), tenant }))
  try {
    const reply = await fetch(`http://127.0.0.1:${node.publicPort}/v1/items?accept=${accept}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key && { 'idempotency-key': key }) },
      body: JSON.stringify({ items }),
    })
    const body = (await reply.json()) as { applied?: string; detail?: string }
    batch.said = body.detail ?? ''
    batch.accept = reply.headers.get('counter-accept')
    if (reply.status === 200) batch.outcome = 'acknowledged'
    else if (body.applied === 'no') batch.outcome = 'refused'
  } catch {
    // The node died.
  }
  batch.isOver = true
  return batch
}

async function countOf({ publicPort }: ClusterNode, { tenant }: Sent): Promise<number> {
  const reply = await fetch(`http://127.0.0.1:${publicPort}/v1/tenants/${tenant}/count`)
  const { count } = (await reply.json()) as { count: number }
  assert.ok(count === 0 || count === ITEMS, `${tenant} is there in part: ${count} of ${ITEMS}`)
  return count
}

const countsOf = (nodes: readonly ClusterNode[], batch: Sent) => Promise.all(nodes.map((node) => countOf(node, batch)))
const promisesOf = ({ process }: ClusterNode) => metricOf(process!, 'counter_items_promises')
const everywhere = (counts: readonly number[]): boolean => counts.every((count) => count === ITEMS)

/** All nodes agree about all batches: each is everywhere or nowhere, as its outcome says. */
async function conclude({ nodes }: Cluster, what: string): Promise<void> {
  await until(
    `${what}: no promise is left`,
    () => Promise.all(nodes.map(promisesOf)),
    (left) => left.every((count) => count === 0),
  )
  for (const batch of sent) {
    const counts = await until(
      `${what}: the nodes agree about ${batch.tenant}`,
      () => countsOf(nodes, batch),
      (all) => new Set(all).size === 1,
    )
    if (batch.outcome === 'acknowledged') assert.is(counts[0], ITEMS, `${what}: ${batch.tenant} was acknowledged`)
    if (batch.outcome === 'refused') assert.is(counts[0], 0, `${what}: ${batch.tenant} was refused`)
  }
}

interface Held {
  readonly cluster: Cluster
  readonly batch: Promise<Sent>
}

/** A batch on its way, stopped at a step. The coordinator is the first node. */
type Step = (cluster: Cluster) => Promise<Held>

/** The last batch was given up, as its time was over, before it had come to its step. */
class LateError extends Error {}

/** As `until`, for the last batch, unless that is given up meanwhile. */
async function untilReached<T>(what: string, ask: () => T | Promise<T>, holds: (answer: T) => boolean): Promise<void> {
  const isLate = (): boolean => sent.at(-1)!.isOver && sent.at(-1)!.outcome !== 'acknowledged'
  await until(what, ask, (answer) => isLate() || holds(answer))
  if (isLate()) throw new LateError(what)
}

/** Sends batches until one is stopped at its step: a machine that is busy may be too late with one. */
async function reach(step: Step): Promise<Held> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step(cluster)
    } catch (error) {
      if (!(error instanceof LateError) || attempt === ATTEMPTS_MAX) throw error
      cluster.heal()
      await conclude(cluster, `${error.message}: too late`)
    }
  }
}

/** Waits until each of the proxies holds a batch. */
async function untilHeld(nodes: readonly ClusterNode[], before: readonly number[], bytes: number): Promise<void> {
  await untilReached(
    'the batch is held',
    () => nodes.map(({ proxy }, index) => proxy.counts.heldBytes - before[index]!),
    (held) => held.every((count) => count >= bytes),
  )
}

const prepareIsUnderWay: Step = async (cluster) => {
  const others = cluster.nodes.slice(1)
  const before = others.map(({ proxy }) => proxy.counts.heldBytes)
  for (const { proxy } of others) proxy.set({ there: 'hold' })
  const batch = send(cluster.nodes[0]!, 'all')
  await untilHeld(others, before, BATCH_BYTES)
  return { cluster, batch }
}

const promiseIsUnderWay: Step = async (cluster) => {
  const [, ...others] = cluster.nodes
  for (const { proxy } of others) proxy.set({ back: 'hold' })
  const batch = send(cluster.nodes[0]!, 'all')
  await untilReached(
    'all have promised',
    () => Promise.all(others.map(promisesOf)),
    (all) => all.every((count) => count === 1),
  )
  return { cluster, batch }
}

/** The second node is told, the third is not. */
const commitIsUnderWay: Step = async (cluster) => {
  const [coordinator, second, third] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
  const held = await promiseIsUnderWay(cluster)
  // Nobody can ask the coordinator for it, and nobody the second.
  coordinator.proxy.set({ there: 'hold', back: 'hold' })
  second.proxy.set({})
  third.proxy.set({ there: 'hold' })
  await untilReached(
    'it is decided',
    () => countOf(coordinator, sent.at(-1)!),
    (count) => count === ITEMS,
  )
  await untilReached(
    'the second has it',
    () => countOf(second, sent.at(-1)!),
    (count) => count === ITEMS,
  )
  return held
}

/** It is decided, and nobody has been told. */
const decided: Step = async (cluster) => {
  const [coordinator, ...others] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
  const held = await promiseIsUnderWay(cluster)
  coordinator.proxy.set({ there: 'hold', back: 'hold' })
  for (const { proxy } of others) proxy.set({ there: 'hold' })
  await untilReached(
    'it is decided',
    () => countOf(coordinator, sent.at(-1)!),
    (count) => count === ITEMS,
  )
  return held
}

const confirmationIsUnderWay: Step = async (cluster) => {
  const [coordinator, ...others] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
  const held = await decided(cluster)
  for (const { proxy } of others) proxy.set({ there: 'open', back: 'hold' })
  await untilReached('all have it', () => countsOf([coordinator, ...others], sent.at(-1)!), everywhere)
  return held
}

const STEPS: ReadonlyArray<readonly [name: string, step: Step]> = [
  ['a prepare is on its way', prepareIsUnderWay],
  ['the promises are on their way', promiseIsUnderWay],
  ['it is decided, and nobody has been told', decided],
  ['one has been told', commitIsUnderWay],
  ['the confirmations are on their way', confirmationIsUnderWay],
]

let cluster: Cluster

test.before(async () => {
  cluster = await Cluster.start({ nodes: 3, random, env: ENV, command: await buildCounter() })
  await until(
    'all are members',
    () => Promise.all(cluster.nodes.map(({ process }) => metricOf(process!, 'counter_cluster_members', 'state="alive"'))),
    (all) => all.every((count) => count === 3),
  )
})

test.after(() => cluster.close())

// One that fails does not fail the others.
test.before.each(async () => {
  cluster.heal()
  for (const node of cluster.nodes) if (node.process === undefined) await cluster.start(node)
})

test('a batch that all accept is on all when it is answered', async () => {
  // A machine that is busy may be late.
  const batch = await until(
    'all accept',
    () => send(cluster.nodes[0]!, 'all'),
    ({ outcome }) => outcome === 'acknowledged',
  )
  assert.is(batch.accept, 'all; accepted=3; members=3')
  assert.ok(everywhere(await countsOf(cluster.nodes, batch)))
  await conclude(cluster, 'all accept')
})

for (const [name, step] of STEPS) {
  for (const [who, index] of [
    ['the coordinator', 0],
    ['the second node', 1],
    ['the third node', 2],
  ] as const) {
    test(`kill -9 of ${who} while ${name}`, async () => {
      const { batch } = await reach(step)
      const victim = cluster.nodes[index]!
      const living = cluster.nodes.filter((node) => node !== victim)
      await cluster.end(victim)
      const endMs = performance.now()
      cluster.heal()
      const { tenant, startMs, outcome } = await batch
      const own = sent.find((other) => other.tenant === tenant)!
      // Later than that it may have been answered before.
      if (index === 0 && endMs - startMs < ACCEPT_MS) assert.is(outcome, 'unknown')
      // What is held of a connection that breaks arrives, or not.
      const isOpen = step === promiseIsUnderWay && index !== 0
      if (step === prepareIsUnderWay || (step === promiseIsUnderWay && outcome !== 'acknowledged')) {
        // Nothing was decided: those that have promised forget it.
        if (index !== 0) assert.is(outcome, 'refused')
        await until(
          'promises end',
          () => Promise.all(living.map(promisesOf)),
          (left) => left.every((count) => count === 0),
        )
        assert.equal(await countsOf(living, own), [0, 0])
      } else if (step !== decided || index !== 0) {
        // A promise that was given holds, and somebody who lives has it: the others get it, also without the coordinator.
        if (index !== 0 && !isOpen) assert.is(outcome, 'acknowledged')
        await until('the living have it', () => countsOf(living, own), everywhere)
      }
      await cluster.start(victim)
      if (step === decided && index === 0) await until('what was decided is kept', () => countsOf(cluster.nodes, own), everywhere)
      await conclude(cluster, `${who}, ${name}`)
    })
  }
}

type Tally = Record<Sent['outcome'], number>

/** What became of the batches from this one on. */
function tallyOf(first: number): Tally {
  const tally: Tally = { acknowledged: 0, refused: 0, unknown: 0 }
  for (const { outcome } of sent.slice(first)) tally[outcome]++
  return tally
}

test(`no batch is there in part, and none is lost, in ${KILLS} kills under clients`, async () => {
  const { nodes } = cluster
  let isOver = false
  const clients = nodes.flatMap((node) =>
    (['all', 'majority'] as const).map(async (accept) => {
      while (!isOver) {
        const { outcome } = await send(node, accept)
        await pause(outcome === 'acknowledged' ? 30 : 150)
      }
    }),
  )
  const reader = (async () => {
    while (!isOver) {
      for (const node of nodes) {
        const reads = sent.slice(-12).map((batch) => countOf(node, batch))
        for (const read of await Promise.allSettled(reads)) {
          // Who is down does not answer.
          if (read.status === 'rejected' && read.reason instanceof assert.Assertion) throw read.reason
        }
      }
      await pause(5)
    }
  })()
  const first = sent.length
  const isVoid = ({ acknowledged, refused }: Tally): boolean => acknowledged <= KILLS || refused === 0
  // On a slow machine it takes more kills until enough was sent between them.
  let kills = 0
  for (; kills < KILLS || (kills < LONGER_MAX * KILLS && isVoid(tallyOf(first))); kills++) {
    await pause(100 + below(400))
    const node = nodes[below(nodes.length)]!
    for (const { proxy } of nodes) proxy.set(LINKS[below(LINKS.length)]!)
    await cluster.end(node)
    await pause(below(300))
    await cluster.start(node)
  }
  isOver = true
  cluster.heal()
  await Promise.all([...clients, reader])
  await conclude(cluster, 'kills under clients')
  console.log(JSON.stringify({ kills, ...tallyOf(first) }))
  assert.not(isVoid(tallyOf(first)), `void: ${JSON.stringify(tallyOf(first))}`)
})

test.run()
