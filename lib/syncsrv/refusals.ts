// What the sync port refuses before anything has looked at the content of a request. Each reason has its status and is counted; the reply
// says in one line what to do. A refusal has changed nothing.

import type { ServerResponse } from 'node:http'

/** Why a request was refused, and the status that says so. */
export const REFUSALS = {
  /** No such path. */
  unknown: 404,
  /** Not a POST. */
  method: 405,
  /** It comes from a page in a browser. */
  browser: 403,
  /** The body is compressed. */
  encoding: 415,
  /** The body is too long. */
  large: 413,
  /** Its certificate is not trusted. There is no connection over which a reply could go. */
  certificate: 401,
  /** Headers of the signature are missing. */
  unsigned: 401,
  /** The time is too far from the clock of this node. */
  stale: 401,
  /** No secret of this node made the signature, or it was made for another body. */
  forged: 401,
  /** It has been accepted before. */
  replayed: 401,
  /** The content, or a header of the signature, is not what it should be. */
  malformed: 400,
  /** It cannot be taken now. */
  busy: 503,
} as const

export type RefusalReason = keyof typeof REFUSALS

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly reason: RefusalReason

  /** @param message what happened and what to do, in sentences */
  constructor(reason: RefusalReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/**
 * Sends a refusal, when the reply has not begun.
 * @param close whether the connection ends with it, because the rest of the request is not wanted
 */
export function sendRefusal(outgoing: ServerResponse, status: number, code: string, detail: string, close: boolean): void {
  if (outgoing.headersSent || outgoing.destroyed) return
  const body = JSON.stringify({ status, code, detail })
  outgoing.writeHead(status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    ...(status === REFUSALS.method ? { Allow: 'POST' } : {}),
    ...(close ? { Connection: 'close' } : {}),
  })
  outgoing.end(body)
}
