// The one contract of the public API: each operation with its shapes, errors, examples and need of a token. Validation, the API
// definition and the types of the client all come from this table, so they cannot disagree. Pure: zod schemas, no server.

import { z } from 'zod'
import type { ProblemType } from './problem.ts'
import { sequenceContract } from './sequence-contract.ts'

/** Most bytes of a JSON body. Longer texts go as text/plain, which is counted while it arrives. */
export const JSON_BYTES_MAX = 1024 * 1024
/** Most items of one request to increment many names. */
export const ITEMS_MAX = 10_000
/** Most tenants of one page, and how many there are when nothing is said. */
export const TENANTS_MAX = 1000
export const TENANTS_PRESET = 100
/** Bounds of an increment, exclusive: +-2^64. */
export const DELTA_LIMIT = 2n ** 64n

export const DELTA_EXPECTED = 'expected an integer between -2^64 and 2^64 (exclusive), as a JSON integer or a string of digits'
const DELTA_DIGITS = /^-?\d{1,20}$/

/** Reads an increment exactly; undefined when it is not one. */
export function readDelta(value: unknown): number | bigint | undefined {
  // Adding 0 turns -0 into 0.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined
  const delta = typeof value === 'string' && DELTA_DIGITS.test(value) ? BigInt(value) : value
  return typeof delta === 'bigint' && delta < DELTA_LIMIT && delta > -DELTA_LIMIT ? delta : undefined
}

// Shapes

export const name = z
  .string()
  .min(1)
  .meta({ id: 'Name', description: 'UTF-8 text. The node limits its bytes (COUNTER_NAME_BYTES_MAX).', examples: ['page:/home'] })

export const delta = z
  .custom<number | bigint | string>((value) => readDelta(value) !== undefined, DELTA_EXPECTED)
  .meta({
    id: 'Delta',
    description: 'What to add, negative to subtract. Read exactly, also beyond 2^53. Default 1.',
    anyOf: [{ type: 'integer' }, { type: 'string', pattern: DELTA_DIGITS.source }],
    default: 1,
    examples: [1, -3, '18446744073709551615'],
  })

export const text = z.strictObject({ text: z.string().meta({ description: 'The text to count.' }) }).meta({ id: 'Text' })
export const increment = z.strictObject({ delta: delta.optional() }).meta({ id: 'Increment' })
export const increments = z
  .strictObject({
    items: z
      .array(z.strictObject({ name, delta: delta.optional() }))
      .max(ITEMS_MAX)
      .meta({ description: 'All are counted, or none. A name may come more than once.' }),
  })
  .meta({ id: 'Increments' })

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

// Not z.int(), whose JSON schema ends at 2^53 - 1.
const exact = z
  .number()
  .meta({ type: 'integer', description: 'Exact digits, also beyond 2^53: read `valueString` where numbers are doubles.' })
const natural = z.int().min(0)

export const counter = z
  .object({ name, value: exact, valueString: z.string().meta({ description: 'The digits of `value`.' }) })
  .meta({ id: 'Counter' })
export const counters = z.object({ counters: z.array(counter) }).meta({ id: 'Counters' })
export const tally = z
  .object({
    tokens: natural.meta({ description: 'Words in the text.' }),
    distinct: natural.meta({ description: 'Different words.' }),
  })
  .meta({ id: 'Tally' })
export const counted = z.object({ items: natural.meta({ description: 'Items that were counted.' }) }).meta({ id: 'Counted' })
export const keywords = z.array(z.object({ key: z.string(), count: exact })).meta({ id: 'Keywords' })
export const totalAdded = z
  .object({
    success: z.literal(true),
    shardId: natural.meta({ description: 'The shard that has counted it; on a plain node 0.' }),
    count: exact.meta({ type: 'integer', description: 'What that shard has counted by now. Exact digits.' }),
  })
  .meta({ id: 'TotalAdded' })
export const total = z.object({ total: exact }).meta({ id: 'Total' })
export const itemsKept = z.object({ items: natural.meta({ description: 'Items that were kept.' }) }).meta({ id: 'ItemsKept' })
export const item = z
  .object({
    id,
    tenant,
    stamp: natural.meta({
      description:
        'When it was last given to a tenant: microseconds since 1970 by a clock that all nodes keep together. Of two writes the later stays.',
    }),
  })
  .meta({ id: 'Item' })
