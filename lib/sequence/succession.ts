// From a home to etcd, as a node sees it that is started with etcd: it gives no numbers from there before etcd has all that this node has
// heard of. Who forgot to move the sequences is told so, and no number is given twice.

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import type { EtcdSequencer } from './etcd.ts'
import { HomeMemory } from './home-memory.ts'
import type { LocalSequencer } from './local.ts'
import type { NoteStore } from './local-book.ts'
import type { NextOptions, Numbers, SequencePage, Sequencer, SequenceStatus, SequenceValue } from './sequencer.ts'

export interface SuccessionOptions {
  readonly etcd: EtcdSequencer
  /** What this node has given itself, as a home or alone. */
  readonly local: LocalSequencer
  readonly notes: NoteStore
}

/** A note of the term up to which all that was heard is known to be in etcd. A home that goes on after a move begins another. */
const MOVED = 'sequence-moved'
const PAGE = 1000

export class Succession implements Sequencer {
  readonly #options: SuccessionOptions
  readonly #memory: HomeMemory
  #isSettled = false
  #settling: Promise<void> | undefined

  /** @throws CounterError LOG_CORRUPT: a note is of another version */
  constructor(options: SuccessionOptions) {
    this.#options = options
    this.#memory = new HomeMemory(options.notes)
    for (const [key, bytes] of options.notes.notesUnder(MOVED)) {
      if (key === MOVED && readerOf(bytes).varint() === this.#term) this.#isSettled = true
    }
  }

  get #term(): number {
    return this.#memory.tenure?.term ?? 0
  }

  async next(name: string, options?: NextOptions): Promise<Numbers> {
    return (await this.#successor()).next(name, options)
  }

  async get(name: string): Promise<number> {
    return (await this.#successor()).get(name)
  }

  async list(page: SequencePage): Promise<{ readonly sequences: readonly SequenceValue[]; readonly more: boolean }> {
    return (await this.#successor()).list(page)
  }

  async set(name: string, value: number, options: { readonly force: boolean }): Promise<void> {
    return (await this.#successor()).set(name, value, options)
  }

  async freeze(): Promise<void> {
    return (await this.#successor()).freeze()
  }

  async thaw(): Promise<void> {
    return (await this.#successor()).thaw()
  }

  async status(): Promise<SequenceStatus> {
    const status = await this.#options.etcd.status()
    if (!status.reachable) return status
    try {
      await this.#successor()
      return status
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      return { ...status, reachable: false, detail: error.fix === undefined ? error.message : `${error.message}. ${error.fix}` }
    }
  }

  async close(): Promise<void> {
    await this.#options.etcd.close()
    await this.#options.local.close()
  }

  /** etcd, when it may be used. @throws CounterError SEQUENCE_UNAVAILABLE */
  async #successor(): Promise<EtcdSequencer> {
    if (!this.#isSettled) {
      this.#settling ??= this.#settle().finally(() => {
        this.#settling = undefined
      })
      await this.#settling
    }
    return this.#options.etcd
  }

  async #settle(): Promise<void> {
    const { etcd, local, notes } = this.#options
    const heard = new Map<string, number>()
    for (const [name, { value }] of this.#memory.page(0, Number.POSITIVE_INFINITY)) heard.set(name, value)
    for await (const { name, value } of all(local)) heard.set(name, Math.max(value, heard.get(name) ?? 0))
    if (heard.size > 0) {
      for await (const { name, value } of all(etcd)) if (value >= (heard.get(name) ?? 0)) heard.delete(name)
      for (const [name, value] of heard) if (value > 0) throw notMoved(name, value)
      // From now on values in etcd may also be taken back.
      const writer = new ByteWriter(10)
      writer.varint(this.#term)
      await notes.keepNotes([[MOVED, writer.written()]])
    }
    this.#isSettled = true
  }
}

async function* all(sequencer: Pick<Sequencer, 'list'>): AsyncGenerator<SequenceValue, void> {
  for (let after: string | undefined, more = true; more; ) {
    const page = await sequencer.list({ prefix: '', after, limit: PAGE })
    yield* page.sequences
    after = page.sequences.at(-1)?.name
    more = page.more
  }
}

const readerOf = (bytes: Uint8Array): ByteReader =>
  new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'the note of a move of the sequences')

function notMoved(name: string, value: number): CounterError {
  return new CounterError(
    'SEQUENCE_UNAVAILABLE',
    `etcd does not have what was given before: the sequence "${name}" was at ${value} when its numbers came from a node`,
    {
      fix:
        'Start the nodes with COUNTER_SEQUENCE=home, move the sequences by `counter sequence migrate`, and start them with etcd then. ' +
        'When those numbers do not matter, set the sequences in etcd higher from a new node.',
    },
  )
}
