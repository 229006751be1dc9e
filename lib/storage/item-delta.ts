// Items in a delta: a part of their own, in deltas of version 2. Byte by byte in docs/FORMATS.md, section 1.
//
//   items   := flags originCount (node incarnation){originCount} tenantCount lengths tenants rowCount lengths ids cells
//   flags   := u8                                          WHOLE: these are all items of one write
//   lengths := varint{count}
//   cells   := per row: origin seq stamp tenant            origin: which one, left out when there is only one;
//                                                          seq and stamp: zigzag differences to the row before, from 0 on;
//                                                          tenant: 0 for an item that was deleted, else which one, from 1 on
//
// Decoding is total: everything is read into arrays and checked before the first item is applied.

import { isUtf8 } from 'node:buffer'
import { type ByteReader, type ByteWriter, VARINT_BYTES_MAX, writeVarint } from '../base/bytes.ts'
import type { ItemCells } from './item-cells.ts'
import { NAME_BYTES_LIMIT, type Table } from './table.ts'
import { type ReplicaId, readReplica, SEQ_MAX } from './vector.ts'
import { unzigzag, zigzag } from './zigzag.ts'

/** Stamps are microseconds since 1970, and end in the year 2112. The codec needs one spare bit. */
export const STAMP_MAX = 2 ** 52 - 1
/** Bytes that an origin and an item take at least. */
const ORIGIN_BYTES_MIN = 2
const ITEM_BYTES_MIN = 4
const CELL_BYTES_MAX = 4 * VARINT_BYTES_MAX
const WHOLE = 1

/** Where the items that are written lie. */
export interface ItemSource {
  readonly ids: Table
  readonly tenants: Table
  readonly cells: ItemCells
  readonly origins: readonly ReplicaId[]
}

/** Numbers things in the order in which they are first met, from 0 on. */
class Numbering {
  readonly #numbers = new Map<number, number>()
  readonly met: number[] = []
  /** Most come side by side. */
  #last = -1
  #lastNumber = -1

  of(thing: number): number {
    if (thing === this.#last) return this.#lastNumber
    let number = this.#numbers.get(thing)
    if (number === undefined) {
      number = this.met.length
      this.#numbers.set(thing, number)
      this.met.push(thing)
    }
    this.#last = thing
    this.#lastNumber = number
    return number
  }
}

/**
 * Appends the items of these rows, which were all set.
 * @param isWhole whether they are all items of one write, as it was made
 */
export function writeItems(writer: ByteWriter, source: ItemSource, rows: Uint32Array, isWhole: boolean): void {
  const { ids, tenants, cells, origins } = source
  const originNumbers = new Numbering()
  const tenantNumbers = new Numbering()
  for (const row of rows) {
    originNumbers.of(cells.originOf(row))
    const tenant = cells.tenantOf(row)
    if (tenant > 0) tenantNumbers.of(tenant - 1)
  }
  writer.uint8(isWhole ? WHOLE : 0)
  writer.varint(originNumbers.met.length)
  for (const origin of originNumbers.met) {
    writer.varint(origins[origin]!.node)
    writer.varint(origins[origin]!.incarnation)
  }
  writer.varint(tenantNumbers.met.length)
  tenants.writeNames(writer, Uint32Array.from(tenantNumbers.met), tenantNumbers.met.length)
  writer.varint(rows.length)
  ids.writeNames(writer, rows, rows.length)

  writer.reserve(rows.length * CELL_BYTES_MAX)
  const { bytes } = writer
  let end = writer.length
  let [seqBefore, stampBefore] = [0, 0]
  for (const row of rows) {
    const seq = cells.seqOf(row)
    const stamp = cells.stampOf(row)
    const tenant = cells.tenantOf(row)
    if (originNumbers.met.length > 1) end = writeVarint(bytes, end, originNumbers.of(cells.originOf(row)))
    end = writeVarint(bytes, end, zigzag(seq - seqBefore))
    end = writeVarint(bytes, end, zigzag(stamp - stampBefore))
    end = writeVarint(bytes, end, tenant === 0 ? 0 : tenantNumbers.of(tenant - 1) + 1)
    seqBefore = seq
    stampBefore = stamp
  }
  writer.length = end
}

/** The items of a delta taken apart. One instance is reused for many: the arrays are scratch, valid up to the counts. */
export class DecodedItems {
  /** The delta's bytes, in which names lie. */
  bytes: Uint8Array = new Uint8Array(0)
  count = 0
  /** Id i is `bytes[idFrom[i], idTo[i])`. */
  idFrom = new Uint32Array(64)
  idTo = new Uint32Array(64)
  /** Who wrote it, as an index into `origins`; the number of that write; its stamp; its tenant's number plus 1, or 0. */
  origin = new Uint32Array(64)
  seq = new Float64Array(64)
  stamp = new Float64Array(64)
  tenant = new Uint32Array(64)
  origins: ReplicaId[] = []
  tenantCount = 0
  tenantFrom = new Uint32Array(16)
  tenantTo = new Uint32Array(16)
  /** The greatest stamp of all, 0 when there is none. */
  stampMax = 0
  /** Whether a part says that it is the whole of one write. */
  isWhole = false