export const itemDeleted = z.object({ id, deleted: z.literal(true) }).meta({ id: 'ItemDeleted' })
export const tenantCount = z.object({ tenant, count: natural }).meta({ id: 'TenantCount' })
export const tenants = z
  .object({
    tenants: z.array(tenantCount),
    next: z.string().nullable().meta({ description: 'The cursor of the next page; null on the last.' }),
  })
  .meta({ id: 'Tenants' })
export const originalSuccess = z
  .object({ message: z.literal('Success').optional(), status: z.literal('OK').optional() })
  .meta({ id: 'OriginalSuccess', description: 'With COUNTER_ITEMS_COMPAT `s1` the message alone, with `s2` the status alone.' })
export const originalCount = z
  .object({ count: natural.optional(), counter: natural.optional() })
  .meta({ id: 'OriginalCount', description: 'With COUNTER_ITEMS_COMPAT `s1` `count` alone, with `s2` `counter` alone.' })
export const originalFailure = z.looseObject({ message: z.string(), status: z.literal('KO').optional() }).meta({
  id: 'OriginalFailure',
  description:
    'With it what a problem document has, but for its status and title. ' +
    'With COUNTER_ITEMS_COMPAT `s1` the message alone, with `s2` status and message.',
})
export const readiness = z
  .object({ ready: z.boolean(), checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })) })
  .meta({ id: 'Readiness' })

const seconds = z.number().min(0)
const lag = z
  .object({ changes: natural, seconds: seconds.meta({ description: 'For how long; 0 when nothing is lacking.' }) })
  .meta({ id: 'Lag' })
const member = z
  .object({
    node: natural,
    incarnation: natural.meta({ description: 'The life it counts under.' }),
    state: z.enum(['alive', 'suspect', 'dead', 'left']).meta({
      description: '`suspect` and `dead` do not answer and are still members, as they may come back; `left` is none any more.',
    }),
    self: z.boolean(),
    address: z.string().meta({ description: 'Base URL of its sync port.' }),
    url: z.string().nullable().meta({ description: 'Base URL of its public port, where it is known.' }),
    heardSecondsAgo: seconds.nullable(),
    lacks: lag.nullable().meta({ description: 'What the answering node still lacks of what this member has.' }),
    ahead: lag.nullable().meta({ description: 'What this member still lacks of what the answering node has.' }),
  })
  .meta({ id: 'Member', description: 'A field that is null is not known, or would speak of the answering node to itself.' })
export const cluster = z
  .object({
    node: natural.meta({ description: 'The answering node.' }),
    incarnation: natural,
    agreed: z
      .boolean()
      .meta({ description: 'Nothing is lacking between the answering node and any member that is alive, in either direction.' }),
    draining: z.boolean().meta({ description: 'The answering node is leaving the cluster.' }),
    members: z.array(member).meta({ description: 'By node id.' }),
  })
  .meta({ id: 'Cluster' })
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
export const slots = z
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
export const slotsGiven = z
  .object({
    version: z.int().min(1),
    shard: natural,
    shards: z.array(z.object({ shard: natural, ranges: z.array(slotRange), urls })),
    ...moves,
    after: z.string().optional().meta({ description: 'The tag of the map that has to be kept now.' }),
  })
  .meta({ id: 'SlotsGiven' })
const known = z.array(z.tuple([natural, natural, natural])).meta({ description: 'Node, incarnation, sequence number.' })
export const shardView = z
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
export const shardQuestion = z
  .looseObject({ ask: z.enum(['know', 'take', 'find', 'put', 'digest', 'counted']) })
  .meta({ id: 'ShardQuestion', description: 'As the mover of this version asks.' })
export const shardAnswer = z.looseObject({}).meta({ id: 'ShardAnswer' })
export const drained = z.object({ node: natural, draining: z.literal(true) }).meta({ id: 'Drained' })
export const removed = z.object({ node: natural, left: z.literal(true) }).meta({ id: 'Removed' })

// Operations

/** A body in one content type. No schema: not JSON. */
export interface Content {
  readonly schema?: z.ZodType
  readonly example: unknown
}

/** A query parameter; `many`: it may be repeated. Without a schema it is a text. */
export interface Query {
  readonly name: string
  readonly many: boolean
  readonly description: string
  readonly schema?: z.ZodType
  readonly example: unknown
}

export interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Parameters in braces: /v1/counters/{name}. */
  readonly path: string
  readonly tag: 'Counting' | 'Keywords' | 'Total' | 'Items' | 'Sequences' | 'Cluster' | 'Operation'
  readonly summary: string
  readonly description?: string
  /** A token is needed where the node has one. */
  readonly auth: boolean
  /** Takes an Idempotency-Key, a write level and a session; changes counts. */
  readonly writes: boolean
  /** Takes an Idempotency-Key, and changes something else than counts. */
  readonly keyed?: true
  /** Shows counts: takes a session. */
  readonly shows?: true
  readonly params?: Readonly<
    Record<string, { readonly schema: z.ZodType; readonly description: string; readonly example: string }>
  >
  readonly query?: Query | readonly Query[]
  readonly body?: { readonly required: boolean; readonly content: Readonly<Record<string, Content>> }
  readonly reply: { readonly status?: 202; readonly description: string; readonly content: Readonly<Record<string, Content>> }
  /** An answer that is no problem document and yet not a success. */
  readonly otherwise?: {
    readonly status: number
    readonly description: string
    readonly content: Readonly<Record<string, Content>>
  }
  readonly errors: readonly ProblemType[]
  /** What a failure looks like, where it is no problem document. */
  readonly failure?: Readonly<Record<string, Content>>
}

/** The query parameters of an operation. */
export const queriesOf = ({ query = [] }: Operation): readonly Query[] => ('name' in query ? [query] : query)

const TOKEN = ['unauthorized', 'host-not-allowed'] as const
/** What only a shard or an aggregator answers. */
const SHARDS = ['slots-moved', 'slots-frozen', 'shards-missing'] as const
const READ = [...TOKEN, ...SHARDS, 'session-invalid', 'session-behind', 'log-failed', 'closed'] as const
const WRITE = [
  ...TOKEN,
  ...SHARDS,
  'shards-partly',
  'shards-unknown',
  'not-over-shards',
  'cross-site',
  'idempotency-key-invalid',
  'failover-invalid',
  'write-level-invalid',
  'session-invalid',
  'key-in-flight',
  'key-reused',
  'name-too-long',
  'count-overflow',
  'body-too-large',
  'encoding-unsupported',
  'request-timeout',
  'log-failed',
  'internal',
  'busy',
  'closed',
  'starting',
  'draining',
  'writes-unsettled',
  'disk-full',
  'names-max',
] as const
const JSON_BODY = ['media-type-unsupported', 'json-invalid', 'body-invalid'] as const
const NAME_PARAM = {
  name: { schema: name, description: 'The name, percent-encoded; a slash is %2F.', example: 'page:/home' },
} as const

const ACCEPT_QUERY = {
  name: 'accept',
  many: false,
  description:
    'How many members must take the batch for it to be kept at all: the one that is asked, more than half of all, or all that are not dead. ' +
    'Default: COUNTER_ITEMS_ACCEPT.',
  schema: z.enum(['one', 'majority', 'all']),
  example: 'one',
} as const
const ITEM_PARAM = { id: { schema: id, description: 'The id, percent-encoded; a slash is %2F.', example: 'item-1' } } as const
const TENANT_PARAM = {
  tenant: { schema: tenant, description: 'The tenant, percent-encoded; a slash is %2F.', example: 't1' },
} as const
const ITEM_WRITE = ['accept-invalid', 'items-refused', 'items-max', ...WRITE] as const
const ORIGINAL_FAILURE = {
  'application/json': { schema: originalFailure, example: { message: 'both values are required', status: 'KO' } },
} as const

const NODE_PARAM = { node: { schema: natural, description: 'The node id of the member.', example: '2' } } as const

const BOOK = 'to be or not to be'
const HOME = { name: 'page:/home', value: 3, valueString: '3' }
const CLUSTER = {
  node: 1,
  incarnation: 1854983267518464,
  agreed: false,
  draining: false,
  members: [
    {
      node: 1,
      incarnation: 1854983267518464,
      state: 'alive',
      self: true,
      address: 'http://10.0.0.1:3001',
      url: 'http://10.0.0.1:3000',
      heardSecondsAgo: null,
      lacks: null,
      ahead: null,
    },
    {
      node: 2,
      incarnation: 1854983271712768,
      state: 'alive',
      self: false,
      address: 'http://10.0.0.2:3001',
      url: 'http://10.0.0.2:3000',
      heardSecondsAgo: 0.31,
      lacks: { changes: 0, seconds: 0 },
      ahead: { changes: 12, seconds: 0.04 },
    },
  ],
}

