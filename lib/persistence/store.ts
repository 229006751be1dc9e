// The store: a replica and its log behind one gate. A write changes the table and appends to the log in one turn of the event
// loop; whoever wrote, and whoever read what was written, waits until the log has it. Here alone lives that barrier.
// Walk of a write: admit (room, names), increment (table, log), then the caller waits; see docs/ARCHITECTURE.md.

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { nextTurn } from '../base/clock.ts'
import type { CounterError } from '../base/errors.ts'
import { type Batch, type Count, DELTA_VERSION, DecodedDelta, type Replica, type ReplicaId } from '../storage/index.ts'
import { diskFull, isDiskFull } from './disk.ts'
import { RECORD_DELTA, RECORD_HEADER_BYTES, RECORD_ONCE } from './frame.ts'
import { newIncarnation, writeIdentity } from './identity.ts'
import type { Lock } from './lock.ts'
import type { Log } from './log.ts'
import type { Once, Replies, StoredReply } from './replies.ts'
import type { Snapshots } from './snapshots.ts'
import { type Recovered, type StoreOptions, type StoreParts, start } from './start.ts'

/** What the store says of itself while it runs. */
export interface StoreStatus {
  readonly names: number
  /** Bytes of the table's arrays. */
  readonly tableBytes: number
  readonly replies: number
  /** Whether writes are accepted, and why not. */
  readonly writable: boolean
  readonly refusal: string | undefined
  /** Log position of the next frame, and up to where the log is on disk. */
  readonly logEnd: number
  readonly logDurable: number
  /** Frames and records written since the start. */
  readonly logGroups: number
  readonly logRecords: number
  /** Log position that the last snapshot replays from, and when it was made (wall clock, 0 for never). */
  readonly snapshotFrom: number
  readonly snapshotAt: number
  /** How long the last snapshot took, and its size. */
  readonly snapshotMs: number
  readonly snapshotBytes: number
  /** Whether the last attempt at a snapshot failed. */
  readonly snapshotFailed: boolean
}

/** Batches with more names than this get their new rows in slices, over several turns. */
const SLICE_NAMES = 8192
/** Bytes of a delta around its names and cells, and of a reply record around its texts, at most. */
const DELTA_HEAD_BYTES = 128
/** Bytes of a name's length and of its cell, at most. */
const CELL_BYTES_MAX = 3 + 10 + 10
/** Room kept for a reply record, without the name that the reply to a single increment shows. */
const REPLY_BYTES_MAX = 4096 + 512
/** Bytes that JSON makes of one byte of a name at most: \u0001. */
const ESCAPED_BYTES_MAX = 6

export class Store {
  readonly #options: StoreOptions
  readonly #replica: Replica
  readonly #replies: Replies
  readonly #log: Log
  readonly #lock: Lock
  readonly #snapshots: Snapshots
  /** Large batches whose names all have rows. */
  readonly #spread = new WeakSet<Batch>()
  #closing: Promise<void> | undefined
  /** What the start found and did. */
  readonly recovered: Recovered
  /** Resolves when the store cannot go on; the process should then end. */
  readonly failed: Promise<CounterError>

  private constructor(parts: StoreParts) {
    this.#options = parts.options
    this.#replica = parts.replica
    this.#replies = parts.replies
    this.#log = parts.log
    this.#lock = parts.lock
    this.#snapshots = parts.snapshots
    this.recovered = parts.recovered
    this.failed = parts.failed
  }

  /**
   * Locks the directory, recovers what is in it, decides the incarnation and opens the log.
   * @throws CounterError DIRECTORY_LOCKED, LOG_CORRUPT, SNAPSHOT_CORRUPT, IDENTITY_INVALID, ...; nothing is changed then
   */
  static async open(options: StoreOptions): Promise<Store> {
    await options.disk.ensureDirectory(options.directory)
    const lock = await options.lock(options.directory)
    try {
      return new Store(await start(options, lock))
    } catch (error) {
      await lock.release()
      throw isDiskFull(error) ? diskFull(error) : error
    }
  }

