// What a replica of a shard answers who moves slots between shards. For programs of the same version: what they ask and are told is theirs, and is
// described here only as far as it is the same for all questions.

import { z } from 'zod'
import { JSON_BODY, TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { natural } from './values.ts'

const known = z.array(z.tuple([natural, natural, natural])).meta({ description: 'Node, incarnation, sequence number.' })
const shardView = z
  .object({
    node: natural,
    kept: z.object({ map: z.object({ version: natural }), shard: natural }).optional(),
    members: z.array(natural),
    known,
    names: natural,
    items: natural,
    nameless: natural.meta({ description: 'Names that are known by key alone.' }),
    withdrawalsDue: natural.meta({ description: 'Writes that another replica has counted too, still to be taken back.' }),
    tableBytes: natural,
  })
  .meta({ id: 'ShardView' })
const shardQuestion = z
  .looseObject({ ask: z.enum(['know', 'take', 'find', 'put', 'digest', 'counted']) })
  .meta({ id: 'ShardQuestion', description: 'As the mover of this version asks.' })
const shardAnswer = z.looseObject({}).meta({ id: 'ShardAnswer' })

export const shardContract = {
  lookAtShard: {
    method: 'GET',
    path: '/v1/shard',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'How a replica of a shard sees itself',
    description: 'For `counter shards`, which moves slots between shards.',
    reply: {
      description: 'The map that it keeps, its members, and all that it knows.',
      content: json(shardView, {
        node: 1,
        members: [1],
        known: [[1, 1854983267518464, 7]],
        names: 3,
        items: 0,
        nameless: 0,
        withdrawalsDue: 0,
        tableBytes: 1_048_576,
      }),
    },
    errors: [...TOKEN, 'not-over-shards', 'log-failed'],
  },
  askShard: {
    method: 'POST',
    path: '/v1/shard/questions',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'What a replica holds of slots on their way',
    description:
      'For `counter shards`, and for aggregators. What is put is set and never added, and only on the replica that the map names.',
    body: { required: true, content: json(shardQuestion, { ask: 'digest', tag: '2.6558085cd636' }) },
    reply: { description: 'The answer.', content: json(shardAnswer, { counters: 3, items: 0, sum: '0a' }) },
    errors: [
      ...TOKEN,
      ...JSON_BODY,
      'cross-site',
      'slots-conflict',
      'count-overflow',
      'name-too-long',
      'not-over-shards',
      'names-max',
      'items-max',
      'disk-full',
      'busy',
      'log-failed',
      'body-too-large',
    ],
  },
} as const satisfies Record<string, Operation>
