// What the tests of writes with idempotency keys share.

import type { Once, PlacedReply, StoredReply, WriteAt } from '../../lib/storage/index.ts'
import { bytesOf } from './harness.ts'

export function onceOf(key: string, content = key): Once {
  const fingerprint = new Uint8Array(32)
  fingerprint.set(bytesOf(content).subarray(0, 32))
  return { key, fingerprint }
}

export const replyOf = (body: string): StoredReply => ({ status: 200, contentType: 'text/plain', body })

/** Of a write of the node's incarnation 2. */
export const placeOf = (node: number, seq: number): WriteAt => ({ replica: { node, incarnation: 2 }, seq })

/** A reply that another node has told of. */
export function keptOf(key: string, origin: WriteAt, { at = 0, tentative = false, content = key } = {}): PlacedReply {
  return { ...onceOf(key, content), at, reply: replyOf(key), origin, tentative }
}

export function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}
