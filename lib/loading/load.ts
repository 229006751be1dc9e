// Loads a file of items: reads it once, from where the progress says, sends windows of it, some at a time, and notes how far everything in front
// was taken. It ends when the file does, at the first thing that fails, or when it is told to stop; in each case what was under way is waited
// for and the progress is saved. Files, nodes and time are parameters.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { type RawRecord, RecordCutter } from './cut.ts'
import type { Progress } from './progress.ts'
import { createReader } from './read.ts'
import { BATCH_ITEMS_MAX, type BadLine, markOf, type Window, WindowMaker } from './window.ts'

export interface LoadOptions {
  /** What is loaded, for messages. */
  readonly name: string
  /** Where to go on, and with what. */
  readonly progress: Progress
  /** The bytes from startOf(progress) on. */
  readonly source: AsyncIterable<Uint8Array>
  /** Of an id or a tenant, in UTF-8. */
  readonly nameBytesMax: number
  /** Windows that are under way at once. */
  readonly concurrency: number
  /** Whether lines without an item are left out; else the first one ends the load. */
  readonly skipBad: boolean
  /** Between two times that the progress is saved. */
  readonly saveIntervalMs: number
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Resolves when every item of the window is taken, which may have been before. */
  readonly send: (window: Window) => Promise<void>
  /** Before the first batch, now and then, and at the end unless that is the end of the file. */
  readonly save: (progress: Progress) => Promise<void>
  /** Told of what was taken, and of lines that were left out since. */
  readonly onProgress: (progress: Progress, bad: readonly BadLine[]) => void
  /** Once it is aborted nothing more is begun. */
  readonly stop: AbortSignal
}

export interface LoadEnd {
  readonly progress: Progress
  /** Whether the whole file was taken. */
  readonly isWhole: boolean
  /** Why not; undefined when it was stopped. */
  readonly failure: unknown
}

/** The offset in the file from which the load needs its bytes: that of the last record that was taken, to know the file by. */
export const startOf = ({ mark }: Progress): number => mark?.start ?? 0

export async function load(options: LoadOptions): Promise<LoadEnd> {
  const loader = new Loader(options)
  await loader.run()
  return loader
}

interface UnderWay {
  readonly window: Window
  isTaken: boolean
}

class Loader implements LoadEnd {
  readonly #options: LoadOptions
  readonly #windows: WindowMaker
  readonly #reader: ReturnType<typeof createReader>
  /** Windows in the order of the file, from the first that is not taken. */
  readonly #queue: UnderWay[] = []
  readonly #sending = new Set<Promise<void>>()
  #hasBegun = false
  #isSaving = false
  #savedMs = 0
  readonly #failed = new AbortController()
  progress: Progress
  failure: unknown
  isWhole = false

  constructor(options: LoadOptions) {
    const { progress, skipBad, nameBytesMax } = options
    this.#options = options
    this.progress = progress
    this.#reader = createReader(progress.format, nameBytesMax, progress.columns)
    const size = { items: progress.batch * progress.nodes.length, bad: skipBad ? BATCH_ITEMS_MAX : 1 }
    this.#windows = new WindowMaker(this.#reader, size, progress.load)
  }

