// The write-ahead log: appends of one turn and of those that come while a write is under way are gathered in a group,
// and a group is one frame, one write and one fdatasync. Whoever appended waits for the group.
// Room is reserved before it is used (segment.ts): `free` bytes can be appended without any way to fail but a failing disk.
// A failed write or sync is final: nothing of the group is acknowledged, nothing is tried again on that descriptor, and the
// log takes no more. What really is on disk is for the next start to read.
// Invariant: bytes before `durable` never change.

import { assert } from '../base/assert.ts'
import type { ByteWriter } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { type Disk, errorCode } from './disk.ts'
import { RECORD_HEADER_BYTES, RECORD_MARK, SEGMENT_HEADER_BYTES, sealFrame } from './frame.ts'
import { Group } from './group.ts'
import { Segment, segmentName } from './segment.ts'

export type FsyncMode = 'always' | 'interval' | 'never'

export interface LogOptions {
  readonly disk: Disk
  readonly directory: string
  readonly clock: Clock
  readonly node: number
  /** `always`: acknowledged is on disk. `interval`, `never`: acknowledged is with the operating system. */
  readonly fsync: FsyncMode
  readonly fsyncIntervalMs: number
  /** A segment is followed by the next when it would grow beyond this. One large record may make one longer. */
  readonly segmentBytes: number
  /** Bytes that may wait to be written; beyond, appends are refused with LOG_BUSY. */
  readonly queueBytesMax: number
  /** Called once, when the log can not go on. */
  readonly onFailure: (error: CounterError) => void
  /** Called when a group has settled. */
  readonly onSettled?: () => void
}

/** Where the log of an earlier life ends: its last segment and the position to go on from. */
export interface LogEnd {
  readonly start: number
  readonly position: number
  /** Up to where its frames say that it is on disk. */
  readonly durable: number
}

/** Room is reserved in steps of this, or of a segment where that is less, a step ahead. */
const RESERVE_BYTES = 4 * 1024 * 1024
/** How long after a refusal for want of space or descriptors the room is tried again. */
const RETRY_REFUSED_MS = 1000

export class Log {
  readonly #options: LogOptions
  #segment: Segment
  #spare: Segment | undefined
  /** The group that takes appends, and the one being written. */
  #open = new Group()
  #writing = new Group()
  #busy = false
  /** Bytes of the group being written that have no place in a segment yet. */
  #unplaced = 0
  /** Position of the next frame, and up to where frames are written, and are on disk. */
  #end: number
  #written: number
  #durable: number
  #failure: CounterError | undefined
  #closed = false
  #closing: Promise<void> | undefined
  #extending: Promise<void> | undefined
  #writes: Promise<void> | undefined
  /** Why no room could be reserved: DISK_FULL, or LOG_BUSY for want of descriptors. */
  #refused: CounterError | undefined
  #cancelTimer: () => void = () => {}
  /** Counts, for metrics. */
  groups = 0
  records = 0

  private constructor(options: LogOptions, segment: Segment, position: number) {
    this.#options = options
    this.#segment = segment
    this.#end = position
    this.#written = position
    this.#durable = position
    if (options.fsync === 'interval') this.#syncLater()
  }

