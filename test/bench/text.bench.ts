// How fast a text becomes counts, beside the obvious way in JavaScript: lower-case it, split it, count in a Map.
// Both start from the bytes of the text, as they come from a socket, and each text is counted on its own.
// P1: English text, in texts of 10 kB and as one whole. P2: eight million different words.
// The text is the bible when Debian's bible-kjv is installed, otherwise a generated one.

import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Tally } from '../../lib/text/index.ts'
import { englishText } from './english.ts'
import { measure } from './measure.ts'
import { distinctWords } from './words.ts'

const DISTINCT = Number(process.env.DISTINCT ?? 8_000_000)
const tally = new Tally({ hash: createNameHash(seededRandom(1)), nameBytesMax: 1024 })

const { text, source } = englishText()
const words = countWith(tally, [text]).tokens
const texts = Array.from({ length: Math.ceil(text.length / 10_000) }, (_, index) =>
  text.subarray(index * 10_000, (index + 1) * 10_000),
)
const wordsInTexts = texts.reduce((sum, piece) => sum + countWith(tally, [piece]).tokens, 0)
console.log(`text: ${source}, ${text.length} bytes, ${words} words, ${countWith(tally, [text]).count} distinct`)

measure({
  title: 'P1  texts of 10 kB of English',
  units: wordsInTexts,
  unit: 'words',
  contestants: [
    { name: 'Tally', run: () => texts.forEach((piece) => countWith(tally, [piece])) },
    { name: 'Map over split', run: () => texts.forEach(countWithMap) },
  ],
  rounds: 15,
  warmUps: 4,
  target: 5,
})

measure({
  title: 'P1  one English text, in pieces of 64 kB as from a socket',
  units: words,
  unit: 'words',
  contestants: [
    { name: 'Tally', run: () => countWith(tally, pieces(text)) },
    { name: 'Map over split', run: () => countWithMap(text) },
  ],
  rounds: 15,
  warmUps: 4,
  target: 5,
})

const distinct = distinctWords(DISTINCT)
measure({
  title: 'P2  words that are all different',
  units: DISTINCT,
  unit: 'words',
  contestants: [
    { name: 'Tally', run: () => countWith(tally, pieces(distinct)), before: collect },
    { name: 'Map over split', run: () => countWithMap(distinct), before: collect },
  ],
  rounds: 3,
  warmUps: 1,
  target: 8,
})

function countWith(target: Tally, parts: Uint8Array[]): Tally {
  target.reset()
  for (const part of parts) target.feed(part)
  target.end()
  return target
}

function countWithMap(bytes: Uint8Array): Map<string, number> {
  const counts = new Map<string, number>()
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  for (const word of all.toLowerCase().split(/\s+/)) {
    if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

function pieces(whole: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < whole.length; at += 65_536) parts.push(whole.subarray(at, at + 65_536))
  return parts
}

/** What the other contestant left behind is not to be collected in our time. */
function collect(): void {
  tally.reset()
  globalThis.gc?.()
}
