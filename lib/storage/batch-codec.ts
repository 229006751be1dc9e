// A batch in bytes: what a write has added, kept so that it can be subtracted again. Byte by byte in docs/FORMATS.md.
//
//   batch := count lengths names (P N){count}

import { isUtf8 } from 'node:buffer'
import { type ByteReader, ByteWriter, VARINT_BYTES_MAX, writeVarint, writeVarint64 } from '../base/bytes.ts'
import { hashName, type NameHash } from '../base/hash.ts'
import { AMOUNT_WORDS, type Batch } from './batch.ts'
import { NAME_BYTES_LIMIT } from './table.ts'

/** Bytes that a name takes at least: its length, itself, and two amounts. */
const NAME_MIN = 4

/** How many bytes a batch with these takes at most. */
export const batchBytesMax = (count: number, nameBytes: number): number =>
  VARINT_BYTES_MAX + nameBytes + count * (3 + 2 * VARINT_BYTES_MAX)

export function encodeBatch({ count, names, ends, amounts }: Batch): Uint8Array {
  const nameBytes = count === 0 ? 0 : ends[count - 1]!
  const writer = new ByteWriter(batchBytesMax(count, nameBytes))
  writer.varint(count)
  const { bytes } = writer
  let end = writer.length
  for (let index = 0; index < count; index++) end = writeVarint(bytes, end, ends[index]! - (ends[index - 1] ?? 0))
  bytes.set(names.subarray(0, nameBytes), end)
  end += nameBytes
  for (let at = 0; at < count * AMOUNT_WORDS; at += 2) end = writeVarint64(bytes, end, amounts[at]!, amounts[at + 1]!)
  return bytes.slice(0, end)
}

/** The batch in what is left of the reader. @throws CounterError with the reader's code when it is malformed */
export function decodeBatch(reader: ByteReader, hash: NameHash): Batch {
  const count = reader.varint()
  if (count * NAME_MIN > reader.left) reader.fail(`${count} names do not fit`)
  const ends = new Uint32Array(count)
  const hashes = new Uint32Array(count)
  const amounts = new Uint32Array(count * AMOUNT_WORDS)
  let end = 0
  for (let index = 0; index < count; index++) {
    const length = reader.varint()
    if (length < 1 || length > NAME_BYTES_LIMIT) reader.fail(`name of ${length} bytes`)
    end += length
    if (end > reader.left) reader.fail('names that do not fit')
    ends[index] = end
  }
  const names = reader.raw(end)
  let from = 0
  for (let index = 0; index < count; index++) {
    if (!isUtf8(names.subarray(from, ends[index]!))) reader.fail('a name that is not UTF-8')
    hashes[index] = hashName(hash, names, from, ends[index]!)
    from = ends[index]!
  }
  let subtracts = false
  for (let at = 0; at < count * AMOUNT_WORDS; at += 2) {
    reader.varint64()
    amounts[at] = reader.low
    amounts[at + 1] = reader.high
    if (at % AMOUNT_WORDS !== 0 && (reader.low !== 0 || reader.high !== 0)) subtracts = true
  }
  if (reader.left > 0) reader.fail(`${reader.left} bytes more than a batch has`)
  return { count, names, ends, hashes, amounts, subtracts }
}

/** What takes the batch back: it adds what that subtracted, and subtracts what it added. */
export function opposite(batch: Batch): Batch {
  const amounts = new Uint32Array(batch.count * AMOUNT_WORDS)
  let subtracts = false
  for (let at = 0; at < amounts.length; at += AMOUNT_WORDS) {
    const [plusLow, plusHigh, minusLow, minusHigh] = batch.amounts.subarray(at, at + AMOUNT_WORDS)
    amounts.set([minusLow!, minusHigh!, plusLow!, plusHigh!], at)
    if (plusLow !== 0 || plusHigh !== 0) subtracts = true
  }
  return { ...batch, amounts, subtracts }
}
