// A number is given once: no two writes that were acknowledged have the same place in the history of a column.

import type { WriteAt } from '../../lib/storage/index.ts'
import { replicaKey } from '../../lib/storage/index.ts'

export class CheckPlaces {
  readonly #names = new Map<string, string>()

  given(name: string, at: WriteAt): string[] {
    const place = `${replicaKey(at.replica)} at ${at.seq}`
    const before = this.#names.get(place)
    this.#names.set(place, name)
    return before === undefined ? [] : [`${place} was given to ${before} and to ${name}`]
  }

  /** What was acknowledged may have been lost, so that its numbers may be used again. */
  forget(): void {
    this.#names.clear()
  }
}
