// Items over several nodes: each node gets an even share at the same time, and the share of one that is busy or dead goes to the next.
// A share has one Idempotency-Key wherever it is sent: a node whose answer was lost gives it again when it is asked again.

import { type ConnectOptions, connect } from './index.ts'
import type { ItemOptions, NewItem } from './items.ts'
import { freshKey } from './platform.ts'
import { Spreader } from './spread.ts'

export interface SpreadOptions extends Omit<ConnectOptions, 'session'>, Pick<ItemOptions, 'accept' | 'signal'> {
  /** Names the operation, in at most 240 characters: repeated for the same items and nodes, a node keeps its share once. Default: a fresh one. */
  readonly idempotencyKey?: string
}

/** So many items, and the node that has taken them. */
export interface Share {
  readonly url: string
  readonly items: number
}

/**
 * Gives items to tenants over all these nodes. Each share is kept whole or not at all, and holds at most 10,000 items.
 * @returns who has taken each share, in the order of the shares
 * @throws ClientError when some share was taken by no node. Others may be kept: repeat the call, as an item that is there already is the same item
 */
export async function addItemsSpread(
  urls: readonly string[],
  items: readonly NewItem[],
  options: SpreadOptions = {},
): Promise<Share[]> {
  const {
    idempotencyKey = freshKey(),
    accept,
    signal,
    retriesMax = 5,
    backoffMs = 100,
    backoffMaxMs = 5_000,
    ...others
  } = options
  // Whether a request is repeated, and where, is decided by the spreader.
  const clients = urls.map((url) => connect(url, { ...others, retriesMax: 0 }))
  const shares: Share[] = []
  const spreader = new Spreader<NewItem>({
    nodes: urls.length,
    retriesMax,
    backoffMs,
    backoffMaxMs,
    ...(signal && { signal }),
    async send(node, share, index) {
      const call = { idempotencyKey: `${idempotencyKey}-${index}`, ...(accept && { accept }), ...(signal && { signal }) }
      await clients[node]!.addItems(share, call)
      shares[index] = { url: urls[node]!, items: share.length }
    },
  })
  await spreader.send(items)
  return shares
}
