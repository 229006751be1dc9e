// What nodes say to each other about the sequences of a home, as the payloads of calls. docs/PROTOCOL.md, section 9.
// Operations go to the home, many in one call, and their results come back in the same order. `ask` and `tell` come from the home: the
// first to learn what a member knows, page by page, the second so that every member knows how far the sequences are.

import { type ByteReader, ByteWriter } from '../base/bytes.ts'
import { CounterError, type ErrorCode } from '../base/errors.ts'
import {
  ended,
  many,
  PAGE_MAX,
  readerOf,
  readFlag,
  readKey,
  readOptional,
  readText,
  readValues,
  within,
  writeOptional,
  writeText,
  writeValues,
} from './home-parts.ts'
import { readTenure, type Tenure, writeTenure } from './home-tenure.ts'
import { SEQUENCE_COUNT_MAX, type SequenceValue } from './sequencer.ts'

/** Operations of one call at most; a list is one by itself. */
export const OPERATIONS_MAX = 1024

export type Operation =
  | { readonly kind: 'next'; readonly name: string; readonly count: number; readonly key: string | undefined }
  | { readonly kind: 'get'; readonly name: string }
  | { readonly kind: 'list'; readonly prefix: string; readonly after: string | undefined; readonly limit: number }
  | { readonly kind: 'set'; readonly name: string; readonly value: number; readonly force: boolean }
  | { readonly kind: 'freeze' }
  | { readonly kind: 'thaw' }
  | { readonly kind: 'look' }
  | { readonly kind: 'recover'; readonly ahead: number; readonly force: boolean }
  | { readonly kind: 'migrate' }

export type Result =
  | { readonly kind: 'numbers'; readonly first: number; readonly last: number; readonly replayed: boolean }
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'page'; readonly sequences: readonly SequenceValue[]; readonly more: boolean }
  | { readonly kind: 'done' }
  | { readonly kind: 'seen'; readonly frozen: boolean; readonly trouble: string | undefined }
  | { readonly kind: 'failure'; readonly error: CounterError }
  | { readonly kind: 'moved'; readonly sequences: number; readonly keys: number; readonly ahead: readonly string[] }

export interface Operations {
  /** The last tenure that the asker knows of: a home that has lost it must not answer. */
  readonly tenure: Tenure | undefined
  readonly operations: readonly Operation[]
}

export interface Results {
  readonly tenure: Tenure | undefined
  readonly results: readonly Result[]
}

/** A page of marks; the first has the index `from`. */
export interface Ask {
  readonly from: number
}

export interface Told {
  readonly tenure: Tenure
  readonly values: readonly SequenceValue[]
}

export type Request =
  | ({ readonly kind: 'operations' } & Operations)
  | ({ readonly kind: 'ask' } & Ask)
  | ({ readonly kind: 'tell' } & Told)

const KINDS = ['operations', 'ask', 'tell'] as const
const OPERATIONS = ['next', 'get', 'list', 'set', 'freeze', 'thaw', 'look', 'recover', 'migrate'] as const
const RESULTS = ['numbers', 'value', 'page', 'done', 'seen', 'failure', 'moved'] as const
/** What an operation may fail with. A code that is not here is one of a later version. */
const CODES: readonly ErrorCode[] = [
  'SEQUENCE_UNAVAILABLE',
  'SEQUENCE_UNKNOWN',
  'SEQUENCE_FROZEN',
  'SEQUENCE_BACKWARDS',
  'SEQUENCE_EXHAUSTED',
  'SEQUENCE_SOUND',
  'KEY_REUSED',
  'KEY_IN_FLIGHT',
  'NAME_INVALID',
  'NAME_TOO_LONG',
  'DISK_FULL',
  'LOG_BUSY',
  'LOG_FAILED',
  'STARTING',
  'DRAINING',
  'CLOSED',
]
const TEXT_LENGTH_MAX = 2000

// Requests

export function encodeRequest(request: Request): Uint8Array {
  const writer = new ByteWriter(256)
  writer.uint8(KINDS.indexOf(request.kind))
  switch (request.kind) {
    case 'operations':
      writeTenure(writer, request.tenure)
      writer.varint(request.operations.length)
      for (const operation of request.operations) writeOperation(writer, operation)
      break
    case 'ask':
      writer.varint(request.from)
      break
    case 'tell':
      writeTenure(writer, request.tenure)
      writeValues(writer, request.values)
      break
  }
  return writer.written()
}

/** @throws CounterError SYNC_INVALID */
export function decodeRequest(bytes: Uint8Array): Request {
  const reader = readerOf(bytes, 'a question about sequences')
  const kind = KINDS[reader.uint8()]
  let request: Request
  if (kind === 'operations') {
    const tenure = readTenure(reader)
    const operations = many(reader, OPERATIONS_MAX, () => readOperation(reader))
    if (operations.length > 1 && operations.some((operation) => operation.kind === 'list')) reader.fail('a list among others')
    request = { kind, tenure, operations }
  } else if (kind === 'ask') {
    request = { kind, from: reader.varint() }
  } else if (kind === 'tell') {
    const tenure = readTenure(reader) ?? reader.fail('no tenure')
    request = { kind, tenure, values: readValues(reader) }
  } else return reader.fail('an unknown kind')
  ended(reader)
  return request
}

