// One segment file of the log, open for appending. Room is reserved ahead of the frames by writing zeros and syncing
// them, so that a full disk is met before a write is accepted and not after, and so that an fdatasync of a frame has no
// metadata to write. A segment is made under a temporary name and gets its own when its first frame is due.

import { CounterError } from '../base/errors.ts'
import { type Disk, type DiskFile, isDiskFull, writeAll } from './disk.ts'
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
  /** Position in the log of the first frame; set when the segment is put to use. */
  start: number
  /** File offset of the end of the room that is reserved. */
  reserved: number

  constructor(file: DiskFile, start: number, reserved: number) {
    this.#file = file
    this.start = start
    this.reserved = reserved
  }

  /** Makes a file for the next segment, with room for `bytes` of frames. @throws CounterError DISK_FULL */
  static async spare(disk: Disk, directory: string, bytes: number): Promise<Segment> {
    const file = await refuseWhenFull(() => disk.open(`${directory}/${SPARE_NAME}`, 'create'))
    const segment = new Segment(file, -1, 0)
    try {
      await segment.reserve(SEGMENT_HEADER_BYTES + bytes)
      return segment
    } catch (error) {
      await file.close()
      await disk.remove(`${directory}/${SPARE_NAME}`).catch(() => {})
      throw error
    }
  }

  /** Opens the last segment of a log that ends at file offset `end`: what is behind that is cut off. */
  static async resume(disk: Disk, directory: string, start: number, end: number): Promise<Segment> {
    const file = await disk.open(`${directory}/${segmentName(start)}`, 'existing')
    if ((await file.size()) > end) {
      await file.truncate(end)
      await file.sync()
    }
    return new Segment(file, start, end)
  }

  /** Puts a spare to use: from now on it is the segment whose first frame is at position `start`. */
  async begin(disk: Disk, directory: string, start: number, node: number): Promise<void> {
    this.start = start
    await writeAll(this.#file, encodeSegmentHeader({ start, node }), 0)
    await this.#file.sync()
    await disk.rename(`${directory}/${SPARE_NAME}`, `${directory}/${segmentName(start)}`)
    await disk.syncDirectory(directory)
  }

  /** File offset of a position in the log. */
  offsetOf(position: number): number {
    return SEGMENT_HEADER_BYTES + position - this.start
  }

  /** Reserves room up to file offset `end`. @throws CounterError DISK_FULL, with the room as it was */
  async reserve(end: number): Promise<void> {
    const before = this.reserved
    try {
      for (let at = before; at < end; at += ZEROS.length) {
        await writeAll(this.#file, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at)
      }
      await this.#file.sync()
    } catch (error) {
      if (!isDiskFull(error)) throw error
      // Gives back what was taken, so that a full disk is not kept full by room nobody can use.
      await this.#file.truncate(before)
      throw diskFull(error)
    }
    this.reserved = end
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeAll(this.#file, bytes, this.offsetOf(position))
  }

  sync(): Promise<void> {
    return this.#file.sync()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

async function refuseWhenFull<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw isDiskFull(error) ? diskFull(error) : error
  }
}

function diskFull(cause: unknown): CounterError {
  return new CounterError('DISK_FULL', 'the disk of the data directory is full', {
    cause,
    fix: 'free some space; writes are accepted again within two seconds, without a restart',
  })
}
