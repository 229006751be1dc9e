// The one total over shards: an addition goes to any shard that lives, the sum is over all. A shard that is missing is never taken for 0: what it
// had when it was last asked stands in for it, and is said to.

import type { Handler } from '../endpoint.ts'
import { jsonReply } from '../reply.ts'
import { readAddition } from '../total.ts'
import { askOf, requiresComplete, withOnce, writeAskOf } from './ask.ts'
import { checkShown, doneReply, shownHeaders } from './report.ts'
import type { ApiShards } from './router.ts'
import { countJson } from './sum.ts'

export interface ShardsTotalOptions {
  readonly shards: ApiShards
  readonly bodyBytesMax: number
}

export function createShardsTotal({ shards, bodyBytesMax }: ShardsTotalOptions): Record<'addToTotal' | 'readTotal', Handler> {
  return {
    async addToTotal(exchange) {
      const start = writeAskOf(exchange)
      const { value, fingerprint } = await readAddition(exchange, bodyBytesMax)
      const ask = withOnce(start, fingerprint)
      const part = await shards.addToTotal(value, ask)
      const body = part.state === 'done' ? part.body.replace(/"shardId":\d+/, `"shardId":${part.shard}`) : ''
      return { ...jsonReply(body), ...doneReply([part], ask) }
    },

    async readTotal(exchange) {
      const isComplete = requiresComplete(exchange)
      const ask = askOf(exchange)
      const all = await shards.total(ask)
      checkShown(all, isComplete, [])
      return { ...jsonReply(`{${countJson('total', all)}}`), headers: shownHeaders(all, ask) }
    },
  }
}
