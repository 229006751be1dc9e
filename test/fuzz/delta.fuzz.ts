// Feeds the delta decoder with deltas that are nearly right: made by the grammar with a strange value here and there, then
// cut, flipped, spliced or left alone. Each is either refused with DELTA_INVALID and changes nothing, or is a delta
// whose every part is in range, and which merges like any other. Items are then counted anew, and given away as a whole, as replies are.
//
//   node --import tsx test/fuzz/delta.fuzz.ts --runs 1000000 --seed 1

import { strict as assert } from 'node:assert'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { DecodedDelta, encodeBatch, Replica, SEQ_MAX, SLOT_BASE, SLOTS_MAX, VersionVector } from '../../lib/storage/index.ts'
import { STAMP_MAX } from '../../lib/storage/item-delta.ts'
import { batchOf } from '../storage/harness.ts'

export interface Outcome {
  refused: number
  accepted: number
  cells: number
  items: number
  replies: number
  /** Own writes that were found to be counted twice. */
  due: number
}

/** Runs after which the replica is made anew, so that it stays small. */
const REPLICA_RUNS = 2000
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/** Throws with the seed and the bytes when the decoder breaks a promise. */
export function fuzzDelta(runs: number, seed: number): Outcome {
  const random = seededRandom(seed)
  const decoded = new DecodedDelta()
  const outcome: Outcome = { refused: 0, accepted: 0, cells: 0, items: 0, replies: 0, due: 0 }
  let replica!: Replica
  let previous: Uint8Array = new Uint8Array(0)
  for (let run = 0; run < runs; run++) {
    if (run % REPLICA_RUNS === 0) {
      if (run > 0) checkGiven(replica, newReplica(random))
      replica = newReplica(random)
    }
    const whole = new Maker(random).delta()
    const bytes = damage(random, whole, previous)
    previous = whole
    try {
      if (judge(bytes, decoded, replica)) {
        outcome.cells += decoded.cellCount
        outcome.items += decoded.items.count
        outcome.replies += decoded.replies.length
        for (const write of replica.tentative.due()) {
          replica.tentative.end(write)
          outcome.due++
        }
      } else outcome.refused++
    } catch (error) {
      throw new Error(`seed ${seed}, run ${run}, delta ${Buffer.from(bytes).toString('hex')}`, { cause: error })
    }
  }
  outcome.accepted = runs - outcome.refused
  return outcome
}

/** One with an own write that may have to be taken back, for each of the keys that others use. */
function newReplica(random: Random): Replica {
  const hash = { start: random.uint32(), multiplier: random.uint32() | 1 }
  const replica = new Replica({ self: { node: 0, incarnation: 1 }, hash, namesMax: 0 })
  for (const key of KEYS) {
    const batch = batchOf([['a', 1]], hash)
    replica.increment(batch, new ByteWriter())
    const once = { key: Buffer.from(key).toString(), fingerprint: new Uint8Array(32) }
    const reply = { status: 200, contentType: 'text/plain', body: '' }
    const kept = replica.replies.add(once, reply, { replica: replica.self, seq: replica.seq }, true)
    replica.tentative.add({ kept, batch: encodeBatch(batch) })
  }
  return replica
}

/** What must stand still when a delta is refused. */
function sizesOf(replica: Replica): number[] {
  const { table, columns, byteLength, hiddenCells, items, replies, tentative } = replica
  const { ids, tenants, origins, live, log } = items
  const ofItems = [ids.rowCount, tenants.rowCount, origins.length, live, log.end]
  const ofReplies = [replies.size, tentative.size, tentative.lost]
  return [table.rowCount, columns.length, byteLength, hiddenCells, replica.vector().size, ...ofItems, ...ofReplies]
}

/** Whether the delta was accepted. */
function judge(bytes: Uint8Array, decoded: DecodedDelta, replica: Replica): boolean {
  const before = sizesOf(replica)
  // Bytes beyond the range must not matter.
  const padded = new Uint8Array(bytes.length + 16).fill(1)
  padded.set(bytes, 8)
  try {
    decoded.decode(new ByteReader(padded, 8, 8 + bytes.length, 'DELTA_INVALID', 'delta'))
  } catch (error) {
    assert(error instanceof CounterError && error.code === 'DELTA_INVALID', `threw ${error}`)
    assert.deepEqual(sizesOf(replica), before)
    return false
  }
  checkDecoded(decoded, 8, 8 + bytes.length)
  replica.merge(decoded)
  assert.equal(replica.merge(decoded), 0, 'a delta repeated is no news')
  if (decoded.items.count > 0) checkCounts(replica)
  return true
}

