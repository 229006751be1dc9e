// The kernel where it differs from a plain tokenizer: blocks, lanes, prefixes, growth, and the way between it and TypeScript.

import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { createNameHash, hashName } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { nameBytes, Tally } from '../../lib/text/index.ts'
import { KERNELS, kernelModule } from '../../scripts/build-kernel.ts'
import { distinctWords } from '../bench/words.ts'
import { tallyOf } from './oracle.ts'

const test = suite('text/kernel')
const seed = Number(process.env.SEED ?? 1)
const hash = createNameHash(seededRandom(seed))
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function names(tally: Tally): string[] {
  const { count, ends } = tally
  const bytes = tally.names.slice()
  return Array.from({ length: count }, (_, name) => decoder.decode(bytes.subarray(name === 0 ? 0 : ends[name - 1], ends[name])))
}

function counted(tally: Tally): [string, number][] {
  const { amounts } = tally
  return names(tally).map((name, index) => [name, amounts[index * 4]!])
}

function feed(tally: Tally, bytes: Uint8Array, cuts: number[] = []): Tally {
  tally.reset()
  let from = 0
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    // A copy, so that bytes around a piece cannot matter.
    tally.feed(bytes.slice(from, cut))
    from = cut
  }
  tally.end()
  return tally
}

/** Words whose ends meet the lanes, prefixes and blocks in every way, most of them ASCII, some not, with gaps of any width. */
const word = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.string({ unit: fc.constantFrom('a', 'B', 'z', 'Z', '@', '[', '\0', '~'), minLength: 1, maxLength: 20 }),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 300).map((length) => 'x'.repeat(length)),
  },
  { weight: 1, arbitrary: fc.constantFrom('é', 'naïve', '’tis', 'ЖУК', '語', 'a\u00a0b', '\u2009', '😀') },
)
const gap = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(' ', '\n', '\t', '\r\n', '\v', '\f') },
  { weight: 1, arbitrary: fc.nat(150).map((width) => ' '.repeat(width)) },
)
const text = fc.array(fc.tuple(word, gap), { maxLength: 400 }).map((parts) => nameBytes(parts.flat().join('')))

test('each compiled kernel is the one of its source', async () => {
  for (const source of KERNELS) {
    const compiled = `${dirname(source)}/wasm.ts`
    const file = readFileSync(new URL(`../../${compiled}`, import.meta.url), 'utf8')
    assert.ok(file === (await kernelModule(source)), `${compiled} is stale: run \`npm run kernel\``)
  }
})

test('any text gives the tally of the oracle, and the hashes of hashName, however it is cut', () => {
  const tally = new Tally({ hash, nameBytesMax: 1000 })
  fc.assert(
    fc.property(text, fc.array(fc.nat(20_000), { maxLength: 6 }), (bytes, cuts) => {
      const expected = tallyOf(bytes)
      feed(tally, bytes, cuts)
      assert.equal(counted(tally), [...expected])
      assert.is(
        tally.tokens,
        [...expected.values()].reduce((sum, count) => sum + count, 0),
      )
      const { hashes } = tally
      for (const [index, name] of names(tally).entries()) {
        const nameAlone = nameBytes(name)
        assert.is(hashes[index], hashName(hash, nameAlone, 0, nameAlone.length), name)
      }
    }),
    { numRuns: 300, seed },
  )
})

test('words of every length at every place of a vector are told apart from ones that differ in one byte', () => {
  const tally = new Tally({ hash: { start: 0, multiplier: 0 }, nameBytesMax: 100 })
  for (let indent = 0; indent < 16; indent++) {
    for (let length = 1; length < 40; length++) {
      const word = 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'.slice(0, length)
      const others = [0, length >> 1, length - 1].map((at) => `${word.slice(0, at)}-${word.slice(at + 1)}`)
      const all = [...new Set([word, ...others, `${word}\0`, `${word}a`])]
      const bytes = nameBytes(`${' '.repeat(indent)}${all.join(' ')} ${all.join('\n')}`)
      assert.equal(
        counted(feed(tally, bytes)),
        all.map((name) => [name, 2]),
      )
    }
  }
})

test('a word of the longest length is counted at any cut, and one byte more is refused with its offset', () => {
  for (const nameBytesMax of [1, 8, 16, 4096, 65_535]) {
    const tally = new Tally({ hash, nameBytesMax })
    const longest = 'Q'.repeat(nameBytesMax)
    const before = 'a '.repeat(9000)
    for (const cuts of [[], [before.length + (nameBytesMax >> 1)], [16_384, 20_000]]) {
      assert.equal(names(feed(tally, nameBytes(`${before}${longest} b`), cuts)), [...new Set(['a', longest.toLowerCase(), 'b'])])
      for (const end of ['', ' b', 'é']) {
        try {
          feed(tally, nameBytes(`${before}${longest}q${end}`), cuts)
          assert.unreachable()
        } catch (error) {
          assert.instance(error, CounterError)
          assert.is((error as CounterError).code, 'NAME_TOO_LONG')
          assert.is((error as Error).message, `the word at byte 18000 of the text is longer than ${nameBytesMax} bytes`)
        }
      }
    }
  }
})

test('a text that changes between ASCII and not at every word keeps its counts through growth', () => {
  const tally = new Tally({ hash, nameBytesMax: 100 })
  const words = Array.from({ length: 60_000 }, (_, index) => (index % 3 === 0 ? `é${index}` : `e${index}`))
  const bytes = nameBytes(words.join(' '))
  assert.equal(names(feed(tally, bytes, [10_001, 20_002, 300_003])), words)
  tally.add('e1', 5)
  assert.is(tally.count, words.length)
  assert.is(tally.amounts[4], 6)
})

test('memory that grew very large is given back at the next reset, and moderate growth is kept', () => {
  const tally = new Tally({ hash, nameBytesMax: 100 })
  feed(tally, distinctWords(20_000))
  const kept = tally.names.buffer.byteLength
  feed(tally, nameBytes('small'))
  assert.is(tally.names.buffer.byteLength, kept)
  feed(tally, distinctWords(400_000))
  assert.ok(tally.names.buffer.byteLength > 16 << 20)
  assert.equal(counted(feed(tally, nameBytes('small'))), [['small', 1]])
  assert.ok(tally.names.buffer.byteLength < 1 << 20)
})

test.run()
