// The members of a cluster: how they do, and the two ways in which one ends to be one.

import { z } from 'zod'
import { TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'
import { natural, seconds } from './values.ts'

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
const drained = z.object({ node: natural, draining: z.literal(true) }).meta({ id: 'Drained' })
const removed = z.object({ node: natural, left: z.literal(true) }).meta({ id: 'Removed' })

const NODE_PARAM = { node: { schema: natural, description: 'The node id of the member.', example: '2' } } as const
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

/** Apart from the orders below, as the map of slots stands between the two in the API definition. */
export const clusterContract = {
  readCluster: {
    method: 'GET',
    path: '/v1/cluster',
    tag: 'Cluster',
    auth: true,
    writes: false,
    summary: 'The members, and what each lacks of the others',
    description: 'As the answering node sees them. A node on its own is a cluster of one member.',
    reply: { description: 'The members.', content: json(cluster, CLUSTER) },
    errors: TOKEN,
  },
} as const satisfies Record<string, Operation>

export const membersContract = {
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
    reply: { status: 202, description: 'The member has been told.', content: json(drained, { node: 2, draining: true }) },
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
    reply: { description: 'It is no member any more.', content: json(removed, { node: 2, left: true }) },
    errors: [...TOKEN, 'cross-site', 'member-unknown', 'member-alive'],
  },
} as const satisfies Record<string, Operation>
