// Replies in bytes: a reply record as logs and snapshots hold it, and as a part of a delta. Byte by byte in docs/FORMATS.md.
//
//   record  := key fingerprint at status contentType body          texts with their length before them
//   replies := count (node incarnation seq flags record){count}    flags: TENTATIVE

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import { utf8 } from '../base/utf8.ts'
import type { KeptReply, PlacedReply } from './replies.ts'
import { readReplica, readSeq, type WriteAt } from './vector.ts'

export const FINGERPRINT_BYTES = 32
const TENTATIVE = 1
/** What an HTTP reply may have. */
const STATUS_MIN = 200
const STATUS_MAX = 599
/** Bytes that a reply takes in a delta at least. */
const PLACED_BYTES_MIN = 4 + 1 + FINGERPRINT_BYTES + 8 + 3

const encoder = new TextEncoder()

export function writeReply(writer: ByteWriter, { key, fingerprint, at, reply }: KeptReply): void {
  writer.sized(encoder.encode(key))
  writer.raw(fingerprint)
  writer.uint64(at)
  writer.varint(reply.status)
  writer.sized(encoder.encode(reply.contentType))
  writer.sized(encoder.encode(reply.body))
}

/** @throws CounterError with the reader's code when it is malformed */
export function readReply(reader: ByteReader, origin: WriteAt | undefined, tentative: boolean): KeptReply {
  const key = utf8.decode(reader.sized())
  const fingerprint = reader.raw(FINGERPRINT_BYTES).slice()
  const at = reader.uint64()
  const status = reader.varint()
  if (status < STATUS_MIN || status > STATUS_MAX) reader.fail(`status ${status} of a reply`)
  const contentType = utf8.decode(reader.sized())
  const body = utf8.decode(reader.sized())
  return { key, fingerprint, at, reply: { status, contentType, body }, origin, tentative }
}

/** A reply with the place of its write. */
export function writePlaced(writer: ByteWriter, kept: PlacedReply): void {
  const { replica, seq } = kept.origin
  writer.varint(replica.node)
  writer.varint(replica.incarnation)
  writer.varint(seq)
  writer.uint8(kept.tentative ? TENTATIVE : 0)
  writeReply(writer, kept)
}

/** @throws as readReply */
export function readPlaced(reader: ByteReader): PlacedReply {
  const replica = readReplica(reader)
  const seq = readSeq(reader)
  if (seq < 1) reader.fail(`sequence number ${seq} of a reply`)
  const flags = reader.uint8()
  if (flags > TENTATIVE) reader.fail(`unknown flags ${flags} of a reply`)
  const origin = { replica, seq }
  return { ...readReply(reader, origin, flags === TENTATIVE), origin }
}

export function writeReplies(writer: ByteWriter, replies: readonly PlacedReply[]): void {
  writer.varint(replies.length)
  for (const kept of replies) writePlaced(writer, kept)
}

/** @throws as readReply */
export function readReplies(reader: ByteReader): PlacedReply[] {
  const count = reader.varint()
  if (count * PLACED_BYTES_MIN > reader.left) reader.fail(`${count} replies do not fit`)
  return Array.from({ length: count }, () => readPlaced(reader))
}
