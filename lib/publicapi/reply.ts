// What handlers answer, in the shapes that most replies have. endpoint.ts says what a reply is, gives it its headers and sends it.

import type { Reply } from './endpoint.ts'
import type { ApiStore, StoredReply } from './store.ts'

export const JSON_TYPE = 'application/json'
export const TEXT_TYPE = 'text/plain; charset=utf-8'

/** A success that says it all by itself. */
export const EMPTY: StoredReply = { status: 200, contentType: '', body: '' }

/** @param body JSON already, as JSON.stringify can write neither a bigint nor a number of 20 digits */
export const jsonReply = (body: string): StoredReply => ({ status: 200, contentType: JSON_TYPE, body })

export const textReply = (body: string): StoredReply => ({ status: 200, contentType: TEXT_TYPE, body })

/** Rule 1 of the design: what a read shows does not leave before it is durable. */
export function whenDurable(store: Pick<ApiStore, 'settled'>, reply: Reply): Reply | Promise<Reply> {
  const settled = store.settled()
  return settled === undefined ? reply : settled.then(() => reply)
}
