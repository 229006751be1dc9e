// The API definition (OpenAPI 3.1), made from the contract. docs/openapi.json is this, written down; a test holds them together.

import { z } from 'zod'
import type { Content, Operation } from './contract.ts'
import { contract } from './contract.ts'
import type { ProblemType } from './problem.ts'
import { PROBLEMS } from './problem.ts'

type Json = Record<string, unknown>

const TYPES = Object.keys(PROBLEMS) as ProblemType[]
const PROBLEM_REF = { $ref: '#/components/schemas/Problem' }
const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Makes a retry safe: a request repeated with its key is counted once, and gets the reply of the first with `Idempotency-Replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
  example: '0f8fad5b-d9cb-469f-a165-70867728950e',
}

/** The definition of version `version` of the API. A new object at each call. */
export function openapi(version: string): Json {
  const schemas: Json = { Problem: problemSchema() }
  const paths: Record<string, Json> = {}
  for (const [id, operation] of Object.entries<Operation>(contract)) {
    paths[operation.path] ??= {}
    paths[operation.path]![operation.method.toLowerCase()] = describe(id, operation, schemas)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Counter',
      version,
      description:
        'Counts words, events and items. A 2xx reply means the increment is on disk. Errors are application/problem+json (RFC 9457).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'Counting', description: 'Named counters and texts.' },
      { name: 'Keywords', description: 'The API of the original Counter, kept exactly.' },
      { name: 'Operation', description: 'Health, metrics and this definition.' },
    ],
    paths,
    components: {
      schemas,
      examples: Object.fromEntries(TYPES.map((type) => [type, { summary: PROBLEMS[type].title, value: example(type) }])),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The COUNTER_TOKEN of the node, where it has one.' },
      },
    },
  }
}

function describe(operationId: string, operation: Operation, schemas: Json): Json {
  const parameters = [
    ...Object.entries(operation.params ?? {}).map(([name, { schema, description, example }]) => ({
      name,
      in: 'path',
      required: true,
      description,
      schema: jsonSchema(schema, schemas),
      example,
    })),
    ...(operation.query === undefined ? [] : [queryParameter(operation.query)]),
    ...(operation.writes ? [IDEMPOTENCY_KEY] : []),
  ]
  const { body, reply, otherwise } = operation
  return {
    operationId,
    tags: [operation.tag],
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    security: operation.auth ? [{ bearer: [] }, {}] : [],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: body.required, content: contents(body.content, schemas) } }),
    responses: {
      '200': answer(reply, schemas),
      ...(otherwise === undefined ? {} : { [otherwise.status]: answer(otherwise, schemas) }),
      ...failures(operation.errors),
    },
  }
}

const queryParameter = ({ name, many, description, example }: NonNullable<Operation['query']>): Json => ({
  name,
  in: 'query',
  required: false,
  description,
  example,
  ...(many
    ? { style: 'form', explode: true, schema: { type: 'array', items: { type: 'string' } } }
    : { allowEmptyValue: true, schema: { type: 'string' } }),
})

const answer = ({ description, content }: Operation['reply'], schemas: Json): Json =>
  Object.keys(content).length === 0 ? { description } : { description, content: contents(content, schemas) }

const contents = (content: Readonly<Record<string, Content>>, schemas: Json): Json =>
  Object.fromEntries(
    Object.entries(content).map(([type, { schema, example }]) => {
      const untyped = { type: type === 'application/json' ? 'object' : 'string' }
      return [type, { schema: schema === undefined ? untyped : jsonSchema(schema, schemas), example }]
    }),
  )

/** The errors by status; each status lists its problem types, with one example a type. */
function failures(types: readonly ProblemType[]): Json {
  const byStatus = new Map<number, ProblemType[]>()
  for (const type of types) {
    const { status } = PROBLEMS[type]
    byStatus.set(status, [...(byStatus.get(status) ?? []), type])
  }
  const sorted = [...byStatus].sort(([left], [right]) => left - right)
  return Object.fromEntries(sorted.map(([status, group]) => [String(status), failure(group)]))
}

const failure = (types: readonly ProblemType[]): Json => ({
  description: types.map((type) => PROBLEMS[type].title).join('. '),
  content: {
    'application/problem+json': {
      schema: PROBLEM_REF,
      examples: Object.fromEntries(types.map((type) => [type, { $ref: `#/components/examples/${type}` }])),
    },
  },
})

const example = (type: ProblemType): Json => ({
  type: `/problems/${type}`,
  title: PROBLEMS[type].title,
  status: PROBLEMS[type].status,
  detail: PROBLEMS[type].meaning,
  fix: PROBLEMS[type].fix,
  applied: type === 'log-failed' || type === 'internal' ? 'unknown' : 'no',
  instance: 'k3v9x2-1f',
})

const problemSchema = (): Json => ({
  type: 'object',
  description: 'What went wrong, and what to do about it (RFC 9457).',
  required: ['type', 'title', 'status', 'detail', 'fix', 'applied', 'instance'],
  properties: {
    type: {
      type: 'string',
      format: 'uri-reference',
      description: 'Stable; the node serves a page about it there.',
      enum: TYPES.map((type) => `/problems/${type}`),
    },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was wrong with this request.' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['in', 'path', 'message'],
        properties: { in: { enum: ['body', 'query', 'path', 'header'] }, path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    fix: { type: 'string', description: 'How to correct it.' },
    applied: { enum: ['yes', 'no', 'unknown'], description: 'Whether the request changed a count.' },
    instance: { type: 'string', description: 'The request id, as in the X-Request-Id header and the log.' },
  },
})

/** A reference to the schema when it has an id, which is then added to `schemas`; the schema itself otherwise. */
function jsonSchema(schema: z.ZodType, schemas: Json): Json {
  const { $schema: _, $defs, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' })
  for (const [id, definition] of Object.entries($defs ?? {})) schemas[id] = pointed(definition)
  const id = schema.meta()?.id
  if (id === undefined) return pointed(rest) as Json
  // With an id zod may already have made it a definition and left a reference to that.
  if (!('$ref' in rest)) schemas[id] = pointed(rest)
  return { $ref: `#/components/schemas/${id}` }
}

/** The same schema with references into the document's components, without zod's own ids. */
function pointed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(pointed)
  if (typeof node !== 'object' || node === null) return node
  const pairs: [string, unknown][] = []
  for (const [key, value] of Object.entries(node)) {
    if (key === 'id' && typeof value === 'string') continue
    pairs.push([key, key === '$ref' ? String(value).replace('#/$defs/', '#/components/schemas/') : pointed(value)])
  }
  return Object.fromEntries(pairs)
}
