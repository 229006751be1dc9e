// What a person sees of a load while it runs, on stderr: a bar on a terminal, or else a line now and then; and lines that were left out.

import { type Clock, systemClock } from '../lib/base/clock.ts'
import { type BadLine, barOf, type Meter, type Progress, wordsOf } from '../lib/loading/index.ts'

const BAR_MS = 100
const LINE_MS = 5000
/** Of a terminal that does not say. */
const COLUMNS = 80
/** So many lines that were left out are shown, the rest is counted. */
const BAD_MAX = 20
const CLEAR = '\r\x1b[K'

/** A terminal, or what stands in its place. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class LoadDisplay {
  readonly #name: string
  readonly #bytesMax: number | undefined
  readonly #before: Progress
  readonly #screen: Screen
  readonly #clock: Clock
  readonly #startMs: number
  #progress: Progress
  #badShown = 0
  #cancel: () => void

  /** @param before how far the load had come. @param bytesMax the size of the file, where it is known */
  constructor(
    name: string,
    before: Progress,
    bytesMax: number | undefined,
    screen: Screen = process.stderr,
    clock = systemClock,
  ) {
    this.#name = name
    this.#bytesMax = bytesMax
    this.#before = this.#progress = before
    this.#screen = screen
    this.#clock = clock
    this.#startMs = clock.monotonicMs()
    this.#cancel = this.#again()
  }

  get seconds(): number {
    return (this.#clock.monotonicMs() - this.#startMs) / 1000
  }

  show(progress: Progress, bad: readonly BadLine[]): void {
    this.#progress = progress
    for (const { line, reason } of bad) {
      if (this.#badShown++ < BAD_MAX) this.say(`${this.#name}, line ${line}, is left out: ${reason}`)
      else if (this.#badShown === BAD_MAX + 1) this.say('further lines that are left out are only counted')
    }
  }

  /** A line of text above the bar. */
  say(text: string): void {
    this.#screen.write(this.#screen.isTTY ? `${CLEAR}${text}\n` : `${text}\n`)
  }

  /** Takes the bar away. */
  end(): void {
    this.#cancel()
    if (this.#screen.isTTY) this.#screen.write(CLEAR)
  }

  #again(): () => void {
    return this.#clock.after(this.#screen.isTTY ? BAR_MS : LINE_MS, () => {
      if (this.#screen.isTTY) this.#screen.write(`${CLEAR}${barOf(this.#meter(), this.#screen.columns || COLUMNS)}`)
      else this.#screen.write(`${this.#name}: ${wordsOf(this.#meter())}\n`)
      this.#cancel = this.#again()
    })
  }

  #meter(): Meter {
    const { offset, items, skipped } = this.#progress
    return {
      bytesMax: this.#bytesMax,
      bytes: offset,
      bytesBefore: this.#before.offset,
      items,
      itemsSince: items - this.#before.items,
      elapsedMs: this.seconds * 1000,
      skipped,
    }
  }
}
