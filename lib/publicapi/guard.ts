// Who may ask: the checks every request passes before its handler runs. All of them look at headers only, so a request that is
// refused costs nothing else. One function instead of a chain of middlewares, which would each cost a promise.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../base/loopback.ts'
import { Problem } from './problem.ts'

export interface GuardOptions {
  /** The bearer token; undefined: everybody who reaches the port may ask. */
  readonly token: string | undefined
  /** The address the server is bound to. */
  readonly host: string
  readonly bodyBytesMax: number
  /** Throws when the request goes by another map of slots; undefined where there is none to go by. */
  readonly checkSlots?: (incoming: IncomingMessage) => void
}

/** What a guard needs to know of an operation. */
export interface Guarded {
  readonly method: string
  readonly auth: boolean
  readonly writes: boolean
  readonly keyed?: true
}

/** Throws a Problem when the request may not go on. */
export type Guard = (incoming: IncomingMessage, operation: Guarded) => void

export function createGuard(options: GuardOptions): Guard {
  const checkToken = options.token === undefined ? undefined : tokenCheck(options.token)
  const { checkSlots } = options
  const checkHost = options.token === undefined && isLoopback(options.host) ? hostCheck(options.host) : undefined
  return (incoming, operation) => {
    checkHost?.(incoming)
    if (operation.auth) checkToken?.(incoming)
    checkSlots?.(incoming)
    if (operation.writes || operation.keyed) checkWrite(incoming, options.bodyBytesMax)
    else if (operation.method === 'POST') checkOrigin(incoming.headers)
  }
}

function tokenCheck(token: string): (incoming: IncomingMessage) => void {
  // Digests have one length, so the comparison takes the same time whatever is sent.
  const expected = digest(`Bearer ${token}`)
  return ({ headers: { authorization } }) => {
    if (authorization === undefined) {
      throw new Problem('unauthorized', 'The request has no Authorization header.', {
        headers: { 'WWW-Authenticate': 'Bearer realm="counter"' },
      })
    }
    // The scheme's name is case-insensitive, the token is not.
    const sent = authorization.replace(/^bearer +/i, 'Bearer ')
    if (timingSafeEqual(digest(sent), expected)) return
    throw new Problem('unauthorized', 'The token in the Authorization header is not that of this node.', {
      headers: { 'WWW-Authenticate': 'Bearer realm="counter", error="invalid_token"' },
    })
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Against DNS rebinding: a page whose name was made to point at this machine still sends that name. */
function hostCheck(bound: string): (incoming: IncomingMessage) => void {
  const allowed = new Set(['localhost', '127.0.0.1', '[::1]', bound.includes(':') ? `[${bound}]` : bound.toLowerCase()])
  let last: string | undefined
  return ({ headers: { host } }) => {
    // HTTP/1.0 has no Host; no browser speaks it.
    if (host === undefined || host === last) return
    if (!allowed.has(host.replace(/:\d+$/, '').toLowerCase())) {
      throw new Problem('host-not-allowed', `The Host header is "${host}"; expected ${[...allowed].join(', ')}.`)
    }
    last = host
  }
}

function checkWrite({ headers }: IncomingMessage, bodyBytesMax: number): void {
  if (headers['content-encoding'] !== undefined && headers['content-encoding'].toLowerCase() !== 'identity') {
    throw new Problem('encoding-unsupported', `The Content-Encoding is "${headers['content-encoding']}".`)
  }
  if (headers['transfer-encoding'] !== undefined && headers['transfer-encoding'].toLowerCase() !== 'chunked') {
    throw new Problem(
      'encoding-unsupported',
      `The Transfer-Encoding is "${headers['transfer-encoding']}"; only chunked is supported.`,
    )
  }
  if (Number(headers['content-length'] ?? 0) > bodyBytesMax) {
    throw new Problem('body-too-large', `The body has ${headers['content-length']} bytes; at most ${bodyBytesMax} are taken.`)
  }
  checkOrigin(headers)
}

/** A page of another site can post a text without asking first; only its browser says where it comes from. */
function checkOrigin(headers: IncomingMessage['headers']): void {
  const site = headers['sec-fetch-site']
  const { origin, host } = headers
  const foreign =
    site !== undefined
      ? site !== 'same-origin' && site !== 'none'
      : origin !== undefined && origin.replace(/^https?:\/\//, '') !== host
  if (foreign) throw new Problem('cross-site', `The request comes from a page of ${origin ?? 'another site'}.`)
}