/** Counts per tenant are those of the items. */
export function checkCounts({ items }: Replica): void {
  const counts = new Array<number>(items.tenants.rowCount).fill(0)
  for (let row = 0; row < items.ids.rowCount; row++) {
    const tenant = items.cells.tenantOf(row)
    if (tenant > 0) counts[tenant - 1]!++
  }
  for (const [tenant, count] of counts.entries()) assert.equal(items.countAt(tenant), count)
  assert.equal(
    items.live,
    counts.reduce((sum, count) => sum + count, 0),
  )
}

/** Who is given all of it has the same items and replies. */
function checkGiven(from: Replica, to: Replica): void {
  const decoded = new DecodedDelta()
  for (const { delta } of from.since(new VersionVector())) {
    decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
    to.merge(decoded)
  }
  const linesOf = ({ items: { ids, tenants, cells, origins } }: Replica): string[] =>
    Array.from({ length: ids.rowCount }, (_, row) => {
      const tenant = cells.tenantOf(row)
      const { node, incarnation } = origins[cells.originOf(row)]!
      const name = tenant === 0 ? 'deleted' : `of ${Buffer.from(tenants.nameOf(tenant - 1)).toString('hex')}`
      const place = `${node}.${incarnation} ${cells.seqOf(row)} ${cells.stampOf(row)}`
      return `${Buffer.from(ids.nameOf(row)).toString('hex')} ${name} ${place}`
    }).sort()
  assert.deepEqual(linesOf(to), linesOf(from))
  const repliesOf = ({ replies }: Replica): string[] =>
    Array.from(replies.since(new VersionVector()), (kept) => JSON.stringify(kept)).sort()
  assert.deepEqual(repliesOf(to), repliesOf(from))
  checkCounts(to)
}

/** Everything that the table relies on, and that no memory was taken beyond what the input pays for. */
export function checkDecoded(decoded: DecodedDelta, from: number, to: number): void {
  assert(decoded.rowCount * 3 <= to - from && decoded.cellCount <= to - from, 'counts are paid for by bytes')
  for (let row = 0; row < decoded.rowCount; row++) {
    const [start, end] = [decoded.nameFrom[row]!, decoded.nameTo[row]!]
    assert(start >= from && end <= to && end - start >= 1 && end - start <= 65_535, 'a name lies in the delta')
    if (decoded.keyed[row] === 1) assert.equal(end - start, 8)
    else UTF8.decode(decoded.bytes.subarray(start, end))
  }
  for (let cell = 0; cell < decoded.cellCount; cell++) {
    assert(decoded.cellRow[cell]! < decoded.rowCount && decoded.cellColumn[cell]! < decoded.columns.length)
    const seq = decoded.cellSeq[cell]!
    assert(Number.isInteger(seq) && seq >= 1 && seq <= SEQ_MAX, `sequence number ${seq}`)
  }
  for (const { replica, seq } of decoded.vector ?? []) {
    assert(replica.node >= 0 && replica.node < SLOT_BASE + SLOTS_MAX && Number.isSafeInteger(replica.incarnation))
    assert(seq >= 0 && seq <= SEQ_MAX)
  }
  checkDecodedItems(decoded, from, to)
  checkDecodedReplies(decoded, from, to)
  for (const array of [decoded.nameFrom, decoded.cellRow, decoded.items.idFrom, decoded.items.tenantFrom])
    assert(array.length <= 1 << 14, 'arrays grow with the input only')
}

