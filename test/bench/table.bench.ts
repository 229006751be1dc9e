// What the table costs: names that are known, names that are new, the merge of deltas and what since gives. In CPU time of
// this process, as the machine may be shared; memory in bytes of the arrays. A Map<string, number> stands beside.
//
//   node --import tsx test/bench/table.bench.ts [--names 10000000] [--rounds 5]

import { parseArgs } from 'node:util'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { createNameHash, hashName } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { type Batch, DecodedDelta, Replica, VersionVector } from '../../lib/storage/index.ts'

const { values } = parseArgs({
  options: { names: { type: 'string', default: '10000000' }, rounds: { type: 'string', default: '5' } },
})
const NAMES = Number(values.names)
const ROUNDS = Number(values.rounds)
const KNOWN = Math.min(NAMES, 8_000_000)
const PAUSE_NAMES = 1000
const LETTERS = 8
const random = seededRandom(1)
const hash = createNameHash(random)

/** Microseconds of CPU that `work` takes, of all threads of the process. */
function cpuMicros(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** Microseconds that `work` holds this thread up, from above: neither the time that others ran nor the work of other threads counts. */
function pauseMicros(work: () => void): number {
  const started = performance.now()
  const cpu = cpuMicros(work)
  return Math.min(cpu, (performance.now() - started) * 1000)
}

/** Name `number` of 26^8, each once, in no order. */
function writeName(bytes: Uint8Array, at: number, number: number): void {
  let rest = (number * 123_456_789) % 26 ** LETTERS
  for (let letter = 0; letter < LETTERS; letter++) {
    bytes[at + letter] = 97 + (rest % 26)
    rest = Math.floor(rest / 26)
  }
}

function batchOf(count: number, nameAt: (index: number) => number): Batch {
  const names = new Uint8Array(count * LETTERS)
  const ends = new Uint32Array(count)
  const hashes = new Uint32Array(count)
  const amounts = new Uint32Array(count * 4)
  for (let index = 0; index < count; index++) {
    writeName(names, index * LETTERS, nameAt(index))
    ends[index] = (index + 1) * LETTERS
    hashes[index] = hashName(hash, names, index * LETTERS, (index + 1) * LETTERS)
    amounts[index * 4] = 1
  }
  return { count, names, ends, hashes, amounts, subtracts: false }
}

const newReplica = (node: number): Replica => new Replica({ self: { node, incarnation: 1 }, hash, namesMax: 0 })
const writer = new ByteWriter(1 << 20)
const increment = (replica: Replica, batch: Batch): void => {
  writer.length = 0
  replica.increment(batch, writer)
}

/** The least and the middle of several rounds. */
function print(what: string, unit: string, figures: number[], note = ''): void {
  const sorted = figures.toSorted((a, b) => a - b)
  const figure = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1))
  console.log(
    `${what.padEnd(44)} min ${figure(sorted[0]!).padStart(7)}  median ${figure(sorted[sorted.length >> 1]!).padStart(7)} ${unit}  ${note}`,
  )
}

const repeat = (measure: () => number): number[] => Array.from({ length: ROUNDS }, measure)

function benchKnown(what: string, replica: Replica, nameCount: number, batchNames: number): void {
  const batches = Array.from({ length: Math.ceil(240_000 / Math.max(100, batchNames)) }, () => {
    const start = Math.floor((random.uint32() / 2 ** 32) * nameCount)
    return batchOf(batchNames, (index) => (start + index * 104_729) % nameCount)
  })
  for (const batch of batches) increment(replica, batch)
  const figures = repeat(
    () => (cpuMicros(() => batches.forEach((batch) => increment(replica, batch))) * 1000) / (batches.length * batchNames),
  )
  print(what, 'ns a name', figures)
}

function benchMap(): void {
  const words = Array.from({ length: 30_000 }, (_, index) => Buffer.from(batchOf(1, () => index).names).toString())
  const map = new Map<string, number>()
  const figures = repeat(() => {
    const micros = cpuMicros(() => {
      for (let turn = 0; turn < 24; turn++) for (const word of words) map.set(word, (map.get(word) ?? 0) + 1)
    })
    return (micros * 1000) / (24 * words.length)
  })
  print('Map<string, number>, 30,000 known names', 'ns a name', figures)
}

