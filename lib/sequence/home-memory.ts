// What a node remembers of the sequences of a home: its standing (whose the last tenure is, and what the node itself has of it), and of each
// sequence the greatest number it has heard of. Standings are durable before anybody hears of them. Marks are kept a little later, many
// in one record: they are evidence against a home that has lost its directory, and the more nodes have them, the better.

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { contradicts, decodeStanding, encodeStanding, type Mark, type Standing, type Tenure } from './home-tenure.ts'
import type { NoteStore } from './local-book.ts'

const STANDING = 'sequence-home/standing'
const MARK = 'sequence-home/mark/'
/** Marks in one record. */
const RECORD_MARKS_MAX = 1000

export class HomeMemory {
  readonly #notes: NoteStore
  #standing: Standing = { tenure: undefined, holding: 'none' }
  #keeping: Promise<void> = Promise.resolve()
  /** A tenure that was learned and is not in the notes yet. */
  #heard: Tenure | undefined
  readonly #marks = new Map<string, Mark>()
  /** Names whose mark is not in the notes yet. */
  readonly #fresh = new Set<string>()

  /** @throws CounterError LOG_CORRUPT */
  constructor(notes: NoteStore) {
    this.#notes = notes
    for (const [key, bytes] of notes.notesUnder(STANDING)) if (key === STANDING) this.#standing = decodeStanding(bytes)
    for (const [key, bytes] of notes.notesUnder(MARK)) this.#marks.set(key.slice(MARK.length), decodeMark(bytes))
  }

  /** What the notes say. */
  get standing(): Standing {
    return this.#standing
  }

  /** The last tenure that is known, also when it is not in the notes yet. */
  get tenure(): Tenure | undefined {
    return this.#heard ?? this.#standing.tenure
  }

  get markCount(): number {
    return this.#marks.size
  }

  /** Resolves when it is durable, and only then is it what `standing` says. @throws as keepNotes(); nothing has changed then */
  stand(standing: Standing): Promise<void> {
    return this.#inTurn(() => this.#keep(standing))
  }

  /** One after the other: a later standing is not to be overtaken by one that was decided before it. */
  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#keeping.then(task)
    this.#keeping = done.catch(() => {})
    return done
  }

  async #keep(standing: Standing): Promise<void> {
    await this.#notes.keepNotes([[STANDING, encodeStanding(standing)]])
    this.#standing = standing
    // What was heard before is over.
    if (standing.tenure !== undefined && (this.#heard?.term ?? 0) <= standing.tenure.term) this.#heard = undefined
  }

  /**
   * Takes note of a tenure of another node, which is evidence like a mark and kept as late.
   * @returns false when it contradicts what is known: it is over, it has a rival, or this node holds the sequences itself
   */
  learn(tenure: Tenure): boolean {
    const { tenure: own, holding } = this.#standing
    const known = this.#heard ?? own
    if (contradicts(known, tenure)) return false
    if (known?.term === tenure.term) return true
    if (holding === 'holds') return false
    this.#heard = tenure
    return true
  }

  mark(name: string): Mark | undefined {
    return this.#marks.get(name)
  }

  /** A number of a sequence was given in this term. The last term counts, and in it the greatest number. */
  hear(name: string, term: number, value: number): void {
    const mark = this.#marks.get(name)
    if (mark !== undefined && (mark.term > term || (mark.term === term && mark.value >= value))) return
    this.#marks.set(name, { term, value })
    this.#fresh.add(name)
  }

  /** Some of the marks, beginning with the one of this index. Those that come later are behind those that were there. */
  page(from: number, limit: number): Array<[string, Mark]> {
    const page: Array<[string, Mark]> = []
    let index = 0
    for (const entry of this.#marks) {
      if (page.length >= limit) break
      if (index++ >= from) page.push(entry)
    }
    return page
  }

  /** Keeps what is not kept yet. @throws as keepNotes(); it is kept with the next call then */
  async flush(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#heard !== undefined) await this.#keep({ tenure: this.#heard, holding: 'none' })
    })
    while (this.#fresh.size > 0) {
      const names = [...this.#fresh].slice(0, RECORD_MARKS_MAX)
      for (const name of names) this.#fresh.delete(name)
      try {
        await this.#notes.keepNotes(names.map((name) => [MARK + name, encodeMark(this.#marks.get(name)!)]))
      } catch (error) {
        for (const name of names) this.#fresh.add(name)
        throw error
      }
    }
  }
}

function encodeMark({ term, value }: Mark): Uint8Array {
  const writer = new ByteWriter(20)
  writer.varint(term)
  writer.varint(value)
  return writer.written().slice()
}

function decodeMark(bytes: Uint8Array): Mark {
  const reader = new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'the note of a mark of a sequence')
  return { term: reader.varint(), value: reader.varint() }
}
