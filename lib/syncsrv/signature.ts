// How members that share a secret know each other. A request carries its time, a nonce, the hash of its body and an HMAC-SHA256 over all that;
// each message of the answer carries a MAC over the request's nonce, the message's number and its payload, so answers cannot be mixed up,
// reordered or made up. The bytes that are hashed are in docs/PROTOCOL.md, section 5. The hash of the body is a header of its own, so a
// request is known to be true or forged before any of its body is read.

import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { assert } from '../base/assert.ts'
import { writeUint32 } from '../base/bytes.ts'
import type { Random } from '../base/random.ts'
import { MAC_BYTES } from './framing.ts'
import type { SyncPath } from './transport.ts'

/** By how much a request's time may differ from the wall clock of the node that is asked, in milliseconds. */
export const TIME_WINDOW_MS = 60_000
/** Fewer characters than this can be guessed. */
export const SECRET_LENGTH_MIN = 16

/** What a signature covers, as the headers have it. */
export interface SignedHead {
  readonly path: SyncPath
  /** Milliseconds since 1970, in decimal. */
  readonly time: string
  /** 16 random bytes in base64url. */
  readonly nonce: string
  /** SHA-256 of the body in base64url. */
  readonly bodyHash: string
}

export type Key = KeyObject

/** The keys of secrets, in order: the first signs, each is accepted. */
export function keysOf(secrets: readonly string[]): readonly Key[] {
  for (const secret of secrets) assert(secret.length >= SECRET_LENGTH_MIN, `a secret has ${SECRET_LENGTH_MIN} characters or more`)
  return secrets.map((secret) => createSecretKey(secret, 'utf8'))
}

export function makeNonce(random: Random): string {
  const bytes = Buffer.allocUnsafe(16)
  for (let at = 0; at < 16; at += 4) bytes.writeUInt32LE(random.uint32(), at)
  return bytes.toString('base64url')
}

export const isNonce = (text: string): boolean => /^[\w-]{22}$/.test(text)

export const hashOf = (body: Uint8Array): string => createHash('sha256').update(body).digest('base64url')

/** The signature of a request, in base64url. */
export const sign = (key: Key, head: SignedHead): string => digest(key, head).toString('base64url')

/** The key that made this signature; undefined when none of these did. Takes the same time whatever is sent. */
export function signerOf(keys: readonly Key[], head: SignedHead, signature: string): Key | undefined {
  const sent = Buffer.from(signature, 'base64url')
  let signer: Key | undefined
  for (const key of keys) {
    const expected = digest(key, head)
    if (timingSafeEqual(sent.length === expected.length ? sent : Buffer.alloc(expected.length), expected)) signer ??= key
  }
  return signer
}

function digest(key: Key, { path, time, nonce, bodyHash }: SignedHead): Buffer {
  return createHmac('sha256', key).update(`counter-sync-request-1\nPOST\n${path}\n${time}\n${nonce}\n${bodyHash}`).digest()
}

/** The MACs of the messages of one answer, one after the other. Both sides make them. */
export class AnswerMac {
  readonly #key: Key
  readonly #prefix: Buffer
  #number = 0

  /** @param nonce of the request that is answered */
  constructor(key: Key, nonce: string) {
    this.#key = key
    this.#prefix = Buffer.from(`counter-sync-answer-1\n${nonce}\n0000`, 'latin1')
  }

  /** The MAC of the next message. */
  next(payload: Uint8Array): Uint8Array {
    assert(this.#number < 2 ** 32, 'the messages of an answer are numbered by 32 bits')
    writeUint32(this.#prefix, this.#prefix.length - 4, this.#number++)
    return createHmac('sha256', this.#key).update(this.#prefix).update(payload).digest().subarray(0, MAC_BYTES)
  }

  /** Whether this is the MAC of the next message. */
  matches(payload: Uint8Array, mac: Uint8Array): boolean {
    return timingSafeEqual(this.next(payload), mac)
  }
}
