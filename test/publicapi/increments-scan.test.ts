import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { itemsOf } from '../../lib/publicapi/batch.ts'
import { addIncrements, INCREMENT } from '../../lib/publicapi/increments.ts'
import { scanIncrements } from '../../lib/publicapi/increments-scan.ts'
import { readJson } from '../../lib/publicapi/json.ts'
import { Tally } from '../../lib/text/index.ts'

const test = suite('publicapi/increments-scan')
const seed = Number(process.env.SEED ?? 1)
const tally = new Tally({ hash: createNameHash(seededRandom(1)), nameBytesMax: 40 })

/** What a tally holds, by name. */
function held({ count, names, ends, amounts }: Tally): [name: string, plus: bigint, minus: bigint][] {
  const word = (at: number): bigint => BigInt(amounts[at]!) | (BigInt(amounts[at + 1]!) << 32n)
  const all = Array.from({ length: count }, (_, index): [string, bigint, bigint] => {
    const name = Buffer.from(names.subarray(index === 0 ? 0 : ends[index - 1]!, ends[index])).toString()
    return [name, word(index * 4), word(index * 4 + 2)]
  })
  return all.sort(([left], [right]) => (left < right ? -1 : 1))
}

/** What JSON makes of a body: the number of items and what they add; undefined when it is refused. */
function byJson(body: Buffer): { items: number; held: ReturnType<typeof held> } | undefined {
  tally.reset()
  try {
    const items = itemsOf(readJson(body), INCREMENT)
    addIncrements(tally, items)
    return { items: items.length, held: held(tally) }
  } catch {
    return undefined
  }
}

/** The same by scanning; undefined when that leaves it to JSON, or refuses it. */
function byScan(body: Buffer): { items: number; held: ReturnType<typeof held> } | undefined {
  tally.reset()
  try {
    const items = scanIncrements(tally, body)
    return items === undefined ? undefined : { items, held: held(tally) }
  } catch {
    return undefined
  }
}

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8 }),
  fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }),
  fc.constantFrom('a', 'the'),
)
const item = fc.record(
  { name, delta: fc.oneof(fc.integer({ min: -5, max: 2_000_000_000 }), fc.integer({ min: 0, max: 999_999_999 }).map(String)) },
  { requiredKeys: ['name'] },
)

test('what is scanned adds exactly what JSON says', () => {
  let scanned = 0
  fc.assert(
    fc.property(fc.array(item, { maxLength: 30 }), (items) => {
      const body = Buffer.from(JSON.stringify({ items }))
      const found = byScan(body)
      if (found === undefined) return
      scanned++
      assert.equal(found, byJson(body))
    }),
    { seed, numRuns: 500 },
  )
  assert.ok(scanned > 50, `void: ${scanned} were scanned`)
})

test('a body with any byte changed, dropped or doubled is read as JSON reads it, or left to JSON', () => {
  const good = Buffer.from('{"items":[{"name":"ab"},{"name":"ä","delta":"12"},{"name":"c","delta":7}]}')
  assert.is(byScan(good)?.items, 3)
  for (let at = 0; at < good.length; at++) {
    const [before, after] = [good.subarray(0, at), good.subarray(at + 1)]
    const bodies = [Buffer.concat([before, after]), Buffer.concat([before, good.subarray(at, at + 1), good.subarray(at)]), before]
    for (const byte of [0, 0x20, 0x22, 0x2c, 0x30, 0x5c, 0x5d, 0x7b, 0x7d, 0x80, 0xff]) {
      bodies.push(Buffer.concat([before, Buffer.of(byte), after]))
    }
    for (const body of bodies) {
      const found = byScan(body)
      if (found !== undefined) assert.equal(found, byJson(body), body.toString())
    }
  }
})

test('what is wrong, or written another way, is left to JSON', () => {
  const cases = [
    '',
    '{"items":[',
    '{"items":[{"name":""}]}',
    '{"items":[{"name":"a"},]}',
    '{"items":[{"name":"a"}]} ',
    '{"items":[{"name":"a","delta":-1}]}',
    '{"items":[{"name":"a","delta":01}]}',
    '{"items":[{"name":"a","delta":""}]}',
    '{"items":[{"name":"a","delta":"12345678901"}]}',
    '{"items":[{"name":"a","delta":"1}]}',
    '{"items":[{"name":"a\\n"}]}',
    '{"items":[{"name":"a","name":"b"}]}',
    '{"items": []}',
    `{"items":[${Array(10_001).fill('{"name":"a"}').join(',')}]}`,
  ]
  for (const text of cases) assert.is(byScan(Buffer.from(text)), undefined, text.slice(0, 60))
  assert.is(byScan(Buffer.from([...Buffer.from('{"items":[{"name":"'), 0xc3, ...Buffer.from('"}]}')])), undefined, 'no UTF-8')
  assert.equal(byScan(Buffer.from('{"items":[]}')), { items: 0, held: [] })
})

test('many names go in at once, and one that is too long is refused', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `name ${'x'.repeat(index % 30)}${index % 3000}`)
  const body = Buffer.from(JSON.stringify({ items: names.map((one) => ({ name: one })) }))
  assert.equal(byScan(body), byJson(body))
  assert.is(tally.tokens, 0, 'names are no words')
  const long = Buffer.from(JSON.stringify({ items: [{ name: 'a' }, { name: 'x'.repeat(41) }] }))
  tally.reset()
  assert.throws(() => scanIncrements(tally, long), /40 bytes|longer|NAME_TOO_LONG/)
  assert.is(byScan(Buffer.from(JSON.stringify({ items: [{ name: 'x'.repeat(40) }] })))?.items, 1)
})

test.run()
