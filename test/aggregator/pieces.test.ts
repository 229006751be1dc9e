import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type NamesPiece, PIECE_ITEMS_MAX, SPLIT_NAMES, split } from '../../lib/aggregator/pieces.ts'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { SlotMap, slotOf } from '../../lib/cluster/index.ts'
import { Tally } from '../../lib/text/index.ts'

const test = suite('aggregator/pieces')
const hash = createNameHash(seededRandom(1))
const seed = Number(process.env.SEED ?? 1)
const scratch = new Tally({ hash, nameBytesMax: 4096 })

function tallyOf(): Tally {
  scratch.reset()
  return scratch
}

function piecesOf(tally: Tally, map: SlotMap): { pieces: NamesPiece[]; steps: number } {
  const steps = split(tally, map)
  for (let count = 1; ; count++) {
    const step = steps.next()
    if (step.done) return { pieces: step.value, steps: count }
  }
}

interface Item {
  readonly name: string
  readonly delta?: string
}

const itemsIn = ({ body }: NamesPiece): Item[] => (JSON.parse(new TextDecoder().decode(body)) as { items: Item[] }).items

/** What the pieces add to each name, after checking that each name is on its shard. */
function sumOf(pieces: readonly NamesPiece[], map: SlotMap): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const piece of pieces) {
    for (const { name, delta = '1' } of itemsIn(piece)) {
      const bytes = new TextEncoder().encode(name)
      assert.is(map.shardOf(slotOf(bytes, 0, bytes.length)), piece.shard, name)
      sums.set(name, (sums.get(name) ?? 0n) + BigInt(delta))
    }
  }
  return sums
}

test('what the pieces add is what the batch adds, each name on its shard', () => {
  const name = fc.oneof(
    fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }),
    fc.constantFrom('"', '\\', '\u0000', 'a"b\\c\nd', '{x}y'),
  )
  const delta = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, delta), { maxLength: 60 }), fc.integer({ min: 1, max: 7 }), (adds, shards) => {
      const map = SlotMap.even(shards)
      const tally = tallyOf()
      const model = new Map<string, bigint>()
      for (const [key, amount] of adds) {
        tally.add(key, amount)
        model.set(key, (model.get(key) ?? 0n) + BigInt(amount))
      }
      assert.equal([...sumOf(piecesOf(tally, map).pieces, map)].sort(), [...model].sort())
    }),
    { seed, numRuns: 300 },
  )
})

test('plus and minus of one name stay apart, as a count keeps both', () => {
  const tally = tallyOf()
  tally.add('a', 2n ** 64n - 1n)
  tally.add('a', -(2n ** 64n - 1n))
  tally.add('b', 0)
  const [piece] = piecesOf(tally, SlotMap.even(1)).pieces
  assert.equal(itemsIn(piece!), [
    { name: 'a', delta: '18446744073709551615' },
    { name: 'a', delta: '-18446744073709551615' },
    { name: 'b', delta: '0' },
  ])
})

test('a text of many names goes in pieces that a node takes, the same each time, and lets others have their turn', () => {
  const map = SlotMap.even(2)
  const pieces = () => {
    const tally = tallyOf()
    const count = 2 * SPLIT_NAMES + 10
    tally.feed(new TextEncoder().encode(Array.from({ length: count }, (_, index) => `word${index}`).join(' ')))
    tally.end()
    return { ...piecesOf(tally, map), count }
  }
  const { pieces: first, steps, count } = pieces()
  assert.is(steps, 3)
  assert.ok(first.length > 4)
  for (const piece of first) {
    assert.ok(itemsIn(piece).length <= PIECE_ITEMS_MAX)
    assert.ok(piece.body.length <= 1024 * 1024)
  }
  assert.is(sumOf(first, map).size, count)
  assert.equal(
    pieces().pieces.map(({ body }) => Buffer.from(body).toString('base64')),
    first.map(({ body }) => Buffer.from(body).toString('base64')),
  )
})

test('long names that grow when they are escaped still fit', () => {
  const map = SlotMap.even(1)
  const tally = tallyOf()
  for (let index = 0; index < 200; index++) tally.add(`${'\u0001'.repeat(4000)}${index}`, 1)
  const { pieces } = piecesOf(tally, map)
  assert.ok(pieces.length >= 5)
  for (const { body } of pieces) assert.ok(body.length <= 1024 * 1024)
  assert.is(sumOf(pieces, map).size, 200)
})

test('nothing to count is no piece', () => {
  assert.equal(piecesOf(tallyOf(), SlotMap.even(3)).pieces, [])
})

test.run()
