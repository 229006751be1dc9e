// Items per tenant: what a change and a merge cost in memory beside two Maps, what an item takes in memory, on disk and on the wire, how long the
// event loop is held up while a million come in, and what batches cost a server beside Redis, with its log flushed before each reply and one
// pipelined SADD an item. In CPU time, as the machine may be shared. ITEMS=100000 makes it shorter.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { DecodedDelta, type ItemChange, Replica, VersionVector } from '../../lib/storage/index.ts'
import { itemsOf, TENANTS, tenantOf } from './items.ts'
import { openStore, reply } from './open-store.ts'
import { build, cpuSeconds, load, residentBytes, type Server, startCounter, startRedis } from './server.ts'

const ITEMS = Number(process.env.ITEMS ?? 1_000_000)
const BATCH = 1000
/** Items that a request may have. */
const LARGEST = 10_000
const ROUNDS = 3
const hash = createNameHash(seededRandom(1))
const verdict = (met: boolean): string => (met ? 'met' : 'MISSED')
const perSecond = (items: number, seconds: number): string => `${(items / seconds / 1e6).toFixed(2)} M/s`.padStart(9)

/** Batches as a server gets them: just read from JSON, and not kept. */
function* batches(tenant?: typeof tenantOf): Generator<ItemChange[], void> {
  for (let first = 0; first < ITEMS; first += BATCH)
    yield JSON.parse(JSON.stringify(itemsOf(first, BATCH, tenant))) as ItemChange[]
}

/** CPU seconds of this process that `task` takes for all the batches; making them does not count. */
function cpuOf<T>(all: Iterable<T>, task: (batch: T) => void): number {
  let micros = 0
  for (const batch of all) {
    const before = process.cpuUsage()
    task(batch)
    const { user, system } = process.cpuUsage(before)
    micros += user + system
  }
  return micros / 1e6
}

function inProcess(): void {
  console.log(`\n${ITEMS} items of ${TENANTS} tenants in batches of ${BATCH}, in process, best of ${ROUNDS}`)
  const best = new Map<string, number>()
  const note = (what: string, seconds: number): void => void best.set(what, Math.min(seconds, best.get(what) ?? Infinity))
  let bytes = { memory: 0, log: 0, wire: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const tenants = new Map<string, string>()
    const counts = new Map<string, number>()
    note(
      'two Maps, new items',
      cpuOf(batches(), (batch) => changeMaps(tenants, counts, batch)),
    )

    const replica = newReplica(1)
    const writer = new ByteWriter(1 << 20)
    let logBytes = 0
    const change = (batch: ItemChange[]): void => {
      writer.length = 0
      replica.changeItems(batch, 1e12, writer)
      logBytes += writer.length
    }
    note('change, new items', cpuOf(batches(), change))
    bytes = { ...bytes, memory: replica.byteLength, log: logBytes }
    note(
      'change, moved to another tenant',
      cpuOf(
        batches((number) => tenantOf(number + 1)),
        change,
      ),
    )

    const other = newReplica(2)
    const delta = new DecodedDelta()
    const join = (piece: Uint8Array): void => {
      delta.decode(new ByteReader(piece, 0, piece.length, 'DELTA_INVALID', 'delta'))
      other.merge(delta)
    }
    const pieces: Uint8Array[] = []
    for (const { delta: piece } of replica.since(new VersionVector())) pieces.push(piece.slice())
    bytes.wire = pieces.reduce((sum, { length }) => sum + length, 0)
    note('merge, new items', cpuOf(pieces, join))
    note('merge, known items', cpuOf(pieces, join))
  }
  const baseline = best.get('two Maps, new items')!
  for (const [what, seconds] of best) {
    const each = `${((seconds / ITEMS) * 1e9).toFixed(0).padStart(4)} ns each`
    console.log(`  ${what.padEnd(34)} ${perSecond(ITEMS, seconds)}   ${each}   ${(baseline / seconds).toFixed(2)}x`)
  }
  console.log(`  target at least 1 M new items a CPU second: ${verdict(ITEMS / best.get('change, new items')! >= 1e6)}`)
  const each = (total: number): string => (total / ITEMS).toFixed(1)
  console.log(
    `  an item takes ${each(bytes.memory)} bytes in memory, ${each(bytes.log)} in the log, ${each(bytes.wire)} on the wire to a new node`,
  )
}

