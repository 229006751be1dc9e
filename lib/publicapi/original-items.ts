// `POST /items` and `GET /items/{tenant}/count`, which two original systems had with different replies. By default a reply carries both
// shapes at once, and a failure also what a problem document has; COUNTER_ITEMS_COMPAT leaves those of one system, byte for byte: with the
// line break that Go's json.Encoder writes after a value.

import { acceptOf } from './acceptance.ts'
import { collectBody } from './body.ts'
import { originalItemsContract } from './contract/original-items.ts'
import { JSON_BYTES_MAX } from './contract/values.ts'
import type { Handler, ShapeFailure } from './endpoint.ts'
import { readOriginalItems } from './item-batch.ts'
import { type ItemsOptions, nameOf } from './items.ts'
import { readJson } from './json.ts'
import { fingerprintOf } from './once.ts'
import type { Problem } from './problem.ts'
import { JSON_TYPE, jsonReply, whenDurable } from './reply.ts'
import type { StoredReply } from './store.ts'
import { segmentOf } from './target.ts'

/** Whose replies are given: of both systems at once, or exactly those of one. */
export type ItemsCompat = 'both' | 's1' | 's2'

export interface OriginalItemsOptions extends ItemsOptions {
  readonly itemsCompat: ItemsCompat
}

export type OriginalItemsId = 'addOriginalItems' | 'countOriginalItems'

export const originalTenantIn = segmentOf(originalItemsContract.countOriginalItems.path)

/** What a failure says that is the node's and not the request's. */
const FAILED: Record<OriginalItemsId, string> = {
  addOriginalItems: 'Unable to add items',
  countOriginalItems: 'Unable to get count',
}

/** What a batch that is kept is answered with. */
export const SUCCESS: Record<ItemsCompat, string> = {
  both: '{"message":"Success","status":"OK"}',
  s1: '{"message":"Success"}\n',
  s2: '{"status":"OK"}\n',
}

export const countBody: Record<ItemsCompat, (count: number) => string> = {
  both: (count) => `{"count":${count},"counter":${count}}`,
  s1: (count) => `{"count":${count}}\n`,
  s2: (count) => `{"counter":${count}}\n`,
}

export function createOriginalItems(options: OriginalItemsOptions): Record<OriginalItemsId, Handler> {
  const { store, write, agreement, itemsAccept, itemsCompat, nameBytesMax, bodyBytesMax } = options
  const success: StoredReply = jsonReply(SUCCESS[itemsCompat])

  return {
    // Any content type, as with the originals.
    addOriginalItems: agreement.write(async (exchange) => {
      const accept = acceptOf(exchange, itemsAccept)
      const fingerprint = fingerprintOf(exchange.incoming)
      const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX), fingerprint)
      return write(readOriginalItems(readJson(body), nameBytesMax), accept, () => success, fingerprint)
    }),

    countOriginalItems: agreement.read(({ path }) => {
      const count = store.tenantCount(nameOf(originalTenantIn(path), nameBytesMax))
      return whenDurable(store, jsonReply(countBody[itemsCompat](count)))
    }),
  }
}

/** How the two operations say that they failed. */
export function shapeOriginalFailures(compat: ItemsCompat): Record<OriginalItemsId, ShapeFailure> {
  const shape =
    (failed: string): ShapeFailure =>
    (problem, instance) => ({ contentType: JSON_TYPE, body: failureBody(compat, problem, failed, instance) })
  return {
    addOriginalItems: shape(FAILED.addOriginalItems),
    countOriginalItems: shape(FAILED.countOriginalItems),
  }
}

function failureBody(compat: ItemsCompat, problem: Problem, failed: string, instance: string): string {
  const message = problem.status < 500 ? problem.message : failed
  if (compat === 's1') return `${JSON.stringify({ message })}\n`
  if (compat === 's2') return `${JSON.stringify({ status: 'KO', message })}\n`
  // The status is in the line of the reply; here the name belongs to the original.
  const { status: _, title: __, detail, ...rest } = problem.document(instance)
  return JSON.stringify({ message, status: 'KO', ...(detail !== message && { detail }), ...rest })
}
