// Tally against a naive oracle: the same names and counts for any bytes, however the text is cut.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { createNameHash, hashName } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { nameBytes, Tally } from '../../lib/text/index.ts'
import { distinctWords, englishLike } from '../bench/words.ts'
import { tallyOf } from './oracle.ts'

const test = suite('text/tally')
const seed = Number(process.env.SEED ?? 1)
const hash = createNameHash(seededRandom(seed))
const make = (nameBytesMax = 1024): Tally => new Tally({ hash, nameBytesMax })
// Names must be UTF-8: a tolerant decoder would hide what is not.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Every name with its plus, in order of arrival. */
function counts(tally: Tally): Map<string, number> {
  const result = new Map<string, number>()
  for (let name = 0; name < tally.count; name++) result.set(nameOf(tally, name), tally.amounts[name * 4]!)
  return result
}

function nameOf(tally: Tally, name: number): string {
  return decoder.decode(tally.names.slice(name === 0 ? 0 : tally.ends[name - 1], tally.ends[name]))
}

function amountsOf(tally: Tally, name: number): bigint[] {
  const word = (at: number): bigint => BigInt(tally.amounts[name * 4 + at]!)
  return [word(0) | (word(1) << 32n), word(2) | (word(3) << 32n)]
}

function tallied(text: Uint8Array | string, cuts: number[] = [], tally = make()): Map<string, number> {
  const bytes = typeof text === 'string' ? nameBytes(text) : text
  tally.reset()
  let from = 0
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    tally.feed(bytes.subarray(from, cut))
    from = cut
  }
  tally.end()
  return counts(tally)
}

function code(action: () => void): string | undefined {
  try {
    action()
  } catch (error) {
    return error instanceof CounterError ? error.code : String(error)
  }
  return undefined
}

/** Bytes at which decoders go wrong, among ordinary ones. */
const nastyByte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...nameBytes('aZ \n\u0000\u0085\u00a0\u3000\u2003\u1680İßΣςKΩﬁ😀𐐀\ufeff\uffff')) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
)
const nastyText = fc.oneof(
  fc.array(nastyByte, { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes)),
  fc
    .array(fc.constantFrom(' ', '\u2009', 'a', 'B', 'İ', 'ẞ', 'ΑΣ', 'ﬁ', '\u212a', '\u2126', '😀', '𐐀', 'Ⱥ', '\u0085'), {
      maxLength: 40,
    })
    .map((parts) => nameBytes(parts.join(''))),
)

test('any bytes give the tally of the oracle, however they are cut', () => {
  const tally = make()
  fc.assert(
    fc.property(nastyText, fc.array(fc.nat(300), { maxLength: 8 }), (bytes, cuts) => {
      assert.equal([...tallied(bytes, cuts, tally)], [...tallyOf(bytes)])
    }),
    { numRuns: 3000, seed },
  )
})

test('a text longer than many slices gives the tally of the oracle, whole or cut', () => {
  const random = seededRandom(seed)
  const text = nameBytes(englishLike(random, 60_000, 3000).replace(/q|z/g, 'Ä\u00a0').replace(/w/g, '語'))
  const expected = [...tallyOf(text)]
  assert.equal([...tallied(text)], expected)
  for (const size of [1, 7, 2047, 2048, 2049, 10_000]) {
    const cuts = Array.from({ length: Math.ceil(text.length / size) - 1 }, (_, index) => (index + 1) * size)
    assert.equal([...tallied(text, cuts)], expected, `pieces of ${size}`)
  }
})

test('each byte alone gives the tally of the oracle', () => {
  for (let byte = 0; byte < 256; byte++) {
    for (const text of [[byte], [0x61, byte], [byte, 0x62], [0x61, byte, 0x62]]) {
      assert.equal([...tallied(Uint8Array.from(text))], [...tallyOf(Uint8Array.from(text))], `byte ${byte}`)
    }
  }
})

test('every white space of Unicode separates, and what only looks like one does not', () => {
  const white =
    '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'
  for (const space of white)
    assert.equal([...tallied(`a${space}b`).keys()], ['a', 'b'], `U+${space.codePointAt(0)!.toString(16)}`)
  for (const other of '\ufeff\u200b\u180e\u2060\u0000\u001c\u001f\u200d') assert.is(tallied(`a${other}b`).size, 1)
})

test('lower case is taken code point by code point', () => {
  //             text        name
  const cases = [
    ['HELLO', 'hello'],
    ['İ', 'i'],
    ['ẞ', 'ß'],
    ['ΟΔΟΣ', 'οδοσ'],
    ['ς', 'ς'],
    ['ﬁ', 'ﬁ'],
    ['\u212a', 'k'],
    ['\u2126', 'ω'],
    ['ÅÉ', 'åé'],
    ['ПРИВЕТ', 'привет'],
    ['\u{10400}', '\u{10428}'],
    ['Ⱥ', 'ⱥ'],
    ['ǅ', 'ǆ'],
  ]
  for (const [text, name] of cases) assert.equal([...tallied(text!).keys()], [name], text)
})

