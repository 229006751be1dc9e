// P10: what agreeing costs. Two replicas hold a million names in three columns; some names change on one, the other asks for what is
// new and joins it. Measured: changed names a CPU second on both sides, bytes a changed name on the wire, and what the original
// sends each time: all of it, as JSON. A second question: does the cost grow with the changes or with the collection?

import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { createNameHash, hashName, type NameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { type Batch, DecodedDelta, Replica } from '../../lib/storage/index.ts'

const NAMES = Number(process.env.NAMES ?? 1_000_000)
const CHANGES = [100, 1_000, 10_000, 100_000].filter((changes) => changes <= NAMES)
const BATCH = 10_000
const LETTERS = 8
const ROUNDS = 5
/** Of a key with three slots in the original's JSON: {"hash_keyword":18446744073709551615,"totals":[1234,1234,1234]} and a comma. */
const JSON_CELL_BYTES = '{"hash_keyword":,"totals":[,,]},'.length + 19.4 + 3 * 4
const CELLS_TARGET = 2e6
const BYTES_TARGET = 1 / 4

const random = seededRandom(7)
const decoded = new DecodedDelta()
const writer = new ByteWriter(1 << 20)

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function batchOf(hash: NameHash, numbers: readonly number[]): Batch {
  const count = numbers.length
  const batch = {
    count,
    names: new Uint8Array(count * LETTERS),
    ends: new Uint32Array(count),
    hashes: new Uint32Array(count),
    amounts: new Uint32Array(count * 4),
    subtracts: false,
  }
  for (const [index, number] of numbers.entries()) {
    let rest = (number * 123_456_789) % 26 ** LETTERS
    for (let letter = 0; letter < LETTERS; letter++) {
      batch.names[index * LETTERS + letter] = 97 + (rest % 26)
      rest = Math.floor(rest / 26)
    }
    batch.ends[index] = (index + 1) * LETTERS
    batch.hashes[index] = hashName(hash, batch.names, index * LETTERS, (index + 1) * LETTERS)
    batch.amounts[index * 4] = 1 + (random.uint32() % 1000)
  }
  return batch
}

function replicaOf(node: number): { replica: Replica; hash: NameHash } {
  const hash = createNameHash(random)
  return { replica: new Replica({ self: { node, incarnation: 2 ** 40 + node }, hash, namesMax: 0 }), hash }
}

/** What `target` lacks of `source`, asked for and joined. */
function exchange(
  source: Replica,
  target: Replica,
): { bytes: number; news: number; sourceSeconds: number; targetSeconds: number } {
  let [bytes, news, sourceSeconds, targetSeconds] = [0, 0, 0, 0]
  const steps = source.since(target.vector())
  for (;;) {
    let step: ReturnType<typeof steps.next> | undefined
    sourceSeconds += cpuSeconds(() => {
      step = steps.next()
    })
    if (step!.done) return { bytes, news, sourceSeconds, targetSeconds }
    const { delta } = step!.value
    bytes += delta.length
    targetSeconds += cpuSeconds(() => {
      decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
      news += target.merge(decoded)
    })
  }
}

function write(replica: Replica, hash: NameHash, numbers: readonly number[]): void {
  for (let from = 0; from < numbers.length; from += BATCH) {
    writer.length = 0
    replica.increment(batchOf(hash, numbers.slice(from, from + BATCH)), writer)
  }
}

const verdict = (met: boolean): string => (met ? 'met' : 'MISSED')
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
const all = Array.from({ length: NAMES }, (_, index) => index)

// Three nodes that hold everything in three columns
const [a, b, c] = [replicaOf(0), replicaOf(1), replicaOf(2)]
for (const { replica, hash } of [a, b, c]) write(replica, hash, all)
exchange(a.replica, b.replica)
exchange(c.replica, b.replica)
exchange(b.replica, a.replica)

console.log(`P10  ${NAMES} names of 8 letters in 3 columns; some change on one node, another asks for them`)
console.log(
  `  the original sends ${((NAMES * JSON_CELL_BYTES) / 1e6).toFixed(0)} MB each time, ${JSON_CELL_BYTES.toFixed(0)} bytes a name`,
)
let last = { rate: 0, bytes: 0 }
for (const changes of CHANGES) {
  const [asked, joined, bytes]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round < ROUNDS; round++) {
    const chosen = new Set<number>()
    while (chosen.size < changes) chosen.add(random.uint32() % NAMES)
    write(a.replica, a.hash, [...chosen])
    const { news, ...cost } = exchange(a.replica, b.replica)
    if (news !== changes) throw new Error(`${news} cells were news of ${changes}`)
    asked.push(cost.sourceSeconds)
    joined.push(cost.targetSeconds)
    bytes.push(cost.bytes / changes)
  }
  last = { rate: changes / median(joined), bytes: median(bytes) }
  const line = [
    `${String(changes).padStart(7)} changed names`,
    `${last.bytes.toFixed(1)} bytes each`,
    `asked in ${(median(asked) * 1000).toFixed(1)} ms`,
    `joined at ${(last.rate / 1e6).toFixed(2)} M cells a CPU second`,
  ]
  console.log(`  ${line.join('   ')}`)
}
console.log(`  target at least ${CELLS_TARGET / 1e6} M cells/s joined: ${verdict(last.rate >= CELLS_TARGET)}`)
const share = last.bytes / JSON_CELL_BYTES
console.log(`  target at most 1/4 of the original's bytes a name: ${share.toFixed(2)} ${verdict(share <= BYTES_TARGET)}`)
