// The write-ahead log: appends of one turn and of those that come while a write is under way are gathered in a group,
// and a group is one frame, one write and one fdatasync. Whoever appended waits for the group.
// Room is reserved before it is used (segment.ts): `free` bytes can be appended without any way to fail but a failing disk.
// A failed write or sync is final: nothing of the group is acknowledged, nothing is tried again on that descriptor, and the
// log takes no more. What really is on disk is for the next start to read.
// Invariant: bytes before `durable` never change.

import { assert } from '../base/assert.ts'
import { ByteWriter } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { type Disk, errorCode } from './disk.ts'
import { FRAME_HEADER_BYTES, RECORD_HEADER_BYTES, RECORD_MARK, SEGMENT_HEADER_BYTES, sealFrame } from './frame.ts'
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
}

/** Where the log of an earlier life ends: its last segment and the position to go on from. */
export interface LogEnd {
  readonly start: number
  readonly position: number
}

/** Room is reserved in steps of this, a step ahead. */
const RESERVE_BYTES = 4 * 1024 * 1024
/** How long after a refusal for want of space the room is tried again. */
const RETRY_FULL_MS = 1000
/** Group buffers larger than this are not kept. */
const GROUP_KEEP_BYTES = 8 * 1024 * 1024

class Group {
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
  #extending: Promise<void> | undefined
  #syncing: Promise<void> | undefined
  #full: CounterError | undefined
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
    let segment: Segment
    if (end !== undefined) {
      const offset = SEGMENT_HEADER_BYTES + end.position - end.start
      segment = await Segment.resume(options.disk, options.directory, end.start, offset)
    } else {
      segment = await Segment.spare(options.disk, options.directory, 0)
      await segment.begin(options.disk, options.directory, position, options.node)
    }
    const log = new Log(options, segment, end?.position ?? position)
    await log.makeRoom(1).catch((error) => {
      if (!(error instanceof CounterError) || error.code !== 'DISK_FULL') throw error
    })
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
    return this.#failure ?? this.#full
  }

  /** Bytes that can be appended now. */
  get free(): number {
    const current = this.#segment.reserved - this.#segment.offsetOf(this.#end)
    return Math.max(current, this.#spare ? this.#spare.reserved - SEGMENT_HEADER_BYTES : 0) - this.#unplaced - this.#open.writer.length
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
      if (this.#full) throw this.#full
      return false
    }
    if (free - bytes < RESERVE_BYTES / 2 && !this.#extending && !this.#full) this.makeRoom(RESERVE_BYTES).catch(() => {})
    return true
  }

  /** Reserves room for `bytes` more. @throws CounterError DISK_FULL, LOG_FAILED */
  async makeRoom(bytes: number): Promise<void> {
    while (this.#extending) await this.#extending
    if (this.free >= bytes) return
    this.#extending = this.#extend(bytes)
    try {
      await this.#extending
      this.#full = undefined
    } catch (error) {
      if (!(error instanceof CounterError) || error.code !== 'DISK_FULL') throw this.#fail('reserving room', error)
      if (!this.#full) this.#retryFull()
      this.#full = error
      throw error
    } finally {
      this.#extending = undefined
    }
  }

  async #extend(bytes: number): Promise<void> {
    const { disk, directory, segmentBytes } = this.#options
    const taken = this.#segment.offsetOf(this.#end) + this.#open.writer.length
    const wanted = Math.ceil((taken + bytes) / RESERVE_BYTES) * RESERVE_BYTES
    if (this.#spare) await this.#spare.reserve(SEGMENT_HEADER_BYTES + this.#open.writer.length + bytes + RESERVE_BYTES)
    else if (wanted <= segmentBytes) await this.#segment.reserve(wanted)
    else this.#spare = await Segment.spare(disk, directory, this.#open.writer.length + bytes + RESERVE_BYTES)
  }

  #retryFull(): void {
    this.#options.clock.after(RETRY_FULL_MS, () => {
      if (this.#closed || this.#failure) return
      this.#full = undefined
      this.makeRoom(1).catch(() => {})
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
    this.records++
    if (!this.#busy) {
      this.#busy = true
      this.#options.clock.soon(() => void this.#writeGroups())
    }
  }

  /** undefined when all that was appended is acknowledged; else a promise for it. It rejects when the log failed. */
  settled(): Promise<void> | undefined {
    if (!this.#open.empty) return this.#open.settled
    if (this.#busy) return this.#writing.settled
    return this.#failure ? Promise.reject(this.#failure) : undefined
  }

  /** Brings all that was appended so far to disk, whatever the mode is. */
  async makeDurable(): Promise<void> {
    await this.settled()
    if (this.#durable < this.#written) await this.#sync()
  }

  async #writeGroups(): Promise<void> {
    try {
      while (!this.#open.empty) {
        const group = this.#open
        this.#open = this.#writing
        this.#writing = group
        await this.#writeGroup(group)
        group.succeed()
        group.reset()
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
    while (this.#extending) await this.#extending
    const { disk, directory, node } = this.#options
    const spare = this.#spare ?? (await Segment.spare(disk, directory, this.#unplaced + RESERVE_BYTES))
    this.#spare = spare
    await this.#segment.sync()
    this.#durable = this.#end
    await spare.begin(disk, directory, this.#end, node)
    const before = this.#segment
    const syncing = this.#syncing
    this.#segment = spare
    this.#spare = undefined
    await syncing?.catch(() => {})
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
    this.#syncing = this.#segment.sync()
    try {
      await this.#syncing
      this.#durable = Math.max(this.#durable, written)
    } catch (error) {
      throw this.#fail('syncing', error)
    } finally {
      this.#syncing = undefined
    }
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

  /** Waits for what was appended, makes it durable in every mode, vouches for it with a last frame, and closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTimer()
    await this.settled()
    await this.#extending?.catch(() => {})
    await this.#syncing
    await this.#segment.sync()
    this.#durable = this.#end
    await this.#writeMark()
    await this.#segment.close()
    await this.#spare?.close()
  }

  /** A last frame that says that all before it is on disk: rot in it is then told from a torn tail. A full disk may miss it. */
  async #writeMark(): Promise<void> {
    const { writer } = this.#open
    writer.uint8(RECORD_MARK)
    writer.uint32(0)
    if (this.#segment.offsetOf(this.#end) + writer.length > this.#segment.reserved) return
    sealFrame(writer.written(), this.#end, this.#durable)
    await this.#segment.write(writer.written(), this.#end)
    await this.#segment.sync()
  }
}