  /**
   * undefined: the batch can be written now, in this turn. A promise: wait for it, then ask again.
   * @throws (or rejects with) CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, NAMES_MAX, CLOSED
   */
  admit(batch: Batch): Promise<void> | undefined {
    const nameBytes = batch.count === 0 ? 0 : batch.ends[batch.count - 1]!
    const inReply = batch.count === 1 ? nameBytes * ESCAPED_BYTES_MAX : 0
    const bytes = nameBytes + batch.count * CELL_BYTES_MAX + RECORD_HEADER_BYTES + DELTA_HEAD_BYTES + REPLY_BYTES_MAX + inReply
    if (!this.#log.hasRoom(bytes)) return this.#log.makeRoom(bytes)
    if (batch.count > SLICE_NAMES && !this.#spread.has(batch)) return this.#spreadNames(batch)
    return undefined
  }

  /** Gives all names of a large batch rows, a slice a turn, so that the increment itself is short. */
  async #spreadNames(batch: Batch): Promise<void> {
    const { clock } = this.#options
    let missing = 0
    for (let from = 0; from < batch.count; from += SLICE_NAMES) {
      missing += this.#replica.countMissing(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(clock)
    }
    this.#replica.checkNamesMax(missing)
    // A few can be added by the increment itself.
    for (let from = 0; missing > SLICE_NAMES && from < batch.count; from += SLICE_NAMES) {
      this.#replica.addNames(batch, from, Math.min(from + SLICE_NAMES, batch.count))
      await nextTurn(clock)
    }
    this.#spread.add(batch)
  }

  /**
   * Adds a batch that was admitted in this turn. All state changes happen in the call; the batch may be reused when it returns.
   * @param reply makes the reply, after the change; it is kept when `once` is given
   * @returns the reply, when it may leave the process
   * @throws (as a rejection) CounterError NAMES_MAX, COUNT_OVERFLOW, KEY_IN_FLIGHT, KEY_REUSED: nothing was changed;
   *   LOG_FAILED: unknown
   */
  async increment(batch: Batch, reply: () => StoredReply, once?: Once): Promise<StoredReply & { replayed: boolean }> {
    this.#spread.delete(batch)
    const earlier = once && this.replay(once)
    if (earlier) return earlier
    if (once === undefined) {
      this.#log.append(RECORD_DELTA, (writer) => this.#replica.increment(batch, writer))
      const answer = reply()
      await this.#log.settled()
      return { ...answer, replayed: false }
    }
    const { answer, landed } = this.#incrementOnce(batch, reply, once)
    await this.#log.settled()
    landed()
    return { ...answer, replayed: false }
  }

  /** The reply lies before the delta in the record but is made after it, so the delta is made aside first. */
  #incrementOnce(batch: Batch, reply: () => StoredReply, once: Once) {
    const aside = new ByteWriter()
    this.#replica.increment(batch, aside)
    let answer: StoredReply
    try {
      answer = reply()
    } catch (error) {
      // A fault of ours; the counts have moved all the same, and the log must know.
      this.#log.append(RECORD_DELTA, (writer) => writer.raw(aside.written()))
      throw error
    }
    const { landed, write } = this.#replies.add(once, answer)
    this.#log.append(RECORD_ONCE, (writer) => {
      write(writer)
      writer.raw(aside.written())
    })
    return { answer, landed }
  }

  /** The reply that was given to the same request before, or undefined. @throws CounterError KEY_IN_FLIGHT, KEY_REUSED */
  replay(once: Once): Promise<StoredReply & { replayed: boolean }> | undefined {
    const reply = this.#replies.find(once)
    return reply && Promise.resolve({ ...reply, replayed: true })
  }

  /**
   * Joins an encoded delta and logs the same bytes. Resolves when they are acknowledged.
   * News of the own column means that it was written elsewhere too, so a new incarnation is then opened.
   * @returns how many cells were news
   * @throws (as a rejection) CounterError DELTA_INVALID, DISK_FULL, LOG_BUSY: nothing was changed; LOG_FAILED: unknown
   */
  async merge(delta: Uint8Array): Promise<number> {
    const decoded = new DecodedDelta()
    decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
    await this.#roomFor(delta.length)
    const seq = this.#replica.seq
    const news = this.#replica.merge(decoded)
    this.#log.append(RECORD_DELTA, (writer) => writer.raw(delta))
    if (this.#replica.seq > seq) await this.#renew()
    await this.#log.settled()
    return news
  }

  /** Keeps a reply record that another node has given; `record` is as a snapshot holds it. */
  async mergeReply(record: Uint8Array): Promise<void> {
    await this.#roomFor(record.length + 1)
    this.#log.append(RECORD_ONCE, (writer) => {
      writer.raw(record)
      writer.uint8(DELTA_VERSION)
    })
    await this.#log.settled()
    this.#replies.restore(new ByteReader(record, 0, record.length, 'DELTA_INVALID', 'reply record'))
  }

  async #roomFor(bytes: number): Promise<void> {
    while (!this.#log.hasRoom(bytes + RECORD_HEADER_BYTES)) await this.#log.makeRoom(bytes + RECORD_HEADER_BYTES)
  }

  async #renew(): Promise<void> {
    const { clock, directory, disk, logger, nodeId, random } = this.#options
    const self = { node: nodeId, incarnation: newIncarnation(clock, random) }
    await writeIdentity(disk, directory, self)
    this.#replica.become(self)
    logger.warn(
      { directory },
      'goes on under a new incarnation, because the last one was written elsewhere too; all counts are kept',
    )
  }

  /** The value of a name, 0 when it was never counted. It may leave the process only after settled(). */
  value(name: Uint8Array): Count {
    return this.#replica.value(name)
  }

  /** undefined when all that value() has shown is acknowledged; else a promise for it. Rejects when the log failed. */
  settled(): Promise<void> | undefined {
    return this.#log.settled()
  }

  /** Who writes the own column. */
  get self(): ReplicaId {
    return this.#replica.self
  }

  status(): StoreStatus {
    const refusal = this.#log.refusal
    return {
      names: this.#replica.table.rowCount,
      tableBytes: this.#replica.byteLength,
      replies: this.#replies.size,
      writable: refusal === undefined,
      refusal: refusal?.message,
      logEnd: this.#log.end,
      logDurable: this.#log.durable,
      logGroups: this.#log.groups,
      logRecords: this.#log.records,
      ...this.#snapshots.status(),
    }
  }

  /** Takes a snapshot now. Resolves when it is published. */
  snapshot(): Promise<void> {
    return this.#snapshots.take()
  }

  /** The state as a backup, in pieces; each may leave the process. */
  backup(): AsyncGenerator<Uint8Array, void> {
    return this.#snapshots.backup()
  }

  /** Stops taking writes, brings all that was acknowledged to disk, and lets go of the directory. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      await this.#snapshots.close()
      await this.#log.close()
    } finally {
      await this.#lock.release()
    }
  }
}
