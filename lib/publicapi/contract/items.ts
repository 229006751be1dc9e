// Items, each of which belongs to one tenant, and how many each tenant has.

import { z } from 'zod'
import { JSON_BODY, READ, WRITE } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { nextPage, PAGE_PRESET, pageQuery } from './paging.ts'
import { ITEMS_MAX, natural } from './values.ts'

const id = z
  .string()
  .min(1)
  .meta({ id: 'ItemId', description: 'UTF-8 text, limited as names are. One id is one item.', examples: ['item-1'] })
const tenant = z
  .string()
  .min(1)
  .meta({ id: 'Tenant', description: 'UTF-8 text, limited as names are.', examples: ['t1'] })

export const items = z
  .strictObject({
    items: z
      .array(z.strictObject({ id, tenant }))
      .max(ITEMS_MAX)
      .meta({ description: 'All are kept, or none. Of an id that comes more than once the last counts.' }),
  })
  .meta({ id: 'Items' })

const itemsKept = z.object({ items: natural.meta({ description: 'Items that were kept.' }) }).meta({ id: 'ItemsKept' })
const item = z
  .object({
    id,
    tenant,
    stamp: natural.meta({
      description:
        'When it was last given to a tenant: microseconds since 1970 by a clock that all nodes keep together. Of two writes the later stays.',
    }),
  })
  .meta({ id: 'Item' })
const itemDeleted = z.object({ id, deleted: z.literal(true) }).meta({ id: 'ItemDeleted' })
const tenantCount = z.object({ tenant, count: natural }).meta({ id: 'TenantCount' })
const tenants = z.object({ tenants: z.array(tenantCount), next: nextPage }).meta({ id: 'Tenants' })

export const ITEM_WRITE = ['accept-invalid', 'items-refused', 'items-max', ...WRITE] as const
export const ACCEPT_QUERY = {
  name: 'accept',
  many: false,
  description:
    'How many members must take the batch for it to be kept at all: the one that is asked, more than half of all, or all that are not dead. ' +
    'Default: COUNTER_ITEMS_ACCEPT.',
  schema: z.enum(['one', 'majority', 'all']),
  example: 'one',
} as const
const ITEM_PARAM = { id: { schema: id, description: 'The id, percent-encoded; a slash is %2F.', example: 'item-1' } } as const
export const TENANT_PARAM = {
  tenant: { schema: tenant, description: 'The tenant, percent-encoded; a slash is %2F.', example: 't1' },
} as const

export const itemsContract = {
  addItems: {
    method: 'POST',
    path: '/v1/items',
    tag: 'Items',
    auth: true,
    writes: true,
    summary: 'Give items to tenants, all or none',
    description:
      `At most ${ITEMS_MAX} items and 1 MiB. An id that is there already moves to the tenant, and both counts follow; ` +
      'of two writes the later stays.',
    query: ACCEPT_QUERY,
    body: { required: true, content: json(items, { items: [{ id: 'item-1', tenant: 't1' }] }) },
    reply: { description: 'Kept and durable.', content: json(itemsKept, { items: 1 }) },
    errors: [...JSON_BODY, ...ITEM_WRITE],
  },
  readItem: {
    method: 'GET',
    path: '/v1/items/{id}',
    tag: 'Items',
    auth: true,
    writes: false,
    shows: true,
    summary: 'The tenant of an item',
    params: ITEM_PARAM,
    reply: { description: 'The item.', content: json(item, { id: 'item-1', tenant: 't1', stamp: 1_795_248_000_000_000 }) },
    errors: ['path-invalid', 'name-too-long', 'item-unknown', ...READ],
  },
  deleteItem: {
    method: 'DELETE',
    path: '/v1/items/{id}',
    tag: 'Items',
    auth: true,
    writes: true,
    summary: 'Delete an item',
    description: 'The count of its tenant follows. An item that is not there is deleted all the same.',
    params: ITEM_PARAM,
    query: ACCEPT_QUERY,
    reply: {
      description: 'It is not there, and that is durable.',
      content: json(itemDeleted, { id: 'item-1', deleted: true }),
    },
    errors: ['path-invalid', ...ITEM_WRITE],
  },
  readTenants: {
    method: 'GET',
    path: '/v1/tenants',
    tag: 'Items',
    auth: true,
    writes: false,
    shows: true,
    summary: 'The tenants that have items, and how many each',
    description: 'In the order of their UTF-8 bytes, a page at a time. A page shows what is there when it is asked for.',
    query: pageQuery('tenants', 't', 'dDE', PAGE_PRESET),
    reply: { description: 'One page.', content: json(tenants, { tenants: [{ tenant: 't1', count: 2 }], next: null }) },
    errors: ['query-invalid', ...READ],
  },
  countTenant: {
    method: 'GET',
    path: '/v1/tenants/{tenant}/count',
    tag: 'Items',
    auth: true,
    writes: false,
    shows: true,
    summary: 'How many items a tenant has',
    description: 'A tenant without items has 0.',
    params: TENANT_PARAM,
    reply: { description: 'The count.', content: json(tenantCount, { tenant: 't1', count: 2 }) },
    errors: ['path-invalid', 'name-too-long', ...READ],
  },
} as const satisfies Record<string, Operation>
