// When snapshots are taken, published and removed. Two are kept, with the log from the older on, so that one bad file
// loses nothing. The order is what makes it safe: blocks, then the log durable past the end and a frame that vouches for it,
// then fsync, rename, fsync of the directory, and only then is anything older removed.

import type { Clock } from '../base/clock.ts'
import { nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Replica } from '../storage/index.ts'
import { type Disk, isDiskFull, writeAll } from './disk.ts'
import type { Log } from './log.ts'
import type { Notes } from './notes.ts'
import { listDirectory, type Recovery, snapshotName } from './recover.ts'
import { segmentName } from './segment.ts'
import { encodeSnapshot } from './snapshot.ts'

export interface SnapshotsOptions {
  readonly disk: Disk
  readonly directory: string
  readonly clock: Clock
  readonly logger: Logger
  readonly replica: Replica
  readonly notes: Notes
  readonly log: Log
  readonly snapshotIntervalMs: number
  readonly snapshotLogBytes: number
}

/** How often it is looked whether the log has grown enough. */
const CHECK_MS = 1000
const KEPT = 2

export class Snapshots {
  readonly #options: SnapshotsOptions
  /** Log position that the last snapshot replays from. */
  #from: number
  /** How many records the log had taken when the last snapshot was begun. */
  #records = -1
  #at: number
  #ms = 0
  #bytes = 0
  #failed = false
  /** Snapshots that the start passed over. They count for nothing, and go when there is a new one. */
  #damaged: readonly string[]
  #takenMs: number
  #running: Promise<void> | undefined
  #closed = false
  #cancelTimer: () => void = () => {}

  constructor(options: SnapshotsOptions, recovery: Recovery) {
    this.#options = options
    this.#from = recovery.snapshot?.header.from ?? 0
    this.#at = recovery.snapshot?.header.createdAt ?? 0
    this.#damaged = recovery.passedOver
    this.#takenMs = options.clock.monotonicMs()
    this.#checkLater()
  }

  status() {
    return {
      snapshotFrom: this.#from,
      snapshotAt: this.#at,
      snapshotMs: this.#ms,
      snapshotBytes: this.#bytes,
      snapshotFailed: this.#failed,
    }
  }

  #checkLater(): void {
    this.#cancelTimer = this.#options.clock.after(CHECK_MS, () => {
      const due = this.#due() && !this.#running ? this.take().catch(() => {}) : Promise.resolve()
      due.then(() => {
        if (!this.#closed) this.#checkLater()
      })
    })
  }

  #due(): boolean {
    const { clock, log, snapshotIntervalMs, snapshotLogBytes } = this.#options
    const grown = log.end - this.#from
    if (grown === 0 || log.records === this.#records || log.refusal) return false
    // After a failure, such as a full disk, the interval alone decides, so that it is not tried every second.
    if (snapshotLogBytes > 0 && grown >= Math.max(snapshotLogBytes, this.#bytes) && !this.#failed) return true
    return snapshotIntervalMs > 0 && clock.monotonicMs() - this.#takenMs >= snapshotIntervalMs
  }

  /** Takes a snapshot, or waits for the one that is being taken. Failing is reported and changes nothing. */
  take(): Promise<void> {
    this.#running ??= this.#take().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #take(): Promise<void> {
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
    const { clock, directory, disk, logger } = this.#options
    const startedMs = clock.monotonicMs()
    this.#takenMs = startedMs
    const { records, end: from } = this.#options.log
    const name = snapshotName(from)
    try {
      const bytes = await this.#write(`${directory}/${name}.tmp`, from)
      await disk.rename(`${directory}/${name}.tmp`, `${directory}/${name}`)
      this.#damaged = this.#damaged.filter((other) => other !== name)
      await disk.syncDirectory(directory)
      this.#from = from
      this.#records = records
      this.#at = clock.now()
      this.#bytes = bytes
      this.#ms = clock.monotonicMs() - startedMs
      this.#failed = false
      await this.#removeOld()
      logger.info({ name, bytes, ms: Math.round(this.#ms) }, 'snapshot taken')
    } catch (error) {
      await disk.remove(`${directory}/${name}.tmp`).catch(() => {})
      if (this.#closed) throw error
      this.#failed = true
      const why = isDiskFull(error) ? 'the disk is full' : (error as Error).message
      logger.error({ name }, `no snapshot was taken: ${why}; nothing is lost, the log is kept until one is`)
      throw error
    }
  }

  async #write(path: string, from: number): Promise<number> {
    const { clock, disk, log } = this.#options
    const file = await disk.open(path, 'create')
    try {
      let size = 0
      for (const piece of this.#encode(from)) {
        if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
        await writeAll(file, piece, size)
        size += piece.length
        await nextTurn(clock)
      }
      await log.vouch()
      await file.sync()
      return size
    } finally {
      await file.close()
    }
  }

  /** The same bytes for somebody else, each piece only when what it holds is acknowledged. */
  async *backup(): AsyncGenerator<Uint8Array, void> {
    for (const piece of this.#encode(this.#options.log.end)) {
      const copy = piece.slice()
      await this.#options.log.settled()
      yield copy
    }
  }

  #encode(from: number): Generator<Uint8Array, void> {
    const { clock, replica } = this.#options
    return encodeSnapshot({ self: replica.self, from, createdAt: clock.now() }, this.#options)
  }

  /** Removes all but the newest snapshots that hold, and the segments that end before the oldest one kept. */
  async #removeOld(): Promise<void> {
    const { directory, disk } = this.#options
    const { snapshots, segments } = await listDirectory(disk, directory)
    const good = snapshots.filter((name) => !this.#damaged.includes(name))
    for (const name of snapshots) if (!good.slice(0, KEPT).includes(name)) await disk.remove(`${directory}/${name}`)
    this.#damaged = []
    const oldest = good[KEPT - 1]
    if (oldest === undefined) return
    const from = Number(oldest.slice('snapshot-'.length))
    for (let index = 0; index + 1 < segments.length && segments[index + 1]! <= from; index++) {
      await disk.remove(`${directory}/${segmentName(segments[index]!)}`)
    }
    await disk.syncDirectory(directory)
  }

  /** Takes no more snapshots; one that is being taken is given up. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer()
    await this.#running?.catch(() => {})
  }
}
