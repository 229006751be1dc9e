// Replies to give again: for each idempotency key the reply to the request that first used it. A reply lies in the same
// log record as the change it answers, so both are there after a crash or neither is.
// Bounded two ways, by age and by number; the oldest go first. A key that was forgotten counts as new.

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import { utf8 } from '../base/utf8.ts'

export interface StoredReply {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** Who asks: the Idempotency-Key, and a 32-byte digest of all that the request says. */
export interface Once {
  readonly key: string
  readonly fingerprint: Uint8Array
}

export interface RepliesOptions {
  readonly clock: Clock
  /** How long a reply is given again, in milliseconds of the wall clock. */
  readonly ttlMs: number
  /** How many replies are kept at most. */
  readonly max: number
}

interface Entry {
  readonly key: string
  readonly fingerprint: Uint8Array
  readonly at: number
  readonly reply: StoredReply
  inFlight: boolean
}

export const FINGERPRINT_BYTES = 32

export class Replies {
  readonly #options: RepliesOptions
  /** By key, oldest first. */
  readonly #entries = new Map<string, Entry>()

  constructor(options: RepliesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * The reply to give again, or undefined when the key is new.
   * @throws CounterError KEY_REUSED when the key came with another request, KEY_IN_FLIGHT when its request is not on disk yet
   */
  find(once: Once): StoredReply | undefined {
    const entry = this.#entries.get(once.key)
    if (entry === undefined || this.#expired(entry)) return undefined
    if (Buffer.compare(entry.fingerprint, once.fingerprint) !== 0) {
      throw new CounterError('KEY_REUSED', `the Idempotency-Key '${once.key}' was used with another request`, {
        fix: 'use a new key for a new request, or send the same request again',
      })
    }
    if (entry.inFlight) {
      throw new CounterError('KEY_IN_FLIGHT', `the request with the Idempotency-Key '${once.key}' is still being written`, {
        fix: 'try again in a second',
      })
    }
    return entry.reply
  }

  /** The reply that is kept under a key, to whatever request; it may not be on disk yet. */
  peek(key: string): StoredReply | undefined {
    const entry = this.#entries.get(key)
    return entry === undefined || this.#expired(entry) ? undefined : entry.reply
  }

  /** Keeps a reply whose record is being written; the function returned says that it is on disk. */
  add(once: Once, reply: StoredReply): { write: (writer: ByteWriter) => void; landed: () => void } {
    const at = this.#options.clock.now()
    const entry: Entry = { key: once.key, fingerprint: once.fingerprint, at, reply, inFlight: true }
    this.#keep(entry)
    return {
      write: (writer) => writeEntry(writer, entry),
      landed: () => {
        entry.inFlight = false
      },
    }
  }

  /** Takes back a reply from a log record or a snapshot. */
  restore(reader: ByteReader): void {
    const entry = readEntry(reader)
    if (!this.#expired(entry)) this.#keep(entry)
  }

  /** All replies, each as `restore` reads it, oldest first. */
  *encoded(writer: ByteWriter): Generator<void, void> {
    for (const entry of this.#entries.values()) {
      if (this.#expired(entry)) continue
      writeEntry(writer, entry)
      yield
    }
  }

  #keep(entry: Entry): void {
    this.#entries.delete(entry.key)
    this.#entries.set(entry.key, entry)
    for (const oldest of this.#entries.values()) {
      if (this.#entries.size <= this.#options.max && !this.#expired(oldest)) break
      this.#entries.delete(oldest.key)
    }
  }

  #expired(entry: Entry): boolean {
    return this.#options.clock.now() - entry.at > this.#options.ttlMs
  }
}

const encoder = new TextEncoder()

function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.sized(encoder.encode(entry.key))
  writer.raw(entry.fingerprint)
  writer.uint64(entry.at)
  writer.varint(entry.reply.status)
  writer.sized(encoder.encode(entry.reply.contentType))
  writer.sized(encoder.encode(entry.reply.body))
}

function readEntry(reader: ByteReader): Entry {
  const key = utf8.decode(reader.sized())
  const fingerprint = reader.raw(FINGERPRINT_BYTES).slice()
  const at = reader.uint64()
  const status = reader.varint()
  const contentType = utf8.decode(reader.sized())
  const body = utf8.decode(reader.sized())
  return { key, fingerprint, at, reply: { status, contentType, body }, inFlight: false }
}

/** The bytes of one reply record, as a copy, and the reader past it. */
export function takeReply(reader: ByteReader): Uint8Array {
  const start = reader.at
  readEntry(reader)
  return reader.bytes.slice(start, reader.at)
}
