// How many members must take a batch of items for it to be kept at all: asked for by `?accept=`, or else as COUNTER_ITEMS_ACCEPT says.
// It differs from a write level (level.ts), which says how long a reply waits for what is kept in any case.

import type { Accept } from '../cluster/index.ts'
import type { ItemChange } from '../storage/index.ts'
import type { ApiCluster } from './cluster.ts'
import type { Exchange } from './endpoint.ts'
import type { Metrics } from './metrics.ts'
import type { Fingerprint } from './once.ts'
import { Problem } from './problem.ts'
import type { ApiStore, StoredReply } from './store.ts'
import type { WriteReply } from './writer.ts'

const ACCEPTS: readonly string[] = ['one', 'majority', 'all'] satisfies Accept[]

/** @param preset when the request does not say. @throws Problem accept-invalid */
export function acceptOf({ query }: Exchange, preset: Accept): Accept {
  if (query === '') return preset
  let accept: string | undefined
  // Other parameters are left alone, as with write levels.
  for (const pair of query.split('&')) {
    if (pair !== 'accept' && !pair.startsWith('accept=')) continue
    const text = pair.slice('accept='.length)
    const isKnown = ACCEPTS.includes(text)
    const message = isKnown ? 'something else was asked for as well' : 'expected one, majority or all'
    if (!isKnown || (accept !== undefined && accept !== text)) {
      throw new Problem('accept-invalid', `accept is "${text.slice(0, 40)}": ${message}.`, {
        errors: [{ in: 'query', path: 'accept', message }],
      })
    }
    accept = text
  }
  return (accept as Accept | undefined) ?? preset
}

export interface ItemWriterOptions {
  readonly store: ApiStore
  readonly cluster: ApiCluster
  readonly metrics: Metrics
}

/** The way of a batch of items into the store, or to all members. Resolves when it is durable. */
export function createItemWriter({ store, cluster, metrics }: ItemWriterOptions) {
  return async (
    changes: readonly ItemChange[],
    accept: Accept,
    reply: () => StoredReply,
    fingerprint: Fingerprint | undefined,
  ): Promise<WriteReply> => {
    const once = fingerprint?.once()
    const seen = once === undefined ? undefined : store.replay(once)
    if (seen !== undefined) return seen
    // Nobody needs to take nothing.
    if (changes.length === 0 && once === undefined) return { ...reply(), replayed: false }
    if (accept === 'one' || changes.length === 0) {
      const written = await store.changeItems(changes, reply, once)
      if (!written.replayed) metrics.items.inc(changes.length)
      return written
    }
    const { accepted, members, ...written } = await cluster.acceptItems(changes, accept, reply, once)
    if (written.replayed) return written
    metrics.items.inc(changes.length)
    return { ...written, headers: { 'Counter-Accept': `${accept}; accepted=${accepted}; members=${members}` } }
  }
}

export type ItemWriter = ReturnType<typeof createItemWriter>
