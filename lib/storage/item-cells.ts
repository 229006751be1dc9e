// What is known of each item, by row of the table of ids: its tenant, the stamp of its last change, the write that made it (origin and
// number), and where in the log of changes it lies. Chunks of typed arrays, 28 bytes an item.

import type { ItemPlaces } from './item-log.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT } from './table.ts'

const WORD = 0x1_0000_0000

interface Chunk {
  readonly tenants: Uint32Array
  readonly stamps: Float64Array
  readonly origins: Uint32Array
  readonly seqs: Float64Array
  /** The lower 32 bits of the place: no more entries are kept at a time. */
  readonly places: Uint32Array
}

export class ItemCells implements ItemPlaces {
  readonly #chunks: Chunk[] = []
  /** A place at or below all that are kept. */
  #placesFrom = 0

  get byteLength(): number {
    return this.#chunks.length * CHUNK_ROWS * 28
  }

  /** Makes sure that there is room for the row. */
  reserve(row: number): void {
    while (row >>> CHUNK_SHIFT >= this.#chunks.length) {
      this.#chunks.push({
        tenants: new Uint32Array(CHUNK_ROWS),
        stamps: new Float64Array(CHUNK_ROWS),
        origins: new Uint32Array(CHUNK_ROWS),
        seqs: new Float64Array(CHUNK_ROWS),
        places: new Uint32Array(CHUNK_ROWS),
      })
    }
  }

  /** The tenant's row plus 1; 0 for an item that was deleted. */
  tenantOf(row: number): number {
    return this.#chunks[row >>> CHUNK_SHIFT]!.tenants[row & CHUNK_MASK]!
  }

  /** 0 for a row that was never set. */
  stampOf(row: number): number {
    return this.#chunks[row >>> CHUNK_SHIFT]!.stamps[row & CHUNK_MASK]!
  }

  originOf(row: number): number {
    return this.#chunks[row >>> CHUNK_SHIFT]!.origins[row & CHUNK_MASK]!
  }

  seqOf(row: number): number {
    return this.#chunks[row >>> CHUNK_SHIFT]!.seqs[row & CHUNK_MASK]!
  }

  placeOf(row: number): number {
    const low = this.#chunks[row >>> CHUNK_SHIFT]!.places[row & CHUNK_MASK]!
    return this.#placesFrom + ((low - (this.#placesFrom % WORD) + WORD) % WORD)
  }

  moveTo(row: number, place: number): void {
    this.#chunks[row >>> CHUNK_SHIFT]!.places[row & CHUNK_MASK] = place % WORD
  }

  placesFrom(first: number): void {
    this.#placesFrom = first
  }

  set(row: number, tenant: number, stamp: number, origin: number, seq: number): void {
    const chunk = this.#chunks[row >>> CHUNK_SHIFT]!
    const at = row & CHUNK_MASK
    chunk.tenants[at] = tenant
    chunk.stamps[at] = stamp
    chunk.origins[at] = origin
    chunk.seqs[at] = seq
  }
}
