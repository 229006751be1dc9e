// What the storage tests share: batches from lists, deltas written by a naive encoder of their own, and the whole state
// of a replica as a plain map, so that two replicas can be compared.

import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { hashName, type NameHash } from '../../lib/base/hash.ts'
import { type Batch, DecodedDelta, Replica, type ReplicaId, VersionVector } from '../../lib/storage/index.ts'

/** Seeds every random choice of the storage tests; printed by the runner. */
export const SEED = Number(process.env.SEED ?? 1)
export const HASH: NameHash = { start: 0x12345678, multiplier: 0x01000193 }

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const bytesOf = (name: string): Uint8Array => encoder.encode(name)
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

export function replicaOf(node: number, options: { hash?: NameHash; namesMax?: number } = {}): Replica {
  return new Replica({ self: { node, incarnation: 1 }, hash: options.hash ?? HASH, namesMax: options.namesMax ?? 0 })
}

export type Increments = Iterable<readonly [name: string | Uint8Array, delta: number | bigint]>

/** A batch with a delta for each name; names must be distinct. */
export function batchOf(increments: Increments, hash: NameHash = HASH): Batch {
  const list = [...increments].map(([name, delta]) => ({
    name: typeof name === 'string' ? bytesOf(name) : name,
    delta: BigInt(delta),
  }))
  const batch = {
    count: list.length,
    names: new Uint8Array(list.reduce((total, { name }) => total + name.length, 0)),
    ends: new Uint32Array(list.length),
    hashes: new Uint32Array(list.length),
    amounts: new Uint32Array(list.length * 4),
    subtracts: list.some(({ delta }) => delta < 0n),
  }
  let end = 0
  list.forEach(({ name, delta }, index) => {
    batch.names.set(name, end)
    end += name.length
    batch.ends[index] = end
    batch.hashes[index] = hashName(hash, name, 0, name.length)
    const amount = delta < 0n ? -delta : delta
    batch.amounts.set([Number(amount & 0xffff_ffffn), Number(amount >> 32n)], index * 4 + (delta < 0n ? 2 : 0))
  })
  return batch
}

/** Increments and returns the encoded delta of it. */
export function increment(replica: Replica, increments: Increments): Uint8Array {
  const writer = new ByteWriter()
  replica.increment(batchOf(increments, replica.table.hash), writer)
  return writer.written().slice()
}

export function decode(bytes: Uint8Array, into = new DecodedDelta()): DecodedDelta {
  into.decode(new ByteReader(bytes, 0, bytes.length, 'DELTA_INVALID', 'delta'))
  return into
}

export const merge = (replica: Replica, bytes: Uint8Array): number => replica.merge(decode(bytes))

/** All of what `known` does not cover, as separate deltas; copies, as each step overwrites the one before. */
export const deltasSince = (replica: Replica, known = new VersionVector()): Uint8Array[] =>
  Array.from(replica.since(known), ({ delta }) => delta.slice())

export interface Cell {
  readonly name: string
  readonly replica: ReplicaId
  readonly plus: bigint
  readonly minus: bigint
  readonly seq: number
}

/** The cells of a delta, read one by one; a name that is only a key is `#` and its hexadecimal bytes. */
export function cellsOf(delta: DecodedDelta): Cell[] {
  return Array.from({ length: delta.cellCount }, (_, cell) => {
    const row = delta.cellRow[cell]!
    const name = delta.bytes.subarray(delta.nameFrom[row]!, delta.nameTo[row]!)
    const [plusLow, plusHigh, minusLow, minusHigh] = delta.cellWords.subarray(cell * 4, cell * 4 + 4)
    return {
      name: delta.keyed[row] === 1 ? `#${Buffer.from(name).toString('hex')}` : textOf(name),
      replica: delta.columns[delta.cellColumn[cell]!]!,
      plus: (BigInt(plusHigh!) << 32n) | BigInt(plusLow!),
      minus: (BigInt(minusHigh!) << 32n) | BigInt(minusLow!),
      seq: delta.cellSeq[cell]!,
    }
  })
}

/** The items of a delta, one line each, as golden files have them. */
export function itemLinesOf({ items }: DecodedDelta): string[] {
  const text = (from: Uint32Array, to: Uint32Array, at: number) => textOf(items.bytes.subarray(from[at], to[at]))
  return Array.from({ length: items.count }, (_, item) => {
    const { node, incarnation } = items.origins[items.origin[item]!]!
    const tenant = items.tenant[item]!
    const set = tenant === 0 ? 'deleted' : `of ${text(items.tenantFrom, items.tenantTo, tenant - 1)}`
    return `item ${text(items.idFrom, items.idTo, item)} ${set} ${node}.${incarnation} @${items.seq[item]} ${items.stamp[item]} us`
  })
}

/** The replies of a delta, one line each, as golden files have them. */
export function replyLinesOf({ replies }: DecodedDelta): string[] {
  return replies.map(({ key, fingerprint, at, reply, origin, tentative }) => {
    const place = `${origin.replica.node}.${origin.replica.incarnation} @${origin.seq}${tentative ? ' tentative' : ''}`
    const said = `${reply.status} ${reply.contentType} ${JSON.stringify(reply.body)}`
    return `reply ${key} ${place} ${at} ms of ${Buffer.from(fingerprint).toString('hex')} ${said}`
  })
}

/** Every cell of a replica, and its vector, in one order. */
export function stateOf(replica: Replica): string[] {
  const cells = deltasSince(replica).flatMap((delta) => cellsOf(decode(delta)))
  const vector = [...replica.vector()].map((entry) => `vector ${entry.replica.node}.${entry.replica.incarnation} ${entry.seq}`)
  return [...cells.map(lineOf), ...vector].sort()
}

export const lineOf = (cell: Cell): string =>
  `${cell.name} ${cell.replica.node}.${cell.replica.incarnation} +${cell.plus} -${cell.minus} @${cell.seq}`

/** Writes the format by its description alone: a block a cell, everything in full. */
export function encodeCells(cells: readonly Cell[], vector: readonly (readonly [ReplicaId, number])[] = []): Uint8Array {
  const out: number[] = [1]
  for (const { name, replica, plus, minus, seq } of cells) {
    const keyed = name.startsWith('#')
    const bytes = keyed ? Buffer.from(name.slice(1), 'hex') : bytesOf(name)
    out.push(1, 2, 1, ...varint(replica.node), ...varint(replica.incarnation), 0)
    out.push(1, ...varint(keyed ? 0 : bytes.length), ...bytes, ...varint(BigInt(seq) * 2n), ...varint(plus), ...varint(minus))
  }
  if (vector.length > 0) out.push(2, ...varint(vector.length))
  for (const [replica, seq] of vector) out.push(...varint(replica.node), ...varint(replica.incarnation), ...varint(seq))
  return Uint8Array.from(out)
}

export function varint(value: number | bigint): number[] {
  const out: number[] = []
  let rest = BigInt(value)
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
  return [...out, Number(rest)]
}
