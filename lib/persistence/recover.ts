// What a start reads: the newest snapshot that holds, then the log after it. Everything is joined into the replica, in the
// same way as any delta. The rules of what may be cut off and what is damage are in docs/FORMATS.md, section 2.4.

import type { Clock } from '../base/clock.ts'
import { nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { type Disk, readWhole } from './disk.ts'
import {
  decodeSegmentHeader,
  durableBehind,
  type Frame,
  type LogRecord,
  RECORD_DELTA,
  RECORD_FOLD,
  RECORD_MARK,
  RECORD_MOVE,
  RECORD_NOTES,
  RECORD_TENTATIVE,
  RECORD_WITHDRAWAL,
  readFrame,
  readRecords,
  SEGMENT_HEADER_BYTES,
} from './frame.ts'
import type { LogEnd } from './log.ts'
import { segmentName, segmentStart } from './segment.ts'
import { type JoiningSink, readSnapshot, type SnapshotHeader } from './snapshot.ts'

/** What the files of a data directory are. */
export interface Listing {
  /** Names of the snapshots, newest first. */
  readonly snapshots: string[]
  /** Start positions of the log segments, in order. */
  readonly segments: number[]
  /** Left over from a crash: half-written files that nothing refers to. */
  readonly leftovers: string[]
}

/** `snapshot-` and the log position to replay from, in 16 digits so that names sort. */
export const snapshotName = (from: number): string => `snapshot-${String(from).padStart(16, '0')}`

export async function listDirectory(disk: Disk, directory: string): Promise<Listing> {
  const names = await disk.list(directory)
  return {
    snapshots: names
      .filter((name) => /^snapshot-\d{16}$/.test(name))
      .sort()
      .reverse(),
    segments: names
      .map(segmentStart)
      .filter((start) => start !== undefined)
      .sort((a, b) => a - b),
    leftovers: names.filter((name) => name.endsWith('.tmp') || name === 'log-spare'),
  }
}

export interface Recovery {
  readonly snapshot: { readonly name: string; readonly header: SnapshotHeader } | undefined
  /** Snapshots that were passed over because they do not hold. */
  readonly damaged: CounterError[]
  /** Their names. */
  readonly passedOver: string[]
  /** Where the log goes on; undefined when there is none yet. */
  readonly logEnd: LogEnd | undefined
  readonly records: number
  /** Bytes of frames that were replayed. */
  readonly logBytes: number
  /** Bytes of a torn frame that the log's end is cut by. */
  readonly tornBytes: number
}

/** Reads the directory into `sink`. Changes no file. @throws CounterError SNAPSHOT_CORRUPT, LOG_CORRUPT, ... */
export async function recover(disk: Disk, directory: string, clock: Clock, sink: JoiningSink): Promise<Recovery> {
  const listing = await listDirectory(disk, directory)
  const { snapshot, damaged, passedOver } = await readNewestSnapshot(disk, directory, clock, sink, listing)
  const from = snapshot?.header.from ?? 0
  const replay = new Replay(sink)
  const segments = listing.segments
  const first = segments.findLastIndex((start) => start <= from)
  if (first === -1 && (segments.length > 0 || from > 0)) {
    throw new CounterError('LOG_CORRUPT', `the log of ${directory} is missing from position ${from} on`, {
      cause: damaged[0],
      fix: 'bring back the missing log files; or move the directory away and import the newest snapshot that holds into a new one',
    })
  }
  let logEnd: LogEnd | undefined
  let tornBytes = 0
  for (let index = Math.max(first, 0); index < segments.length; index++) {
    const next = segments[index + 1]
    const read = await readSegment(disk, directory, segments[index]!, next, from, (frame, file) => replay.apply(frame, file))
    logEnd = { start: segments[index]!, position: read.end, durable: read.durable }
    tornBytes = read.tornBytes
    await nextTurn(clock)
  }
  if (logEnd !== undefined && logEnd.position < from) {
    const path = `${directory}/${segmentName(logEnd.start)}`
    throw corrupt(path, `ends at position ${logEnd.position}, before position ${from} that ${snapshot?.name} goes on from`)
  }
  return { snapshot, damaged, passedOver, logEnd, records: replay.records, logBytes: replay.bytes, tornBytes }
}

async function readNewestSnapshot(disk: Disk, directory: string, clock: Clock, sink: JoiningSink, listing: Listing) {
  const damaged: CounterError[] = []
  const passedOver: string[] = []
  for (const name of listing.snapshots) {
    const file = await disk.open(`${directory}/${name}`, 'read')
    try {
      const header = await readSnapshot(file, name, sink, () => nextTurn(clock))
      return { snapshot: { name, header }, damaged, passedOver }
    } catch (error) {
      if (!(error instanceof CounterError) || error.code !== 'SNAPSHOT_CORRUPT') throw error
      damaged.push(error)
      passedOver.push(name)
    } finally {
      await file.close()
    }
  }
  return { snapshot: undefined, damaged, passedOver }
}

/** Takes the records of frames into the sink. */
class Replay {
  readonly #sink: JoiningSink
  records = 0
  bytes = 0

  constructor(sink: JoiningSink) {
    this.#sink = sink
  }

  apply(frame: Frame, file: string): void {
    for (const record of readRecords(frame, file)) this.#take(record)
    this.bytes += frame.end - frame.position
  }

  #take({ kind, body }: LogRecord): void {
    if (kind === RECORD_MARK) return
    this.records++
    if (kind === RECORD_FOLD) return this.#sink.fold(body)
    if (kind === RECORD_MOVE) return this.#sink.move(body)
    if (kind === RECORD_NOTES) return this.#sink.notes(body)
    if (kind === RECORD_TENTATIVE) return this.#sink.tentativeWrite(body)
    if (kind === RECORD_WITHDRAWAL) return this.#sink.withdrawal(body)
    if (kind === RECORD_DELTA) this.#sink.delta(body)
    else this.#sink.keyedWrite(body)
  }
}

