// Snapshots: all cells and replies in one file, and the log position from which to go on. Byte by byte in docs/FORMATS.md,
// section 3. The same bytes are a backup.
//
//   snapshot := header block* end-block              header: magic version node incarnation from createdAt 0 crc
//   block    := u32 length, u32 crc, u8 kind, payload
//
// It is fuzzy: writes go on while it is taken, and a cell is as it is when its block is made. That is harmless, because
// `from` is noted at the beginning and replaying the log over newer cells changes nothing (absolute values, the larger wins).
// It may hold changes that are not on disk yet, so it is published only after the log is durable past its end.
// A file without its end block is not a snapshot.

import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, readUint32, readUint64, writeUint32, writeUint64 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { utf8 } from '../base/utf8.ts'
import {
  BLOCK_COLUMNS_MAX,
  DecodedDelta,
  decodeBatch,
  FOLDED,
  indexLoaded,
  isWriter,
  LIST_INCARNATIONS,
  NODE_MAX,
  type PlacedReply,
  type Replica,
  type ReplicaId,
  readPlaced,
  readReplica,
  readReply,
  readSeq,
  replicaKey,
  VersionVector,
  writePlaced,
  writeReply,
} from '../storage/index.ts'
import type { DiskFile } from './disk.ts'
import type { Notes } from './notes.ts'

export const SNAPSHOT_VERSION = 1
export const SNAPSHOT_MAGIC = 'CNTRSNP1'
const HEADER_BYTES = 52
/** A flag of the header. */
const DISTINCT = 1
const BLOCK_HEADER_BYTES = 9
const BLOCK_DELTA = 1
const BLOCK_REPLIES = 2
const BLOCK_END = 3
const BLOCK_NOTES = 4
const BLOCK_TENTATIVE = 5
/** A block of replies, of tentative writes, or of notes, ends with the one that reaches this. */
const SMALL_BLOCK_BYTES = 256 * 1024
/** No block is longer: a megabyte of names with their cells is far below. Checked before memory is taken for one. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024

export interface SnapshotHeader {
  readonly self: ReplicaId
  /** Log position to replay from. */
  readonly from: number
  /** Wall-clock milliseconds. */
  readonly createdAt: number
  /** Whether no name comes twice in it. */
  readonly distinct: boolean
}

/** What a node knows: all that a snapshot holds. */
export interface State {
  readonly replica: Replica
  readonly notes: Notes
}

/** The snapshot in pieces, each a few milliseconds of work; each is scratch, to be used before the next is asked for. */
export function* encodeSnapshot(
  header: Omit<SnapshotHeader, 'distinct'>,
  { replica, notes }: State,
): Generator<Uint8Array, void> {
  const deltas = replica.since(new VersionVector())
  // Rows are given with all columns that fit into a block, and once more with the next ones.
  yield encodeHeader({ ...header, distinct: replica.columns.length <= BLOCK_COLUMNS_MAX })
  const block = new ByteWriter(1 << 16)
  let blocks = 0
  const sealed = (kind: number): Uint8Array => {
    const bytes = block.written()
    writeUint32(bytes, 0, bytes.length - BLOCK_HEADER_BYTES)
    bytes[8] = kind
    writeUint32(bytes, 4, crc32(bytes.subarray(8)))
    blocks++
    return bytes
  }
  const begin = (): void => {
    block.length = 0
    block.reserve(BLOCK_HEADER_BYTES)
    block.length = BLOCK_HEADER_BYTES
  }
  for (const [kind, parts] of [
    [BLOCK_REPLIES, unplacedReplies(replica, block)],
    [BLOCK_TENTATIVE, tentativeWrites(replica, block)],
    [BLOCK_NOTES, notes.encoded(block)],
  ] as const) {
    begin()
    for (const _ of parts) {
      if (block.length < SMALL_BLOCK_BYTES) continue
      yield sealed(kind)
      begin()
    }
    if (block.length > BLOCK_HEADER_BYTES) yield sealed(kind)
  }
  for (const { delta } of deltas) {
    begin()
    block.raw(delta)
    yield sealed(BLOCK_DELTA)
  }
  begin()
  block.varint(blocks)
  yield sealed(BLOCK_END)
}

/** Those of which the deltas cannot say what write they belong to. */
function* unplacedReplies({ replies }: Replica, block: ByteWriter): Generator<void, void> {
  for (const kept of replies.unplaced()) {
    writeReply(block, kept)
    yield
  }
}

function* tentativeWrites({ tentative }: Replica, block: ByteWriter): Generator<void, void> {
  for (const { batch, kept } of tentative) {
    block.sized(batch)
    writePlaced(block, kept)
    yield
  }
}

function encodeHeader(header: SnapshotHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  bytes.set(Buffer.from(SNAPSHOT_MAGIC))
  writeUint32(bytes, 8, SNAPSHOT_VERSION)
  writeUint32(bytes, 12, header.self.node)
  writeUint64(bytes, 16, header.self.incarnation)
  writeUint64(bytes, 24, header.from)
  writeUint64(bytes, 32, header.createdAt)
  writeUint64(bytes, 40, header.distinct ? DISTINCT : 0)
  writeUint32(bytes, 48, crc32(bytes.subarray(0, 48)))
  return bytes
}

