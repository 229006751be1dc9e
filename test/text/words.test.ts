// COUNTER_TOKENIZER=word: words as people see them, independent of how the text is cut.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNameHash, hashName } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { nameBytes, Tally } from '../../lib/text/index.ts'

const test = suite('text/words')
const seed = Number(process.env.SEED ?? 1)
const hash = createNameHash(seededRandom(seed))
const make = (nameBytesMax = 1024): Tally => new Tally({ hash, nameBytesMax, tokenizer: 'word' })

/** Names with their counts, each checked against its hash. */
function words(text: Uint8Array | string, cuts: number[] = [], tally = make()): Record<string, number> {
  const bytes = typeof text === 'string' ? nameBytes(text) : text
  tally.reset()
  let from = 0
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    tally.feed(bytes.subarray(from, cut))
    from = cut
  }
  tally.end()
  const found: [string, number][] = []
  for (let name = 0, start = 0; name < tally.count; start = tally.ends[name++]!) {
    assert.is(tally.hashes[name], hashName(hash, tally.names, start, tally.ends[name]!))
    found.push([Buffer.from(tally.names.subarray(start, tally.ends[name])).toString(), tally.amounts[name * 4]!])
  }
  return Object.fromEntries(found)
}

test('punctuation is no part of a word, inner apostrophes and underscores are', () => {
  //             text                       words
  const cases: [string, string[]][] = [
    ['Hello, world! (Again.)', ['hello', 'world', 'again']],
    ["Don't 'quote' rock’n’roll", ["don't", 'quote', 'rock’n’roll']],
    ['snake_case __init__ a__b', ['snake_case', 'init', 'a__b']],
    ["it''s a'_b", ['it', 's', 'a', 'b']],
    ['e-mail 3.14 x=y/z', ['e', 'mail', '3', '14', 'x', 'y', 'z']],
    ['Ünï ΟΔΟΣ e\u0301', ['ünï', 'οδοσ', 'e\u0301']],
    ['\ufeffbom 😀 \u3000', ['bom']],
  ]
  for (const [text, expected] of cases) assert.equal(Object.keys(words(text)).sort(), expected.sort(), text)
})

test('scripts without spaces are cut into words', () => {
  assert.equal(words('東京に行く。東京!'), { 東京: 2, に: 1, 行く: 1 })
  assert.equal(Object.keys(words('สวัสดีชาวโลก')), ['สวัสดี', 'ชาว', 'โลก'])
  assert.equal(words('ABC東京x'), { abc: 1, 東京: 1, x: 1 })
})

test('any cut gives the same words', () => {
  const part = fc.constantFrom(' ', 'a', 'B', "'", '’', '_', '.', 'İ', '東', '京', 'は', 'ส', 'วั', '😀', '𐐀', '\u0301', '\u3000')
  const tally = make()
  fc.assert(
    fc.property(fc.array(part, { maxLength: 50 }), fc.array(fc.nat(150), { maxLength: 6 }), fc.nat(255), (parts, cuts, byte) => {
      const bytes = Uint8Array.from([...nameBytes(parts.join('')), byte, 0x61])
      assert.equal(words(bytes, cuts, tally), words(bytes))
    }),
    { numRuns: 1000, seed },
  )
  const long = nameBytes('今日は東京でとても良い天気です'.repeat(300))
  assert.equal(words(long, [1, 1000, 5000, 9001]), words(long))
})

test('a word that is too long is refused with its offset, and a reset makes it usable again', () => {
  const tally = make(6)
  assert.equal(words('abcdef', [], tally), { abcdef: 1 })
  assert.throws(() => words('é, abcdefg', [], tally), /byte 4 of the text is longer than 6 bytes/)
  assert.throws(() => words('äöüß', [], tally), /byte 0 of/)
  assert.equal(words('fine', [], tally), { fine: 1 })
})

test('connectors without end take no memory and no word', () => {
  assert.equal(words(`a${'_'.repeat(5000)}b`), { a: 1, b: 1 })
})

test.run()
