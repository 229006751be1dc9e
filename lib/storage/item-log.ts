// In which order items have changed here: the rows of their table, a write's rows side by side. It is what "all that is newer than a
// vector" is read from, so that the items of one write leave this node together and cost grows with what has changed.
//
// An entry is true while its row says that it lies there; a row that changes again leaves its entry behind and gets one at the end.
// Places count up for ever. When more entries are left behind than true, the oldest chunk is emptied by moving its rows to the end.

/** Entries of a chunk. */
export const LOG_CHUNK = 4096

/** What the log asks of the rows. */
export interface ItemPlaces {
  /** Where the row says that its entry is. */
  placeOf(row: number): number
  moveTo(row: number, place: number): void
  /** All places that are kept are at or above this. */
  placesFrom(first: number): void
  /** Who wrote the row last, as an index, and the number of that write. */
  originOf(row: number): number
  seqOf(row: number): number
}

interface Chunk {
  readonly rows: Uint32Array
  /** By origin, the greatest number of a write with an entry in the chunk; holes where there is none. */
  readonly highest: number[]
}

export class ItemLog {
  readonly #rows: ItemPlaces
  #chunks: Chunk[] = []
  /** How many chunks were emptied and let go of. */
  #gone = 0
  /** The place of the next entry. */
  end = 0
  /** Entries that are true. */
  #live = 0
  /** How often rows were moved to the end that were not changed. */
  cleanings = 0

  constructor(rows: ItemPlaces) {
    this.#rows = rows
  }

  get byteLength(): number {
    return this.#chunks.length * LOG_CHUNK * 4
  }

  /** The place of the first entry that is kept. */
  get first(): number {
    return this.#gone * LOG_CHUNK
  }

  /** Puts a row at the end; an entry that it had is left behind. The row has its origin and number already. */
  add(row: number, isNew: boolean): void {
    if (isNew) this.#live++
    this.#append(row)
  }

  /** Moves the oldest rows when too much is left behind. To be called between writes, not within one. Cost: a chunk at most. */
  clean(): void {
    if (this.end - this.first - this.#live <= this.#live + LOG_CHUNK) return
    const chunk = this.#chunks[0]!
    const first = this.first
    let last = -1
    for (let index = 0; index < LOG_CHUNK; index++) {
      const row = chunk.rows[index]!
      if (this.#rows.placeOf(row) !== first + index) continue
      this.#append(row)
      last = row
    }
    // The rest of a write that goes on in the next chunk stays with it.
    const stop = this.end
    for (let place = first + LOG_CHUNK; last !== -1 && place < stop; place++) {
      const row = this.rowAt(place)
      if (this.#rows.placeOf(row) !== place) continue
      if (!this.isSameWrite(row, last)) break
      this.#append(row)
    }
    this.#chunks.shift()
    this.#gone++
    this.#rows.placesFrom(this.first)
    this.cleanings++
  }

  rowAt(place: number): number {
    return this.#chunks[Math.floor(place / LOG_CHUNK) - this.#gone]!.rows[place % LOG_CHUNK]!
  }

  isSameWrite(row: number, other: number): boolean {
    return this.#rows.originOf(row) === this.#rows.originOf(other) && this.#rows.seqOf(row) === this.#rows.seqOf(other)
  }

  /** Whether an entry of the chunk that `place` lies in may be of a write that `beyond` does not cover, by origin. */
  hasNewer(place: number, beyond: readonly number[]): boolean {
    const { highest } = this.#chunks[Math.floor(place / LOG_CHUNK) - this.#gone]!
    for (let origin = 0; origin < highest.length; origin++) if ((highest[origin] ?? 0) > (beyond[origin] ?? 0)) return true
    return false
  }

  /** The place of the first row of the write that the true entry at `place` belongs to. */
  startOf(place: number): number {
    const row = this.rowAt(place)
    let start = place
    for (let before = place - 1; before >= this.first; before--) {
      const other = this.rowAt(before)
      if (this.#rows.placeOf(other) !== before) continue
      if (!this.isSameWrite(other, row)) break
      start = before
    }
    return start
  }

  #append(row: number): void {
    const inChunk = this.end % LOG_CHUNK
    if (inChunk === 0) this.#chunks.push({ rows: new Uint32Array(LOG_CHUNK), highest: [] })
    const { rows, highest } = this.#chunks[this.#chunks.length - 1]!
    rows[inChunk] = row
    const origin = this.#rows.originOf(row)
    const seq = this.#rows.seqOf(row)
    if (seq > (highest[origin] ?? 0)) highest[origin] = seq
    this.#rows.moveTo(row, this.end)
    this.end++
  }
}
