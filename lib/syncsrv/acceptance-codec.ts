// What nodes say to each other when a batch of items is kept by all or by none, as bytes: payloads of calls (docs/PROTOCOL.md, section 7).
// A prepare is also what a node keeps in a note until the batch is committed or dropped.
//
//   transaction := node incarnation life(8 bytes) number        whose: the coordinator, its process, and its count of transactions
//   prepare     := version(u8 = 1) transaction expiryMs stamp count change{count}
//   change      := id tenant                                    texts; an empty tenant: the item is deleted
//   commit      := version(u8 = 1) transaction incarnation seq stamp
//   abort       := version(u8 = 1) transaction
//
// Decoding is total: what is malformed throws SYNC_INVALID before memory is taken for it.

import { isUtf8 } from 'node:buffer'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { type ItemChange, NODE_MAX, SEQ_MAX, STAMP_MAX } from '../storage/index.ts'
import type { WriteAt } from './levels.ts'
import { REQUEST_BYTES_MAX } from './transport.ts'

/** Which attempt to have a batch kept; unique for ever. */
export interface Transaction {
  /** The coordinator, when it began. */
  readonly node: number
  readonly incarnation: number
  /** Sixteen hexadecimal digits drawn at the start of its process. */
  readonly life: string
  readonly number: number
}

export interface Prepare {
  readonly transaction: Transaction
  /** How long the node that is asked stands by its word, from when it hears this, in milliseconds. */
  readonly expiryMs: number
  /** What the coordinator would stamp the items with now. */
  readonly stamp: number
  readonly changes: readonly ItemChange[]
}

export interface Commit {
  readonly transaction: Transaction
  /** Where the coordinator has written the batch, and the stamp of that. */
  readonly at: WriteAt
  readonly stamp: number
}

const VERSION = 1
const LIFE_BYTES = 8
/** Nobody has to stand by its word for longer. */
export const EXPIRY_MS_MAX = 60 * 60 * 1000
/** Of a request to another node, what is left for all around the payload. */
const AROUND_BYTES = 4096
/** Bytes of an id and of a tenant at most: the limit of names in the table. */
const NAME_BYTES_MAX = 65_535
/** Bytes that a change takes at least. */
const CHANGE_BYTES_MIN = 3

/** @throws CounterError BATCH_TOO_LARGE when it does not fit into a request to another node */
export function encodePrepare({ transaction, expiryMs, stamp, changes }: Prepare): Uint8Array {
  const writer = begin(transaction)
  writer.varint(expiryMs)
  writer.varint(stamp)
  writer.varint(changes.length)
  for (const { id, tenant = '' } of changes) {
    writer.sized(Buffer.from(id))
    writer.sized(Buffer.from(tenant))
  }
  if (writer.length > REQUEST_BYTES_MAX - AROUND_BYTES) {
    const got = `${changes.length} items take ${writer.length} bytes`
    throw new CounterError(
      'BATCH_TOO_LARGE',
      `${got}, and other nodes take at most ${REQUEST_BYTES_MAX - AROUND_BYTES} at once`,
      {
        fix: 'send fewer items in one request',
      },
    )
  }
  return writer.written().slice()
}

/** What is returned holds no view of the bytes. @throws CounterError SYNC_INVALID */
export function decodePrepare(payload: Uint8Array): Prepare {
  return whole(payload, (reader) => {
    const transaction = readTransaction(reader)
    const expiryMs = reader.varint()
    if (expiryMs < 1 || expiryMs > EXPIRY_MS_MAX) reader.fail(`an expiry of ${expiryMs} ms`)
    const stamp = readStamp(reader)
    const count = reader.varint()
    if (count * CHANGE_BYTES_MIN > reader.left) reader.fail(`${count} changes do not fit`)
    const changes = Array.from({ length: count }, () => {
      const id = readName(reader)
      if (id === '') reader.fail('an id is empty')
      return { id, tenant: readName(reader) || undefined }
    })
    return { transaction, expiryMs, stamp, changes }
  })
}

export function encodeCommit({ transaction, at, stamp }: Commit): Uint8Array {
  const writer = begin(transaction)
  writer.varint(at.replica.incarnation)
  writer.varint(at.seq)
  writer.varint(stamp)
  return writer.written()
}

/** @throws CounterError SYNC_INVALID */
export function decodeCommit(payload: Uint8Array): Commit {
  return whole(payload, (reader) => {
    const transaction = readTransaction(reader)
    const replica = { node: transaction.node, incarnation: reader.varint() }
    const seq = reader.varint()
    if (seq < 1 || seq > SEQ_MAX) reader.fail(`sequence number ${seq}`)
    return { transaction, at: { replica, seq }, stamp: readStamp(reader) }
  })
}

export function encodeAbort(transaction: Transaction): Uint8Array {
  return begin(transaction).written()
}

/** @throws CounterError SYNC_INVALID */
export function decodeAbort(payload: Uint8Array): Transaction {
  return whole(payload, readTransaction)
}

/** A transaction as a text without spaces. */
export const textOf = ({ node, incarnation, life, number }: Transaction): string => `${node}.${incarnation}.${life}.${number}`

function begin({ node, incarnation, life, number }: Transaction): ByteWriter {
  const writer = new ByteWriter()
  writer.uint8(VERSION)
  writer.varint(node)
  writer.varint(incarnation)
  writer.raw(Buffer.from(life, 'hex'))
  writer.varint(number)
  return writer
}

function readTransaction(reader: ByteReader): Transaction {
  const node = reader.varint()
  if (node > NODE_MAX) reader.fail(`node id ${node}`)
  const incarnation = reader.varint()
  const life = Buffer.from(reader.raw(LIFE_BYTES)).toString('hex')
  return { node, incarnation, life, number: reader.varint() }
}

function readStamp(reader: ByteReader): number {
  const stamp = reader.varint()
  if (stamp < 1 || stamp > STAMP_MAX) reader.fail(`stamp ${stamp}`)
  return stamp
}

function readName(reader: ByteReader): string {
  const bytes = reader.sized()
  if (bytes.length > NAME_BYTES_MAX) reader.fail(`name of ${bytes.length} bytes, at most ${NAME_BYTES_MAX}`)
  if (!isUtf8(bytes)) reader.fail('name is not UTF-8')
  return Buffer.from(bytes).toString()
}

function whole<T>(payload: Uint8Array, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(payload, 0, payload.length, 'SYNC_INVALID', 'payload of a call')
  const version = reader.uint8()
  if (version !== VERSION) reader.fail(`version ${version}, expected ${VERSION},`)
  const value = read(reader)
  if (reader.left > 0) reader.fail(`${reader.left} bytes are left over`)
  return value
}