/** @throws CounterError SNAPSHOT_CORRUPT or SNAPSHOT_VERSION, naming `name` */
function decodeHeader(bytes: Uint8Array, name: string): SnapshotHeader {
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== SNAPSHOT_MAGIC) fail(name, 0, 'does not start like a snapshot')
  if (readUint32(bytes, 48) !== crc32(bytes.subarray(0, 48))) fail(name, 0, 'bad crc of the header')
  const version = readUint32(bytes, 8)
  if (version !== SNAPSHOT_VERSION) {
    throw new CounterError('SNAPSHOT_VERSION', `${name} is version ${version}, expected ${SNAPSHOT_VERSION}`, {
      fix: 'start a newer counter',
    })
  }
  const self = { node: readUint32(bytes, 12), incarnation: readUint64(bytes, 16) }
  const distinct = (readUint64(bytes, 40) & DISTINCT) !== 0
  return { self, from: readUint64(bytes, 24), createdAt: readUint64(bytes, 32), distinct }
}

function fail(name: string, offset: number, why: string): never {
  throw new CounterError('SNAPSHOT_CORRUPT', `${name}: ${why} at byte ${offset}`)
}

/** Where the parts of a snapshot go as it is read. The readers are scratch, to be used in the call. */
export interface SnapshotSink {
  /** What follows is of a snapshot with this header. */
  begin?(header: SnapshotHeader): void
  /** All of it has come, or all that holds; in steps of some milliseconds. @throws CounterError SNAPSHOT_INVALID, naming `name` */
  end?(name: string): Generator<void, void>
  /** A delta, to be joined. */
  delta(reader: ByteReader): void | Promise<void>
  /** One reply record. */
  reply(reader: ByteReader): void
  /** The batch of a tentative write, and its reply record with its place. */
  tentative(reader: ByteReader): void
  /** Notes, as Notes.restore reads them. */
  notes(reader: ByteReader): void
}

/** A sink that joins everything at once. */
export interface JoiningSink extends SnapshotSink {
  delta(reader: ByteReader): void
  /** A reply record and the delta of its write. */
  keyedWrite(reader: ByteReader): void
  /** The same of a tentative write, with its batch before it. */
  tentativeWrite(reader: ByteReader): void
  /** The key and the place of a tentative write, and the delta that takes it back. */
  withdrawal(reader: ByteReader): void
  /** A fold that was done: node and mark. */
  fold(reader: ByteReader): void
  /** What one incarnation has written is now another's: node and both. */
  move(reader: ByteReader): void
}

/** The sink that joins everything into a state. */
export function joinInto({ replica, notes }: State): JoiningSink {
  const decoded = new DecodedDelta()
  const joinDelta = (reader: ByteReader): void => {
    decoded.decode(reader)
    replica.replay(decoded)
  }
  /** Reads a reply record and the delta behind it, which has the reply's place. */
  const joinKeyed = (reader: ByteReader, tentative: boolean): PlacedReply | undefined => {
    const kept = readReply(reader, undefined, tentative)
    joinDelta(reader)
    const origin = decoded.write
    const placed = origin !== undefined && isWriter(origin.replica) ? { ...kept, origin } : undefined
    replica.joinReply(placed ?? kept)
    return placed
  }
  /** Of an earlier incarnation it may have been taken back in what this directory has lost: taken back twice, it would be missing. */
  const keepTentative = (batch: Uint8Array, kept: PlacedReply): void => {
    if (replicaKey(kept.origin.replica) === replicaKey(replica.self)) replica.tentative.add({ batch, kept })
  }
  return {
    begin({ distinct }) {
      if (distinct && replica.table.rowCount === 0) replica.table.beginLoading()
    },
    delta: joinDelta,
    *end(name) {
      if (!replica.table.isLoading) return
      const twice = yield* indexLoaded(replica.table)
      if (twice > 0) {
        throw new CounterError('SNAPSHOT_INVALID', `${name} has ${twice} names more than once, and says that it has not`, {
          fix: 'move it out of the data directory and start again: the snapshot before it, with its log, has all counts',
        })
      }
    },
    keyedWrite: (reader) => void joinKeyed(reader, false),
    tentativeWrite(reader) {
      const batch = readBatch(reader, replica)
      const kept = joinKeyed(reader, true)
      if (kept === undefined) return reader.fail('a tentative write without a place')
      keepTentative(batch, kept)
    },
    tentative(reader) {
      const batch = readBatch(reader, replica)
      const kept = readPlaced(reader)
      replica.joinReply(kept)
      keepTentative(batch, kept)
    },
    withdrawal(reader) {
      const key = utf8.decode(reader.sized())
      const at = { replica: readReplica(reader), seq: readSeq(reader) }
      joinDelta(reader)
      replica.tentative.withdrawn(at, key)
    },
    fold(reader) {
      const node = readNode(reader)
      const mark = readIncarnation(reader)
      readEnd(reader)
      for (const _ of replica.fold(node, mark));
    },
    move(reader) {
      const node = readNode(reader)
      const from = readIncarnation(reader)
      const to = readIncarnation(reader)
      readEnd(reader)
      if (to <= from) reader.fail(`moved from incarnation ${from} to ${to}`)
      replica.move(node, from, to)
    },
    reply: (reader) => replica.joinReply(readReply(reader, undefined, false)),
    notes: (reader) => notes.restore(reader),
  }
}

