// What an original node has said, made into a delta: of each total that is more than what is known of its slot a cell in
// the row of the key, in this node's column of the slot, under that column's next sequence number, and the vector with it.
// Whoever merges the delta must do so before the next one is made here: the numbers go on from the vector.

import { ByteWriter, VARINT_BYTES_MAX, writeVarint64 } from '../base/bytes.ts'
import { DELTA_VERSION, UNIFORM, writeBlockHead, writeVector } from './delta.ts'
import type { Slots } from './slots.ts'
import { KEY_BYTES, type Table } from './table.ts'
import { SLOT_BASE, SLOTS_MAX, VersionVector } from './vector.ts'

/** Totals as they came. The arrays may be longer than `count` asks for. Totals with one key follow each other. */
export interface HeardTotals {
  readonly count: number
  /** Two words a total: the key. */
  readonly keys: Uint32Array
  /** The slot of each, below SLOTS_MAX. */
  readonly slots: Uint32Array
  /** Two words a total, above zero. */
  readonly words: Uint32Array
}

/** What became of them. */
export interface Hearing {
  /** To be merged; undefined when nothing was news. */
  readonly delta: Uint8Array | undefined
  /** Cells of the delta, and totals of slots that are ours. */
  readonly news: number
  readonly echoes: number
}

const UNSEEN = 0
const OURS = 1
const THEIRS = 2

/**
 * @param isOurs whether a node id is one of this cluster's: what is said of it is an echo
 * @param vector what is known
 * @param incarnation of the column that is written: that of this node's life
 */
export function hear(
  heard: HeardTotals,
  parts: { table: Table; slots: Slots; vector: VersionVector; incarnation: number; isOurs: (node: number) => boolean },
): Hearing {
  const { table, slots } = parts
  const key = new Uint32Array(KEY_BYTES / 4)
  const keyBytes = new Uint8Array(key.buffer)
  const whose = new Uint8Array(SLOTS_MAX)
  /** Slot and index of what is news, as one number each, to be sorted. */
  const news = new Float64Array(heard.count)
  let newsCount = 0
  let echoes = 0
  let row: number | undefined
  for (let total = 0; total < heard.count; total++) {
    const slot = heard.slots[total]!
    if (whose[slot] === UNSEEN) whose[slot] = slots.isReal(slot) || parts.isOurs(slot) ? OURS : THEIRS
    if (whose[slot] === OURS) {
      echoes++
      continue
    }
    const low = heard.keys[total * 2]!
    const high = heard.keys[total * 2 + 1]!
    if (row === undefined || key[0] !== low || key[1] !== high) {
      key[0] = low
      key[1] = high
      row = table.findKeyed(keyBytes, 0)
    }
    if (row === -1 || slots.isNews(row, slot, heard.words[total * 2]!, heard.words[total * 2 + 1]!)) {
      news[newsCount++] = slot * heard.count + total
    }
  }
  if (newsCount === 0) return { delta: undefined, news: 0, echoes }
  return { delta: encode(heard, news.subarray(0, newsCount).sort(), parts), news: newsCount, echoes }
}

function encode(heard: HeardTotals, news: Float64Array, parts: { vector: VersionVector; incarnation: number }): Uint8Array {
  const writer = new ByteWriter(64 + news.length * (1 + KEY_BYTES + VARINT_BYTES_MAX))
  const vector = new VersionVector()
  writer.uint8(DELTA_VERSION)
  for (let from = 0; from < news.length; ) {
    const slot = Math.floor(news[from]! / heard.count)
    let to = from + 1
    while (to < news.length && Math.floor(news[to]! / heard.count) === slot) to++
    const replica = { node: SLOT_BASE + slot, incarnation: parts.incarnation }
    const seq = parts.vector.get(replica) + 1
    vector.raise(replica, seq)
    writeBlockHead(writer, UNIFORM, [{ replica }], to - from, () => seq)
    writeCells(writer, heard, news.subarray(from, to))
    from = to
  }
  writeVector(writer, vector)
  return writer.written()
}

/** Lengths, keys and P, as a block has them. */
function writeCells(writer: ByteWriter, heard: HeardTotals, news: Float64Array): void {
  writer.reserve(news.length * (1 + KEY_BYTES + VARINT_BYTES_MAX))
  writer.bytes.fill(0, writer.length, writer.length + news.length)
  writer.length += news.length
  for (let index = 0; index < news.length; index++) {
    const total = news[index]! % heard.count
    writer.uint32(heard.keys[total * 2]!)
    writer.uint32(heard.keys[total * 2 + 1]!)
  }
  for (let index = 0; index < news.length; index++) {
    const total = news[index]! % heard.count
    writer.length = writeVarint64(writer.bytes, writer.length, heard.words[total * 2]!, heard.words[total * 2 + 1]!)
  }
}