function checkDecodedItems({ items, write }: DecodedDelta, from: number, to: number): void {
  assert(items.count * 4 <= to - from && items.tenantCount * 2 <= to - from && items.origins.length * 2 <= to - from)
  const checkName = (start: number, end: number): void => {
    assert(start >= from && end <= to && end - start >= 1 && end - start <= 65_535, 'a name lies in the delta')
    UTF8.decode(items.bytes.subarray(start, end))
  }
  for (let tenant = 0; tenant < items.tenantCount; tenant++) checkName(items.tenantFrom[tenant]!, items.tenantTo[tenant]!)
  let stampMax = 0
  for (let item = 0; item < items.count; item++) {
    checkName(items.idFrom[item]!, items.idTo[item]!)
    assert(items.origin[item]! < items.origins.length && items.tenant[item]! <= items.tenantCount)
    const [seq, stamp] = [items.seq[item]!, items.stamp[item]!]
    assert(Number.isInteger(seq) && seq >= 1 && seq <= SEQ_MAX, `sequence number ${seq}`)
    assert(Number.isInteger(stamp) && stamp >= 1 && stamp <= STAMP_MAX, `stamp ${stamp}`)
    stampMax = Math.max(stampMax, stamp)
  }
  assert.equal(items.stampMax, stampMax)
  if (write !== undefined) for (let item = 0; item < items.count; item++) assert.equal(items.seq[item], write.seq)
}

function checkDecodedReplies({ replies }: DecodedDelta, from: number, to: number): void {
  // Eight bytes of time, and one at least of each of the others.
  assert(replies.length * (32 + 8 + 8) <= to - from, 'replies are paid for by bytes')
  for (const { key, fingerprint, at, reply, origin, tentative } of replies) {
    const { node, incarnation } = origin.replica
    assert(node >= 0 && node < SLOT_BASE + SLOTS_MAX && Number.isSafeInteger(incarnation) && typeof tentative === 'boolean')
    assert(Number.isInteger(origin.seq) && origin.seq >= 1 && origin.seq <= SEQ_MAX, `sequence number ${origin.seq}`)
    assert(fingerprint.length === 32 && Number.isSafeInteger(at) && at >= 0 && Number.isSafeInteger(reply.status))
    const texts = key.length + reply.contentType.length + reply.body.length
    assert(texts <= to - from && fingerprint.buffer.byteLength === 32, 'the delta is not kept for a fingerprint')
  }
}

const STRANGE = [
  0n,
  1n,
  2n,
  31n,
  127n,
  128n,
  65_535n,
  65_536n,
  2n ** 31n,
  2n ** 32n,
  2n ** 52n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 64n - 1n,
  2n ** 64n,
]
const NAMES = ['a', 'b', 'word', 'wallabies', 'ü', '日本', '😀', '\u0000', 'x'.repeat(200)].map((name) =>
  new TextEncoder().encode(name),
)
/** As they stand in a delta. */
const KEYS = ['k', 'key', 'ключ'].map((key) => new TextEncoder().encode(key))
const BAD_NAMES = [[0xff], [0x80], [0xc3], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xc0, 0xaf]].map((bytes) =>
  Uint8Array.from(bytes),
)

class Maker {
  readonly #random: Random
  readonly #out: number[] = []
  /** One value in so many is a strange one. */
  readonly #rarity: number

  constructor(random: Random) {
    this.#random = random
    this.#rarity = [0, 0, 10, 30, 100][random.uint32() % 5]!
  }

