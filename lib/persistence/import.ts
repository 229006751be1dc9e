// Taking in counts from elsewhere: a backup of ours, the original system's data file, or a list of `name count` lines.
// Everything becomes deltas that are joined, so a file that is taken in twice counts once: a backup's cells are what they were, the original's
// slots become columns of their own (incarnation 0), and a list becomes the column of an incarnation made of its content.
// A file is read and checked whole before the first delta is joined.

import { createHash } from 'node:crypto'
import type { ByteReader } from '../base/bytes.ts'
import { type Clock, nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import {
  DecodedDelta,
  encodeCells,
  encodeKnown,
  LIST_INCARNATIONS,
  type PlainCell,
  type ReplicaId,
  readPlaced,
  readReply,
  SEQ_MAX,
  type VersionVector,
} from '../storage/index.ts'
import { type Disk, type DiskFile, readWhole } from './disk.ts'
import { readSnapshot, SNAPSHOT_MAGIC } from './snapshot.ts'

export type ImportFormat = 'backup' | 'original' | 'list'

/** What an import needs of the store. */
export interface ImportTarget {
  merge(delta: Uint8Array): Promise<number>
  vector(): VersionVector
  /** Of the cells, as they would stand in the column of `replica`, those that say more than what is known. */
  newCells(replica: ReplicaId, cells: readonly PlainCell[]): PlainCell[]
  mergeReply(record: Uint8Array): Promise<void>
}

export interface ImportOptions {
  readonly disk: Disk
  readonly clock: Clock
  /** The node whose column a list becomes. */
  readonly node: number
  /** The longest name a list may hold. */
  readonly nameBytesMax: number
}

export interface Imported {
  readonly format: ImportFormat
  /** Cells in the file, and how many of them were news. */
  readonly cells: number
  readonly news: number
}

/** Cells of a delta that is made here. */
const DELTA_CELLS = 8192
const COUNT_MAX = 2n ** 64n - 1n
/** The original keeps a slot a node; its node ids are small. */
const SLOTS_MAX = 4096
/** Sequence numbers made of totals end here, so that there are more for later files. */
const SEQ_LIMIT = SEQ_MAX - 2 ** 32
const LIST_INCARNATION = BigInt(LIST_INCARNATIONS)

/** @throws CounterError IMPORT_INVALID, SNAPSHOT_CORRUPT: nothing was taken in; or what the target throws */
export async function importFile(path: string, target: ImportTarget, options: ImportOptions): Promise<Imported> {
  const file = await options.disk.open(path, 'read')
  try {
    const head = new Uint8Array(SNAPSHOT_MAGIC.length)
    await file.read(head, 0)
    if (Buffer.from(head).toString('latin1') === SNAPSHOT_MAGIC) return await importBackup(file, path, target, options)
    const bytes = await readWhole(file)
    const isOriginal = looksLikeOriginal(bytes)
    const columns = isOriginal ? parseOriginal(bytes, path) : parseList(bytes, path, options)
    let cells = 0
    let news = 0
    for (const column of columns) {
      news += await importColumn(column, target)
      cells += column.cells.length
    }
    return { format: isOriginal ? 'original' : 'list', cells, news }
  } finally {
    await file.close()
  }
}

/** Joins the cells that are news under a new sequence number, and then says that the column is known up to it. Returns how many. */
async function importColumn({ replica, cells, seq: own }: ImportedColumn, target: ImportTarget): Promise<number> {
  if (cells.length === 0) return 0
  const known = target.vector().get(replica)
  const seq = Math.max(known + 1, own)
  let news = 0
  for (let from = 0; from < cells.length; from += DELTA_CELLS) {
    const fresh = target.newCells(replica, cells.slice(from, from + DELTA_CELLS))
    if (fresh.length > 0) news += await target.merge(encodeCells(replica, seq, fresh))
  }
  if (news > 0 || known === 0) await target.merge(encodeKnown(replica, seq))
  return news
}

async function importBackup(file: DiskFile, path: string, target: ImportTarget, options: ImportOptions): Promise<Imported> {
  const pause = (): Promise<void> => nextTurn(options.clock)
  let cells = 0
  let news = 0
  const decoded = new DecodedDelta()
  const check = (reader: ByteReader): void => {
    decoded.decode(reader)
    cells += decoded.cellCount
  }
  const take = async (reader: ByteReader): Promise<void> => {
    news += await target.merge(reader.raw(reader.left).slice())
  }
  // They are of the node that made the backup.
  const notes = (reader: ByteReader): void => void reader.raw(reader.left)
  // Only its own node could take them back. Their replies are in the deltas too.
  const tentative = (reader: ByteReader): void => {
    reader.sized()
    readPlaced(reader)
  }
  // The first time it is only read.
  await readSnapshot(file, path, { delta: check, reply: (reader) => void takeReply(reader), tentative, notes }, pause)
  const replies: Uint8Array[] = []
  const keep = (reader: ByteReader): void => void replies.push(takeReply(reader))
  await readSnapshot(file, path, { delta: take, reply: keep, tentative, notes }, pause)
  for (const record of replies) await target.mergeReply(record)
  return { format: 'backup', cells, news }
}

/** The bytes of one reply record, as a copy, and the reader past it. */
function takeReply(reader: ByteReader): Uint8Array {
  const start = reader.at
  readReply(reader, undefined, false)
  return reader.bytes.slice(start, reader.at)
}

interface ImportedColumn {
  readonly replica: ReplicaId
  readonly cells: PlainCell[]
  /** The sequence number that the cells get, if nothing greater is known of the column. */
  readonly seq: number
}

/** The original's file is `u64 key, u64 n, n x u64` over and over; text never is, because n would be huge. */
function looksLikeOriginal(bytes: Uint8Array): boolean {
  if (bytes.length < 16) return false
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8, true) <= BigInt(SLOTS_MAX)
}