  clear(bytes: Uint8Array): void {
    this.bytes = bytes
    this.count = 0
    this.tenantCount = 0
    this.stampMax = 0
    this.isWhole = false
    if (this.origins.length > 0) this.origins = []
  }

  /** Adds what the part holds that `reader` is at. @throws CounterError with the reader's code when it is malformed */
  decode(reader: ByteReader): void {
    const flags = reader.uint8()
    if (flags > WHOLE) reader.fail(`unknown flags ${flags}`)
    this.isWhole = flags === WHOLE
    const firstOrigin = this.origins.length
    const originCount = reader.varint()
    if (originCount * ORIGIN_BYTES_MIN > reader.left) reader.fail(`${originCount} origins do not fit`)
    for (let index = 0; index < originCount; index++) this.origins.push(readReplica(reader))

    const firstTenant = this.tenantCount
    const tenantCount = reader.varint()
    if (tenantCount * 2 > reader.left) reader.fail(`${tenantCount} tenants do not fit`)
    this.#growTenants(firstTenant + tenantCount)
    readNames(reader, tenantCount, firstTenant, this.tenantFrom, this.tenantTo)
    this.tenantCount += tenantCount

    const count = reader.varint()
    if (count * ITEM_BYTES_MIN > reader.left) reader.fail(`${count} items do not fit`)
    this.#growItems(this.count + count)
    readNames(reader, count, this.count, this.idFrom, this.idTo)
    let [seq, stamp] = [0, 0]
    for (let item = this.count; item < this.count + count; item++) {
      const origin = originCount === 1 ? 0 : reader.varint()
      if (origin >= originCount) reader.fail(`origin ${origin} of ${originCount}`)
      seq += unzigzag(reader.varint())
      if (!(seq >= 1 && seq <= SEQ_MAX)) reader.fail(`sequence number ${seq}`)
      stamp += unzigzag(reader.varint())
      if (!(stamp >= 1 && stamp <= STAMP_MAX)) reader.fail(`stamp ${stamp}`)
      const tenant = reader.varint()
      if (tenant > tenantCount) reader.fail(`tenant ${tenant} of ${tenantCount}`)
      this.origin[item] = firstOrigin + origin
      this.seq[item] = seq
      this.stamp[item] = stamp
      this.tenant[item] = tenant === 0 ? 0 : firstTenant + tenant
      if (stamp > this.stampMax) this.stampMax = stamp
    }
    this.count += count
  }

  #growTenants(count: number): void {
    if (count <= this.tenantFrom.length) return
    const length = Math.max(count, this.tenantFrom.length * 2)
    this.tenantFrom = enlarged(this.tenantFrom, new Uint32Array(length))
    this.tenantTo = enlarged(this.tenantTo, new Uint32Array(length))
  }

  #growItems(count: number): void {
    if (count <= this.idFrom.length) return
    const length = Math.max(count, this.idFrom.length * 2)
    this.idFrom = enlarged(this.idFrom, new Uint32Array(length))
    this.idTo = enlarged(this.idTo, new Uint32Array(length))
    this.origin = enlarged(this.origin, new Uint32Array(length))
    this.seq = enlarged(this.seq, new Float64Array(length))
    this.stamp = enlarged(this.stamp, new Float64Array(length))
    this.tenant = enlarged(this.tenant, new Uint32Array(length))
  }
}

function enlarged<T extends { set(source: T): void }>(source: T, target: T): T {
  target.set(source)
  return target
}

/** Reads `count` lengths and then as many names, and notes where each lies, from index `first` on. */
function readNames(reader: ByteReader, count: number, first: number, from: Uint32Array, to: Uint32Array): void {
  let total = 0
  for (let index = first; index < first + count; index++) {
    const length = reader.varint()
    if (length < 1 || length > NAME_BYTES_LIMIT) reader.fail(`name of ${length} bytes`)
    from[index] = total
    total += length
    to[index] = total
  }
  const start = reader.at
  if (!isUtf8(reader.raw(total))) reader.fail('a name that is not UTF-8')
  for (let index = first; index < first + count; index++) {
    from[index] = from[index]! + start
    to[index] = to[index]! + start
    if ((reader.bytes[from[index]!]! & 0xc0) === 0x80) reader.fail('a name that starts inside a character')
  }
}
