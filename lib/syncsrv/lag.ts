// How far one vector is behind another, in changes and in time. Time is measured by a trail: what was known when. Who does not know
// what an entry says is behind since that entry at least.

import type { VersionVector } from '../storage/index.ts'

export interface Lag {
  readonly changes: number
  readonly seconds: number
}

/** Entries of a trail at most; when it is full, every second one of its older half goes. */
const ENTRIES_MAX = 64
/** What becomes known within this time is one entry. */
const ENTRY_MS = 100

/** The vectors of one node, as they rose. */
export class Trail {
  #entries: { readonly atMs: number; vector: VersionVector }[] = []

  /** @param vector is kept, and must not change any more */
  add(nowMs: number, vector: VersionVector): void {
    const last = this.#entries.at(-1)
    if (last?.vector.covers(vector)) return
    if (last && nowMs - last.atMs < ENTRY_MS) last.vector = vector
    else this.#entries.push({ atMs: nowMs, vector })
    if (this.#entries.length > ENTRIES_MAX) this.#entries = this.#entries.filter((_, at) => at % 2 === 0 || at > ENTRIES_MAX / 2)
  }

  clear(): void {
    this.#entries = []
  }

  /** How far `known` is behind the end of this trail. */
  lagOf(nowMs: number, known: VersionVector): Lag {
    const last = this.#entries.at(-1)
    const changes = last?.vector.changesBeyond(known) ?? 0
    if (changes === 0) return { changes, seconds: 0 }
    const first = this.#entries.find(({ vector }) => !known.covers(vector)) ?? last!
    return { changes, seconds: (nowMs - first.atMs) / 1000 }
  }
}