const SLOTS_VIEW = {
  version: 1,
  tag: '1.6558085cd636',
  shard: 0,
  shards: [{ shard: 0, ranges: [[0, 16_383]], replicas: null }],
}

export const contract = {
  countKeywords: {
    method: 'POST',
    path: '/keywords',
    tag: 'Keywords',
    auth: true,
    writes: true,
    summary: 'Count the words of a text',
    description:
      'The body is the text, of any content type: lower-cased, split on white space, each word counted once per occurrence.',
    body: { required: true, content: { 'text/plain': { example: BOOK } } },
    reply: { description: 'Counted and durable. The body is empty.', content: {} },
    errors: WRITE,
  },
  readKeywords: {
    method: 'GET',
    path: '/keywords',
    tag: 'Keywords',
    auth: true,
    writes: false,
    shows: true,
    summary: 'How often words occurred',
    description: 'In the order asked, duplicates too. `key` echoes the word as asked; `count` is that of its lower-case form.',
    query: { name: 'keywords', many: true, description: 'A word; repeat it for more.', example: ['be', 'or'] },
    reply: {
      description: 'One entry a word.',
      content: {
        'application/json': {
          schema: keywords,
          example: [
            { key: 'be', count: 2 },
            { key: 'or', count: 1 },
          ],
        },
      },
    },
    errors: ['query-invalid', ...READ],
  },
  countText: {
    method: 'POST',
    path: '/v1/texts',
    tag: 'Counting',
    auth: true,
    writes: true,
    summary: 'Count the words of a text',
    description:
      'As text/plain a text of any size the node takes, counted as it arrives; as JSON at most 1 MiB. One request counts whole or not at all.',
    body: {
      required: true,
      content: { 'text/plain': { example: BOOK }, 'application/json': { schema: text, example: { text: BOOK } } },
    },
    reply: {
      description: 'Counted and durable.',
      content: { 'application/json': { schema: tally, example: { tokens: 6, distinct: 4 } } },
    },
    errors: [...JSON_BODY, ...WRITE],
  },
  incrementCounter: {
    method: 'POST',
    path: '/v1/counters/{name}/increments',
    tag: 'Counting',
    auth: true,
    writes: true,
    summary: 'Add to a counter',
    description: 'Adds `delta`, which may be negative; without a body 1. A name starts at 0.',
    params: NAME_PARAM,
    body: { required: false, content: { 'application/json': { schema: increment, example: { delta: 3 } } } },
    reply: {
      description: 'Counted and durable; the new value.',
      content: { 'application/json': { schema: counter, example: HOME } },
    },
    errors: ['path-invalid', 'name-invalid', ...JSON_BODY, ...WRITE],
  },
  incrementCounters: {
    method: 'POST',
    path: '/v1/increments',
    tag: 'Counting',
    auth: true,
    writes: true,
    summary: 'Add to many counters, all or nothing',
    description: `At most ${ITEMS_MAX} items and 1 MiB. One record in the log: all items are counted, or none.`,
    body: {
      required: true,
      content: {
        'application/json': { schema: increments, example: { items: [{ name: 'page:/home', delta: 3 }, { name: 'visits' }] } },
      },
    },
    reply: { description: 'Counted and durable.', content: { 'application/json': { schema: counted, example: { items: 2 } } } },
    errors: ['name-invalid', ...JSON_BODY, ...WRITE],
  },
  readCounter: {
    method: 'GET',
    path: '/v1/counters/{name}',
    tag: 'Counting',
    auth: true,
    writes: false,
    shows: true,
    summary: 'The value of a counter',
    description: 'A name that was never counted is 0. With Accept: text/plain the bare number.',
    params: NAME_PARAM,
    reply: {
      description: 'The value.',
      content: { 'application/json': { schema: counter, example: HOME }, 'text/plain': { example: '3' } },
    },
    errors: ['path-invalid', 'name-invalid', 'name-too-long', 'not-acceptable', ...READ],
  },
  readCounters: {
    method: 'GET',
    path: '/v1/counters',
    tag: 'Counting',
    auth: true,
    writes: false,
    shows: true,
    summary: 'The values of some counters',
    query: { name: 'names', many: true, description: 'A name; repeat it for more.', example: ['page:/home', 'visits'] },
    reply: {
      description: 'One entry a name, in the order asked.',
      content: { 'application/json': { schema: counters, example: { counters: [HOME] } } },
    },
    errors: ['query-invalid', 'name-invalid', 'name-too-long', ...READ],
  },
  addToTotal: {
    method: 'POST',
    path: '/increment',
    tag: 'Total',
    auth: true,
    writes: true,
    summary: 'Add to the one total',
    description: 'Adds `value`, by default 1. An aggregator spreads the additions evenly over the shards that live.',
    body: { required: false, content: { 'application/json': { schema: totalIncrement, example: { value: 5 } } } },
    reply: {
      description: 'Counted and durable; what the shard has counted.',
      content: { 'application/json': { schema: totalAdded, example: { success: true, shardId: 0, count: 5 } } },
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
    reply: {
      description: 'The sum of all additions.',
      content: { 'application/json': { schema: total, example: { total: 5 } } },
    },
    errors: READ,
  },
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
      content: {
        'application/json': {
          schema: originalItems,
          example: [
            { id: 'item-1', tenant: 't1' },
            { ID: 2, tenant: 't1' },
          ],
        },
      },
    },
    reply: {
      description: 'Kept and durable.',
      content: { 'application/json': { schema: originalSuccess, example: { message: 'Success', status: 'OK' } } },
    },
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
      content: { 'application/json': { schema: originalCount, example: { count: 2, counter: 2 } } },
    },
    errors: ['path-invalid', 'name-too-long', ...READ],
    failure: ORIGINAL_FAILURE,
  },
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
    body: {
      required: true,
      content: { 'application/json': { schema: items, example: { items: [{ id: 'item-1', tenant: 't1' }] } } },
    },
    reply: { description: 'Kept and durable.', content: { 'application/json': { schema: itemsKept, example: { items: 1 } } } },
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
    reply: {
      description: 'The item.',
      content: {
        'application/json': { schema: item, example: { id: 'item-1', tenant: 't1', stamp: 1_795_248_000_000_000 } },
      },
    },
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
      content: { 'application/json': { schema: itemDeleted, example: { id: 'item-1', deleted: true } } },
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
    query: [
      { name: 'prefix', many: false, description: 'Only tenants that begin so.', example: 't' },
      { name: 'cursor', many: false, description: 'The `next` of the page before.', example: 'dDE' },
      {
        name: 'limit',
        many: false,
        description: 'Most tenants of the page.',
        schema: z.int().min(1).max(TENANTS_MAX).default(TENANTS_PRESET),
        example: TENANTS_PRESET,
      },
    ],
    reply: {
      description: 'One page.',
      content: {
        'application/json': { schema: tenants, example: { tenants: [{ tenant: 't1', count: 2 }], next: null } },
      },
    },
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
    reply: {
      description: 'The count.',
      content: { 'application/json': { schema: tenantCount, example: { tenant: 't1', count: 2 } } },
    },
    errors: ['path-invalid', 'name-too-long', ...READ],
  },
  ...sequenceContract,
  readCluster: {
    method: 'GET',
    path: '/v1/cluster',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'The members, and what each lacks of the others',
    description: 'As the answering node sees them. A node on its own is a cluster of one member.',
    reply: { description: 'The members.', content: { 'application/json': { schema: cluster, example: CLUSTER } } },
    errors: TOKEN,
  },
  readSlots: {
    method: 'GET',
    path: '/v1/cluster/slots',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'Which shard has which names',
    description:
      'The slot of a name is its CRC-16/XMODEM modulo 16384, of the part in {braces} where there is one. A node on its own has all slots.',
    reply: { description: 'The map of slots.', content: { 'application/json': { schema: slots, example: SLOTS_VIEW } } },
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
      content: {
        'application/json': {
          schema: slotsGiven,
          example: { version: 1, shard: 0, shards: [{ shard: 0, ranges: [[0, 16_383]] }] },
        },
      },
    },
    reply: { description: 'The map is kept.', content: { 'application/json': { schema: slots, example: SLOTS_VIEW } } },
    errors: [...TOKEN, ...JSON_BODY, 'cross-site', 'slots-conflict', 'not-over-shards', 'disk-full', 'body-too-large'],
  },
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
      content: {
        'application/json': {
          schema: shardView,
          example: {
            node: 1,
            members: [1],
            known: [[1, 1854983267518464, 7]],
            names: 3,
            items: 0,
            nameless: 0,
            withdrawalsDue: 0,
            tableBytes: 1_048_576,
          },
        },
      },
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
    body: {
      required: true,
      content: { 'application/json': { schema: shardQuestion, example: { ask: 'digest', tag: '2.6558085cd636' } } },
    },
    reply: {
      description: 'The answer.',
      content: { 'application/json': { schema: shardAnswer, example: { counters: 3, items: 0, sum: '0a' } } },
    },
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
  drainMember: {
    method: 'POST',
    path: '/v1/cluster/members/{node}/drain',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'Let a member hand over what it has, and leave',
    description:
      'It refuses writes from now on, and leaves when the others have all it has. GET /v1/cluster shows how it goes on.',
    params: NODE_PARAM,
    reply: {
      status: 202,
      description: 'The member has been told.',
      content: { 'application/json': { schema: drained, example: { node: 2, draining: true } } },
    },
    errors: [...TOKEN, 'cross-site', 'member-unknown', 'member-unreachable'],
  },
  removeMember: {
    method: 'POST',
    path: '/v1/cluster/members/{node}/remove',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'Remove a member that is gone for good',
    description: 'What it had and nobody else had yet is lost. A member that comes back after all joins as a new one.',
    params: NODE_PARAM,
    reply: {
      description: 'It is no member any more.',
      content: { 'application/json': { schema: removed, example: { node: 2, left: true } } },
    },
    errors: [...TOKEN, 'cross-site', 'member-unknown', 'member-alive'],
  },
  explore: {
    method: 'GET',
    path: '/swagger',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'This definition: a page to a browser, JSON to a program',
    reply: {
      description: 'The definition.',
      content: { 'application/json': { example: { openapi: '3.1.0' } }, 'text/html': { example: '<!doctype html>' } },
    },
    errors: ['host-not-allowed', 'not-acceptable'],
  },
  readDefinition: {
    method: 'GET',
    path: '/openapi.json',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'This definition as JSON',
    reply: { description: 'The definition.', content: { 'application/json': { example: { openapi: '3.1.0' } } } },
    errors: ['host-not-allowed'],
  },
  live: {
    method: 'GET',
    path: '/livez',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'Whether the process runs',
    reply: { description: 'It runs.', content: { 'text/plain': { example: 'ok' } } },
    errors: ['host-not-allowed'],
  },
  ready: {
    method: 'GET',
    path: '/readyz',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'Whether the node takes requests',
    description: '503 until it does, and again while it shuts down.',
    query: { name: 'verbose', many: false, description: 'Lists the checks.', example: '' },
    reply: {
      description: 'It does.',
      content: {
        'text/plain': { example: 'ok' },
        'application/json': {
          schema: readiness,
          example: { ready: true, checks: [{ name: 'log', ok: true, detail: 'writable' }] },
        },
      },
    },
    otherwise: {
      status: 503,
      description: 'It does not, or no longer; the failing checks are listed.',
      content: {
        'text/plain': { example: '[-] drain: the node is shutting down\nnot ready' },
        'application/json': {
          schema: readiness,
          example: { ready: false, checks: [{ name: 'drain', ok: false, detail: 'the node is shutting down' }] },
        },
      },
    },
    errors: ['host-not-allowed', 'not-acceptable'],
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    tag: 'Operation',
    auth: true,
    writes: false,
    summary: 'Metrics in the Prometheus text format',
    reply: { description: 'The metrics.', content: { 'text/plain': { example: '# TYPE counter_tokens_total counter' } } },
    errors: TOKEN,
  },
} as const satisfies Record<string, Operation>

export type Contract = typeof contract
export type OperationId = keyof Contract

type Schema<Entry> = Entry extends { schema: infer Type extends z.ZodType } ? z.output<Type> : never
/** What an operation answers in JSON. */
export type JsonReply<Id extends OperationId> = Contract[Id]['reply']['content'] extends { 'application/json': infer Entry }
  ? Schema<Entry>
  : undefined
/** What an operation takes in JSON. */
export type JsonBody<Id extends OperationId> = Contract[Id] extends { body: { content: { 'application/json': infer Entry } } }
  ? Schema<Entry>
  : undefined
