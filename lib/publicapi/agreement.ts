// What requests ask of the other nodes: a write, how many of them must have it; a read, that it shows what its session wrote.
// Whoever asks for neither pays for one short header. A write that has not come far enough in time is no failure: it is
// answered with 202, is kept, and goes on spreading.

import { FOLDED, LIST_INCARNATIONS, NODE_MAX } from '../storage/index.ts'
import type { ApiCluster, Reached, WriteAt, WriteLevel } from './cluster.ts'
import type { Exchange, Handler, Reply } from './endpoint.ts'
import { levelOf, writeLevel } from './level.ts'
import { Problem } from './problem.ts'
import { createTokens, mergeSessions, readSession, writeSession } from './session.ts'
import type { ApiStore } from './store.ts'
import type { WriteReply } from './writer.ts'

export interface Agreement {
  /** The handler of an operation that counts. */
  write(count: (exchange: Exchange) => Promise<WriteReply>): Handler
  /** The handler of an operation that shows counts. */
  read(show: Handler): Handler
}

const SESSION = 'Counter-Session'

export function createAgreement({ store, cluster }: { store: ApiStore; cluster: ApiCluster }): Agreement {
  const tokenOf = createTokens()

  const plain = (written: WriteReply): Reply | Promise<Reply> => {
    const { at, replayed } = written
    return at === undefined || replayed
      ? extended(written, undefined, [])
      : { ...written, headers: { ...written.headers, [SESSION]: tokenOf(at) } }
  }

  const extended = async (written: WriteReply, level: WriteLevel | undefined, session: readonly WriteAt[]): Promise<Reply> => {
    const places = await placesOf(written)
    const headers = headersOf(written, mergeSessions(session, places))
    if (level === undefined) return { ...written, headers }
    const reached = await reach(places, level)
    headers['Counter-Write-Level'] = writeLevel(level, reached)
    return { ...written, status: reached.met ? written.status : 202, headers }
  }

  /**
   * Where the write is. A reply that is given again does not say in which life the node has counted it, so it stands for all
   * that is known here; what is folded is known to every member.
   */
  async function placesOf({ at, replayed }: WriteReply): Promise<readonly WriteAt[]> {
    if (!replayed) return at === undefined ? [] : [at]
    const lives: WriteAt[] = []
    for (const { replica, seq } of store.vector()) {
      const { node, incarnation } = replica
      const isLife = node <= NODE_MAX && incarnation > FOLDED && incarnation < LIST_INCARNATIONS
      if (isLife && seq > 0) lives.push({ replica, seq })
    }
    await store.settled()
    return lives
  }

  /** The least that any of the places has reached. */
  async function reach(places: readonly WriteAt[], level: WriteLevel): Promise<Reached> {
    const each = await Promise.all(places.map((at) => cluster.waitFor(at, level, cluster.writeTimeoutMs)))
    // Nothing was counted, so everybody has it.
    const members = each[0]?.members ?? cluster.status().members.filter(({ state }) => state !== 'left').length
    return {
      reached: Math.min(members, ...each.map(({ reached }) => reached)),
      members,
      met: each.every(({ met }) => met),
    }
  }

  return {
    write: (count) => (exchange) => {
      const level = levelOf(exchange)
      const header = exchange.incoming.headers['counter-session']
      if (level === undefined && header === undefined) return count(exchange).then(plain)
      const session = header === undefined ? [] : readSession(header)
      return count(exchange).then((written) => extended(written, level, session))
    },

    read: (show) => (exchange) => {
      const header = exchange.incoming.headers['counter-session']
      return header === undefined ? show(exchange) : showWithin(readSession(header), exchange, show)
    },
  }

  async function showWithin(session: readonly WriteAt[], exchange: Exchange, show: Handler): Promise<Reply> {
    const { sessionTimeoutMs } = cluster
    if (!(await cluster.waitUntilKnown(session, sessionTimeoutMs))) {
      const nodes = [...new Set(session.map(({ replica }) => replica.node))].join(', ')
      throw new Problem(
        'session-behind',
        `This node has waited ${sessionTimeoutMs} ms and still lacks some of what the session has written on the nodes ${nodes}.`,
      )
    }
    const reply = await show(exchange)
    return { ...reply, headers: { ...reply.headers, [SESSION]: writeSession(session) } }
  }
}

function headersOf({ replayed, headers }: WriteReply, session: readonly WriteAt[]): Record<string, string> {
  return {
    ...headers,
    ...(replayed && { 'Idempotency-Replayed': 'true' }),
    ...(session.length > 0 && { [SESSION]: writeSession(session) }),
  }
}
