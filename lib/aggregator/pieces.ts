// A batch as requests to shards: the names of each shard as bodies of `POST /v1/increments`, written byte by byte, because a text brings
// thousands of names and a string for each would cost more than all the rest. A body has as many names and bytes as a node takes.

import { type SlotMap, slotOf } from '../cluster/index.ts'
import { AMOUNT_WORDS, type Batch } from '../storage/index.ts'

/** The most that a node takes in one request of this kind. */
export const PIECE_ITEMS_MAX = 10_000
const PIECE_BYTES_MAX = 1024 * 1024
/** Beside a name: quotes, braces, the digits of a uint64; and the end of the body. */
const ITEM_SPARE_BYTES = 64
/** A byte of a name becomes at most six: \\u001f. */
const ESCAPE_BYTES_MAX = 6

/** A part of a write: of which shard it is, and its body, if it has one. */
export interface Piece {
  readonly shard: number
  readonly body: Uint8Array | undefined
  /** Of a keyed write, how many replies the shard keeps under its key already: this one is for what those do not speak of. */
  readonly attempt?: number
}

const START = ascii('{"items":[')
const END = ascii(']}')
const NAME = ascii('{"name":"')
const DELTA = ascii('","delta":"')
const NEGATIVE = ascii('","delta":"-')
const AFTER_NAME = ascii('"}')
const HEX = ascii('0123456789abcdef')
const COMMA = 0x2c
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Of pieces of names. */
export type NamesPiece = Piece & { readonly body: Uint8Array }

/** How many names are split in one go: some two milliseconds. */
export const SPLIT_NAMES = 20_000

/**
 * Splits names by shard, SPLIT_NAMES at a step, so that other requests get their turn in between. The pieces are complete at the end; those of
 * one shard come in order. The same batch gives the same pieces.
 */
export function* split(batch: Batch, map: SlotMap): Generator<void, NamesPiece[]> {
  const open = new Map<number, PieceWriter>()
  const pieces: NamesPiece[] = []
  const { names, ends, amounts, count } = batch
  let start = 0
  for (let index = 0; index < count; index++) {
    if (index > 0 && index % SPLIT_NAMES === 0) yield
    const end = ends[index]!
    const shard = map.shardOf(slotOf(names, start, end))
    let writer = open.get(shard)
    const bytesMax = 2 * ((end - start) * ESCAPE_BYTES_MAX + ITEM_SPARE_BYTES)
    if (writer !== undefined && !writer.takes(bytesMax)) {
      pieces.push({ shard, body: writer.end() })
      writer = undefined
    }
    if (writer === undefined) open.set(shard, (writer = new PieceWriter()))
    const at = index * AMOUNT_WORDS
    writer.add(names, start, end, amounts, at)
    start = end
  }
  for (const [shard, writer] of open) pieces.push({ shard, body: writer.end() })
  return pieces
}

class PieceWriter {
  #bytes = new Uint8Array(1024)
  #length = 0
  #items = 0

  constructor() {
    this.#raw(START)
  }

  takes(bytes: number): boolean {
    return this.#items + 2 <= PIECE_ITEMS_MAX && this.#length + bytes <= PIECE_BYTES_MAX
  }

  add(names: Uint8Array, start: number, end: number, amounts: Uint32Array, at: number): void {
    const [plusLow, plusHigh, minusLow, minusHigh] = [amounts[at]!, amounts[at + 1]!, amounts[at + 2]!, amounts[at + 3]!]
    const subtracts = minusLow > 0 || minusHigh > 0
    if (plusLow > 0 || plusHigh > 0 || !subtracts) this.#item(names, start, end, plusLow, plusHigh, DELTA)
    if (subtracts) this.#item(names, start, end, minusLow, minusHigh, NEGATIVE)
  }

  end(): Uint8Array {
    this.#reserve(END.length)
    this.#raw(END)
    return this.#bytes.subarray(0, this.#length)
  }

  #item(names: Uint8Array, start: number, end: number, low: number, high: number, delta: Uint8Array): void {
    this.#reserve((end - start) * ESCAPE_BYTES_MAX + ITEM_SPARE_BYTES)
    if (this.#items++ > 0) this.#bytes[this.#length++] = COMMA
    this.#raw(NAME)
    this.#escaped(names, start, end)
    // 1 is what a node adds when nothing is said.
    if (low !== 1 || high !== 0 || delta === NEGATIVE) {
      this.#raw(delta)
      this.#digits(low, high)
    }
    this.#raw(AFTER_NAME)
  }

  #escaped(names: Uint8Array, start: number, end: number): void {
    const bytes = this.#bytes
    let length = this.#length
    for (let at = start; at < end; at++) {
      const byte = names[at]!
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
        bytes[length++] = byte
      } else if (byte >= 0x20) {
        bytes[length++] = BACKSLASH
        bytes[length++] = byte
      } else {
        for (const part of [BACKSLASH, 0x75, 0x30, 0x30, HEX[byte >> 4]!, HEX[byte & 15]!]) bytes[length++] = part
      }
    }
    this.#length = length
  }

  #digits(low: number, high: number): void {
    const digits = high === 0 ? String(low) : String((BigInt(high) << 32n) | BigInt(low))
    for (let at = 0; at < digits.length; at++) this.#bytes[this.#length++] = digits.charCodeAt(at)
  }

  #raw(source: Uint8Array): void {
    this.#bytes.set(source, this.#length)
    this.#length += source.length
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