  delta(): Uint8Array {
    const version = Math.min(1 + this.#below(4), 3)
    this.#byte(version)
    for (let parts = this.#below(4); parts > 0; parts--) this.#strange() ? this.#byte(this.#below(256)) : this.#part(version)
    return Uint8Array.from(this.#out)
  }

  #part(version: number): void {
    const withItems = version >= 2
    const kind = this.#below(8)
    if (kind < 3 && (version >= 3 || this.#strange())) return this.#replies()
    if (kind < 4) return this.#block()
    if (kind < 7 && (withItems || this.#strange())) return this.#items()
    if (kind < 6) return this.#block()
    this.#byte(2)
    for (let count = this.#count(this.#below(3)); count > 0; count--) this.#replica(this.#below(100))
  }

  #block(): void {
    const flags = this.#below(4)
    const columns = 1 + (this.#below(10) === 0 ? this.#below(31) : this.#below(3))
    const rows = this.#below(4)
    this.#byte(1)
    this.#byte(flags)
    this.#count(columns)
    for (let at = 0; at < columns; at++) this.#replica(1 + this.#below(3))
    this.#count(rows)
    const names = Array.from({ length: rows }, () => this.#name())
    for (const name of names) this.#varint(name.keyed ? 0 : name.bytes.length)
    for (const name of names) this.#out.push(...name.bytes)
    for (let row = 0; row < rows; row++) {
      const mask = columns === 1 ? 1 : 1 + this.#below(2 ** columns - 1)
      if (columns > 1) this.#varint(mask)
      for (let at = 0; at < columns; at++) {
        if (((mask >>> at) & 1) === 0) continue
        if ((flags & 1) === 0) this.#varint(2 * this.#below(5))
        this.#amount()
        if (flags & 2) this.#amount()
      }
    }
  }

  #items(): void {
    const origins = 1 + this.#below(3)
    const tenants = this.#below(3)
    const count = this.#below(5)
    this.#byte(3)
    this.#byte(this.#below(2))
    this.#count(origins)
    for (let at = 0; at < origins; at++) {
      this.#varint(this.#below(4))
      this.#varint(this.#below(3))
    }
    for (const names of [tenants, count]) {
      this.#count(names)
      const list = Array.from({ length: names }, () => this.#text())
      for (const name of list) this.#varint(name.length)
      for (const name of list) this.#out.push(...name)
    }
    for (let item = 0; item < count; item++) {
      if (origins > 1) this.#varint(this.#below(origins))
      // So far from 0 that differences in both directions stay above it.
      this.#varint(item === 0 ? 20 + 2 * this.#below(4) : this.#below(5))
      this.#varint(item === 0 ? 20 + 2 * this.#below(3) : this.#below(5))
      this.#varint(this.#below(tenants + 1))
    }
  }

  #replies(): void {
    this.#byte(4)
    for (let count = this.#count(this.#below(3)); count > 0; count--) {
      this.#replica(1 + this.#below(20))
      this.#byte(this.#below(2))
      this.#sized(KEYS[this.#below(KEYS.length)]!)
      // A small number of requests, of which one is that of the own writes.
      this.#out.push(...new Uint8Array(32).fill(this.#below(2)))
      this.#out.push(
        ...Buffer.from(
          BigUint64Array.of(this.#strange() ? STRANGE[this.#below(STRANGE.length - 1)]! : BigInt(this.#below(100))).buffer,
        ),
      )
      this.#varint(200)
      this.#sized(this.#text())
      this.#sized(this.#text())
    }
  }

  #sized(bytes: Uint8Array): void {
    this.#varint(bytes.length)
    this.#out.push(...bytes)
  }

  #name(): { keyed: boolean; bytes: Uint8Array } {
    if (this.#below(8) === 0) return { keyed: true, bytes: Uint8Array.from({ length: 8 }, () => this.#below(256)) }
    return { keyed: false, bytes: this.#text() }
  }

  #text(): Uint8Array {
    const from = this.#strange() ? BAD_NAMES : NAMES
    return from[this.#below(from.length)]!
  }

  #replica(seq: number): void {
    this.#varint(this.#below(4))
    this.#varint(this.#below(3))
    this.#varint(seq)
  }

  #amount(): void {
    this.#varint(this.#below(3) === 0 ? STRANGE[this.#below(STRANGE.length - 1)]! : this.#below(1000))
  }

  #count(count: number): number {
    this.#varint(count)
    return count
  }

  #varint(value: number | bigint): void {
    let rest = this.#strange() ? STRANGE[this.#below(STRANGE.length)]! : BigInt(value)
    for (; rest >= 128n; rest >>= 7n) this.#out.push(Number(rest & 127n) | 128)
    this.#out.push(Number(rest))
  }

  #byte(value: number): void {
    this.#out.push(this.#strange() ? this.#below(256) : value)
  }

  #strange(): boolean {
    return this.#rarity > 0 && this.#below(this.#rarity) === 0
  }

  #below(limit: number): number {
    return this.#random.uint32() % limit
  }
}

/** Leaves every other delta as it is, and cuts, flips, fills or splices the rest. */
function damage(random: Random, whole: Uint8Array, previous: Uint8Array): Uint8Array {
  const bytes = whole.slice()
  const at = random.uint32() % (bytes.length + 1)
  switch (random.uint32() % 8) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      if (at < bytes.length) bytes[at]! ^= 1 << (random.uint32() % 8)
      return bytes
    case 2:
      return bytes.fill([0, 0x7f, 0x80, 0xff][random.uint32() % 4]!, at, at + 1 + (random.uint32() % 12))
    case 3:
      return Buffer.concat([bytes.subarray(0, at), previous.subarray(random.uint32() % (previous.length + 1))])
    default:
      return bytes
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
  })
  const outcome = fuzzDelta(Number(values.runs), Number(values.seed))
  console.log(`seed ${values.seed}, ${values.runs} runs:`, JSON.stringify(outcome))
}