/** New names come in slices, as the store lets them, each measured. */
function benchNew(): Replica {
  const replica = newReplica(0)
  let total = 0
  let longest = 0
  for (let first = 0; first < NAMES; first += PAUSE_NAMES) {
    const batch = batchOf(Math.min(PAUSE_NAMES, NAMES - first), (index) => first + index)
    const micros = pauseMicros(() => {
      replica.addNames(batch, 0, batch.count)
      increment(replica, batch)
    })
    total += micros
    longest = Math.max(longest, micros)
  }
  print(`${NAMES} new names, in slices of ${PAUSE_NAMES}`, 'ns a name', [(total * 1000) / NAMES])
  print(`  longest slice`, 'ms', [longest / 1000], 'at most 10')
  print(`  memory, one column`, 'bytes a name', [replica.byteLength / NAMES], 'at most 49: 0.7 of Redis strings (70)')
  return replica
}

/** Everything of `source` goes to a new replica and once more, then a column of a second node comes to it. */
function benchMerge(source: Replica, nameCount: number): void {
  const decoded = new DecodedDelta()
  const merge = (target: Replica, bytes: Uint8Array): void => {
    decoded.decode(new ByteReader(bytes, 0, bytes.length, 'DELTA_INVALID', 'delta'))
    target.merge(decoded)
  }
  const figures: Record<'since' | 'known' | 'new', number[]> = { since: [], known: [], new: [] }
  const steps: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const target = newReplica(1)
    const spent = { since: 0, known: 0, new: 0 }
    const given = source.since(new VersionVector())
    let longest = 0
    for (;;) {
      let step = given.next()
      const micros = pauseMicros(() => {
        step = step.done ? step : given.next()
      })
      if (step.done) break
      longest = Math.max(longest, micros)
      spent.since += micros
      const bytes = step.value.delta.slice()
      spent.new += cpuMicros(() => merge(target, bytes))
      spent.known += cpuMicros(() => merge(target, bytes))
    }
    steps.push(longest / 1000)
    // Every other step was measured: cells of those are half of all.
    for (const kind of ['since', 'known', 'new'] as const) figures[kind].push((spent[kind] * 1000) / (nameCount / 2))
  }
  print('since, from nothing', 'ns a cell', figures.since)
  print('  longest step', 'ms', steps, 'at most 5')
  print('since, after ten names of all', 'us', sinceFew(source, nameCount))
  print('decode and merge, new names', 'ns a cell', figures.new, 'at most 500')
  print('decode and merge, known names', 'ns a cell', figures.known, 'at most 500')
}

/** What it costs to be asked what is new when ten names anywhere in the table are. */
function sinceFew(source: Replica, nameCount: number): number[] {
  return Array.from({ length: 50 }, () => {
    const known = source.vector()
    const start = random.uint32() % nameCount
    const batch = batchOf(10, (index) => (start + index * 104_729) % nameCount)
    increment(source, batch)
    return cpuMicros(() => {
      for (const _ of source.since(known));
    })
  })
}

function benchSecondColumn(replica: Replica): void {
  const before = replica.byteLength
  const other = newReplica(7)
  const decoded = new DecodedDelta()
  for (let first = 0; first < NAMES; first += 100_000) {
    increment(
      other,
      batchOf(Math.min(100_000, NAMES - first), (index) => first + index),
    )
    decoded.decode(new ByteReader(writer.bytes, 0, writer.length, 'DELTA_INVALID', 'delta'))
    replica.merge(decoded)
  }
  print('  memory, each further replica', 'bytes a name', [(replica.byteLength - before) / NAMES], 'at most 16')
}

console.log(`node ${process.version}, ${NAMES} names of ${LETTERS} letters, ${ROUNDS} rounds, seed 1`)
benchMap()
const small = newReplica(0)
increment(
  small,
  batchOf(30_000, (index) => index),
)
benchKnown('30,000 known names', small, 30_000, 30_000)
benchKnown('30,000 known names, one at a time', small, 30_000, 1)
const medium = newReplica(0)
for (let first = 0; first < 1_000_000; first += 10_000)
  increment(
    medium,
    batchOf(10_000, (index) => first + index),
  )
benchMerge(medium, 1_000_000)
const large = benchNew()
benchKnown(`${KNOWN} known names, 10,000 at random`, large, KNOWN, 10_000)
benchSecondColumn(large)
