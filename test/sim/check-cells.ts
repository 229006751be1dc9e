// One writer a column: a cell of one replica at one sequence number has one content, in whatever copy of the data it is found.

import type { ByteReader } from '../../lib/base/bytes.ts'
import { readSnapshot } from '../../lib/persistence/snapshot.ts'
import { DecodedDelta, replicaKey } from '../../lib/storage/index.ts'
import { bytesFile } from '../support/bytes-file.ts'
import { versionsIn } from './item-versions.ts'

export class CheckCells {
  readonly #contents = new Map<string, string>()

  /** @param backup the bytes of a backup: what may leave the process */
  async seen(backup: Uint8Array): Promise<string[]> {
    const found: string[] = []
    const delta = new DecodedDelta()
    const sink = {
      delta: (reader: ByteReader) => {
        delta.decode(reader)
        for (let cell = 0; cell < delta.cellCount; cell++) {
          const row = delta.cellRow[cell]!
          const name = Buffer.from(delta.bytes.subarray(delta.nameFrom[row]!, delta.nameTo[row]!)).toString()
          const replica = replicaKey(delta.columns[delta.cellColumn[cell]!]!)
          const place = `${name} of ${replica} at ${delta.cellSeq[cell]}`
          found.push(...this.#seen(place, delta.cellWords.subarray(cell * 4, cell * 4 + 4).join()))
        }
        for (const [id, version] of versionsIn(delta)) {
          const place = `item ${id} of ${replicaKey(version)} at ${version.seq}`
          found.push(...this.#seen(place, `${version.tenant} at ${version.stamp}`))
        }
      },
      reply: (reader: ByteReader) => {
        reader.at = reader.end
      },
      tentative: (reader: ByteReader) => {
        reader.at = reader.end
      },
      notes: (reader: ByteReader) => {
        reader.at = reader.end
      },
    }
    await readSnapshot(bytesFile(backup), 'backup', sink, async () => {})
    return found
  }

  #seen(place: string, content: string): string[] {
    const before = this.#contents.get(place)
    this.#contents.set(place, content)
    return before === undefined || before === content ? [] : [`${place} was ${before} and is ${content}`]
  }

  /** What was shown may have been lost, so that its numbers may be used again. */
  forget(): void {
    this.#contents.clear()
  }
}