const newReplica = (node: number): Replica => new Replica({ self: { node, incarnation: 1 }, hash, namesMax: 0, itemsMax: 0 })

/** The same with what JavaScript has. */
function changeMaps(tenants: Map<string, string>, counts: Map<string, number>, batch: readonly ItemChange[]): void {
  for (const { id, tenant = '' } of batch) {
    const before = tenants.get(id)
    if (before !== undefined) counts.set(before, counts.get(before)! - 1)
    tenants.set(id, tenant)
    counts.set(tenant, (counts.get(tenant) ?? 0) + 1)
  }
}

const nextTurn = (): Promise<void> => new Promise((next) => setImmediate(next))

/** How long the event loop is held up while `task` runs, in milliseconds beyond the timer's own step. */
async function delayOf(task: () => Promise<unknown>): Promise<{ p99: number; longest: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await task()
  delay.disable()
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1)
  return { p99: beyond(delay.percentile(99)), longest: beyond(delay.max) }
}

/** What the machine makes of a program that never waits. */
async function spin(): Promise<void> {
  for (const endMs = performance.now() + 2000; performance.now() < endMs; await nextTurn()) {
    for (const turnMs = performance.now() + 1; performance.now() < turnMs; );
  }
}

/** Does the work, and notes how long it held this thread up, from above: neither the time that others ran nor the work of other threads counts. */
function held<T>(times: number[], work: () => T): T {
  const [started, cpu] = [performance.now(), process.cpuUsage()]
  const result = work()
  const { user, system } = process.cpuUsage(cpu)
  times.push(Math.min(performance.now() - started, (user + system) / 1000))
  return result
}

async function inStore(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'counter-bench-'))
  try {
    const store = await openStore(directory, hash)
    const bodies = batches()
    const turns: number[] = []
    // As many requests that are under way at once: what one brings is read in a turn of its own.
    const writer = async (): Promise<void> => {
      for (const batch of bodies) {
        await held(turns, () => store.changeItems(batch, reply))
        await nextTurn()
      }
    }
    const before = process.cpuUsage()
    const delay = await delayOf(() => Promise.all([writer(), writer(), writer(), writer()]))
    const { user, system } = process.cpuUsage(before)
    const machine = await delayOf(spin)
    await store.snapshot()
    const { snapshotBytes, items } = store.status()
    const rate = perSecond(ITEMS, (user + system) / 1e6).trim()
    console.log(`${items} items in batches of ${BATCH}, four at a time, durable each: ${rate} of CPU, making them included`)
    turns.sort((a, b) => a - b)
    const at = (share: number): number => turns[Math.min(turns.length - 1, Math.floor(turns.length * share))]!
    const held99 = `p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, longest ${at(1).toFixed(1)} ms`
    console.log(`  a batch holds the event loop up ${held99}   target p99 10 ms: ${verdict(at(0.99) <= 10)}`)
    console.log(`  event-loop delay ${shown(delay)}; of turns of 1 ms that do nothing ${shown(machine)}`)
    console.log(`  the largest batch, ${LARGEST} new items, holds it up ${largestTurn().toFixed(1)} ms`)
    console.log(`  an item takes ${(snapshotBytes / ITEMS).toFixed(1)} bytes in a snapshot`)
    await store.close()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const shown = ({ p99, longest }: { p99: number; longest: number }): string =>
  `p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`

/** Milliseconds that a batch as large as the API takes holds the loop up, at best. */
function largestTurn(): number {
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const batch = itemsOf(2e9 + round * LARGEST, LARGEST)
    const replica = newReplica(3)
    held(times, () => replica.changeItems(batch, 1e12, new ByteWriter(1 << 20)))
  }
  return Math.min(...times)
}

