// Windows: so many items of a file, in its order, as are under way together, one batch to each node. What a window holds depends on the file and
// on its sizes alone, so that a load that is taken up again sends the same batches under the same keys.

import { createHash } from 'node:crypto'
import type { RawRecord } from './cut.ts'
import type { LoadItem, Reader } from './read.ts'

/** Most items of a request, and bytes of its body, as the API takes them. */
export const BATCH_ITEMS_MAX = 10_000
export const BATCH_BYTES_MAX = 1024 * 1024
/** {"items":[]} */
const BODY_BYTES = 12
/** {"id":,"tenant":}, */
const ITEM_BYTES = 18

export interface BadLine {
  readonly line: number
  readonly reason: string
}

/** A record of the file, to be found again. */
export interface Mark {
  readonly start: number
  readonly line: number
  readonly sha256: string
}

export interface Window {
  readonly items: readonly LoadItem[]
  /** Lines that hold no item. */
  readonly bad: readonly BadLine[]
  /** Offsets in the file: of the first record, and behind the last. */
  readonly start: number
  readonly end: number
  /** The line behind the last record. */
  readonly nextLine: number
  /** The last record. */
  readonly mark: Mark
  /** Of this window's content in this place, in this load alone. */
  readonly key: string
}

export interface WindowSize {
  /** Items of a window, and at most so many bytes of JSON: even all of them for one node make no request that is too large. */
  readonly items: number
  /** Records without an item of a window. */
  readonly bad: number
}

/** Gathers records to windows. */
export class WindowMaker {
  readonly #reader: Reader
  readonly #size: WindowSize
  readonly #load: string
  #items: LoadItem[] = []
  #bad: BadLine[] = []
  #bytes = BODY_BYTES
  #start = -1
  #last: RawRecord | undefined

  /** @param load names this load, and no other of the same file */
  constructor(reader: Reader, size: WindowSize, load: string) {
    this.#reader = reader
    this.#size = size
    this.#load = load
  }

  /** Takes a record. Gives a window when one is full; the record may be the first of the next. */
  add(record: RawRecord): Window | undefined {
    const reading = this.#reader.read(record)
    const bytes = typeof reading === 'object' ? bytesOf(reading) : 0
    const full = this.#bytes + bytes > BATCH_BYTES_MAX ? this.take() : undefined
    if (this.#start < 0) this.#start = record.start
    if (typeof reading === 'object') this.#items.push(reading)
    else if (reading !== undefined) this.#bad.push({ line: record.line, reason: reading })
    this.#bytes += bytes
    this.#last = record
    return full ?? (this.#items.length >= this.#size.items || this.#bad.length >= this.#size.bad ? this.take() : undefined)
  }

  /** What was gathered, unless that is nothing. */
  take(): Window | undefined {
    const last = this.#last
    if (last === undefined) return undefined
    const [items, bad, start] = [this.#items, this.#bad, this.#start]
    this.#items = []
    this.#bad = []
    this.#bytes = BODY_BYTES
    this.#start = -1
    this.#last = undefined
    const { end, nextLine } = last
    return { items, bad, start, end, nextLine, mark: markOf(last), key: keyOf(this.#load, start, items) }
  }
}

export const markOf = ({ start, line, bytes }: RawRecord): Mark => ({
  start,
  line,
  sha256: createHash('sha256').update(bytes).digest('base64url'),
})

function keyOf(load: string, start: number, items: readonly LoadItem[]): string {
  const hash = createHash('sha256').update(`${load}\n${start}\n`)
  // No text of JSON has a line break.
  for (const { id, tenant } of items) hash.update(`${JSON.stringify(id)}${JSON.stringify(tenant)}\n`)
  return `items-${hash.digest('base64url')}`
}

/** Of an item in the body of a request. */
const bytesOf = ({ id, tenant }: LoadItem): number =>
  ITEM_BYTES + Buffer.byteLength(JSON.stringify(id)) + Buffer.byteLength(JSON.stringify(tenant))
