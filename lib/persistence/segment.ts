// One segment file of the log, open for appending. Room is reserved ahead of the frames by writing zeros and syncing
// them, so that a full disk is met before a write is accepted and not after, and so that an fdatasync of a frame has no
// metadata to write. A segment is made under a temporary name and gets its own when its first frame is due.

import { CounterError } from '../base/errors.ts'
import { type Disk, type DiskFile, diskFull, errorCode, isDiskFull, writeAll } from './disk.ts'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './frame.ts'

const SPARE_NAME = 'log-spare'
const ZEROS = new Uint8Array(256 * 1024)

/** `log-` and the position of the first frame, in 16 digits so that names sort. */
export const segmentName = (start: number): string => `log-${String(start).padStart(16, '0')}`

/** The start position in the name of a segment file, or undefined for other files. */
export function segmentStart(name: string): number | undefined {
  const match = /^log-(\d{16})$/.exec(name)
  return match ? Number(match[1]) : undefined
}

export class Segment {
  readonly #file: DiskFile
  /** Calls under way, which the file must outlive. */
  readonly #calls = new Set<Promise<unknown>>()
  readonly #syncs = new Set<Promise<void>>()
  #syncError: unknown
  /** Position in the log of the first frame; set when the segment is put to use. */
  start: number
  /** File offset of the end of the room that is reserved. */
  reserved: number

  private constructor(file: DiskFile, start: number, reserved: number) {
    this.#file = file
    this.start = start
    this.reserved = reserved
  }

  /** Makes a file for the next segment, with room for `bytes` of frames. @throws CounterError DISK_FULL, LOG_BUSY */
  static async spare(disk: Disk, directory: string, bytes: number): Promise<Segment> {
    try {
      const segment = new Segment(await disk.open(`${directory}/${SPARE_NAME}`, 'create'), -1, 0)
      try {
        await segment.reserve(SEGMENT_HEADER_BYTES + bytes)
        return segment
      } catch (error) {
        await segment.close()
        await disk.remove(`${directory}/${SPARE_NAME}`).catch(() => {})
        throw error
      }
    } catch (error) {
      throw refusal(error) ?? error
    }
  }

  /**
   * Opens the last segment of a log whose frames end at file offset `end`: what is behind is cut off.
   * Frames behind `vouched` are written again. They were read from the system's memory, which after a failed fsync shows what
   * is not on disk and never will be by a sync alone; and what was read will be shown, so it must be there.
   */
  static async resume(disk: Disk, directory: string, start: number, end: number, vouched: number): Promise<Segment> {
    const file = await disk.open(`${directory}/${segmentName(start)}`, 'existing')
    const segment = new Segment(file, start, end)
    try {
      if ((await file.size()) > end) await file.truncate(end)
      const piece = new Uint8Array(Math.min(ZEROS.length, end - vouched))
      for (let at = vouched; at < end; ) {
        const count = await file.read(piece.subarray(0, Math.min(piece.length, end - at)), at)
        if (count === 0) throw new Error(`${segmentName(start)} became shorter while it was opened`)
        await writeAll(file, piece.subarray(0, count), at)
        at += count
      }
      await segment.sync()
      // The crash may have come between the renaming of the segment and the sync that makes its name durable.
      await disk.syncDirectory(directory)
      return segment
    } catch (error) {
      await segment.close()
      throw error
    }
  }

  /** Puts a spare to use: from now on it is the segment whose first frame is at position `start`. */
  async begin(disk: Disk, directory: string, start: number, node: number): Promise<void> {
    this.start = start
    await this.#during(writeAll(this.#file, encodeSegmentHeader({ start, node }), 0))
    await this.sync()
    await disk.rename(`${directory}/${SPARE_NAME}`, `${directory}/${segmentName(start)}`)
    await disk.syncDirectory(directory)
  }

  /** File offset of a position in the log. */
  offsetOf(position: number): number {
    return SEGMENT_HEADER_BYTES + position - this.start
  }

  /** Reserves room up to file offset `end`. @throws CounterError DISK_FULL, with the room as it was */
  reserve(end: number): Promise<void> {
    return this.#during(this.#reserve(end))
  }

  async #reserve(end: number): Promise<void> {
    const before = this.reserved
    try {
      for (let at = before; at < end; at += ZEROS.length) {
        await writeAll(this.#file, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at)
      }
    } catch (error) {
      if (!isDiskFull(error)) throw error
      // Gives back what was taken, so that a full disk is not kept full by room nobody can use.
      await this.#file.truncate(before)
      throw diskFull(error)
    }
    // Only a write may find the disk full. A sync that fails, for whatever reason, may have dropped frames too.
    await this.sync()
    this.reserved = Math.max(before, end)
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#during(writeAll(this.#file, bytes, this.offsetOf(position)))
  }

  /**
   * Returns when all that was written is on disk. The system tells of a failure only one of the syncs that overlap, so all
   * of them fail, and every later one.
   */
  async sync(): Promise<void> {
    if (this.#syncError !== undefined) throw this.#syncError
    const running = this.#during(this.#file.sync())
    this.#syncs.add(running)
    try {
      await running
    } catch (error) {
      this.#syncError ??= error
    } finally {
      this.#syncs.delete(running)
    }
    await Promise.allSettled([...this.#syncs])
    if (this.#syncError !== undefined) throw this.#syncError
  }

  /** Closes the file when nothing is under way on it. What was synced is safe, so a close that fails loses nothing. */
  async close(): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled([...this.#calls])
    await this.#file.close().catch(() => {})
  }

  async #during<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call)
    try {
      return await call
    } finally {
      this.#calls.delete(call)
    }
  }
}

/** The error as a refusal that passes: there is no room, or there are no descriptors. Undefined for other errors. */
function refusal(error: unknown): CounterError | undefined {
  if (isDiskFull(error)) return diskFull(error)
  if (errorCode(error) !== 'EMFILE' && errorCode(error) !== 'ENFILE') return undefined
  return new CounterError('LOG_BUSY', 'no file can be opened for the log: too many are open', {
    cause: error,
    fix: 'raise the limit of open files (ulimit -n), or lower COUNTER_CONNECTIONS_MAX; writes are tried again within two seconds',
  })
}
