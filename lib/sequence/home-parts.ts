// The parts that messages about sequences are made of: texts, what may be missing, flags, lists. Reading is total: what does not fit is refused.

import { ByteReader, type ByteWriter } from '../base/bytes.ts'
import { utf8 } from '../base/utf8.ts'
import { SEQUENCE_KEY_BYTES_MAX, type SequenceValue } from './sequencer.ts'

/** Marks in one message, and entries of one page of a list, at most. */
export const PAGE_MAX = 1000

const encoder = new TextEncoder()

export const readerOf = (bytes: Uint8Array, what: string): ByteReader =>
  new ByteReader(bytes, 0, bytes.length, 'SYNC_INVALID', what)

export function many<Entry>(reader: ByteReader, max: number, read: () => Entry): Entry[] {
  const count = reader.varint()
  // Each takes a byte at least.
  if (count > max || count > reader.left) reader.fail(`${count} entries`)
  return Array.from({ length: count }, read)
}

export function ended(reader: ByteReader): void {
  if (reader.left > 0) reader.fail('bytes left over')
}

export const writeText = (writer: ByteWriter, text: string): void => writer.sized(encoder.encode(text))
export const readText = (reader: ByteReader): string => utf8.decode(reader.sized())

export function writeOptional(writer: ByteWriter, text: string | undefined): void {
  writer.uint8(Number(text !== undefined))
  if (text !== undefined) writeText(writer, text)
}

export const readOptional = (reader: ByteReader): string | undefined => (readFlag(reader) ? readText(reader) : undefined)

export function readKey(reader: ByteReader): string | undefined {
  const key = readOptional(reader)
  if (key !== undefined && (key === '' || Buffer.byteLength(key) > SEQUENCE_KEY_BYTES_MAX))
    reader.fail('a key of no allowed length')
  return key
}

export function within(reader: ByteReader, min: number, max: number): number {
  const value = reader.varint()
  if (value < min || value > max) reader.fail(`${value} is not in [${min}, ${max}]`)
  return value
}

export function readFlag(reader: ByteReader): boolean {
  const flag = reader.uint8()
  if (flag > 1) reader.fail(`a flag of ${flag}`)
  return flag === 1
}

export function writeValues(writer: ByteWriter, values: readonly SequenceValue[]): void {
  writer.varint(values.length)
  for (const { name, value } of values) {
    writeText(writer, name)
    writer.varint(value)
  }
}

export const readValues = (reader: ByteReader): SequenceValue[] =>
  many(reader, PAGE_MAX, () => ({ name: readText(reader), value: reader.varint() }))
