// Seeded texts for benches and tests: one like English (few words make up most of the text, Zipf's law), one in which no word repeats.

import type { Random } from '../../lib/base/random.ts'

const ONSETS = ['', 'b', 'c', 'd', 'f', 'g', 'h', 'l', 'm', 'n', 'p', 'r', 's', 't', 'w', 'th', 'st', 'ch', 'br', 'sh']
const NUCLEI = ['a', 'e', 'i', 'o', 'u', 'ea', 'ou', 'y']
const CODAS = ['', 'n', 'r', 's', 't', 'd', 'l', 'nd', 'ng', 'st']

/** `count` different pronounceable words, the short ones first, as they are in a language. */
export function vocabulary(random: Random, count: number): string[] {
  const words = new Set<string>()
  const pick = (parts: readonly string[]): string => parts[random.uint32() % parts.length]!
  while (words.size < count) {
    // The more words there are, the longer the next.
    const syllables = 1 + Math.floor(Math.log10(1 + words.size / 60) + (random.uint32() % 2) / 2)
    let word = ''
    for (let syllable = 0; syllable < syllables; syllable++) word += pick(ONSETS) + pick(NUCLEI) + pick(CODAS)
    words.add(word)
  }
  return [...words]
}

/** A text of about `bytes` bytes: sentences of words drawn by Zipf's law, with capitals, commas, full stops and line ends. */
export function englishLike(random: Random, bytes: number, distinct = 20_000): string {
  const words = vocabulary(random, distinct)
  const parts: string[] = []
  let length = 0
  let sentence = 0
  while (length < bytes) {
    // exp of a uniform number is distributed as 1/x, which is Zipf's law.
    const rank = Math.floor(Math.exp((random.uint32() / 2 ** 32) * Math.log(distinct + 1))) - 1
    let word = words[rank]!
    if (sentence === 0) word = word[0]!.toUpperCase() + word.slice(1)
    sentence++
    const luck = random.uint32() % 100
    if (luck < 8) word += ','
    if (sentence > 6 && luck > 88) {
      word += '.'
      sentence = 0
    }
    word += sentence === 0 && luck > 95 ? '\n' : ' '
    parts.push(word)
    length += word.length
  }
  return parts.join('')
}

/** A text of `count` words of 8 letters, no two the same, in an order without a pattern. */
export function distinctWords(count: number): Uint8Array {
  const text = new Uint8Array(count * 9)
  const range = 26 ** 8
  // A step with no common divisor with the range visits every number once.
  const step = Math.floor(range * 0.6180339887) | 1
  let number = 12_345
  for (let word = 0, at = 0; word < count; word++) {
    number = (number + (step % 13 === 0 ? step + 2 : step)) % range
    for (let letter = 0, rest = number; letter < 8; letter++, rest = Math.floor(rest / 26)) text[at++] = 0x61 + (rest % 26)
    text[at++] = 0x20
  }
  return text
}
