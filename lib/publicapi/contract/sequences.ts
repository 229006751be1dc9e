// Sequences by name, whose numbers are given out once and in order, and the engine behind them.

import { z } from 'zod'
import { SEQUENCE_COUNT_MAX } from '../../sequence/index.ts'
import { JSON_BODY, TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { nextPage, pageQuery } from './paging.ts'
import { natural } from './values.ts'

const sequenceName = z
  .string()
  .min(1)
  .meta({ id: 'SequenceName', description: 'UTF-8 text of at most 512 bytes.', examples: ['orders'] })

export const numbersAsked = z
  .strictObject({
    count: z.int().min(1).max(SEQUENCE_COUNT_MAX).optional().meta({ description: 'How many numbers. Default 1.' }),
  })
  .meta({ id: 'NumbersAsked' })
const numbers = z
  .object({
    name: sequenceName,
    first: natural,
    last: natural.meta({ description: 'The numbers from `first` to `last` are yours alone.' }),
  })
  .meta({ id: 'Numbers' })
const sequence = z
  .object({ name: sequenceName, value: natural.meta({ description: 'The last number given; 0 when there was none.' }) })
  .meta({ id: 'Sequence' })
const sequences = z.object({ sequences: z.array(sequence), next: nextPage }).meta({ id: 'Sequences' })
export const FORCE = 'Also when numbers would then be given a second time.'
export const sequenceSet = z
  .strictObject({
    value: natural.meta({ description: 'The next number is greater by one.' }),
    force: z.boolean().optional().meta({ description: FORCE }),
  })
  .meta({ id: 'SequenceSet' })
export const sequenceRecovery = z
  .strictObject({
    ahead: natural.meta({ description: 'How far above the greatest number that any node has heard of each sequence goes on.' }),
    force: z.boolean().optional().meta({ description: 'Also when a member does not say what it has heard.' }),
  })
  .meta({ id: 'SequenceRecovery' })
export const sequenceMember = z.object({
  name: z.string(),
  role: z.enum(['leader', 'follower', 'learner', 'unreachable']),
  address: z.string().nullable(),
})
const sequenceEngine = z
  .object({
    engine: z.enum(['local', 'home', 'etcd']),
    faultTolerant: z.boolean().meta({ description: 'Any one node, or any one member of the engine, may die and numbers go on.' }),
    reachable: z.boolean().meta({ description: 'The engine answered just now, and gives numbers.' }),
    frozen: z.boolean().meta({ description: 'The sequences have moved to another engine, or are being moved.' }),
    leader: z.string().nullable(),
    members: z.array(sequenceMember),
    lastIndex: natural.nullable().meta({ description: 'Of etcd: the last entry of its log that was applied.' }),
    detail: z.string().meta({ description: 'What this is, or what is wrong and what to do.' }),
  })
  .meta({ id: 'SequenceEngine' })
const sequencesFrozen = z.object({ frozen: z.boolean() }).meta({ id: 'SequencesFrozen' })
const sequencesMoved = z
  .object({
    sequences: natural,
    keys: natural.meta({ description: 'Idempotency keys that went along.' }),
    ahead: z.array(z.string()).meta({ description: 'Sequences that were further in etcd already, where they stay.' }),
  })
  .meta({ id: 'SequencesMoved' })
const sequencesRecovered = z.object({ ahead: natural }).meta({ id: 'SequencesRecovered' })

export const ASKED = [...TOKEN, 'not-over-shards', 'sequence-unavailable', 'log-failed', 'starting', 'closed'] as const
export const CHANGED = [...ASKED, 'cross-site', 'sequence-unknown', 'disk-full', 'busy', 'internal'] as const
export const GIVEN = [...CHANGED, 'sequence-frozen', 'sequence-exhausted', 'key-reused', 'idempotency-key-invalid'] as const
export const BODY = [...JSON_BODY, 'body-too-large', 'request-timeout'] as const
const NAME = ['path-invalid', 'name-invalid', 'name-too-long'] as const

const NAME_PARAM = {
  name: { schema: sequenceName, description: 'The name, percent-encoded; a slash is %2F.', example: 'orders' },
} as const
export const MEMBERS = [
  { name: '0', role: 'leader', address: 'http://10.0.0.1:3000' },
  { name: '1', role: 'follower', address: 'http://10.0.0.2:3000' },
]
const ENGINE = {
  engine: 'home',
  faultTolerant: false,
  reachable: true,
  frozen: false,
  leader: '0',
  members: MEMBERS,
  lastIndex: null,
  detail: 'Numbers come from node 0 alone: when it is down there are none.',
}

export const sequencesContract = {
  nextNumbers: {
    method: 'POST',
    path: '/v1/sequences/{name}/next',
    tag: 'Sequences',
    auth: true,
    writes: false,
    keyed: true,
    summary: 'The next number of a sequence, or the next few',
    description:
      'Each number once, on any node, in the order of real time. With an Idempotency-Key a retry on any node gets the same numbers.',
    params: NAME_PARAM,
    body: { required: false, content: json(numbersAsked, { count: 3 }) },
    reply: { description: 'The numbers.', content: json(numbers, { name: 'orders', first: 7, last: 9 }) },
    errors: [...NAME, ...BODY, 'encoding-unsupported', ...GIVEN],
  },
  readSequence: {
    method: 'GET',
    path: '/v1/sequences/{name}',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'The last number of a sequence',
    description: 'Never stale: no less than any number that was given before the request.',
    params: NAME_PARAM,
    reply: { description: 'The value; 0 when none was given.', content: json(sequence, { name: 'orders', value: 9 }) },
    errors: [...NAME, ...ASKED],
  },
  readSequences: {
    method: 'GET',
    path: '/v1/sequences',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'The sequences and their last numbers',
    description: 'By the bytes of their names.',
    query: pageQuery('sequences', 'o', 'b3JkZXJz', 10),
    reply: {
      description: 'A page of them.',
      content: json(sequences, { sequences: [{ name: 'orders', value: 9 }], next: null }),
    },
    errors: ['query-invalid', ...ASKED],
  },
  setSequence: {
    method: 'POST',
    path: '/v1/sequences/{name}/set',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Let a sequence go on from a value',
    description: 'For restoring a backup. A value that was passed already is refused, unless it is forced.',
    params: NAME_PARAM,
    body: { required: true, content: json(sequenceSet, { value: 5000 }) },
    reply: { description: 'It is set.', content: json(sequence, { name: 'orders', value: 5000 }) },
    errors: [...NAME, ...BODY, ...CHANGED, 'sequence-frozen', 'sequence-backwards'],
  },
  readSequenceEngine: {
    method: 'GET',
    path: '/v1/sequence-engine',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'What holds the sequences, and whether it is reachable',
    reply: { description: 'The engine.', content: json(sequenceEngine, ENGINE) },
    errors: TOKEN,
  },
  recoverSequences: {
    method: 'POST',
    path: '/v1/sequence-engine/recover',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Go on above what was heard of, after the home has lost its data',
    description:
      'Each sequence goes on `ahead` above the greatest number that any node has heard of. Refused as long as nothing is lost.',
    body: { required: true, content: json(sequenceRecovery, { ahead: 1000 }) },
    reply: { description: 'Numbers are given again.', content: json(sequencesRecovered, { ahead: 1000 }) },
    errors: [...BODY, ...CHANGED, 'sequence-sound'],
  },
  migrateSequences: {
    method: 'POST',
    path: '/v1/sequence-engine/migrate',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Move all sequences to etcd',
    description:
      'Freezes them and brings values and keys to the etcd that COUNTER_ETCD names on the node that has them. It may be repeated. ' +
      'Then all nodes are started with COUNTER_SEQUENCE=etcd.',
    reply: { description: 'They are there.', content: json(sequencesMoved, { sequences: 3, keys: 120, ahead: [] }) },
    errors: [...CHANGED, 'sequence-frozen', 'sequence-sound'],
  },
  freezeSequences: {
    method: 'POST',
    path: '/v1/sequence-engine/freeze',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Stop all sequences, to move them to another engine',
    description: 'Durable. What they are at is then final.',
    reply: { description: 'They are frozen.', content: json(sequencesFrozen, { frozen: true }) },
    errors: CHANGED,
  },
  thawSequences: {
    method: 'POST',
    path: '/v1/sequence-engine/thaw',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Take a freeze back',
    description: 'Only right when no other engine has gone on from the frozen values.',
    reply: { description: 'They go on.', content: json(sequencesFrozen, { frozen: false }) },
    errors: CHANGED,
  },
} as const satisfies Record<string, Operation>
