// Who may ask: the checks of a request's headers, cheapest first. A request that is not true is refused before a byte of its body is read,
// and only true ones take room among the nonces. The order: time, signature, nonce; then, with the body, its hash.

import type { IncomingMessage } from 'node:http'
import { Nonces } from './nonces.ts'
import { Refusal } from './refusals.ts'
import { isNonce, type Key, keysOf, type SignedHead, signerOf, TIME_WINDOW_MS } from './signature.ts'
import type { SyncPath } from './transport.ts'

/** How many requests may be accepted within twice the time window. */
export const NONCES_MAX = 1_000_000

/** A request that a holder of a secret has made. */
export interface Signed {
  readonly key: Key
  readonly nonce: string
  /** SHA-256 of the body that was signed, in base64url. */
  readonly bodyHash: string
}

export class Gate {
  readonly #keys: readonly Key[]
  readonly #nonces: Nonces
  readonly #now: () => number

  /** @param now the wall clock, in milliseconds since 1970 */
  constructor(secrets: readonly string[], now: () => number, noncesMax: number = NONCES_MAX) {
    this.#keys = keysOf(secrets)
    this.#nonces = new Nonces(TIME_WINDOW_MS, noncesMax)
    this.#now = now
  }

  /**
   * Checks the headers of a request and remembers its nonce.
   * @returns undefined when this node has no secret, and so believes everybody who reaches it
   * @throws Refusal
   */
  admit(path: SyncPath, headers: IncomingMessage['headers']): Signed | undefined {
    if (this.#keys.length === 0) return undefined
    const { time, nonce, bodyHash, signature } = signatureHeaders(headers)
    const timeMs = Number(time)
    const nowMs = this.#now()
    if (Math.abs(nowMs - timeMs) > TIME_WINDOW_MS) {
      const seconds = Math.round((timeMs - nowMs) / 1000)
      throw new Refusal(
        'stale',
        `The request says it was made ${Math.abs(seconds)} s ${seconds < 0 ? 'before' : 'after'} the time of this node; ` +
          `at most ${TIME_WINDOW_MS / 1000} s are taken. Set the clocks of both machines, for instance with NTP.`,
      )
    }
    const head: SignedHead = { path, time, nonce, bodyHash }
    const key = signerOf(this.#keys, head, signature)
    if (key === undefined) {
      throw new Refusal(
        'forged',
        'The signature was not made with a secret of this node. Give all nodes the same cluster secret.',
      )
    }
    const taken = this.#nonces.take(nonce, timeMs, nowMs)
    if (taken === 'replayed') throw new Refusal('replayed', 'A request with this nonce was accepted before. Sign each one anew.')
    if (taken === 'full')
      throw new Refusal('busy', 'Too many requests were accepted within a minute. Ask again in a few seconds.')
    return { key, nonce, bodyHash }
  }
}

function signatureHeaders(headers: IncomingMessage['headers']): Omit<SignedHead, 'path'> & { signature: string } {
  const [time, nonce, bodyHash, signature] = ['time', 'nonce', 'body-hash', 'signature'].map((name) =>
    headers[`counter-${name}`]?.toString(),
  )
  if (time === undefined || nonce === undefined || bodyHash === undefined || signature === undefined) {
    throw new Refusal('unsigned', 'The request is not signed, and this node has a cluster secret. Give all nodes the same one.')
  }
  if (!/^\d{1,15}$/.test(time) || !isNonce(nonce) || !isHash(bodyHash) || !isHash(signature)) {
    throw new Refusal('malformed', 'A header of the signature has not the form that docs/PROTOCOL.md describes.')
  }
  return { time, nonce, bodyHash, signature }
}

/** 32 bytes in base64url. */
const isHash = (text: string): boolean => /^[\w-]{43}$/.test(text)
