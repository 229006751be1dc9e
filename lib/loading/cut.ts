// A stream of bytes cut into records: lines of NDJSON, or of CSV, where a line break within quotes belongs to a field. Each record knows
// where it lies in the file and on which line, so that what is wrong can be named and a load can go on from there.

/** No longer record is taken. */
export const RECORD_BYTES_MAX = 1 << 20

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const QUOTE = 0x22
const COMMA = 0x2c

export interface RawRecord {
  /** Without the line break. A view of the pieces, which must not change. */
  readonly bytes: Uint8Array
  /** Offsets in the file: of the first byte, and behind the line break. */
  readonly start: number
  readonly end: number
  /** The line that it begins on, from 1 on. */
  readonly line: number
  /** The line behind it. */
  readonly nextLine: number
  /** Why it is no record: it is too long, in which case its bytes are not there, or a quote in it is never closed. */
  readonly flaw: 'long' | 'unclosed' | undefined
}

/** Where in a line of CSV the scan is. */
type At = 'field' | 'plain' | 'quoted' | 'closed'

export class RecordCutter {
  readonly #hasQuotes: boolean
  #rest: Buffer = Buffer.alloc(0)
  /** How much of the rest was looked through already, and in what state that has ended. */
  #searched = 0
  #at: At = 'field'
  /** Of the record that is being cut. */
  #start: number
  #line: number
  /** Line breaks within it. */
  #breaks = 0
  #isLong = false
  /** Bytes of it that were let go of. */
  #passed = 0

  /** @param from where the stream begins in the file, and on which line */
  constructor(format: 'ndjson' | 'csv', from: { readonly offset: number; readonly line: number }) {
    this.#hasQuotes = format === 'csv'
    this.#start = from.offset
    this.#line = from.line
  }

  /** The records that end in this piece. */
  *push(piece: Uint8Array): Generator<RawRecord, void> {
    const bytes =
      this.#rest.length === 0 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.concat([this.#rest, piece])
    let from = 0
    let search = this.#searched
    let quote = this.#hasQuotes ? bytes.indexOf(QUOTE, search) : -1
    for (let feed = bytes.indexOf(LINE_FEED, search); feed >= 0; feed = bytes.indexOf(LINE_FEED, search)) {
      if (quote >= 0 && quote < search) quote = bytes.indexOf(QUOTE, search)
      // Most lines have no quote, and need no look at each byte.
      if ((quote >= 0 && quote < feed) || this.#at === 'quoted') this.#at = scan(bytes, search, feed, this.#at)
      search = feed + 1
      if (this.#at === 'quoted' && !this.#isLong && feed - from <= RECORD_BYTES_MAX) {
        this.#breaks++
        continue
      }
      yield this.#record(bytes.subarray(from, feed), search - from)
      from = search
    }
    if (this.#hasQuotes) this.#at = scan(bytes, search, bytes.length, this.#at)
    this.#keep(bytes, from)
  }

  /** The last record, when no line break follows it. */
  *end(): Generator<RawRecord, void> {
    if (this.#rest.length > 0 || this.#isLong) yield this.#record(this.#rest, this.#rest.length)
  }

  #keep(bytes: Buffer, from: number): void {
    if (this.#isLong || bytes.length - from > RECORD_BYTES_MAX) {
      // The rest of it is only passed over, up to the next line break.
      this.#isLong = true
      this.#passed += bytes.length - from
      this.#rest = Buffer.alloc(0)
    } else this.#rest = Buffer.from(bytes.subarray(from))
    this.#searched = this.#rest.length
  }

  #record(bytes: Uint8Array, length: number): RawRecord {
    const isLong = this.#isLong || bytes.length > RECORD_BYTES_MAX
    const start = this.#start
    const line = this.#line
    const end = start + this.#passed + length
    const flaw = isLong ? 'long' : this.#at === 'quoted' ? 'unclosed' : undefined
    this.#start = end
    this.#line += this.#breaks + 1
    this.#breaks = this.#passed = 0
    this.#isLong = false
    this.#at = 'field'
    return { bytes: isLong ? bytes.subarray(0, 0) : withoutReturn(bytes), start, end, line, nextLine: this.#line, flaw }
  }
}

const withoutReturn = (bytes: Uint8Array): Uint8Array =>
  bytes[bytes.length - 1] === CARRIAGE_RETURN ? bytes.subarray(0, bytes.length - 1) : bytes

/** The state behind `bytes[from, to)`. Only a quote at the start of a field opens one, and within it two stand for one. */
function scan(bytes: Uint8Array, from: number, to: number, at: At): At {
  for (; from < to; from++) {
    const byte = bytes[from]
    if (at === 'quoted') {
      if (byte === QUOTE) at = 'closed'
    } else if (byte === COMMA) at = 'field'
    else if (byte === QUOTE) at = at === 'field' || at === 'closed' ? 'quoted' : 'plain'
    else at = 'plain'
  }
  return at
}