  async run(): Promise<void> {
    let isRead = false
    try {
      isRead = await this.#read()
    } catch (error) {
      this.#fail(error)
    }
    await Promise.all(this.#sending)
    this.isWhole = isRead && this.failure === undefined
    if (this.isWhole || !this.#hasBegun) return
    try {
      await this.#options.save(this.progress)
    } catch (error) {
      this.#fail(error)
    }
  }

  get #isOver(): boolean {
    return this.failure !== undefined || this.#options.stop.aborted
  }

  /** Whether the file was read to its end. */
  async #read(): Promise<boolean> {
    const { progress, source } = this.#options
    const { mark, format, offset, line } = progress
    const cutter = new RecordCutter(format, mark === undefined ? { offset, line } : { offset: mark.start, line: mark.line })
    let isMarkDue = mark !== undefined
    const take = async (record: RawRecord): Promise<void> => {
      if (isMarkDue) this.#checkMark(record)
      else await this.#begin(this.#windows.add(record))
      isMarkDue = false
    }
    for await (const piece of untilStopped(source, AbortSignal.any([this.#options.stop, this.#failed.signal]))) {
      for (const record of cutter.push(piece)) {
        if (this.#isOver) return false
        await take(record)
      }
    }
    if (this.#isOver) return false
    for (const record of cutter.end()) await take(record)
    if (isMarkDue) throw this.#anotherFile()
    await this.#begin(this.#windows.take())
    return !this.#isOver
  }

  #checkMark(record: RawRecord): void {
    const { offset, mark } = this.progress
    if (record.end !== offset || markOf(record).sha256 !== mark?.sha256) throw this.#anotherFile()
  }

  #anotherFile(): CounterError {
    const { offset } = this.progress
    return new CounterError(
      'RESUME_INVALID',
      `${this.#options.name} is not the file of which ${offset} bytes were loaded before`,
      {
        fix: 'load the same file, or remove the file with the progress to begin anew; what is there already stays as it is',
      },
    )
  }

  /** Sends a window when its turn has come. */
  async #begin(window: Window | undefined): Promise<void> {
    if (window === undefined) return
    const { concurrency, name, save, skipBad } = this.#options
    if (window.bad.length > 0 && !skipBad) {
      const { line, reason } = window.bad[0]!
      throw new CounterError('LOAD_INVALID', `${name}, line ${line}: ${reason}. Nothing of its batch was sent`, {
        fix: 'correct the line, or leave such lines out with --skip-bad',
      })
    }
    while (this.#sending.size >= concurrency) await Promise.race(this.#sending)
    if (this.#isOver) return
    if (!this.#hasBegun) {
      // What the keys are made of must outlast what is sent with them.
      await save(this.progress)
      this.#hasBegun = true
      this.#savedMs = this.#options.clock.monotonicMs()
    }
    const entry = { window, isTaken: false }
    this.#queue.push(entry)
    const sending = this.#send(entry).catch((error: unknown) => this.#fail(error))
    this.#sending.add(sending)
    void sending.then(() => this.#sending.delete(sending))
  }

  async #send(entry: UnderWay): Promise<void> {
    if (entry.window.items.length > 0) await this.#options.send(entry.window)
    entry.isTaken = true
    this.#advance()
    const { clock, save, saveIntervalMs } = this.#options
    if (this.#isSaving || clock.monotonicMs() - this.#savedMs < saveIntervalMs) return
    this.#isSaving = true
    try {
      await save(this.progress)
      this.#savedMs = clock.monotonicMs()
    } finally {
      this.#isSaving = false
    }
  }

  /** Moves the progress past the windows in front that were taken. */
  #advance(): void {
    const { items, skipped } = this.progress
    const bad: BadLine[] = []
    let taken = 0
    while (this.#queue[0]?.isTaken) {
      const { window } = this.#queue.shift()!
      taken += window.items.length
      bad.push(...window.bad)
      const { end, nextLine, mark } = window
      this.progress = { ...this.progress, offset: end, line: nextLine, mark, columns: this.#reader.columns }
    }
    this.progress = { ...this.progress, items: items + taken, skipped: skipped + bad.length }
    this.#options.onProgress(this.progress, bad)
  }

  /** Keeps the first failure. */
  #fail(error: unknown): void {
    this.failure ??= error
    this.#failed.abort()
  }
}

/** The pieces of `source` until it ends or is stopped, also while it waits for one. */
async function* untilStopped(source: AsyncIterable<Uint8Array>, stop: AbortSignal): AsyncGenerator<Uint8Array, void> {
  if (stop.aborted) return
  const pieces = source[Symbol.asyncIterator]()
  let tell = (): void => {}
  const stopped = new Promise<undefined>((resolve) => {
    tell = () => resolve(undefined)
  })
  stop.addEventListener('abort', tell)
  try {
    for (;;) {
      const next = await Promise.race([pieces.next(), stopped])
      if (next === undefined || next.done) return
      yield next.value
    }
  } finally {
    stop.removeEventListener('abort', tell)
    // Not waited for: a source that waits for bytes may do so for ever.
    void Promise.resolve(pieces.return?.()).catch(() => {})
  }
}
