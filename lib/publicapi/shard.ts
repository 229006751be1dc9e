// What a node answers who moves slots between shards (lib/sharding): how it sees itself, and questions about the slots on their way. For programs
// of the same version; the shapes are theirs.

import { checkJsonType, collectBody } from './body.ts'
import type { Handler } from './endpoint.ts'
import { readJson } from './json.ts'
import { jsonReply } from './reply.ts'

export interface ApiShard {
  look(): Promise<object>
  /** @throws CounterError SLOTS_INVALID when the question is none, SLOTS_CONFLICT when it is about another map */
  answer(question: unknown): Promise<object>
}

/** A page of names and values, in which each byte may be escaped. */
const BODY_BYTES_MAX = 8 * 1024 * 1024

export function createShardAnswers(shard: ApiShard): Record<'lookAtShard' | 'askShard', Handler> {
  const reply = (answer: object) => jsonReply(JSON.stringify(answer))
  return {
    lookAtShard: async () => reply(await shard.look()),

    async askShard(exchange) {
      checkJsonType(exchange.incoming)
      return reply(await shard.answer(readJson(await collectBody(exchange.incoming, BODY_BYTES_MAX))))
    },
  }
}
