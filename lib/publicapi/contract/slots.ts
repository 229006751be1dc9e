// The map of slots: which shard has which names, and what is on its way from one to another. An aggregator shows it with how the replicas do; a shard
// is given it and keeps it.

import { z } from 'zod'
import { JSON_BODY, TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { natural, seconds } from './values.ts'

const slot = z.int().min(0).max(16_383)
const slotRange = z.tuple([slot, slot]).meta({ id: 'SlotRange', description: 'The first and the last slot.' })
const part = z.string().max(40)
const moves = {
  moving: z
    .object({
      phase: z.enum(['copy', 'settle']).meta({ description: 'They belong to `from` still, or to `to` already.' }),
      ranges: z.array(slotRange),
      from: natural,
      to: natural,
      sender: natural.meta({ description: 'The node of `from` that gives the copy.' }),
      receiver: natural.meta({ description: 'The node of `to` that takes it.' }),
      part: part
        .optional()
        .meta({ description: 'The counter that the part of the total becomes that `from` has, as its last slots go.' }),
    })
    .optional()
    .meta({ description: 'Slots on their way, which nobody writes to.' }),
  former: z
    .array(z.object({ version: natural, ranges: z.array(slotRange), shard: natural, atMs: natural }))
    .optional()
    .meta({ description: 'Who had slots before, and the first version in which they had them no more.' }),
  parts: z.array(part).optional().meta({
    description: 'Counters that are parts of the total and were those of shards that were emptied, in the order of that.',
  }),
}
const urls = z.array(z.string()).optional().meta({ description: 'Where the replicas are, of a shard that was added later.' })
const slots = z
  .object({
    ...moves,
    version: natural.meta({ description: '0: the node is no shard of an aggregator.' }),
    tag: z.string().meta({ description: 'Tells this map from any other.' }),
    shard: natural.nullable().meta({ description: 'Which shard the answering node is; null on an aggregator.' }),
    shards: z.array(
      z.object({
        shard: natural,
        ranges: z.array(slotRange),
        urls,
        replicas: z
          .array(
            z.object({
              url: z.string(),
              state: z.enum(['unknown', 'up', 'down', 'conflict']),
              detail: z.string().meta({ description: 'Why it is not up.' }),
              stateSeconds: seconds,
              underWay: natural,
              waiting: natural,
            }),
          )
          .nullable()
          .meta({ description: 'As the answering aggregator sees them; a node does not know them.' }),
      }),
    ),
  })
  .meta({ id: 'Slots' })
const slotsGiven = z
  .object({
    version: z.int().min(1),
    shard: natural,
    shards: z.array(z.object({ shard: natural, ranges: z.array(slotRange), urls })),
    ...moves,
    after: z.string().optional().meta({ description: 'The tag of the map that has to be kept now.' }),
  })
  .meta({ id: 'SlotsGiven' })

const SLOTS_VIEW = {
  version: 1,
  tag: '1.6558085cd636',
  shard: 0,
  shards: [{ shard: 0, ranges: [[0, 16_383]], replicas: null }],
}

export const slotsContract = {
  readSlots: {
    method: 'GET',
    path: '/v1/cluster/slots',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'Which shard has which names',
    description:
      'The slot of a name is its CRC-16/XMODEM modulo 16384, of the part in {braces} where there is one. A node on its own has all slots.',
    reply: { description: 'The map of slots.', content: json(slots, SLOTS_VIEW) },
    errors: TOKEN,
  },
  keepSlots: {
    method: 'POST',
    path: '/v1/cluster/slots',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'Make a node a shard',
    description:
      'Aggregators and movers do this. A node keeps a map until it is given a later version, and is always the same shard.',
    body: {
      required: true,
      content: json(slotsGiven, { version: 1, shard: 0, shards: [{ shard: 0, ranges: [[0, 16_383]] }] }),
    },
    reply: { description: 'The map is kept.', content: json(slots, SLOTS_VIEW) },
    errors: [...TOKEN, ...JSON_BODY, 'cross-site', 'slots-conflict', 'not-over-shards', 'disk-full', 'body-too-large'],
  },
} as const satisfies Record<string, Operation>
