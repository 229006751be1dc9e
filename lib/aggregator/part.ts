// What became of one request to a shard: the part of a write, or of a read. Parts are data and no errors, because the others may have done well.

import { statusText } from './probe.ts'
import { type Heard, type ShardReply, Unanswered } from './transport.ts'

export type Part = { readonly shard: number } & (
  | {
      readonly state: 'done'
      readonly status: number
      readonly body: string
      /** Headers of the reply; undefined where it has none. */
      readonly session: string | undefined
      readonly level: string | undefined
      readonly replayed: boolean
    }
  /** The shard has looked at the request and says no; `body` is its problem document. Nothing was counted, but for a status of 500. */
  | { readonly state: 'refused'; readonly status: number; readonly body: string; readonly retryAfter: string | undefined }
  /** Nothing was counted: it did not arrive, its turn did not come, or the shard is not in service. */
  | {
      readonly state: 'unsent' | 'busy'
      readonly detail: string
      /** It is another shard's by now, or will be soon, so that another attempt may do better. */
      readonly moves?: true
    }
  /** It was sent and not answered; it may have been counted. */
  | { readonly state: 'unknown'; readonly detail: string }
)

/** A node that does not know the operation is an older one; one that does not know an item is well. */
const NO_PATH = /"type":"\/problems\/not-found"/

/** Whether the shard says that it is not, or not now, the one to ask. */
export const isMoving = ({ status, body }: ShardReply): boolean =>
  status === 421 || (status === 503 && /"type":"\/problems\/slots-frozen"/.test(body))

/** @param isWrite a surprise of the shard leaves open whether it was counted */
export function partOf(shard: number, heard: Heard, isWrite: boolean): Part {
  if (heard instanceof Unanswered) return { shard, state: heard.silence, detail: heard.message }
  const { status, body } = heard
  if (status >= 200 && status < 300) {
    return {
      shard,
      state: 'done',
      status,
      body,
      session: header(heard, 'counter-session'),
      level: header(heard, 'counter-write-level'),
      replayed: header(heard, 'idempotency-replayed') === 'true',
    }
  }
  const isProblem = header(heard, 'content-type') === 'application/problem+json'
  if (isProblem && isMoving(heard)) return { shard, state: 'unsent', detail: statusText(heard), moves: true }
  // Another map, another token, or no node of Counter at all: the shard is there and of no use.
  if (!isProblem || status === 401 || status === 403 || status === 421 || (status === 404 && NO_PATH.test(body))) {
    const state = isProblem || !isWrite ? 'unsent' : 'unknown'
    return { shard, state, detail: statusText(heard) }
  }
  if (status >= 500 && /"applied":"unknown"/.test(body)) return { shard, state: 'unknown', detail: statusText(heard) }
  if (status >= 501 && status !== 507) return { shard, state: 'unsent', detail: statusText(heard) }
  return { shard, state: 'refused', status, body, retryAfter: header(heard, 'retry-after') }
}

function header({ headers }: ShardReply, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}
