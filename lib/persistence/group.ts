// A group of the log: the records that go to disk together, as the frame they become, and the promise of all who wait for it.
// The log has two, one that takes appends and one that is being written, and uses them in turns.

import { ByteWriter } from '../base/bytes.ts'
import { FRAME_HEADER_BYTES } from './frame.ts'

/** Group buffers larger than this are not kept. */
const GROUP_KEEP_BYTES = 8 * 1024 * 1024

export class Group {
  writer = new ByteWriter(64 * 1024)
  #resolve!: () => void
  #reject!: (error: Error) => void
  settled!: Promise<void>

  constructor() {
    this.reset()
  }

  reset(): void {
    if (this.writer.bytes.length > GROUP_KEEP_BYTES) this.writer = new ByteWriter(64 * 1024)
    this.writer.length = FRAME_HEADER_BYTES
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // A group that fails with nobody waiting is still reported by onFailure.
    this.settled.catch(() => {})
  }

  get empty(): boolean {
    return this.writer.length === FRAME_HEADER_BYTES
  }

  succeed(): void {
    this.#resolve()
  }

  fail(error: Error): void {
    this.#reject(error)
  }
}
