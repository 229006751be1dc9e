import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNameHash, finishHash, hashName } from '../../lib/base/hash.ts'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'

const test = suite('base/hash')
const SEED = Number(process.env.SEED ?? 1)
const bytesOf = (text: string) => new TextEncoder().encode(text)

test('a hash depends on the range alone and is unsigned', () => {
  const hash = createNameHash(seededRandom(SEED))
  for (const word of ['', 'a', 'word', 'ünïcödé', 'x'.repeat(1000)]) {
    const bytes = bytesOf(word)
    const padded = bytesOf(`<${word}>`)
    const expected = hashName(hash, bytes, 0, bytes.length)
    assert.is(hashName(hash, padded, 1, padded.length - 1), expected)
    assert.ok(Number.isInteger(expected) && expected >= 0 && expected < 2 ** 32)
  }
})

test('a hash can be carried on byte by byte, as the tally does', () => {
  const hash = createNameHash(seededRandom(SEED))
  const bytes = bytesOf('byte by byte')
  let state = hash.start
  for (const byte of bytes) state = Math.imul(state ^ byte, hash.multiplier)
  assert.is(finishHash(state), hashName(hash, bytes, 0, bytes.length))
})

test('another secret gives another hash, and every multiplier is odd', () => {
  const random = seededRandom(SEED)
  const seen = new Set<number>()
  for (let run = 0; run < 1000; run++) {
    const hash = createNameHash(random)
    assert.is(hash.multiplier & 1, 1)
    seen.add(hashName(hash, bytesOf('wallabies'), 0, 9))
  }
  assert.ok(seen.size > 990, `${seen.size} different hashes under 1,000 secrets`)
})

test('short words spread evenly over the high and the low bits, under each of many secrets', () => {
  const random = seededRandom(SEED)
  const words: Uint8Array[] = []
  for (let a = 97; a < 123; a++) for (let b = 97; b < 123; b++) for (let c = 97; c < 123; c++) words.push(Uint8Array.of(a, b, c))
  for (let run = 0; run < 20; run++) {
    const hash = createNameHash(random)
    const buckets = { high: new Uint32Array(256), low: new Uint32Array(256) }
    for (const word of words) {
      const value = hashName(hash, word, 0, 3)
      buckets.high[value >>> 24]!++
      buckets.low[value & 255]!++
    }
    // Chi squared over 256 buckets has mean 255 and deviation 23; raw CRC-64 reaches four million here.
    const expected = words.length / 256
    for (const [bits, counts] of Object.entries(buckets)) {
      const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
      assert.ok(chiSquared < 600, `chi squared of the ${bits} bits is ${chiSquared} under secret ${run}`)
    }
  }
})

test('seeded randomness repeats, and the system gives 32 bits', () => {
  const take = (seed: number) => Array.from({ length: 5 }, seededRandom(seed).uint32)
  assert.equal(take(7), take(7))
  assert.not.equal(take(7), take(8))
  for (let run = 0; run < 100; run++) {
    const value = systemRandom.uint32()
    assert.ok(Number.isInteger(value) && value >= 0 && value < 2 ** 32)
  }
})

test.run()
