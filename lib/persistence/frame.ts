// The log's bytes: segments of frames of records. Byte by byte in docs/FORMATS.md, section 2.
//
//   segment := header frame* zeros                    header: magic version node start 0 crc, 32 bytes
//   frame   := u32 length, u32 crc, u64 position, u64 durable, payload
//   payload := record*                                 record: u8 kind, u32 length, body
//
// A frame is what one write of the log brings to disk: either all of it is there, or it does not count. `position` is
// its own place in the log, so that stray bytes are never taken for a frame; `durable` is up to where the log was
// known to be on disk when the frame was written. That tells a torn tail from rot: a bad frame followed by a good one that says
// the bad one's place was durable is damage; a bad frame that nothing vouches for never was acknowledged and is cut off.

import { crc32 } from 'node:zlib'
import { ByteReader, readUint32, readUint64, writeUint32, writeUint64 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'

export const LOG_VERSION = 1
export const SEGMENT_HEADER_BYTES = 32
export const FRAME_HEADER_BYTES = 24
export const RECORD_HEADER_BYTES = 5
/** Record kinds: a delta; a reply record and the delta that it belongs to; nothing, to vouch for what is before it; a fold of a node's
 * old incarnations; what one incarnation of this node has written, put under another; changes of notes; a batch, and the reply record and
 * the delta of its tentative write; a key and the place of such a write, and the delta that takes it back. */
export const RECORD_DELTA = 1
export const RECORD_ONCE = 2
export const RECORD_MARK = 3
export const RECORD_FOLD = 4
export const RECORD_MOVE = 5
export const RECORD_NOTES = 6
export const RECORD_TENTATIVE = 7
export const RECORD_WITHDRAWAL = 8

const MAGIC = 'CNTRLOG1'

export interface SegmentHeader {
  /** Position in the log of the segment's first frame. */
  readonly start: number
  readonly node: number
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  bytes.set(Buffer.from(MAGIC))
  writeUint32(bytes, 8, LOG_VERSION)
  writeUint32(bytes, 12, header.node)
  writeUint64(bytes, 16, header.start)
  writeUint32(bytes, 28, crc32(bytes.subarray(0, 28)))
  return bytes
}

/** @throws CounterError LOG_CORRUPT or LOG_VERSION, naming `file` */
export function decodeSegmentHeader(bytes: Uint8Array, file: string): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES || Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== MAGIC) {
    throw new CounterError('LOG_CORRUPT', `${file} does not start like a log segment`)
  }
  const version = readUint32(bytes, 8)
  if (readUint32(bytes, 28) !== crc32(bytes.subarray(0, 28)))
    throw new CounterError('LOG_CORRUPT', `${file}: bad crc of the header`)
  if (version !== LOG_VERSION) {
    throw new CounterError('LOG_VERSION', `${file} is version ${version}, expected ${LOG_VERSION}`, {
      fix: 'start a newer counter',
    })
  }
  return { node: readUint32(bytes, 12), start: readUint64(bytes, 16) }
}

/** Fills in the head of the frame that `bytes` is, from its first byte to its last. */
export function sealFrame(bytes: Uint8Array, position: number, durable: number): void {
  writeUint32(bytes, 0, bytes.length - FRAME_HEADER_BYTES)
  writeUint64(bytes, 8, position)
  writeUint64(bytes, 16, durable)
  writeUint32(bytes, 4, crc32(bytes.subarray(8)))
}

export interface Frame {
  /** Position in the log of its first byte and of the byte after it. */
  readonly position: number
  readonly end: number
  /** Up to where the log was on disk when the frame was written. */
  readonly durable: number
  readonly payload: Uint8Array
}

/** The frame at file offset `at` of a segment that starts at `start`, or undefined when there is no whole, true frame. */
export function readFrame(segment: Uint8Array, at: number, start: number): Frame | undefined {
  if (at + FRAME_HEADER_BYTES > segment.length) return undefined
  const length = readUint32(segment, at)
  const position = start + at - SEGMENT_HEADER_BYTES
  if (length === 0 || at + FRAME_HEADER_BYTES + length > segment.length) return undefined
  if (readUint64(segment, at + 8) !== position) return undefined
  const end = at + FRAME_HEADER_BYTES + length
  if (readUint32(segment, at + 4) !== crc32(segment.subarray(at + 8, end))) return undefined
  return {
    position,
    end: position + FRAME_HEADER_BYTES + length,
    durable: readUint64(segment, at + 16),
    payload: segment.subarray(at + FRAME_HEADER_BYTES, end),
  }
}

/** The highest `durable` that any whole frame starting in (at, end) of the segment vouches for; 0 when there is none. */
export function durableBehind(segment: Uint8Array, at: number, end: number, start: number): number {
  let highest = 0
  const last = Math.min(end, segment.length - FRAME_HEADER_BYTES)
  for (let offset = at + 1; offset < last; offset++) {
    // The low word of the position tells nearly every wrong offset at the price of one comparison.
    if (readUint32(segment, offset + 8) !== (start + offset - SEGMENT_HEADER_BYTES) % 0x1_0000_0000) continue
    const frame = readFrame(segment, offset, start)
    if (frame !== undefined && frame.durable > highest) highest = frame.durable
  }
  return highest
}

export interface LogRecord {
  readonly kind: number
  /** Reads the record's body. */
  readonly body: ByteReader
}

/** The records of a frame, in order. @throws CounterError LOG_CORRUPT, naming `file` */
export function* readRecords(frame: Frame, file: string): Generator<LogRecord, void> {
  const what = `${file}: record in the frame at position ${frame.position}`
  const reader = new ByteReader(frame.payload, 0, frame.payload.length, 'LOG_CORRUPT', what)
  while (reader.left > 0) {
    const kind = reader.uint8()
    if (kind < RECORD_DELTA || kind > RECORD_WITHDRAWAL) reader.fail(`unknown kind ${kind}`)
    const length = reader.uint32()
    reader.need(length)
    yield { kind, body: new ByteReader(frame.payload, reader.at, reader.at + length, 'LOG_CORRUPT', what) }
    reader.at += length
  }
}
