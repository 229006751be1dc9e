// What the local engine knows: the last number of each sequence, the idempotency keys with the numbers they got, and whether all is frozen.
// It is in memory and in the node's notes. Changes are drafted first and take effect when their notes are durable, so nothing is answered
// from what a crash could take back. Layout of the notes: docs/FORMATS.md, section "Notes of sequences".

import { ByteReader, ByteWriter } from '../base/bytes.ts'

/** undefined takes the note away. */
export type NoteChange = readonly [key: string, value: Uint8Array | undefined]

/** What the engine needs of the node's store: durable small values, those changed together in one record. */
export interface NoteStore {
  notesUnder(prefix: string): Iterable<readonly [key: string, value: Uint8Array]>
  /** Resolves when durable. One at a time here, because two that wait for room may be written in either order. */
  keepNotes(changes: readonly NoteChange[]): Promise<void>
  /** undefined when what was kept is durable; else a promise of it. */
  settled(): Promise<void> | undefined
}

/** The numbers that a key got, and until when it is remembered, in milliseconds of the wall clock. */
export interface KeptNumbers {
  readonly first: number
  readonly last: number
  readonly untilMs: number
}

export interface KeptKey extends KeptNumbers {
  readonly name: string
  readonly key: string
}

export interface KeyLimits {
  /** How long a key is remembered at least, unless there are too many, in milliseconds. */
  readonly keyTtlMs: number
  /** How many are remembered; the oldest go first. */
  readonly keysMax: number
}

const VALUE = 'sequence/value/'
const KEY = 'sequence/key/'
const FROZEN = 'sequence/frozen'
const VERSION = 1
/** So many keys more than come in are forgotten with each change, at most: the record stays small, and all of them go in the end. */
const FORGET_MORE = 64

export class LocalBook {
  readonly limits: KeyLimits
  readonly values = new Map<string, number>()
  /** By note, the oldest first. */
  readonly keys = new Map<string, KeptNumbers>()
  frozen = false

  /** @throws CounterError LOG_CORRUPT when a note is none of this version's */
  constructor(notes: NoteStore, limits: KeyLimits) {
    this.limits = limits
    for (const [note, bytes] of notes.notesUnder(VALUE)) this.values.set(note.slice(VALUE.length), readValue(note, bytes))
    const kept = Array.from(notes.notesUnder(KEY), ([note, bytes]) => [note, readKept(note, bytes)] as const)
    kept.sort((a, b) => a[1].untilMs - b[1].untilMs)
    for (const [note, numbers] of kept) this.keys.set(note, numbers)
    for (const [note] of notes.notesUnder(FROZEN)) if (note === FROZEN) this.frozen = true
  }

  *keptKeys(): Generator<KeptKey, void> {
    for (const [note, numbers] of this.keys) yield { ...splitKey(note), ...numbers }
  }
}

/** Changes that are going to be made together. What they read is what is known with the changes before them. */
export class Draft {
  readonly #book: LocalBook
  readonly #nowMs: number
  readonly #values = new Map<string, number>()
  readonly #keys = new Map<string, KeptNumbers>()
  #frozen: boolean

  constructor(book: LocalBook, nowMs: number) {
    this.#book = book
    this.#nowMs = Math.floor(nowMs)
    this.#frozen = book.frozen
  }

  get frozen(): boolean {
    return this.#frozen
  }

  set frozen(frozen: boolean) {
    this.#frozen = frozen
  }

  value(name: string): number {
    return this.#values.get(name) ?? this.#book.values.get(name) ?? 0
  }

  setValue(name: string, value: number): void {
    this.#values.set(name, value)
  }

  /** The numbers that the key got, unless that was too long ago. */
  find(name: string, key: string): KeptNumbers | undefined {
    const note = noteOfKey(name, key)
    const kept = this.#keys.get(note) ?? this.#book.keys.get(note)
    return kept !== undefined && kept.untilMs > this.#nowMs ? kept : undefined
  }

  keep(name: string, key: string, first: number, last: number): void {
    this.#keys.set(noteOfKey(name, key), { first, last, untilMs: this.#nowMs + this.#book.limits.keyTtlMs })
  }

  /** The notes to keep, and what makes the book say the same; nothing to keep: undefined. */
  finish(): { changes: NoteChange[]; apply: () => void } | undefined {
    const { values, keys, frozen } = this.#book
    const forgotten = this.#forgotten()
    const changes: NoteChange[] = forgotten.map((note) => [note, undefined])
    for (const [name, value] of this.#values) changes.push([VALUE + name, writeNumbers(value)])
    for (const [note, { first, last, untilMs }] of this.#keys) changes.push([note, writeNumbers(first, last, untilMs)])
    if (this.#frozen !== frozen) changes.push([FROZEN, this.#frozen ? writeNumbers() : undefined])
    if (changes.length === forgotten.length) return undefined
    const apply = (): void => {
      for (const note of forgotten) keys.delete(note)
      for (const [name, value] of this.#values) values.set(name, value)
      for (const [note, numbers] of this.#keys) {
        keys.delete(note)
        keys.set(note, numbers)
      }
      this.#book.frozen = this.#frozen
    }
    return { changes, apply }
  }

  /** Keys to forget with this change: those that are too old or too many, the oldest first. */
  #forgotten(): string[] {
    const { keys, limits } = this.#book
    const max = this.#keys.size + FORGET_MORE
    const forgotten: string[] = []
    for (const [note, { untilMs }] of keys) {
      const left = keys.size - forgotten.length + this.#keys.size
      if (forgotten.length >= max || (untilMs > this.#nowMs && left <= limits.keysMax)) break
      if (!this.#keys.has(note)) forgotten.push(note)
    }
    return forgotten
  }
}

/** A name may hold any character, so its length stands before it. */
const noteOfKey = (name: string, key: string): string => `${KEY}${name.length}/${name}/${key}`

function splitKey(note: string): { name: string; key: string } {
  const slash = note.indexOf('/', KEY.length)
  const end = slash + 1 + Number(note.slice(KEY.length, slash))
  return { name: note.slice(slash + 1, end), key: note.slice(end + 1) }
}

function writeNumbers(...numbers: number[]): Uint8Array {
  const writer = new ByteWriter(32)
  writer.uint8(VERSION)
  for (const number of numbers) writer.varint(number)
  return writer.written().slice()
}

function readerOf(note: string, bytes: Uint8Array): ByteReader {
  const reader = new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', `the note ${note}`)
  const version = reader.uint8()
  if (version !== VERSION) reader.fail(`is v${version}, expected v${VERSION},`)
  return reader
}

const readValue = (note: string, bytes: Uint8Array): number => readerOf(note, bytes).varint()

function readKept(note: string, bytes: Uint8Array): KeptNumbers {
  const reader = readerOf(note, bytes)
  return { first: reader.varint(), last: reader.varint(), untilMs: reader.varint() }
}
