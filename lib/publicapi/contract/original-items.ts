// Items at the paths of the original counters, which were two: their replies differ, and COUNTER_ITEMS_COMPAT says whose a node gives. A failure has
// the shape that theirs had.

import { z } from 'zod'
import { READ } from './failures.ts'
import { ACCEPT_QUERY, ITEM_WRITE, TENANT_PARAM } from './items.ts'
import { json, type Operation } from './operation.ts'
import { ITEMS_MAX, natural } from './values.ts'

const originalValue = z
  .union([z.string(), z.number()])
  .optional()
  .meta({ anyOf: [{ type: 'string' }, { type: 'integer' }] })
export const originalItems = z
  .array(z.looseObject({ id: originalValue, ID: originalValue, tenant: originalValue }))
  .max(ITEMS_MAX)
  .meta({
    id: 'OriginalItems',
    description: 'Names of fields in any case. An integer is the same as the text of its digits. Both values are required.',
  })

const originalSuccess = z
  .object({ message: z.literal('Success').optional(), status: z.literal('OK').optional() })
  .meta({ id: 'OriginalSuccess', description: 'With COUNTER_ITEMS_COMPAT `s1` the message alone, with `s2` the status alone.' })
const originalCount = z
  .object({ count: natural.optional(), counter: natural.optional() })
  .meta({ id: 'OriginalCount', description: 'With COUNTER_ITEMS_COMPAT `s1` `count` alone, with `s2` `counter` alone.' })
const originalFailure = z.looseObject({ message: z.string(), status: z.literal('KO').optional() }).meta({
  id: 'OriginalFailure',
  description:
    'With it what a problem document has, but for its status and title. ' +
    'With COUNTER_ITEMS_COMPAT `s1` the message alone, with `s2` status and message.',
})

const ORIGINAL_FAILURE = json(originalFailure, { message: 'both values are required', status: 'KO' })

export const originalItemsContract = {
  addOriginalItems: {
    method: 'POST',
    path: '/items',
    tag: 'Items',
    auth: true,
    writes: true,
    summary: 'Give items to tenants, as the original counters did',
    description: 'Of any content type. A batch is kept as a whole, or nothing of it.',
    query: ACCEPT_QUERY,
    body: {
      required: true,
      content: json(originalItems, [
        { id: 'item-1', tenant: 't1' },
        { ID: 2, tenant: 't1' },
      ]),
    },
    reply: { description: 'Kept and durable.', content: json(originalSuccess, { message: 'Success', status: 'OK' }) },
    errors: ['json-invalid', 'body-invalid', ...ITEM_WRITE],
    failure: ORIGINAL_FAILURE,
  },
  countOriginalItems: {
    method: 'GET',
    path: '/items/{tenant}/count',
    tag: 'Items',
    auth: true,
    writes: false,
    shows: true,
    summary: 'How many items a tenant has, as the original counters said it',
    params: TENANT_PARAM,
    reply: {
      description: 'The count; 0 for a tenant without items.',
      content: json(originalCount, { count: 2, counter: 2 }),
    },
    errors: ['path-invalid', 'name-too-long', ...READ],
    failure: ORIGINAL_FAILURE,
  },
} as const satisfies Record<string, Operation>
