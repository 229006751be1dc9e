// Splits a text on Unicode word boundaries: COUNTER_TOKENIZER=word. A simple reading of UAX 29 (unicode.org/reports/tr29):
// a word is a run of letters, digits and marks; single apostrophes and runs of underscores inside belong to it.
// Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) go through Intl.Segmenter, in runs cut
// at RUN_UNITS, since it slows down on longer ones. Nothing depends on where the pieces of the text were cut.
// Each code point's class is asked of the regular expressions once. This is not the fast path; that is in spaces.ts.

import { type Block, RUN_UNITS } from './block.ts'
import { lowerWord } from './lower.ts'
import { nameTooLong, type Tokenizer } from './spaces.ts'

const BREAK = 1
const LETTER = 2
const UNSPACED = 3
const APOSTROPHE = 4
const UNDERSCORE = 5

const WORD_PART = /[\p{L}\p{N}\p{M}]/u
const UNSPACED_SCRIPT = /[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]/u

/** Class of each code point; 0 where nobody asked yet. Only touched pages take memory. */
const classes = new Uint8Array(0x110000)

const segmenter = new Intl.Segmenter('und', { granularity: 'word' })
const encoder = new TextEncoder()

export class WordTokenizer implements Tokenizer {
  private readonly block: Block
  private readonly nameBytesMax: number
  private decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  /** The open word as it stands in the text, and connectors behind it that count only if the word goes on. */
  private word = ''
  private connectors = ''
  /** The open run of a script without spaces. */
  private run = ''
  /** Bytes of the text so far, and where the open word or run starts. */
  private offset = 0
  private startOffset = 0

  constructor(block: Block, nameBytesMax: number) {
    this.block = block
    this.nameBytesMax = nameBytesMax
  }

  reset(): void {
    // A decoder may hold a part of a sequence.
    this.decoder.decode()
    this.word = this.connectors = this.run = ''
    this.offset = this.startOffset = 0
  }

  scan(piece: Uint8Array, from: number, to: number): void {
    this.decoded(this.decoder.decode(piece.subarray(from, to), { stream: true }))
  }

  end(): void {
    this.decoded(this.decoder.decode())
    this.endWord()
    this.endRun()
  }

  private decoded(text: string): void {
    for (const letter of text) {
      const codePoint = letter.codePointAt(0)!
      this.step(letter, classes[codePoint] || (classes[codePoint] = classify(letter)))
      this.offset += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
    }
  }

  private step(letter: string, kind: number): void {
    if (kind === LETTER) {
      this.endRun()
      if (this.word === '') this.startOffset = this.offset
      this.word += this.connectors + letter
      this.connectors = ''
      // A unit is at least a byte, so that this bounds what is held.
      if (this.word.length > this.nameBytesMax) throw this.tooLong()
    } else if (kind === UNSPACED) {
      this.endWord()
      if (this.run === '') this.startOffset = this.offset
      this.run += letter
      if (this.run.length >= RUN_UNITS - 1) this.endRun()
    } else if (
      this.word !== '' &&
      (kind === UNDERSCORE ? !isApostrophe(this.connectors) : kind === APOSTROPHE && this.connectors === '')
    ) {
      this.connectors += letter
      if (this.connectors.length > this.nameBytesMax) this.endWord()
    } else {
      this.endWord()
      this.endRun()
    }
  }

  private endWord(): void {
    if (this.word !== '') this.put(lowerWord(this.word))
    this.word = this.connectors = ''
  }

  private endRun(): void {
    if (this.run === '') return
    for (const { segment } of segmenter.segment(lowerWord(this.run))) this.put(segment)
    this.run = ''
  }

  private put(word: string): void {
    const { block } = this
    const { read, written } = encoder.encodeInto(word, block.bytes.subarray(block.end, block.end + this.nameBytesMax))
    if (read < word.length) throw this.tooLong()
    block.end += written
    block.endWord()
  }

  private tooLong(): Error {
    return nameTooLong(`the word at byte ${this.startOffset} of the text`, this.nameBytesMax)
  }
}

function classify(letter: string): number {
  if (letter === "'" || letter === '\u2019') return APOSTROPHE
  if (letter === '_') return UNDERSCORE
  if (!WORD_PART.test(letter)) return BREAK
  return UNSPACED_SCRIPT.test(letter) ? UNSPACED : LETTER
}

function isApostrophe(connectors: string): boolean {
  return connectors === "'" || connectors === '\u2019'
}