test('each byte that is not UTF-8 becomes one U+FFFD', () => {
  //             bytes                          what they are
  const cases = [
    [[0xff], 1],
    [[0xc0, 0x80], 2], //                        overlong
    [[0xe0, 0x80, 0x80], 3], //                  overlong
    [[0xed, 0xa0, 0x80], 3], //                  a surrogate
    [[0xf4, 0x90, 0x80, 0x80], 4], //            beyond U+10FFFF
    [[0xf0, 0x9f, 0x98], 3], //                  cut off
    [[0xe2, 0x82, 0xe2, 0x82, 0xe2, 0x82], 6],
  ] as const
  for (const [bytes, count] of cases) assert.equal([...tallied(Uint8Array.from(bytes)).keys()], ['\ufffd'.repeat(count)])
})

test('no words give no names', () => {
  for (const text of ['', ' ', ' \n\t ', '\u3000']) assert.is(tallied(text).size, 0)
})

test('the hash of a name is hashName of its bytes', () => {
  const tally = make()
  tallied(`The QUICK brown Füchse 狐 \u212a ${englishLike(seededRandom(seed), 5000)}`, [3, 700], tally)
  tally.add('Added', 1)
  tally.add('Ünï', 1)
  for (let name = 0; name < tally.count; name++) {
    const bytes = nameBytes(nameOf(tally, name))
    assert.is(tally.hashes[name], hashName(hash, bytes, 0, bytes.length))
  }
})

test('200,000 distinct words are each counted once, then twice', () => {
  const text = distinctWords(200_000)
  const tally = make()
  tally.feed(text)
  tally.end()
  tally.feed(text)
  tally.end()
  assert.is(tally.count, 200_000)
  assert.is(tally.tokens, 400_000)
  for (let name = 0; name < tally.count; name++) {
    if (tally.amounts[name * 4] !== 2 || tally.ends[name] !== (name + 1) * 8) assert.unreachable(`name ${name}`)
  }
  assert.is(Buffer.from(tally.names.subarray(0, 8)).toString(), Buffer.from(text.subarray(0, 8)).toString())
})

test('names with one hash are told apart', () => {
  // A start and multiplier under which all names of one length share their hash.
  const tally = new Tally({ hash: { start: 0, multiplier: 0 }, nameBytesMax: 100 })
  assert.equal(
    [...tallied('ab ba abc abd ab a abcdefgh abcdefgi abcdefg', [], tally)],
    [
      ['ab', 2],
      ['ba', 1],
      ['abc', 1],
      ['abd', 1],
      ['a', 1],
      ['abcdefgh', 1],
      ['abcdefgi', 1],
      ['abcdefg', 1],
    ],
  )
})

test('names with one hash are told apart at every byte of every length', () => {
  const tally = new Tally({ hash: { start: 0, multiplier: 0 }, nameBytesMax: 100 })
  for (let length = 1; length <= 20; length++) {
    const plain = 'a'.repeat(length)
    const variants = Array.from(plain, (_, at) => `${plain.slice(0, at)}b${plain.slice(at + 1)}`)
    const names = [plain, ...variants]
    assert.equal([...tallied([...names, ...names].join(' '), [], tally)], [...names.map((name): [string, number] => [name, 2])])
  }
})

test('a tally is used again after reset, after small and large texts', () => {
  const tally = make()
  const small = 'to be or not to be'
  const large = distinctWords(150_000)
  for (const text of [small, nameBytes(englishLike(seededRandom(seed), 20_000)), large, small, large.subarray(0, 9000), small]) {
    const bytes = typeof text === 'string' ? nameBytes(text) : text
    assert.equal([...tallied(bytes, [], tally)], [...tallyOf(bytes)])
  }
})

test('counts add up over many texts, and tokens with them', () => {
  const tally = make()
  for (let text = 0; text < 1000; text++) {
    tally.feed(Buffer.from('b a '))
    tally.feed(Buffer.from('A'))
    tally.end()
  }
  assert.equal(
    [...counts(tally)],
    [
      ['b', 1000],
      ['a', 2000],
    ],
  )
  assert.is(tally.tokens, 3000)
  assert.not.ok(tally.subtracts)
})

test('a word of the longest length is counted, a longer one is refused with its offset', () => {
  const tally = make(10)
  assert.equal([...tallied('abcdefghij ÄÄÄÄÄ', [], tally).keys()], ['abcdefghij', 'äääää'])
  //             text                          cuts     offset
  const cases: [string, number[], number][] = [
    ['abcdefghijk', [], 0],
    ['ab  abcdefghijk cd', [], 4],
    ['ä\u3000abcdefghijk cd', [3, 8], 5],
    ['ab ÄÄÄÄÄÄ', [4], 3],
    [`x ${'y'.repeat(9000)}`, [], 2],
    [`${'a '.repeat(3000)}${'语'.repeat(4)}`, [5999, 6001, 6005], 6000],
  ]
  for (const [text, cuts, offset] of cases) {
    try {
      tallied(text, cuts, tally)
      assert.unreachable()
    } catch (error) {
      assert.instance(error, CounterError)
      assert.is((error as CounterError).code, 'NAME_TOO_LONG')
      assert.match((error as CounterError).message, `byte ${offset} of`)
      assert.match((error as CounterError).message, '10 bytes')
      assert.match((error as CounterError).fix!, 'COUNTER_NAME_BYTES_MAX')
    }
    assert.equal([...tallied('fine again', [], tally).keys()], ['fine', 'again'])
  }
})

