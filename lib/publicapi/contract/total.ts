// The one total of the original's sharded counter: what is added to it, and what it is.

import { z } from 'zod'
import { JSON_BODY, READ, WRITE } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { exact, natural, readDelta } from './values.ts'

/** A number and no text: the original joined the digits of a text to those of the count. */
const TOTAL_EXPECTED = 'expected an integer between -2^64 and 2^64 (exclusive), written without quotes: {"value":5}'
export const totalIncrement = z
  .object({
    value: z
      .custom<number | bigint>((value) => typeof value !== 'string' && readDelta(value) !== undefined, TOTAL_EXPECTED)
      .optional()
      .meta({ type: 'integer', default: 1, description: 'What to add; 0 adds nothing, less than 0 subtracts.', examples: [5] }),
  })
  .meta({ id: 'TotalIncrement' })

const totalAdded = z
  .object({
    success: z.literal(true),
    shardId: natural.meta({ description: 'The shard that has counted it; on a plain node 0.' }),
    count: exact.meta({ type: 'integer', description: 'What that shard has counted by now. Exact digits.' }),
  })
  .meta({ id: 'TotalAdded' })
const total = z.object({ total: exact }).meta({ id: 'Total' })

export const totalContract = {
  addToTotal: {
    method: 'POST',
    path: '/increment',
    tag: 'Total',
    auth: true,
    writes: true,
    summary: 'Add to the one total',
    description: 'Adds `value`, by default 1. An aggregator spreads the additions evenly over the shards that live.',
    body: { required: false, content: json(totalIncrement, { value: 5 }) },
    reply: {
      description: 'Counted and durable; what the shard has counted.',
      content: json(totalAdded, { success: true, shardId: 0, count: 5 }),
    },
    errors: [...JSON_BODY, ...WRITE],
  },
  readTotal: {
    method: 'GET',
    path: '/total',
    tag: 'Total',
    auth: true,
    writes: false,
    shows: true,
    summary: 'The one total',
    reply: { description: 'The sum of all additions.', content: json(total, { total: 5 }) },
    errors: READ,
  },
} as const satisfies Record<string, Operation>
