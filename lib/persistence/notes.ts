// Notes: small durable facts of this node alone, by key, the last one wins. They are not counted, not merged and not sent to anybody;
// what they mean is their writer's business. Those written together are in one log record: after a crash all of them are there, or none.

import { assert } from '../base/assert.ts'
import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import { utf8 } from '../base/utf8.ts'

/** undefined takes the note away. */
export type NoteChange = readonly [key: string, value: Uint8Array | undefined]

const KEY_BYTES_MAX = 1024
export const NOTE_BYTES_MAX = 16 * 1024 * 1024
/** Bytes around the key and the value of a note: flag and two lengths. */
const HEAD_BYTES = 11
const GONE = 0
const THERE = 1

const encoder = new TextEncoder()

export class Notes {
  readonly #notes = new Map<string, Uint8Array>()

  get(key: string): Uint8Array | undefined {
    return this.#notes.get(key)
  }

  /** Those whose keys start with `prefix`, in no order. */
  *under(prefix: string): Generator<[key: string, value: Uint8Array], void> {
    for (const entry of this.#notes) if (entry[0].startsWith(prefix)) yield entry
  }

  /** Changes notes and appends the changes to a log record. The values are kept, not copied. */
  change(changes: readonly NoteChange[], writer: ByteWriter): void {
    for (const [key, value] of changes) {
      this.#set(key, value)
      writeNote(writer, key, value)
    }
  }

  /** Takes changes back from a log record, or notes from a snapshot: all that is left of the reader. */
  restore(reader: ByteReader): void {
    while (reader.left > 0) {
      const flag = reader.uint8()
      if (flag > THERE) reader.fail(`unknown flag ${flag} of a note`)
      const key = utf8.decode(reader.sized())
      this.#set(key, flag === THERE ? reader.sized().slice() : undefined)
    }
  }

  /** All notes, as `restore` reads them. */
  *encoded(writer: ByteWriter): Generator<void, void> {
    for (const [key, value] of this.#notes) {
      writeNote(writer, key, value)
      yield
    }
  }

  #set(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#notes.delete(key)
    else this.#notes.set(key, value)
  }
}

/** How many bytes of a log record the changes take at most. */
export function noteBytes(changes: readonly NoteChange[]): number {
  let bytes = 0
  for (const [key, value] of changes) bytes += HEAD_BYTES + Buffer.byteLength(key) + (value?.length ?? 0)
  return bytes
}

function writeNote(writer: ByteWriter, key: string, value: Uint8Array | undefined): void {
  const bytes = encoder.encode(key)
  assert(bytes.length <= KEY_BYTES_MAX && (value?.length ?? 0) <= NOTE_BYTES_MAX, 'a note is small')
  writer.uint8(value === undefined ? GONE : THERE)
  writer.sized(bytes)
  if (value !== undefined) writer.sized(value)
}