function parseOriginal(bytes: Uint8Array, path: string): ImportedColumn[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const slots: PlainCell[][] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + 16 > bytes.length) throw cutOff(path, at)
    const key = view.getBigUint64(at, true)
    const count = view.getBigUint64(at + 8, true)
    if (count > BigInt(SLOTS_MAX)) throw invalid(`${path}: ${count} slots at byte ${at + 8}, expected at most ${SLOTS_MAX}`)
    const end = at + 16 + Number(count) * 8
    if (end > bytes.length) throw cutOff(path, at)
    for (let slot = 0; slot < Number(count); slot++) {
      const total = view.getBigUint64(at + 16 + slot * 8, true)
      slots[slot] ??= []
      if (total > 0n) slots[slot]!.push({ name: key, plus: total, minus: 0n })
    }
    at = end
  }
  return slots.map((cells, node) => ({ replica: { node, incarnation: 0 }, cells, seq: sequenceOf(cells) }))
}

/**
 * The sum of the totals. Slots only grow, so of two files with the same slot the newer one has the greater number, also when
 * two nodes take in one each: the newer one then is what they agree on.
 */
function sequenceOf(cells: readonly PlainCell[]): number {
  const sum = cells.reduce((sum, { plus }) => sum + plus, 1n)
  return Number(sum < BigInt(SEQ_LIMIT) ? sum : BigInt(SEQ_LIMIT))
}

const cutOff = (path: string, at: number): CounterError =>
  invalid(
    `${path}: the entry at byte ${at} is cut off, as by a crash of the original`,
    `cut the file to ${at} bytes: head -c ${at}`,
  )

function parseList(bytes: Uint8Array, path: string, options: ImportOptions): ImportedColumn[] {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw invalid(`${path} is neither a backup, nor the original's data file, nor a list in UTF-8`)
  }
  const totals = new Map<string, { plus: bigint; minus: bigint }>()
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    const { name, count } = parseLine(line, `${path}, line ${index + 1}`, options.nameBytesMax)
    const total = totals.get(name) ?? { plus: 0n, minus: 0n }
    if (count >= 0n) total.plus += count
    else total.minus -= count
    if (total.plus > COUNT_MAX || total.minus > COUNT_MAX)
      throw invalid(`${path}, line ${index + 1}: the sum of '${name}' passes 2^64 - 1`)
    totals.set(name, total)
  }
  const encoder = new TextEncoder()
  const cells = [...totals].map(([name, total]) => ({ name: encoder.encode(name), ...total }))
  const digest = createHash('sha256').update(bytes).digest().readBigUInt64LE(0)
  return [
    {
      replica: { node: options.node, incarnation: Number(LIST_INCARNATION | (digest & (LIST_INCARNATION - 1n))) },
      cells,
      seq: 1,
    },
  ]
}

function parseLine(line: string, where: string, nameBytesMax: number): { name: string; count: bigint } {
  const match = /^\s*(.*\S)\s+([+-]?\d{1,20})\s*$/u.exec(line)
  if (!match) throw invalid(`${where}: expected a name, white space and a whole number, got '${line.slice(0, 80)}'`)
  const name = match[1]!
  const bytes = Buffer.byteLength(name)
  if (bytes > nameBytesMax) {
    throw invalid(`${where}: the name has ${bytes} bytes, at most ${nameBytesMax} are taken`, 'raise COUNTER_NAME_BYTES_MAX')
  }
  return { name, count: BigInt(match[2]!) }
}

function invalid(message: string, fix?: string): CounterError {
  const nothing = 'nothing was imported'
  return new CounterError('IMPORT_INVALID', message, {
    fix: fix ? `${nothing}; ${fix}` : `${nothing}; mend the file and run it again`,
  })
}
