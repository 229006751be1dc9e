// Idempotency keys: what makes a retry count once. The key comes in a header; a fingerprint of the whole request tells a
// retry from another request that reuses the key. The fingerprint grows with the body, so a large one is never kept for it.
// A sender that has tried another node before says so, in a header too, and an aggregator by which map of slots it goes; neither is a part of the
// fingerprint.

import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from './problem.ts'
import type { Once } from './store.ts'

const KEY = /^[\x21-\x7e]{1,255}$/

export class Fingerprint {
  readonly key: string
  readonly #failover: boolean
  readonly #slots: string | undefined
  readonly #hash: Hash

  constructor(key: string, failover: boolean, incoming: IncomingMessage) {
    this.key = key
    this.#failover = failover
    const slots = incoming.headers['counter-slots']
    this.#slots = slots === undefined ? undefined : String(slots)
    // Lengths are not needed: neither a method, a target nor a header value can hold a line break.
    this.#hash = createHash('sha256').update(`${incoming.method}\n${incoming.url}\n${incoming.headers['content-type'] ?? ''}\n`)
  }

  update(piece: Uint8Array): void {
    this.#hash.update(piece)
  }

  /** Ends the fingerprint. */
  once(): Once {
    const slots = this.#slots
    return {
      key: this.key,
      fingerprint: this.#hash.digest(),
      ...(this.#failover && { failover: true }),
      ...(slots !== undefined && { slots }),
    }
  }
}

/** The start of the request's fingerprint; undefined when it has no key. @throws Problem idempotency-key-invalid, failover-invalid */
export function fingerprintOf(incoming: IncomingMessage): Fingerprint | undefined {
  const key = keyOf(incoming)
  const failover = isFailover(incoming)
  if (key !== undefined) return new Fingerprint(key, failover, incoming)
  // It would be counted a second time, and nobody could tell.
  if (failover) throw new Problem('failover-invalid', 'The request has Counter-Failover and no Idempotency-Key.')
  return undefined
}

/** @throws Problem idempotency-key-invalid */
export function keyOf(incoming: IncomingMessage): string | undefined {
  const key = incoming.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !KEY.test(key)) {
    throw new Problem(
      'idempotency-key-invalid',
      `The Idempotency-Key is not 1 to 255 visible ASCII characters; it has ${key.length}.`,
    )
  }
  return key
}

function isFailover({ headers }: IncomingMessage): boolean {
  const failover = headers['counter-failover']
  if (failover === undefined) return false
  if (String(failover).toLowerCase() === 'true') return true
  throw new Problem('failover-invalid', `Counter-Failover is "${String(failover).slice(0, 40)}"; expected true.`)
}
