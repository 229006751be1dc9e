// lowerWord and lowerCodePoint agree with each other and with a rune-by-rune lower case on all of Unicode.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lowerWord, nameBytes } from '../../lib/text/index.ts'
import { lowerCodePoint, WHITE } from '../../lib/text/lower.ts'
import { lower } from './oracle.ts'

const test = suite('text/lower')

test('every code point has one simple lower-case form, the same in a word and in a text', () => {
  for (let codePoint = 0x80; codePoint < 0x110000; codePoint++) {
    if (codePoint >= 0xd800 && codePoint < 0xe000) continue
    const got = lowerCodePoint(codePoint)
    if (got === WHITE) continue
    const letter = String.fromCodePoint(codePoint)
    if (String.fromCodePoint(got) !== lower(codePoint))
      assert.unreachable(`U+${codePoint.toString(16)} gave U+${got.toString(16)}`)
    if (lowerWord(letter) !== lower(codePoint)) assert.unreachable(`U+${codePoint.toString(16)} as a word`)
    // The answer is kept; a second look gives it again.
    if (lowerCodePoint(codePoint) !== got) assert.unreachable(`U+${codePoint.toString(16)} changed`)
  }
})

test('a word is lowered without regard to what surrounds a letter', () => {
  //             word          lower
  const cases = [
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευσ'],
    ['DİYARBAKIR', 'diyarbakir'],
    ['ﬁN', 'ﬁn'],
    ['', ''],
    ['__PROTO__', '__proto__'],
  ]
  for (const [word, expected] of cases) assert.is(lowerWord(word!), expected)
})

test('a lone surrogate in a name becomes U+FFFD', () => {
  assert.equal([...nameBytes('a\ud83d')], [0x61, 0xef, 0xbf, 0xbd])
})

test.run()
