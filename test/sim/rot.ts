// Bits that turn over at rest. One place at a time, because two generations are kept against one bad file, not two.
// Which bits of a log are covered is decided here by a reading of the format of its own: those before the furthest position that a
// whole frame says was durable. Behind it lies what a crash left unvouched for; a flip there may cost the tail ('tail').

import { crc32 } from 'node:zlib'
import type { Random } from '../../lib/base/random.ts'
import { DIRECTORY } from '../persistence/harness.ts'
import type { VirtualDisk } from '../support/virtual-disk.ts'

interface Place {
  readonly path: string
  readonly bit: number
  readonly kind: 'log' | 'tail' | 'snapshot' | 'IDENTITY'
}

export class Rot {
  readonly #disk: VirtualDisk
  readonly #random: Random
  #place: Place | undefined

  constructor(disk: VirtualDisk, random: Random) {
    this.#disk = disk
    this.#random = random
  }

  /** Whether something that rotted is still there. */
  get outstanding(): boolean {
    return this.#place !== undefined && this.#disk.paths(DIRECTORY).includes(this.#place.path)
  }

  /** Turns a bit over. Returns where, or undefined when there is nothing to rot. */
  strike(): Place['kind'] | undefined {
    const paths = this.#disk.paths(DIRECTORY).filter((path) => /\/(log-\d+|snapshot-\d+|IDENTITY)$/.test(path))
    if (paths.length === 0) return undefined
    const path = paths[this.#random.uint32() % paths.length]!
    const bytes = this.#disk.bytesOf(path)
    if (bytes.length === 0) return undefined
    let bit = this.#random.uint32() % (bytes.length * 8)
    let kind: Place['kind'] = path.endsWith('IDENTITY') ? 'IDENTITY' : path.includes('/snapshot-') ? 'snapshot' : 'log'
    if (kind === 'log') {
      const { covered, end } = this.#covered(path, bytes)
      if (covered > 0 && this.#random.uint32() % 4 > 0) bit %= covered * 8
      else if (end > covered) {
        bit = covered * 8 + (bit % ((end - covered) * 8))
        kind = 'tail'
      } else return undefined
    }
    this.#disk.flip(path, bit)
    this.#place = { path, bit, kind }
    return kind
  }

  /** The node has started with it. What was in a log it did not need to read heals, and what was at its end has been cut off. */
  started(): void {
    if (this.#place?.kind === 'snapshot') return
    if (this.#place?.kind === 'log' && this.outstanding) this.#disk.flip(this.#place.path, this.#place.bit)
    this.#place = undefined
  }

  /** The file comes back from a copy; a damaged identity is removed. */
  heal(): void {
    const { path, bit, kind } = this.#place!
    this.#place = undefined
    if (kind === 'IDENTITY') this.#disk.drop(path)
    else this.#disk.flip(path, bit)
  }

  /** The directory is another one now. */
  forget(): void {
    this.#place = undefined
  }

  /** File offsets up to which the segment is vouched for, and where its frames end. */
  #covered(path: string, bytes: Uint8Array): { covered: number; end: number } {
    const start = Number(path.slice(-16))
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let at = 32
    let durable = 0
    while (at + 24 <= bytes.length) {
      const end = at + 24 + view.getUint32(at, true)
      if (end === at + 24 || end > bytes.length || view.getUint32(at + 4, true) !== crc32(bytes.subarray(at + 8, end))) break
      durable = Math.max(durable, Number(view.getBigUint64(at + 16, true)))
      at = end
    }
    const last =
      this.#disk
        .paths(DIRECTORY)
        .filter((other) => /\/log-\d+$/.test(other))
        .at(-1) === path
    if (!last) return { covered: at, end: at }
    // The header was on disk before the segment got its name.
    return { covered: Math.max(32, Math.min(at, 32 + durable - start)), end: at }
  }
}