/** The bytes of a batch, as a copy that was checked. */
function readBatch(reader: ByteReader, { table }: Replica): Uint8Array {
  const bytes = reader.sized().slice()
  decodeBatch(new ByteReader(bytes, 0, bytes.length, reader.code, reader.what), table.hash)
  return bytes
}

function readNode(reader: ByteReader): number {
  const node = reader.varint()
  if (node > NODE_MAX) reader.fail(`node id ${node}`)
  return node
}

function readIncarnation(reader: ByteReader): number {
  const incarnation = reader.varint()
  if (incarnation <= FOLDED || incarnation >= LIST_INCARNATIONS) reader.fail(`incarnation ${incarnation}`)
  return incarnation
}

function readEnd(reader: ByteReader): void {
  if (reader.left > 0) reader.fail(`${reader.left} bytes more than expected`)
}

/**
 * Reads a snapshot, a block at a time. When it turns out corrupt, the blocks before were true all the same: what was
 * joined of them is never wrong.
 * @param pause is awaited between blocks, so that the event loop goes on
 * @throws CounterError SNAPSHOT_CORRUPT or SNAPSHOT_VERSION, with the offset; SNAPSHOT_INVALID, after which what was joined is of no use
 */
export async function readSnapshot(
  file: DiskFile,
  name: string,
  sink: SnapshotSink,
  pause: () => Promise<void>,
): Promise<SnapshotHeader> {
  try {
    return await readBlocks(file, name, sink, pause)
  } finally {
    for (const _ of sink.end?.(name) ?? []) await pause()
  }
}

async function readBlocks(file: DiskFile, name: string, sink: SnapshotSink, pause: () => Promise<void>): Promise<SnapshotHeader> {
  const size = await file.size()
  const source = new BufferedSource(file, size, name)
  const header = decodeHeader(await source.take(HEADER_BYTES), name)
  sink.begin?.(header)
  for (let blocks = 0; ; blocks++) {
    const start = source.offset
    const head = await source.take(BLOCK_HEADER_BYTES)
    const length = readUint32(head, 0)
    const crc = readUint32(head, 4)
    const kind = head[8]!
    if (length > BLOCK_BYTES_MAX) fail(name, start, `block of ${length} bytes`)
    const payload = await source.take(length)
    if (crc32(payload, crc32(Uint8Array.of(kind))) !== crc) fail(name, start, 'bad crc of the block')
    const reader = new ByteReader(payload, 0, payload.length, 'SNAPSHOT_CORRUPT', `${name}: block at byte ${start}`)
    if (kind === BLOCK_DELTA) {
      await sink.delta(reader)
    } else if (kind === BLOCK_REPLIES) {
      while (reader.left > 0) sink.reply(reader)
    } else if (kind === BLOCK_TENTATIVE) {
      while (reader.left > 0) sink.tentative(reader)
    } else if (kind === BLOCK_NOTES) {
      sink.notes(reader)
    } else if (kind === BLOCK_END) {
      if (reader.varint() !== blocks) fail(name, start, 'blocks are missing')
      if (source.offset !== size) fail(name, source.offset, 'bytes behind the end')
      return header
    } else fail(name, start, `unknown kind ${kind} of block`)
    await pause()
  }
}

/** Reads a file from front to back by pieces of a megabyte. */
class BufferedSource {
  readonly #file: DiskFile
  readonly #size: number
  readonly #name: string
  #buffer: Uint8Array
  #filled = 0
  #used = 0
  /** File offset of the next byte to be taken. */
  offset = 0

  constructor(file: DiskFile, size: number, name: string) {
    this.#file = file
    this.#size = size
    this.#name = name
    this.#buffer = new Uint8Array(Math.min(1 << 20, size))
  }

  /** The next `count` bytes, as a view that the next call may overwrite. */
  async take(count: number): Promise<Uint8Array> {
    if (count > this.#size - this.offset) fail(this.#name, this.offset, `cut off: needs ${count} more bytes`)
    if (this.#filled - this.#used < count) await this.#fill(count)
    this.#used += count
    this.offset += count
    return this.#buffer.subarray(this.#used - count, this.#used)
  }

  async #fill(count: number): Promise<void> {
    const rest = this.#buffer.subarray(this.#used, this.#filled)
    const target = count > this.#buffer.length ? new Uint8Array(count) : this.#buffer
    target.set(rest)
    this.#filled = rest.length
    this.#used = 0
    this.#buffer = target
    while (this.#filled < count) {
      const got = await this.#file.read(target.subarray(this.#filled), this.offset + this.#filled)
      if (got === 0) fail(this.#name, this.offset, 'file became shorter while it was read')
      this.#filled += got
    }
  }
}
