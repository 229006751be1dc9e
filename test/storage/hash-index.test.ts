import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { createNameHash, hashName, type NameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { HashIndex } from '../../lib/storage/hash-index.ts'
import { Table } from '../../lib/storage/table.ts'
import { collidingNames } from '../support/collisions.ts'
import { bytesOf, increment, replicaOf, SEED } from './harness.ts'

const test = suite('storage/hash-index')

/** Slots of a segment: more there are only where hashes are equal. */
const SEGMENT_SLOTS = 4096

/** Rows that the index has for a hash, and how many slots a probe for all of them reads. */
function probe(index: HashIndex, hash: number): { rows: number[]; slots: number } {
  const segment = index.segments[hash >>> index.shift]!
  const rows: number[] = []
  for (let slots = 1, at = (hash << 1) & (segment.length - 1); ; slots++, at = (at + 2) & (segment.length - 1)) {
    if (segment[at + 1] === 0) return { rows, slots }
    if (segment[at] === hash) rows.push(segment[at + 1]! - 1)
  }
}

/** Every row is found by its hash, each segment is where its hashes are looked for, has a free slot and no more than its limit. */
function check(index: HashIndex, hashes: ArrayLike<number>, slotsMax = SEGMENT_SLOTS): void {
  const byHash = new Map<number, number[]>()
  for (let row = 0; row < hashes.length; row++) {
    const rows = byHash.get(hashes[row]!)
    if (rows) rows.push(row)
    else byHash.set(hashes[row]!, [row])
  }
  for (const [hash, rows] of byHash)
    assert.equal(
      probe(index, hash).rows.sort((a, b) => a - b),
      rows,
    )
  let entries = 0
  for (const segment of new Set(index.segments)) {
    assert.ok(segment.length / 2 <= slotsMax, `a segment has ${segment.length / 2} slots`)
    let filled = 0
    for (let at = 1; at < segment.length; at += 2) if (segment[at] !== 0) filled++
    assert.ok(filled <= 0.8 * (segment.length / 2), `${filled} of ${segment.length / 2} slots are filled`)
    entries += filled
  }
  assert.is(entries, hashes.length, 'no row is lost or doubled')
}

test('300,000 random names are all found, in segments that keep their size', () => {
  const random = seededRandom(SEED)
  const hashes = Uint32Array.from({ length: 300_000 }, random.uint32)
  const index = new HashIndex()
  hashes.forEach((hash, row) => index.insert(hash, row))
  check(index, hashes)
  assert.is(index.byteLength, new Set(index.segments).size * SEGMENT_SLOTS * 8)
})

test('hashes that differ in a few bits only are all found: high bits, low bits, the middle', () => {
  // Hashes that share the 20 bits by which a directory can tell segments apart are left in one, and it grows.
  for (const [shift, slotsMax] of [
    [0, 2 * SEGMENT_SLOTS],
    [8, SEGMENT_SLOTS],
    [14, SEGMENT_SLOTS],
    [20, SEGMENT_SLOTS],
  ] as const) {
    const index = new HashIndex()
    const hashes = Uint32Array.from({ length: 1 << 12 }, (_, row) => (row << shift) >>> 0)
    hashes.forEach((hash, row) => index.insert(hash, row))
    check(index, hashes, slotsMax)
  }
})

test('300,000 names with 1,024 hashes among them are all found', () => {
  const index = new HashIndex()
  const random = seededRandom(SEED)
  const values = Uint32Array.from({ length: 1024 }, random.uint32)
  const hashes = Uint32Array.from({ length: 300_000 }, (_, row) => values[row % 1024]!)
  hashes.forEach((hash, row) => index.insert(hash, row))
  check(index, hashes)
})

test('more names with one hash than a segment holds make that segment alone grow', () => {
  const index = new HashIndex()
  const random = seededRandom(SEED)
  const hashes = Uint32Array.from({ length: 20_000 }, (_, row) => (row < 10_000 ? 0xdeadbeef : random.uint32()))
  hashes.forEach((hash, row) => index.insert(hash, row))
  check(index, hashes, 16_384)
  const large = [...new Set(index.segments)].filter((segment) => segment.length / 2 > SEGMENT_SLOTS)
  assert.is(large.length, 1)
})

test('a replica counts right though the hash tells few names apart', () => {
  for (const hash of [
    { start: 0, multiplier: 0 },
    { start: 0, multiplier: 0x0100_0000 },
  ]) {
    const replica = replicaOf(0, { hash })
    const names = Array.from({ length: 5000 }, (_, index) => `${index}`)
    for (let round = 0; round < 2; round++) {
      increment(
        replica,
        names.map((name) => [name, Number(name)] as const),
      )
    }
    assert.is(replica.table.rowCount, 5000)
    for (const name of names) assert.is(replica.value(bytesOf(name)), 2 * Number(name))
  }
})

/** What finding each of the names takes: slots read, and rows whose name is compared. */
function workOf(hash: NameHash, names: readonly string[]): { slots: number; compared: number } {
  const table = new Table(hash)
  const keys = names.map((name) => {
    const bytes = bytesOf(name)
    return { bytes, hash: hashName(hash, bytes, 0, bytes.length) }
  })
  for (const key of keys) table.add(key.hash, key.bytes, 0, key.bytes.length)
  const work = { slots: 0, compared: 0 }
  for (const key of keys) {
    const { slots, rows } = probe(table.index, key.hash)
    work.slots += slots
    work.compared += rows.length
  }
  return work
}

test('65,536 names crafted to one CRC-64 take no more than twice the work of random ones', () => {
  const crafted = collidingNames()
  assert.is(new Set(crafted).size, 65_536)
  assert.is(new Set(crafted.slice(0, 2000).map((name) => crc64(bytesOf(name)))).size, 1)
  assert.is(crc64(bytesOf(crafted.at(-1)!)), crc64(bytesOf(crafted[0]!)))
  const random = seededRandom(SEED)
  const ordinary = Array.from({ length: 65_536 }, (_, index) => `ordinary ${index} ${random.uint32()}`)
  for (let run = 0; run < 5; run++) {
    const hash = createNameHash(random)
    const [ours, theirs] = [workOf(hash, crafted), workOf(hash, ordinary)]
    assert.ok(ours.slots <= 2 * theirs.slots, `${ours.slots} slots are read for crafted names, ${theirs.slots} for random ones`)
    assert.ok(ours.compared <= 2 * theirs.compared, `${ours.compared} names are compared, ${theirs.compared} for random ones`)
  }
})

test('crafted names are counters of their own', () => {
  const crafted = collidingNames().slice(0, 3000)
  const replica = replicaOf(0)
  increment(
    replica,
    crafted.map((name, index) => [name, index + 1] as const),
  )
  crafted.forEach((name, index) => assert.is(replica.value(bytesOf(name)), index + 1))
})

test.run()
