// The public API of a node as a function from request to response: its handlers, each with what it needs. It opens no port; server.ts does.

import type { NameHash } from '../base/hash.ts'
import { lowerWord, Tally } from '../text/index.ts'
import { createAgreement } from './agreement.ts'
import { type Api, type AppOptions, assembleApi } from './assembly.ts'
import type { ApiCluster } from './cluster.ts'
import { createCounting } from './counting.ts'
import { createMembers } from './members.ts'
import type { ApiStore } from './store.ts'
import { createTotal } from './total.ts'
import { Writer } from './writer.ts'

/** What the API of a node needs besides. */
export interface ApiOptions extends AppOptions {
  readonly store: ApiStore
  readonly cluster: ApiCluster
  /** The same as the store's table uses. */
  readonly hash: NameHash
  /** Most bytes of a name in UTF-8. Higher: longer words and names are taken, at their cost in memory. */
  readonly nameBytesMax: number
  /** How a text becomes words: at white space, as the original does, or at Unicode word boundaries. */
  readonly tokenizer: 'space' | 'word'
}

export function createApi(options: ApiOptions): Api {
  const { store, cluster, hash, nameBytesMax, tokenizer, bodyBytesMax, metrics } = options
  const writer = new Writer(store, () => new Tally({ hash, nameBytesMax, tokenizer }))
  const agreement = createAgreement({ store, cluster })
  return assembleApi(options, {
    ...createCounting({ store, writer, agreement, metrics, nameBytesMax, bodyBytesMax, lowerWord }),
    ...createTotal({ store, writer, agreement, bodyBytesMax }),
    ...createMembers(cluster),
  })
}
