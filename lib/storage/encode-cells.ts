// Cells from elsewhere as deltas: what an import has read, given as plain values, becomes one column's cells under one
// sequence number, and a vector says when the column is whole. For the edges; a write of this node's own goes by replica.ts.

import { ByteWriter } from '../base/bytes.ts'
import { DELTA_VERSION, MINUS, UNIFORM, writeBlockHead, writeVector } from './delta.ts'
import { KEY_BYTES } from './table.ts'
import { type ReplicaId, VersionVector } from './vector.ts'

/** One cell: of a name (UTF-8, 1 to 65,535 bytes), or of a key when the name is not known. Counts are uint64. */
export interface PlainCell {
  readonly name: Uint8Array | bigint
  readonly plus: bigint
  readonly minus: bigint
}

/** The delta of one block that says: in the column of `replica`, under `seq`, stand these cells. */
export function encodeCells(replica: ReplicaId, seq: number, cells: readonly PlainCell[]): Uint8Array {
  const writer = new ByteWriter(1 << 16)
  const withMinus = cells.some(({ minus }) => minus > 0n)
  writer.uint8(DELTA_VERSION)
  writeBlockHead(writer, withMinus ? UNIFORM | MINUS : UNIFORM, [{ replica }], cells.length, () => seq)
  for (const { name } of cells) writer.varint(typeof name === 'bigint' ? 0 : name.length)
  for (const { name } of cells) writer.raw(typeof name === 'bigint' ? keyBytes(name) : name)
  for (const { plus, minus } of cells) {
    writer.varint64(plus)
    if (withMinus) writer.varint64(minus)
  }
  return writer.written().slice()
}

/** The delta that says: of the column of `replica` everything is known up to `seq`. It comes after the cells. */
export function encodeKnown(replica: ReplicaId, seq: number): Uint8Array {
  const writer = new ByteWriter(64)
  const vector = new VersionVector()
  vector.raise(replica, seq)
  writer.uint8(DELTA_VERSION)
  writeVector(writer, vector)
  return writer.written().slice()
}

export function keyBytes(key: bigint): Uint8Array {
  const bytes = new Uint8Array(KEY_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, key, true)
  return bytes
}
