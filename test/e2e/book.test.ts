// A whole book in one request by curl, and every word's count compared with tr, sort and uniq: the main job on real input.
// time limit: 400 s
// The books are made here from a seed, one of ASCII for the oracle of Unix tools, one with the rest of Unicode for an oracle of
// ten lines; and where Debian's bible-kjv is installed, the Bible.

import { execFileSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { readCounts } from '../support/load.ts'
import { needs } from '../support/needs.ts'
import { startNode, temporaryDirectory } from '../support/process.ts'

const test = suite('e2e/book')
const curl = needs('curl')
const bible = needs('bible-kjv', 'bible')
const BOOK_BYTES = 4_000_000
const OUTPUT_BYTES_MAX = 256 * 2 ** 20

const ASCII_SPACES = [' ', ' ', ' ', ' ', '\n', '\r\n', '\t', '  \n\n', ' \v', '\f', ' \t \t ']
const UNICODE_SPACES = [...ASCII_SPACES, '\u0085', '\u00a0', '\u1680', '\u2003', '\u2028', '\u205f', '\u3000']
const ASCII_LETTERS = [...'abcdefghijklmnopqrstuvwxyz']
// Not white space although it looks like it: U+200B, U+FEFF, U+001C, U+180E.
const UNICODE_LETTERS = [...ASCII_LETTERS, ...'äÄéÉßẞñøåÅçΣσςΑαΩЖжЯяĐđŁłİıǅǆﬁ日本語字🙂𐐀𐐨\u200b\ufeff\u001c\u180e\u0301']

/** Words as in a language: few that are frequent, many that are rare, in any case, with marks that belong to them. */
function makeBook(random: Random, letters: readonly string[], spaces: readonly string[]): string {
  const below = (limit: number): number => random.uint32() % limit
  const pick = <T>(all: readonly T[]): T => all[below(all.length)]!
  const words = Array.from({ length: 20_000 }, () => Array.from({ length: 1 + below(11) }, () => pick(letters)).join(''))
  const parts: string[] = [pick(spaces)]
  let bytes = 0
  while (bytes < BOOK_BYTES) {
    const rank = Math.floor(words.length ** (random.uint32() / 2 ** 32)) - 1
    const word = words[rank]!
    const form = below(20)
    const cased = form === 0 ? word.toUpperCase() : form < 3 ? word[0]!.toUpperCase() + word.slice(1) : word
    const part = `${below(30) === 0 ? '"' : ''}${cased}${below(8) === 0 ? pick([',', '.', '!', "'s", '--']) : ''}${pick(spaces)}`
    parts.push(part)
    bytes += Buffer.byteLength(part)
  }
  return parts.join('')
}

/** Counts by the tools that everybody has. The text must be ASCII. */
function countByTools(file: string): Map<string, number> {
  const script = `tr 'A-Z' 'a-z' <"$1" | tr -s '[:space:]' '\\n' | sort | uniq -c`
  const env = { ...process.env, LC_ALL: 'C' }
  const lines = execFileSync('bash', ['-c', script, 'bash', file], { env, encoding: 'latin1', maxBuffer: OUTPUT_BYTES_MAX })
  const counts = new Map<string, number>()
  for (const line of lines.split('\n')) {
    const match = /^ *(\d+) (.+)$/.exec(line)
    if (match) counts.set(match[2]!, Number(match[1]))
  }
  return counts
}

/** The same for any text: lower case rune by rune, words between the runes that Unicode calls white space. */
function countBySplit(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  // One rune to one: U+0130 has no other such form than i.
  const lower = Array.from(text, (rune) => (rune === '\u0130' ? 'i' : rune.toLowerCase())).join('')
  for (const word of lower.split(/[\t\n\v\f\r \u0085\p{Z}]+/u)) if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** Posts the file as a user would, and compares every word. */
async function checkBook(file: string, expected: Map<string, number>): Promise<void> {
  const { path: dataDir, remove } = temporaryDirectory()
  const node = await startNode({ dataDir })
  try {
    const post = ['-sS', '-w', '%{http_code}', '--data-binary', `@${file}`, `${node.url}/keywords`]
    assert.is(execFileSync(curl.path, post, { encoding: 'utf8' }), '200')
    assert.ok(expected.size > 5_000, `void: only ${expected.size} words`)
    const counts = await readCounts(Number(new URL(node.url).port), [...expected.keys(), 'no-such-word-in-it'])
    const wrong = [...expected].filter(([word, count]) => counts.get(word) !== count)
    assert.equal(
      wrong.slice(0, 10).map(([word, count]) => ({ word, count, got: counts.get(word) })),
      [],
    )
    assert.is(counts.get('no-such-word-in-it'), 0)
    const metrics = await (await fetch(`${node.url}/metrics`)).text()
    assert.match(metrics, new RegExp(`^counter_names ${expected.size}$`, 'm'))
    const tokens = [...expected.values()].reduce((sum, count) => sum + count, 0)
    assert.match(metrics, new RegExp(`^counter_tokens_total ${tokens}$`, 'm'))
  } finally {
    await node.end('SIGKILL')
    remove()
  }
}

async function withFile(text: string | Buffer, work: (file: string) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  const file = join(path, 'book.txt')
  try {
    writeFileSync(file, text)
    assert.ok(statSync(file).size > 3_000_000, 'void: a short book')
    await work(file)
  } finally {
    remove()
  }
}

const seed = Number(process.env.SEED ?? 1)

curl.test(test, 'every word of an ASCII book is counted as tr, sort and uniq count it', () =>
  withFile(makeBook(seededRandom(seed), ASCII_LETTERS, ASCII_SPACES), (file) => checkBook(file, countByTools(file))),
)

curl.test(test, 'every word of a book in many scripts is counted, in lower case and split at Unicode white space', async () => {
  const text = makeBook(seededRandom(seed + 1), UNICODE_LETTERS, UNICODE_SPACES)
  await withFile(text, (file) => checkBook(file, countBySplit(text)))
})

if (curl.present) {
  bible.test(test, 'every word of the Bible is counted as tr, sort and uniq count it', () =>
    withFile(execFileSync(bible.path, ['gen1:1-rev22:21'], { maxBuffer: OUTPUT_BYTES_MAX }), (file) =>
      checkBook(file, countByTools(file)),
    ),
  )
}

test.run()
