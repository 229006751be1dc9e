// One column, one life: a cell of one replica at one sequence number has one content, wherever it is met: on a disk, or on the wire.

import { ByteReader } from '../../lib/base/bytes.ts'
import { DecodedDelta, replicaKey } from '../../lib/storage/index.ts'
import type { Version } from './item-versions.ts'

/** A cell as it is compared. */
export interface SeenCell {
  readonly name: string
  /** Node and incarnation. */
  readonly replica: string
  readonly seq: number
  readonly plus: number
  readonly minus: number
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
      minus: delta.cellWords[cell * 4 + 2]!,
    })
  }
  return cells
}

export class CheckColumns {
  readonly #contents = new Map<string, number | string>()

  seen(cells: readonly SeenCell[]): string[] {
    return cells.flatMap(({ name, replica, seq, plus, minus }) =>
      this.#seen(`${name} of ${replica} at ${seq}`, minus === 0 ? plus : `${plus}-${minus}`),
    )
  }

  seenItems(versions: ReadonlyArray<readonly [id: string, version: Version]>): string[] {
    return versions.flatMap(([id, version]) =>
      this.#seen(`item ${id} of ${replicaKey(version)} at ${version.seq}`, `${version.tenant} at ${version.stamp}`),
    )
  }

  #seen(place: string, content: number | string): string[] {
    const before = this.#contents.get(place)
    this.#contents.set(place, content)
    return before === undefined || before === content ? [] : [`${place} was ${before} and is ${content}`]
  }

  /** A disk was lost, so numbers that were nowhere else may be used again. */
  forget(): void {
    this.#contents.clear()
  }
}