test('a word is measured in lower case', () => {
  assert.equal([...tallied('\u212a\u212a', [], make(2)).keys()], ['kk'])
  assert.is(
    code(() => tallied('Ⱥ', [], make(2))),
    'NAME_TOO_LONG',
  )
})

test('a part of a sequence does not leak into the next text', () => {
  const tally = make()
  tally.feed(Uint8Array.of(0x61, 0xe3, 0x80))
  tally.reset()
  assert.equal([...tallied(Uint8Array.of(0x80, 0x62), [], tally).keys()], ['\ufffdb'])
  tally.feed(Uint8Array.of(0xf0, 0x9f))
  tally.end()
  tally.feed(nameBytes('é'))
  tally.end()
  assert.equal([...counts(tally).keys()].slice(1), ['\ufffd\ufffd', 'é'])
})

test('named increments keep the name as it is and add plus and minus apart', () => {
  const tally = make()
  tally.add('Likes:İ', 5)
  tally.add('a b', -3n)
  tally.add('Likes:İ', 2n ** 33n)
  tally.add('Likes:İ', -7)
  tally.add('zero', 0)
  tally.add('big', Number.MAX_SAFE_INTEGER)
  assert.equal([...counts(tally).keys()], ['Likes:İ', 'a b', 'zero', 'big'])
  assert.equal(amountsOf(tally, 0), [2n ** 33n + 5n, 7n])
  assert.equal(amountsOf(tally, 1), [0n, 3n])
  assert.equal(amountsOf(tally, 2), [0n, 0n])
  assert.equal(amountsOf(tally, 3), [2n ** 53n - 1n, 0n])
  assert.ok(tally.subtracts)
  assert.is(tally.tokens, 0)
  tally.reset()
  assert.not.ok(tally.subtracts)
})

test('sums of increments are those of BigInt', () => {
  const amount = fc.oneof(
    fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }),
    fc.maxSafeInteger(),
    fc.constantFrom(2n ** 32n, -(2n ** 32n), 2n ** 32n - 1n),
  )
  fc.assert(
    fc.property(fc.array(amount, { maxLength: 15 }), (deltas) => {
      const tally = make()
      tally.add('n', 0)
      for (const delta of deltas) tally.add('n', delta)
      const sum = (sign: bigint): bigint =>
        deltas.map((delta) => BigInt(delta) * sign).reduce((all, one) => (one > 0n ? all + one : all), 0n)
      assert.equal(amountsOf(tally, 0), [sum(1n), sum(-1n)])
    }),
    { seed },
  )
})

test('an increment past 2^64 - 1 is refused and changes nothing', () => {
  const tally = make()
  const max = 2n ** 64n - 1n
  assert.is(
    code(() => tally.add('n', max + 1n)),
    'COUNT_OVERFLOW',
  )
  assert.is(tally.count, 0)
  tally.add('n', max)
  tally.add('n', -max)
  assert.is(
    code(() => tally.add('n', 1)),
    'COUNT_OVERFLOW',
  )
  assert.is(
    code(() => tally.add('n', -(2n ** 32n))),
    'COUNT_OVERFLOW',
  )
  assert.equal(amountsOf(tally, 0), [max, max])
  assert.is(
    code(() => {
      tally.feed(nameBytes('n'))
      tally.end()
    }),
    'COUNT_OVERFLOW',
  )
})

test('a word counted past 2^32 carries', () => {
  const tally = make()
  tally.add('n', 0xffff_ffff)
  tally.feed(nameBytes('n N'))
  tally.end()
  assert.equal(amountsOf(tally, 0), [0x1_0000_0001n, 0n])
})

test('names that are empty, too long or amounts that are no integers are refused', () => {
  const tally = make(4)
  assert.is(
    code(() => tally.add('', 1)),
    'NAME_INVALID',
  )
  assert.is(
    code(() => tally.add('abcde', 1)),
    'NAME_TOO_LONG',
  )
  assert.is(
    code(() => tally.add('ääa', 1)),
    'NAME_TOO_LONG',
  )
  assert.throws(() => tally.add('a', 0.5), TypeError)
  assert.throws(() => tally.add('a', Number.NaN), TypeError)
  assert.throws(() => tally.add('a', 2 ** 53), TypeError)
  assert.is(tally.count, 0)
  tally.add('ää', 1)
  tally.add('\ud800', 1)
  assert.equal([...counts(tally).keys()], ['ää', '\ufffd'])
})

test('an increment between two pieces leaves the open word alone', () => {
  const tally = make()
  tally.feed(nameBytes('wo'))
  tally.add('hello', 2)
  tally.feed(nameBytes('rd hello'))
  tally.end()
  assert.equal(
    [...counts(tally)],
    [
      ['hello', 3],
      ['word', 1],
    ],
  )
})

test.run()
