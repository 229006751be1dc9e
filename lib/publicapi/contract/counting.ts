// Texts, keywords and named counters. `/keywords` is the API of the original Counter; the words that it counts are counters like any other, by their
// lower-case form.

import { z } from 'zod'
import { JSON_BODY, READ, WRITE } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { delta, exact, ITEMS_MAX, natural } from './values.ts'

const name = z
  .string()
  .min(1)
  .meta({ id: 'Name', description: 'UTF-8 text. The node limits its bytes (COUNTER_NAME_BYTES_MAX).', examples: ['page:/home'] })

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

const counter = z
  .object({ name, value: exact, valueString: z.string().meta({ description: 'The digits of `value`.' }) })
  .meta({ id: 'Counter' })
const counters = z.object({ counters: z.array(counter) }).meta({ id: 'Counters' })
const tally = z
  .object({
    tokens: natural.meta({ description: 'Words in the text.' }),
    distinct: natural.meta({ description: 'Different words.' }),
  })
  .meta({ id: 'Tally' })
const counted = z.object({ items: natural.meta({ description: 'Items that were counted.' }) }).meta({ id: 'Counted' })
const keywords = z.array(z.object({ key: z.string(), count: exact })).meta({ id: 'Keywords' })

const NAME_PARAM = {
  name: { schema: name, description: 'The name, percent-encoded; a slash is %2F.', example: 'page:/home' },
} as const
const BOOK = 'to be or not to be'
const HOME = { name: 'page:/home', value: 3, valueString: '3' }

export const countingContract = {
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
      content: json(keywords, [
        { key: 'be', count: 2 },
        { key: 'or', count: 1 },
      ]),
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
    body: { required: true, content: { 'text/plain': { example: BOOK }, ...json(text, { text: BOOK }) } },
    reply: { description: 'Counted and durable.', content: json(tally, { tokens: 6, distinct: 4 }) },
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
    body: { required: false, content: json(increment, { delta: 3 }) },
    reply: { description: 'Counted and durable; the new value.', content: json(counter, HOME) },
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
    body: { required: true, content: json(increments, { items: [{ name: 'page:/home', delta: 3 }, { name: 'visits' }] }) },
    reply: { description: 'Counted and durable.', content: json(counted, { items: 2 }) },
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
    reply: { description: 'The value.', content: { ...json(counter, HOME), 'text/plain': { example: '3' } } },
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
    reply: { description: 'One entry a name, in the order asked.', content: json(counters, { counters: [HOME] }) },
    errors: ['query-invalid', 'name-invalid', 'name-too-long', ...READ],
  },
} as const satisfies Record<string, Operation>
