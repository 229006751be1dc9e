// The public API of a node as a function from request to response: its handlers, each with what it needs. It opens no port; server.ts does.

import type { NameHash } from '../base/hash.ts'
import type { Accept } from '../cluster/index.ts'
import { lowerWord, Tally } from '../text/index.ts'
import { createItemWriter } from './acceptance.ts'
import { createAgreement } from './agreement.ts'
import { type Api, type AppOptions, assembleApi } from './assembly.ts'
import type { ApiCluster } from './cluster.ts'
import { contract } from './contract.ts'
import { createCounting } from './counting.ts'
import { Intake, Scratch } from './intake.ts'
import { createItems } from './items.ts'
import { createMembers } from './members.ts'
import { createOriginalItems, type ItemsCompat, shapeOriginalFailures } from './original-items.ts'
import { createOriginalSequence } from './original-sequence.ts'
import { type ApiSequences, createSequences } from './sequences.ts'
import { type ApiShard, createShardAnswers } from './shard.ts'
import { type ApiSlots, createPin, createSlots, createSlotsCheck } from './slots.ts'
import type { ApiStore } from './store.ts'
import { createTotal } from './total.ts'
import { Writer } from './writer.ts'

/** What the API of a node needs besides. */
export interface ApiOptions extends AppOptions {
  readonly store: ApiStore
  readonly cluster: ApiCluster
  readonly sequences: ApiSequences
  /** The map of slots that the node keeps as a shard. */
  readonly slots: ApiSlots
  /** What it answers who moves slots. */
  readonly shard: ApiShard
  /** The same as the store's table uses. */
  readonly hash: NameHash
  /** Most bytes of a name in UTF-8. Higher: longer words and names are taken, at their cost in memory. */
  readonly nameBytesMax: number
  /** How a text becomes words: at white space, as the original does, or at Unicode word boundaries. */
  readonly tokenizer: 'space' | 'word'
  /** How many members must take a batch of items when the request does not say. */
  readonly itemsAccept: Accept
  /** Whose replies POST /items and GET /items/{tenant}/count give. */
  readonly itemsCompat: ItemsCompat
}

export function createApi(options: ApiOptions): Api {
  const { store, cluster, slots, shard, hash, nameBytesMax, tokenizer, bodyBytesMax, metrics } = options
  const scratch = new Scratch(() => new Tally({ hash, nameBytesMax, tokenizer }))
  const intake = new Intake({ scratch, nameBytesMax, bodyBytesMax })
  const writer = new Writer(store, scratch)
  const agreement = createAgreement({ store, cluster })
  const write = createItemWriter({ store, cluster, metrics })
  const handlers = {
    ...createCounting({ store, writer, agreement, intake, scratch, metrics, lowerWord }),
    ...createTotal({ store, slots, writer, scratch, agreement, bodyBytesMax }),
    ...createItems({ ...options, agreement, write }),
    ...createOriginalItems({ ...options, agreement, write }),
    ...createOriginalSequence(options),
    ...createSequences(options),
    ...createMembers(cluster),
    ...createSlots(slots),
    ...createShardAnswers(shard),
  }
  const checkSlots = createSlotsCheck(slots)
  const pin = createPin(checkSlots)
  for (const id of Object.keys(handlers) as (keyof typeof handlers)[])
    if ('shows' in contract[id]) handlers[id] = pin(handlers[id])
  return assembleApi({ ...options, checkSlots }, handlers, shapeOriginalFailures(options.itemsCompat))
}
