// The other nodes as sequences see them, made of replication: who lives, what may be asked, and whether what was asked may have been heard.

import { CounterError } from '../base/errors.ts'
import type { HomePeers, SequencePeers } from '../sequence/index.ts'
import { RefusedError, type Replication } from '../syncsrv/index.ts'

/** The name under which nodes call each other about sequences in etcd. */
export const ETCD_SERVICE = 'sequence-etcd'

/** Codes of a connection that never was. */
const UNCONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** The other nodes, as the home engine asks them. */
export function peersOf(replication: Replication): HomePeers {
  const { node } = replication.status()
  return {
    node,
    members: () =>
      replication
        .status()
        .members.filter(({ self, state }) => !self && state !== 'left')
        .map(({ node, state, publicUrl }) => ({ node, alive: state === 'alive', address: publicUrl })),
    serve: (service, answer) => replication.serve(service, answer),
    async call(node, service, payload, options) {
      try {
        return await replication.call(node, service, payload, options)
      } catch (error) {
        if (!wasNotHeard(error)) throw error
        throw new CounterError('SEQUENCE_UNAVAILABLE', (error as Error).message, { cause: error })
      }
    },
  }
}

/** Whether the question surely had no effect: it was not sent, or refused before it was looked at. */
function wasNotHeard(error: unknown): boolean {
  if (error instanceof RefusedError) return true
  if (error instanceof CounterError && error.code === 'MEMBER_UNKNOWN') return true
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, syscall } = at as NodeJS.ErrnoException
    if (syscall === 'connect' || UNCONNECTED.has(String(code))) return true
  }
  return false
}

/** As the etcd engine asks them. Its answers come from EtcdSequencer.answer(), served as ETCD_SERVICE. */
export function ownersOf(replication: Replication): SequencePeers {
  const { node: self } = replication.status()
  return {
    self,
    live: () =>
      replication
        .status()
        .members.filter(({ self, state }) => self || state === 'alive')
        .map(({ node }) => node),
    async call(node, payload, timeoutMs) {
      try {
        return await replication.call(node, ETCD_SERVICE, payload, { timeoutMs })
      } catch (error) {
        if (!wasNotHeard(error)) throw error
        throw new CounterError('MEMBER_UNKNOWN', (error as Error).message, { cause: error })
      }
    },
  }
}