  /**
   * Opens the log to be appended to. With a full disk it opens all the same, with no room.
   * @param end where an earlier life ended, or undefined for a new log that starts at `position`
   */
  static async open(options: LogOptions, end: LogEnd | undefined, position = 0): Promise<Log> {
    const { disk, directory } = options
    let segment: Segment
    if (end !== undefined) {
      const offset = SEGMENT_HEADER_BYTES - end.start
      segment = await Segment.resume(disk, directory, end.start, offset + end.position, offset + Math.max(end.durable, end.start))
    } else {
      segment = await Segment.spare(disk, directory, 0)
      await closeUnless(segment.begin(disk, directory, position, options.node), segment)
    }
    const log = new Log(options, segment, end?.position ?? position)
    const room = log.makeRoom(1).catch((error) => {
      if (log.#failure) throw error
    })
    await closeUnless(room, segment)
    return log
  }

  /** Position of the next frame to be written; everything appended so far lies in frames before or at it. */
  get end(): number {
    return this.#end
  }

  /** Everything before this position is on disk. */
  get durable(): number {
    return this.#durable
  }

  /** Why the log takes nothing now, or undefined. */
  get refusal(): CounterError | undefined {
    return this.#failure ?? this.#refused
  }

  /** Bytes that can be appended now. */
  get free(): number {
    const current = this.#segment.reserved - this.#segment.offsetOf(this.#end)
    return (
      Math.max(current, this.#spare ? this.#spare.reserved - SEGMENT_HEADER_BYTES : 0) - this.#unplaced - this.#open.writer.length
    )
  }

  /** Whether `bytes` more can be appended now. @throws CounterError LOG_FAILED, CLOSED, LOG_BUSY, DISK_FULL */
  hasRoom(bytes: number): boolean {
    if (this.#failure) throw this.#failure
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
    if (this.#open.writer.length + bytes > this.#options.queueBytesMax && !this.#open.empty) {
      throw new CounterError('LOG_BUSY', `${this.#open.writer.length} bytes wait for the disk, and ${bytes} more do not fit`, {
        fix: 'try again in a second; when this lasts, the disk is too slow for the load',
      })
    }
    const free = this.free
    if (bytes > free) {
      if (this.#refused) throw this.#refused
      return false
    }
    if (free - bytes < this.#step / 2 && !this.#extending && !this.#refused) this.makeRoom(this.#step).catch(() => {})
    return true
  }

  /** Reserves room for `bytes` more. @throws CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, CLOSED */
  async makeRoom(bytes: number): Promise<void> {
    while (this.#extending) await this.#extending.catch(() => {})
    if (this.#failure) throw this.#failure
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
    if (this.free >= bytes) return
    if (this.#refused) throw this.#refused
    this.#extending = this.#extend(bytes)
    try {
      await this.#extending
    } catch (error) {
      if (!(error instanceof CounterError)) throw this.#fail('reserving room', error)
      this.#refused = error
      this.#retryLater()
      throw error
    } finally {
      this.#extending = undefined
    }
  }

  async #extend(bytes: number): Promise<void> {
    const { disk, directory, segmentBytes } = this.#options
    const waiting = this.#unplaced + this.#open.writer.length + bytes
    const end = this.#segment.offsetOf(this.#end) + waiting
    if (this.#spare) await this.#spare.reserve(SEGMENT_HEADER_BYTES + this.#roomAhead(waiting))
    else if (end <= segmentBytes) await this.#segment.reserve(Math.min(Math.ceil(end / this.#step) * this.#step, segmentBytes))
    else this.#spare = await Segment.spare(disk, directory, this.#roomAhead(waiting))
  }

  get #step(): number {
    return Math.min(RESERVE_BYTES, this.#options.segmentBytes)
  }

  /** Room for what waits and a step more, within the size of a segment unless what waits is larger. */
  #roomAhead(waiting: number): number {
    return Math.max(waiting, Math.min(waiting + this.#step, this.#options.segmentBytes - SEGMENT_HEADER_BYTES))
  }

  #retryLater(): void {
    this.#options.clock.after(RETRY_REFUSED_MS, () => {
      this.#refused = undefined
      if (!this.#closed && !this.#failure) this.makeRoom(1).catch(() => {})
    })
  }

  /**
   * Appends a record; `write` appends its body to the writer it is given. hasRoom said yes in the same turn.
   * When `write` throws, nothing was appended. The record counts as soon as `settled()` resolves.
   */
  append(kind: number, write: (writer: ByteWriter) => void): void {
    assert(!this.#closed && !this.#failure, 'the log is open')
    const { writer } = this.#open
    const start = writer.length
    writer.uint8(kind)
    writer.uint32(0)
    try {
      write(writer)
    } catch (error) {
      writer.length = start
      throw error
    }
    const length = writer.length - start - RECORD_HEADER_BYTES
    const { bytes } = writer
    bytes[start + 1] = length
    bytes[start + 2] = length >>> 8
    bytes[start + 3] = length >>> 16
    bytes[start + 4] = length >>> 24
    if (kind !== RECORD_MARK) this.records++
    if (!this.#busy) {
      this.#busy = true
      this.#options.clock.soon(() => {
        this.#writes = this.#writeGroups()
      })
    }
  }

  /** undefined when all that was appended is acknowledged; else a promise for it. It rejects when the log failed. */
  settled(): Promise<void> | undefined {
    if (this.#failure) return Promise.reject(this.#failure)
    if (!this.#open.empty) return this.#open.settled
    return this.#busy ? this.#writing.settled : undefined
  }

  /** Brings all that was appended so far to disk, whatever the mode is. */
  async makeDurable(): Promise<void> {
    await this.settled()
    if (this.#durable < this.#written) await this.#sync()
  }

  /**
   * As makeDurable, and says so with a frame behind it, so that rot in what is there is never taken for a torn tail.
   * A full disk may miss that frame.
   */
  async vouch(): Promise<void> {
    await this.makeDurable()
    if (this.#closed || this.#failure || this.free < RECORD_HEADER_BYTES) return
    this.append(RECORD_MARK, () => {})
    await this.makeDurable()
  }

  async #writeGroups(): Promise<void> {
    try {
      while (!this.#open.empty && !this.#failure) {
        const group = this.#open
        this.#open = this.#writing
        this.#writing = group
        await this.#writeGroup(group)
        // Another call may have failed meanwhile, and taken with it what this one seemed to bring to disk.
        if (this.#failure) return
        group.succeed()
        group.reset()
        this.#options.onSettled?.()
      }
      this.#busy = false
    } catch (error) {
      this.#fail('writing', error)
    }
  }

  async #writeGroup(group: Group): Promise<void> {
    const frame = group.writer.written()
    this.#unplaced = frame.length
    if (this.#segment.offsetOf(this.#end) + frame.length > this.#segment.reserved) await this.#nextSegment()
    sealFrame(frame, this.#end, this.#durable)
    const position = this.#end
    this.#end += frame.length
    this.#unplaced = 0
    await this.#segment.write(frame, position)
    this.#written = this.#end
    if (this.#options.fsync === 'always') {
      await this.#segment.sync()
      this.#durable = this.#end
    }
    this.groups++
  }

  /** Everything before a later segment is on disk, in every mode: so only the last one can have a torn tail. */
  async #nextSegment(): Promise<void> {
    // A reservation under way may find the disk full; the room this group was admitted for is there all the same.
    while (this.#extending) await this.#extending.catch(() => {})
    const { disk, directory, node } = this.#options
    if (this.#spare === undefined) {
      const made = Segment.spare(disk, directory, this.#roomAhead(this.#unplaced)).then((spare) => {
        this.#spare = spare
      })
      this.#extending = made
      await made.finally(() => {
        this.#extending = undefined
      })
    }
    const spare = this.#spare!
    await this.#segment.sync()
    this.#durable = this.#end
    await spare.begin(disk, directory, this.#end, node)
    const before = this.#segment
    this.#segment = spare
    this.#spare = undefined
    await before.close()
  }

  #syncLater(): void {
    this.#cancelTimer = this.#options.clock.after(this.#options.fsyncIntervalMs, () => {
      const synced = this.#durable < this.#written ? this.#sync() : Promise.resolve()
      synced.then(
        () => {
          if (!this.#closed) this.#syncLater()
        },
        () => {},
      )
    })
  }

  async #sync(): Promise<void> {
    const written = this.#written
    try {
      await this.#segment.sync()
    } catch (error) {
      throw this.#fail('syncing', error)
    }
    this.#durable = Math.max(this.#durable, written)
  }

  #fail(action: string, cause: unknown): CounterError {
    if (this.#failure) return this.#failure
    const why = cause instanceof Error ? cause.message : String(cause)
    this.#failure = new CounterError('LOG_FAILED', `${action} of ${segmentName(this.#segment.start)} failed: ${why}`, {
      cause,
      fix:
        errorCode(cause) === 'ENOSPC' || errorCode(cause) === 'EDQUOT'
          ? 'free some space and start the node again'
          : 'look at the disk (dmesg, SMART), then start the node again: it reads what really is there',
    })
    this.#cancelTimer()
    this.#open.fail(this.#failure)
    this.#writing.fail(this.#failure)
    this.#options.onFailure(this.#failure)
    return this.#failure
  }

  /**
   * Waits for what was appended, makes it durable in every mode, vouches for it with a last frame, and closes.
   * @throws CounterError LOG_FAILED, with all files closed
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer()
    try {
      await this.settled()
      await this.#segment.sync()
      this.#durable = this.#end
      await this.#writeMark()
    } catch (error) {
      throw this.#fail('closing', error)
    } finally {
      await this.#writes
      await this.#extending?.catch(() => {})
      await this.#segment.close()
      await this.#spare?.close()
    }
  }

  /** A last frame that says that all before it is on disk: rot in it is then told from a torn tail. A full disk may miss it. */
  async #writeMark(): Promise<void> {
    // Not in the open group: nobody would ever settle that.
    const { writer } = new Group()
    writer.uint8(RECORD_MARK)
    writer.uint32(0)
    if (this.#segment.offsetOf(this.#end) + writer.length > this.#segment.reserved) return
    sealFrame(writer.written(), this.#end, this.#durable)
    await this.#segment.write(writer.written(), this.#end)
    await this.#segment.sync()
  }
}

/** Waits for `action`, which comes before the segment can be used, and closes the segment when it fails. */
async function closeUnless(action: Promise<void>, segment: Segment): Promise<void> {
  try {
    await action
  } catch (error) {
    await segment.close()
    throw error
  }
}
