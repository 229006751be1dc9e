// How the messages of an answer follow each other in a stream of bytes:
//
//   u32 length | 16 bytes of MAC | payload of `length` bytes      again and again (docs/PROTOCOL.md, section 1)
//
// The reader takes the stream in pieces of any size. A payload that lies in one piece is handed on as a view of it; one that is spread over
// several is copied once, into memory that is taken after its length was checked.

import { assert } from '../base/assert.ts'
import { readUint32, writeUint32 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'

export const MAC_BYTES = 16
/** What stands before each payload. */
export const HEAD_BYTES = 4 + MAC_BYTES

const NOTHING = new Uint8Array(0)

/** Writes what stands before a payload of `length` bytes; without a MAC, zeros. */
export function writeHead(head: Uint8Array, length: number, mac: Uint8Array | undefined): void {
  assert(head.length === HEAD_BYTES, 'a head has its length')
  assert(length > 0, 'a message is not empty')
  const at = writeUint32(head, 0, length)
  if (mac === undefined) return void head.fill(0, at)
  assert(mac.length === MAC_BYTES, 'a MAC has its length')
  head.set(mac, at)
}

export class MessageReader {
  readonly #bytesMax: number
  readonly #check: (payload: Uint8Array, mac: Uint8Array) => void
  readonly #head = new Uint8Array(HEAD_BYTES)
  #headBytes = 0
  /** The payload being gathered from several pieces. */
  #gathered: Uint8Array | undefined
  #gatheredBytes = 0
  #piece: Uint8Array = NOTHING
  #at = 0

  /**
   * @param bytesMax no message is longer
   * @param check called with each complete message in order; what it throws comes out of next()
   */
  constructor(bytesMax: number, check: (payload: Uint8Array, mac: Uint8Array) => void) {
    this.#bytesMax = bytesMax
    this.#check = check
  }

  /** Gives the next piece of the stream, once next() has said that the last one is used up. */
  push(piece: Uint8Array): void {
    assert(this.#at === this.#piece.length, 'the last piece is used up')
    this.#piece = plainBytes(piece)
    this.#at = 0
  }

  /**
   * The next message, or undefined when more of the stream is needed. Good until the piece it came in is given up.
   * @throws CounterError SYNC_INVALID: the stream holds no messages of this form; read no further
   */
  next(): Uint8Array | undefined {
    if (this.#headBytes < HEAD_BYTES && !this.#readHead()) return undefined
    const payload = this.#readPayload(readUint32(this.#head, 0))
    if (payload === undefined) return undefined
    this.#headBytes = 0
    this.#check(payload, this.#head.subarray(4))
    return payload
  }

  /** To be called when the stream is over. @throws CounterError SYNC_INVALID when it ends within a message */
  end(): void {
    assert(this.#at === this.#piece.length, 'the last piece is used up')
    if (this.#headBytes === 0) return
    const expected = this.#headBytes < HEAD_BYTES ? HEAD_BYTES : readUint32(this.#head, 0)
    const got = this.#headBytes < HEAD_BYTES ? this.#headBytes : this.#gatheredBytes
    throw new CounterError('SYNC_INVALID', `the answer ends within a message: ${got} of ${expected} bytes`)
  }

  #readHead(): boolean {
    const taken = Math.min(HEAD_BYTES - this.#headBytes, this.#piece.length - this.#at)
    this.#head.set(this.#piece.subarray(this.#at, this.#at + taken), this.#headBytes)
    this.#headBytes += taken
    this.#at += taken
    if (this.#headBytes < HEAD_BYTES) return false
    const length = readUint32(this.#head, 0)
    if (length >= 1 && length <= this.#bytesMax) return true
    throw new CounterError('SYNC_INVALID', `a message should have 1 to ${this.#bytesMax} bytes, and says it has ${length}`)
  }

  #readPayload(length: number): Uint8Array | undefined {
    const left = this.#piece.length - this.#at
    if (this.#gathered === undefined) {
      if (left >= length) {
        this.#at += length
        return this.#piece.subarray(this.#at - length, this.#at)
      }
      this.#gathered = plainBytes(Buffer.allocUnsafe(length))
      this.#gatheredBytes = 0
    }
    const taken = Math.min(length - this.#gatheredBytes, left)
    this.#gathered.set(this.#piece.subarray(this.#at, this.#at + taken), this.#gatheredBytes)
    this.#gatheredBytes += taken
    this.#at += taken
    if (this.#gatheredBytes < length) return undefined
    const payload = this.#gathered
    this.#gathered = undefined
    return payload
  }
}

/** The same bytes without what a Buffer does differently: its slice() is no copy. */
export const plainBytes = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