/**
 * Walks one segment and gives every true frame at or behind `from` to `apply`.
 * @param next where the following segment starts, or undefined for the last one, which alone may have a torn end
 * @returns the position where the segment's frames end, up to where they say that it is on disk, and how many bytes of a
 *   torn frame lie behind
 */
export async function readSegment(
  disk: Disk,
  directory: string,
  start: number,
  next: number | undefined,
  from: number,
  apply: (frame: Frame, file: string) => void,
): Promise<{ end: number; durable: number; tornBytes: number }> {
  const name = segmentName(start)
  const path = `${directory}/${name}`
  const file = await disk.open(path, 'read')
  let bytes: Uint8Array
  try {
    bytes = await readWhole(file)
  } finally {
    await file.close()
  }
  const header = decodeSegmentHeader(bytes, path)
  if (header.start !== start) throw new CounterError('LOG_CORRUPT', `${path} says it starts at position ${header.start}`)
  let at = SEGMENT_HEADER_BYTES
  let durable = start
  for (let frame = readFrame(bytes, at, start); frame !== undefined; frame = readFrame(bytes, at, start)) {
    if (frame.end > from) apply(frame, name)
    at += frame.end - frame.position
    durable = Math.max(durable, frame.durable)
  }
  const end = start + at - SEGMENT_HEADER_BYTES
  if (next !== undefined && next !== end) {
    const why = next < end ? `overlaps ${segmentName(next)}` : `has no true frame at byte ${at}`
    throw corrupt(path, `${why}, though ${segmentName(next)} goes on at position ${next}`)
  }
  const written = lastWritten(bytes, at)
  if (durableBehind(bytes, at, written, start) > end) {
    throw corrupt(path, `is damaged at byte ${at}: frames behind it say that it was on disk`)
  }
  return { end, durable: Math.min(durable, end), tornBytes: written - at }
}

/** Where the last byte that is not zero ends, from `at` on. */
function lastWritten(bytes: Uint8Array, at: number): number {
  let end = bytes.length
  while (end > at && bytes[end - 1] === 0) end--
  return end
}

function corrupt(path: string, why: string): CounterError {
  return new CounterError('LOG_CORRUPT', `${path} ${why}`, {
    fix: 'nothing was changed; bring back the file from a copy, or see docs/OPERATING.md, "A damaged log"',
  })
}