interface Rate {
  readonly items: number
  readonly requests: number
}

type Kind = 'items' | 'sadd' | 'count' | 'scard'

/** Units a CPU second of the server. @param first number of the first item */
async function rate(server: Server, kind: Kind, requests: number, size: number, first = 0): Promise<Rate> {
  const before = cpuSeconds(server.pid)
  const done = await load(kind, server.port, requests, size, first)
  const seconds = cpuSeconds(server.pid) - before
  return { items: done.words / seconds, requests: done.requests / seconds }
}

const better = (rate: Rate, other: Rate): Rate => (other.items > rate.items ? other : rate)
const NONE: Rate = { items: 0, requests: 0 }

async function overHttp(): Promise<void> {
  build()
  const counter = await startCounter()
  const redis = await startRedis(true, 6393)
  if (redis === undefined) console.log('\nredis-server is not installed: measured without it')
  try {
    await load('items', counter.port, 200, BATCH, 1e9)
    const atStart = [counter, redis].map((server) => (server === undefined ? 0 : residentBytes(server.pid)))
    let sent = 0
    for (const size of [1000, 100, 10]) sent += await compareBatches(counter, redis, size, sent)
    const grown = [counter, redis].map((server, index) =>
      server === undefined ? 0 : residentBytes(server.pid) - atStart[index]!,
    )
    console.log(`\nresident memory for these ${sent} items: counter ${megabytes(grown[0]!)}, Redis ${megabytes(grown[1]!)}`)
    await compareReads(counter, redis)
  } finally {
    await counter.stop()
    await redis?.stop()
  }
}

/** @returns how many items were sent */
async function compareBatches(counter: Server, redis: Server | undefined, size: number, first: number): Promise<number> {
  const requests = Math.max(100, Math.round(ITEMS / 5 / size / ROUNDS))
  let [ours, theirs] = [NONE, NONE]
  for (let round = 0; round < ROUNDS; round++) {
    const from = first + round * requests * size
    ours = better(ours, await rate(counter, 'items', requests, size, from))
    if (redis !== undefined) theirs = better(theirs, await rate(redis, 'sadd', requests, size, from))
  }
  console.log(`\nPOST /v1/items, batches of ${size} new items, per CPU second of the server, best of ${ROUNDS}`)
  const batches = `${thousands(ours.requests)} batches   ${(1e6 / ours.requests).toFixed(0)} us a batch`
  console.log(`  counter            ${thousands(ours.items)} items   ${batches}`)
  if (redis !== undefined) {
    console.log(
      `  ${redis.name}  ${thousands(theirs.items)} items   one SADD each, pipelined   ${(ours.items / theirs.items).toFixed(2)}x`,
    )
  }
  return ROUNDS * requests * size
}

async function compareReads(counter: Server, redis: Server | undefined): Promise<void> {
  const requests = 10_000
  console.log(`\nGET /v1/tenants/{tenant}/count, per CPU second of the server, best of ${ROUNDS}`)
  let [ours, theirs] = [NONE, NONE]
  for (let round = 0; round < ROUNDS; round++) {
    ours = better(ours, await rate(counter, 'count', requests, 1))
    if (redis !== undefined) theirs = better(theirs, await rate(redis, 'scard', requests, 1))
  }
  console.log(`  counter            ${thousands(ours.requests)} requests   ${(1e6 / ours.requests).toFixed(0)} us each`)
  if (redis === undefined) return
  console.log(`  ${redis.name}  ${thousands(theirs.requests)} SCARD      ${(ours.requests / theirs.requests).toFixed(2)}x`)
}

const thousands = (value: number): string => `${(value / 1000).toFixed(1)} k`.padStart(8)
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

// First, while nothing that others have left is to be collected.
await inStore()
inProcess()
await overHttp()
