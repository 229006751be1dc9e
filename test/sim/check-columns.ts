// One column, one life: a cell of one replica at one sequence number has one content, wherever it is met: on a disk, or on the wire.

import { ByteReader } from '../../lib/base/bytes.ts'
import { DecodedDelta, replicaKey } from '../../lib/storage/index.ts'

/** A cell as it is compared. */
export interface SeenCell {
  readonly name: string
  /** Node and incarnation. */
  readonly replica: string
  readonly seq: number
  readonly plus: number
}

/** The cells of an encoded delta. */
export function cellsOf(bytes: Uint8Array): SeenCell[] {
  const delta = new DecodedDelta()
  delta.decode(new ByteReader(bytes, 0, bytes.length, 'DELTA_INVALID', 'delta'))
  const cells: SeenCell[] = []
  for (let cell = 0; cell < delta.cellCount; cell++) {
    const row = delta.cellRow[cell]!
    cells.push({
      name: Buffer.from(delta.bytes.subarray(delta.nameFrom[row]!, delta.nameTo[row]!)).toString(),
      replica: replicaKey(delta.columns[delta.cellColumn[cell]!]!),
      seq: delta.cellSeq[cell]!,
      plus: delta.cellWords[cell * 4]!,
    })
  }
  return cells
}

export class CheckColumns {
  readonly #contents = new Map<string, number>()

  seen(cells: readonly SeenCell[]): string[] {
    const found: string[] = []
    for (const { name, replica, seq, plus } of cells) {
      const place = `${name} of ${replica} at ${seq}`
      const before = this.#contents.get(place)
      if (before !== undefined && before !== plus) found.push(`${place} was ${before} and is ${plus}`)
      this.#contents.set(place, plus)
    }
    return found
  }

  /** A disk was lost, so numbers that were nowhere else may be used again. */
  forget(): void {
    this.#contents.clear()
  }
}
