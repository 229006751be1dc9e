// The last values that were seen, for when a shard is missing: what was read last, and when. Bounded; what was not read for longest goes first.
// A hint for people, which no answer relies on.

import type { Clock } from '../base/clock.ts'

export interface LastKnown {
  /** The digits of the value. */
  readonly digits: string
  /** How long ago it was read, in milliseconds. */
  readonly ageMs: number
}

interface Entry {
  readonly digits: string
  readonly atMs: number
}

export class Recent {
  readonly #clock: Clock
  readonly #max: number
  /** By name, least recently read first. */
  readonly #entries = new Map<string, Entry>()

  constructor({ clock, max }: { clock: Clock; max: number }) {
    this.#clock = clock
    this.#max = max
  }

  note(name: string, digits: string): void {
    this.#entries.delete(name)
    this.#entries.set(name, { digits, atMs: this.#clock.monotonicMs() })
    if (this.#entries.size <= this.#max) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      break
    }
  }

  find(name: string): LastKnown | undefined {
    const entry = this.#entries.get(name)
    return entry && { digits: entry.digits, ageMs: this.#clock.monotonicMs() - entry.atMs }
  }
}
