// The public API of an aggregator: the same contract as that of a node, with shards behind it. What belongs to one node or one cluster is refused.

import type { NameHash } from '../../base/hash.ts'
import { lowerWord, Tally } from '../../text/index.ts'
import { type Api, type AppOptions, assembleApi, type HandledId } from '../assembly.ts'
import { contract } from '../contract.ts'
import type { Handler } from '../endpoint.ts'
import { Intake, Scratch } from '../intake.ts'
import { type ItemsCompat, shapeOriginalFailures } from '../original-items.ts'
import { Problem } from '../problem.ts'
import { jsonReply } from '../reply.ts'
import { createShardsCounting } from './counting.ts'
import { createShardsItems } from './items.ts'
import type { ApiShards } from './router.ts'
import { createShardsTotal } from './total.ts'

export interface ShardsApiOptions extends AppOptions {
  readonly shards: ApiShards
  /** Of any seed: names are told apart by it while a text is tallied. */
  readonly hash: NameHash
  /** Most bytes of a name in UTF-8; the same as on the shards. */
  readonly nameBytesMax: number
  /** How a text becomes words. */
  readonly tokenizer: 'space' | 'word'
  /** Whose replies POST /items and GET /items/{tenant}/count give. */
  readonly itemsCompat: ItemsCompat
}

export function createShardsApi(options: ShardsApiOptions): Api {
  const { shards, hash, nameBytesMax, tokenizer, bodyBytesMax, metrics } = options
  const scratch = new Scratch(() => new Tally({ hash, nameBytesMax, tokenizer }))
  const intake = new Intake({ scratch, nameBytesMax, bodyBytesMax })
  const own: Partial<Record<HandledId, Handler>> = {
    ...createShardsCounting({ shards, intake, scratch, metrics, lowerWord }),
    ...createShardsTotal({ shards, bodyBytesMax }),
    ...createShardsItems({ shards, metrics, nameBytesMax, bodyBytesMax, itemsCompat: options.itemsCompat }),
    readSlots: () => jsonReply(JSON.stringify(slotsOf(shards))),
  }
  const ids = Object.keys(contract) as HandledId[]
  const all = Object.fromEntries(ids.map((id) => [id, own[id] ?? refuse])) as Record<HandledId, Handler>
  return assembleApi(options, all, shapeOriginalFailures(options.itemsCompat))
}

const refuse: Handler = ({ incoming, path }) => {
  throw new Problem('not-over-shards', `${incoming.method} ${path.slice(0, 100)} is not an operation of an aggregator.`)
}

function slotsOf(shards: ApiShards): object {
  const { version, shards: ranges } = shards.map.plain()
  const views = shards.view()
  return {
    version,
    tag: shards.map.tag,
    shard: null,
    shards: ranges.map((entry) => ({
      ...entry,
      replicas: views[entry.shard]!.replicas.map(({ stateMs, ...replica }) => ({
        ...replica,
        stateSeconds: Math.round(stateMs) / 1000,
      })),
    })),
  }
}
