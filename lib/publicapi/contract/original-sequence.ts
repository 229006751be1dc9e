// The one sequence that the original had, at its paths.

import { z } from 'zod'
import { TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { ASKED, BODY, CHANGED, FORCE, GIVEN, MEMBERS, sequenceMember } from './sequences.ts'
import { natural } from './values.ts'

/** The sequence of `POST /next`, which the original had one of. */
export const ORIGINAL_SEQUENCE = 'default'

const originalNumber = z.object({ counter: natural }).meta({ id: 'OriginalNumber' })
export const originalRestore = z
  .looseObject({ counter: natural, force: z.boolean().optional().meta({ description: FORCE }) })
  .meta({ id: 'OriginalRestore', description: 'What POST /backup has answered.' })
const originalStatus = z
  .object({ leader: z.string().nullable(), members: z.array(sequenceMember), lastIndex: natural.nullable() })
  .meta({ id: 'OriginalStatus' })

export const originalSequenceContract = {
  next: {
    method: 'POST',
    path: '/next',
    tag: 'Sequences',
    auth: true,
    writes: false,
    keyed: true,
    summary: 'The next number',
    description: `Each number once, on any node, in the order of real time. It is that of the sequence "${ORIGINAL_SEQUENCE}". A body is ignored.`,
    reply: { description: 'The number and a line break.', content: { 'text/plain': { example: '42\n' } } },
    errors: GIVEN,
  },
  readNext: {
    method: 'GET',
    path: '/get',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'The last number that POST /next has given',
    description: 'Never stale: no less than any number that was given before the request.',
    reply: { description: 'The number; 0 when there was none.', content: json(originalNumber, { counter: 42 }) },
    errors: ASKED,
  },
  readStatus: {
    method: 'GET',
    path: '/status',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Who gives the numbers of POST /next',
    reply: {
      description: 'The leader, the members and their roles.',
      content: json(originalStatus, { leader: '0', members: MEMBERS, lastIndex: null }),
    },
    errors: TOKEN,
  },
  backUpNext: {
    method: 'POST',
    path: '/backup',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Save the value of POST /next',
    description: 'Keep the reply: POST /restore takes it.',
    reply: { description: 'The value.', content: json(originalNumber, { counter: 42 }) },
    errors: [...ASKED, 'cross-site'],
  },
  restoreNext: {
    method: 'POST',
    path: '/restore',
    tag: 'Sequences',
    auth: true,
    writes: false,
    summary: 'Bring back a saved value of POST /next',
    description:
      'Goes through the engine like any other change. A value that was passed already is refused, unless it is forced.',
    body: { required: true, content: json(originalRestore, { counter: 5000 }) },
    reply: { description: 'The value; the next number is greater by one.', content: json(originalNumber, { counter: 5000 }) },
    errors: [...BODY, ...CHANGED, 'sequence-frozen', 'sequence-backwards'],
  },
} as const satisfies Record<string, Operation>
