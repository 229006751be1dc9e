// The API definition (OpenAPI 3.1), made from the contract. docs/openapi.json is this, written down; a test holds them together.

import { z } from 'zod'
import type { Content, Operation, Query } from './contract/operation.ts'
import { queriesOf } from './contract/operation.ts'
import { contract } from './contract.ts'
import { PROBLEMS, type ProblemType } from './problem-kinds.ts'

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

const FAILOVER = {
  name: 'Counter-Failover',
  in: 'header',
  description:
    'Another node may have counted this request under its Idempotency-Key already: an attempt there had no answer, or one that says ' +
    '`applied: unknown`. It is always right where a retry may reach another node than the first attempt, as behind a balancer. ' +
    'The request counts once all the same. An aggregator sees to this by itself, and ignores the header.',
  schema: { type: 'string', enum: ['true'] },
}

const WRITE_LEVELS = { type: 'string', enum: ['1', 'majority', 'all'], default: '1' }
const WRITE_LEVEL =
  'How many members must have the write on disk before the reply: this one, more than half, or all. In the query or in the header.'
const SESSION = { type: 'string', pattern: '^[0-9a-z]+(\\.[0-9a-z]+){2}(,[0-9a-z]+(\\.[0-9a-z]+){2}){0,63}$' }
const SESSION_EXAMPLE = '1.i9e4z0tkw.2s'
const WRITE_PARAMETERS = [
  IDEMPOTENCY_KEY,
  FAILOVER,
  { name: 'w', in: 'query', required: false, description: WRITE_LEVEL, schema: WRITE_LEVELS },
  { name: 'Counter-Write-Level', in: 'header', description: WRITE_LEVEL, schema: WRITE_LEVELS },
  sessionParameter('The session of an earlier reply: the new one covers it too.'),
]
const SESSION_HEADER = {
  description: 'What the session has written: a read on any node that sends it shows all of it. Absent when nothing was counted.',
  schema: SESSION,
  example: SESSION_EXAMPLE,
}
const WRITE_HEADERS = {
  'Counter-Session': SESSION_HEADER,
  'Counter-Write-Level': {
    description:
      'The level that was asked for, how many members have the write, and how many there are. Absent when none was asked for.',
    schema: { type: 'string', pattern: '^(1|majority|all); reached=\\d+; members=\\d+$' },
    example: 'majority; reached=2; members=3',
  },
  'Idempotency-Replayed': {
    description: 'This is the reply of the first request with the key. Absent otherwise.',
    schema: { type: 'string', enum: ['true'] },
  },
}
const KEYED_HEADERS = { 'Idempotency-Replayed': WRITE_HEADERS['Idempotency-Replayed'] }
const SHOWN_HEADERS = { 'Counter-Session': { ...SESSION_HEADER, description: 'As it was sent.' } }
const NOT_REACHED =
  'Counted and durable on this node, but within COUNTER_WRITE_TIMEOUT not on as many members as was asked for. It is kept, and goes on spreading.'

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
      { name: 'Total', description: 'The one total of the original sharded counter.' },
      { name: 'Items', description: 'Items per tenant: each has an id and belongs to one tenant.' },
      { name: 'Sequences', description: 'Numbers that are given out once, in order.' },
      { name: 'Cluster', description: 'The nodes that agree with each other.' },
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
    ...queriesOf(operation).map(queryParameter),
    ...(operation.writes ? WRITE_PARAMETERS : operation.keyed ? [IDEMPOTENCY_KEY] : []),
    ...(operation.shows ? [sessionParameter('The session of a write: the answer shows what it wrote.')] : []),
  ]
  const { body, reply, otherwise } = operation
  const told = operation.writes ? WRITE_HEADERS : operation.keyed ? KEYED_HEADERS : operation.shows ? SHOWN_HEADERS : undefined
  const headers = told === undefined ? {} : { headers: told }
  return {
    operationId,
    tags: [operation.tag],
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    security: operation.auth ? [{ bearer: [] }, {}] : [],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: body.required, content: contents(body.content, schemas) } }),
    responses: {
      [reply.status ?? 200]: { ...answer(reply, schemas), ...headers },
      ...(operation.writes ? { '202': { ...answer({ ...reply, description: NOT_REACHED }, schemas), ...headers } } : {}),
      ...(otherwise === undefined ? {} : { [otherwise.status]: answer(otherwise, schemas) }),
      ...failures(operation.errors, operation.failure && contents(operation.failure, schemas)),
    },
  }
}

function sessionParameter(description: string): Json {
  return { name: 'Counter-Session', in: 'header', description, schema: SESSION, example: SESSION_EXAMPLE }
}

const queryParameter = ({ name, many, description, example, schema }: Query): Json => ({
  name,
  in: 'query',
  required: false,
  description,
  example,
  ...(schema !== undefined
    ? { schema: jsonSchema(schema, {}) }
    : many
      ? { style: 'form', explode: true, schema: { type: 'array', items: { type: 'string' } } }
      : { allowEmptyValue: true, schema: { type: 'string' } }),
})

const answer = ({ description, content }: Pick<Operation['reply'], 'description' | 'content'>, schemas: Json): Json =>
  Object.keys(content).length === 0 ? { description } : { description, content: contents(content, schemas) }

const contents = (content: Readonly<Record<string, Content>>, schemas: Json): Json =>
  Object.fromEntries(
    Object.entries(content).map(([type, { schema, example }]) => {
      const untyped = { type: type === 'application/json' ? 'object' : 'string' }
      return [type, { schema: schema === undefined ? untyped : jsonSchema(schema, schemas), example }]
    }),
  )

/** The errors by status; each status lists its problem types, with one example a type. */
function failures(types: readonly ProblemType[], shape: Json | undefined): Json {
  const byStatus = new Map<number, ProblemType[]>()
  for (const type of types) {
    const { status } = PROBLEMS[type]
    byStatus.set(status, [...(byStatus.get(status) ?? []), type])
  }
  const sorted = [...byStatus].sort(([left], [right]) => left - right)
  return Object.fromEntries(sorted.map(([status, group]) => [String(status), failure(group, shape)]))
}

/** @param shape of the body, where it is no problem document */
const failure = (types: readonly ProblemType[], shape: Json | undefined): Json => ({
  description: types.map((type) => PROBLEMS[type].title).join('. '),
  content: shape ?? {
    'application/problem+json': {
      schema: PROBLEM_REF,
      examples: Object.fromEntries(types.map((type) => [type, { $ref: `#/components/examples/${type}` }])),
    },
  },
})

/** Problems that leave open whether the request was counted. */
const UNKNOWN: ReadonlySet<ProblemType> = new Set<ProblemType>([
  'log-failed',
  'internal',
  'sequence-unknown',
  'shards-partly',
  'shards-unknown',
])

const example = (type: ProblemType): Json => ({
  type: `/problems/${type}`,
  title: PROBLEMS[type].title,
  status: PROBLEMS[type].status,
  detail: PROBLEMS[type].meaning,
  fix: PROBLEMS[type].fix,
  applied: UNKNOWN.has(type) ? 'unknown' : 'no',
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
    refusals: {
      type: 'array',
      description: 'Who did not take a batch of items, and why.',
      items: {
        type: 'object',
        required: ['node', 'code', 'reason'],
        properties: { node: { type: 'integer' }, code: { type: 'string' }, reason: { type: 'string' } },
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