function writeOperation(writer: ByteWriter, operation: Operation): void {
  writer.uint8(OPERATIONS.indexOf(operation.kind))
  switch (operation.kind) {
    case 'next':
      writeText(writer, operation.name)
      writer.varint(operation.count)
      writeOptional(writer, operation.key)
      break
    case 'get':
      writeText(writer, operation.name)
      break
    case 'list':
      writeText(writer, operation.prefix)
      writeOptional(writer, operation.after)
      writer.varint(operation.limit)
      break
    case 'set':
      writeText(writer, operation.name)
      writer.varint(operation.value)
      writer.uint8(Number(operation.force))
      break
    case 'recover':
      writer.varint(operation.ahead)
      writer.uint8(Number(operation.force))
      break
  }
}

function readOperation(reader: ByteReader): Operation {
  const kind = OPERATIONS[reader.uint8()]
  switch (kind) {
    case 'next':
      return { kind, name: readText(reader), count: within(reader, 1, SEQUENCE_COUNT_MAX), key: readKey(reader) }
    case 'get':
      return { kind, name: readText(reader) }
    case 'list':
      return { kind, prefix: readText(reader), after: readOptional(reader), limit: within(reader, 1, PAGE_MAX) }
    case 'set':
      return { kind, name: readText(reader), value: reader.varint(), force: readFlag(reader) }
    case 'recover':
      return { kind, ahead: reader.varint(), force: readFlag(reader) }
    case undefined:
      return reader.fail('an unknown operation')
    default:
      return { kind }
  }
}

// Results

export function encodeResults({ tenure, results }: Results): Uint8Array {
  const writer = new ByteWriter(256)
  writeTenure(writer, tenure)
  writer.varint(results.length)
  for (const result of results) writeResult(writer, result)
  return writer.written()
}

/** @throws CounterError SYNC_INVALID */
export function decodeResults(bytes: Uint8Array): Results {
  const reader = readerOf(bytes, 'an answer about sequences')
  const tenure = readTenure(reader)
  const results = many(reader, OPERATIONS_MAX, () => readResult(reader))
  ended(reader)
  return { tenure, results }
}

function writeResult(writer: ByteWriter, result: Result): void {
  writer.uint8(RESULTS.indexOf(result.kind))
  switch (result.kind) {
    case 'numbers':
      writer.varint(result.last)
      writer.varint(result.last - result.first)
      writer.uint8(Number(result.replayed))
      break
    case 'value':
      writer.varint(result.value)
      break
    case 'page':
      writeValues(writer, result.sequences)
      writer.uint8(Number(result.more))
      break
    case 'seen':
      writer.uint8(Number(result.frozen))
      writeOptional(writer, result.trouble?.slice(0, TEXT_LENGTH_MAX))
      break
    case 'failure':
      writeText(writer, result.error.code)
      writeText(writer, result.error.message.slice(0, TEXT_LENGTH_MAX))
      writeOptional(writer, result.error.fix?.slice(0, TEXT_LENGTH_MAX))
      break
    case 'moved':
      writer.varint(result.sequences)
      writer.varint(result.keys)
      writer.varint(result.ahead.length)
      for (const name of result.ahead) writeText(writer, name)
      break
  }
}

function readResult(reader: ByteReader): Result {
  const kind = RESULTS[reader.uint8()]
  switch (kind) {
    case 'numbers': {
      const last = reader.varint()
      const first = last - reader.varint()
      if (first < 1) reader.fail('a number below 1')
      return { kind, first, last, replayed: readFlag(reader) }
    }
    case 'value':
      return { kind, value: reader.varint() }
    case 'page':
      return { kind, sequences: readValues(reader), more: readFlag(reader) }
    case 'done':
      return { kind }
    case 'seen':
      return { kind, frozen: readFlag(reader), trouble: readOptional(reader) }
    case 'failure':
      return { kind, error: readFailure(reader) }
    case 'moved':
      return { kind, sequences: reader.varint(), keys: reader.varint(), ahead: many(reader, PAGE_MAX, () => readText(reader)) }
    case undefined:
      return reader.fail('an unknown result')
  }
}

function readFailure(reader: ByteReader): CounterError {
  const said = readText(reader)
  const code = CODES.find((code) => code === said)
  const message = readText(reader)
  const fix = readOptional(reader)
  // Whether something was done is not known then.
  if (code === undefined) return new CounterError('SEQUENCE_UNKNOWN', `the home of the sequences answered ${said}: ${message}`)
  return new CounterError(code, message, fix === undefined ? {} : { fix })
}
