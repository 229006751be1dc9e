// The members of the cluster over HTTP: how they do, and two orders of an operator. A member that is told to leave hands over what
// only it has; one that is removed is gone for good.

import type { z } from 'zod'
import { NODE_MAX } from '../storage/index.ts'
import type { ApiCluster, ClusterStatus, Lag, MemberStatus } from './cluster.ts'
import { type cluster as clusterSchema, membersContract } from './contract/members.ts'
import type { Handler } from './endpoint.ts'
import { Problem } from './problem.ts'
import { jsonReply } from './reply.ts'
import { segmentOf } from './target.ts'

type MembersId = 'readCluster' | 'drainMember' | 'removeMember'
type ClusterView = z.output<typeof clusterSchema>
type MemberView = ClusterView['members'][number]

const drainedIn = segmentOf(membersContract.drainMember.path)
const removedIn = segmentOf(membersContract.removeMember.path)

export function createMembers(cluster: ApiCluster): Record<MembersId, Handler> {
  return {
    readCluster: () => jsonReply(JSON.stringify(viewOf(cluster.status()))),

    async drainMember({ path }) {
      const node = nodeOf(drainedIn(path))
      await cluster.drain(node)
      return { ...jsonReply(`{"node":${node},"draining":true}`), status: 202 }
    },

    async removeMember({ path }) {
      const node = nodeOf(removedIn(path))
      await cluster.remove(node)
      return jsonReply(`{"node":${node},"left":true}`)
    },
  }

  function nodeOf(text: string): number {
    const node = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (node <= NODE_MAX) return node
    const known = byNode(cluster.status().members).map((member) => member.node)
    throw new Problem('member-unknown', `"${text.slice(0, 40)}" is no node id; the members are ${known.join(', ')}.`)
  }
}

/** The cluster as this node sees it. It agrees when nothing is known to be lacking between it and the members that live. */
function viewOf({ node, incarnation, draining, members }: ClusterStatus): ClusterView {
  const living = members.filter(({ self, state }) => !self && state === 'alive')
  return {
    node,
    incarnation,
    agreed: living.every(({ lacks, ahead }) => lacks?.changes === 0 && ahead?.changes === 0),
    draining,
    members: byNode(members).map(memberView),
  }
}

const byNode = (members: readonly MemberStatus[]): MemberStatus[] => [...members].sort((left, right) => left.node - right.node)

function memberView(member: MemberStatus): MemberView {
  const { node, incarnation, state, self, address, publicUrl, heardMsAgo, lacks, ahead } = member
  return {
    node,
    incarnation,
    state,
    self,
    address,
    url: publicUrl === '' ? null : publicUrl,
    heardSecondsAgo: self || heardMsAgo === undefined ? null : inSeconds(heardMsAgo),
    lacks: self ? null : lagView(lacks),
    ahead: self ? null : lagView(ahead),
  }
}

const lagView = (lag: Lag | undefined) =>
  lag === undefined ? null : { changes: lag.changes, seconds: inSeconds(lag.seconds * 1000) }

/** To the millisecond. */
const inSeconds = (ms: number): number => Math.round(ms) / 1000
