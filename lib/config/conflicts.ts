// What must hold between settings, beyond what each says of itself.

import { isLoopback } from '../base/loopback.ts'
import type { Random } from '../base/random.ts'
import type { Settings } from '../config.ts'

/** One sentence for each thing that does not fit together. Settings that are wrong by themselves are absent. */
export function conflicts(settings: Partial<Settings>, random: Random): string[] {
  const found: string[] = []
  const { host, token, headersTimeoutMs, requestTimeoutMs } = settings
  // An invalid token has its own line already, and then the key is present without a value.
  if (host !== undefined && !isLoopback(host) && 'token' in settings && token === undefined) {
    const made = Buffer.from(Uint32Array.from({ length: 8 }, () => random.uint32()).buffer).toString('base64url')
    found.push(
      `COUNTER_HOST ${host} lets other machines in, and COUNTER_TOKEN is not set. Set a token, such as this new one: COUNTER_TOKEN=${made}`,
    )
  }
  found.push(...syncConflicts(settings))
  found.push(...etcdConflicts(settings))
  if (headersTimeoutMs !== undefined && requestTimeoutMs !== undefined && headersTimeoutMs > requestTimeoutMs) {
    found.push('COUNTER_HEADERS_TIMEOUT should not be longer than COUNTER_REQUEST_TIMEOUT, which covers the headers too.')
  }
  return found
}

/** Whether the other nodes can be told from strangers. */
const isTrusted = ({ clusterSecret, syncTlsCa }: Partial<Settings>): boolean =>
  clusterSecret !== undefined || syncTlsCa !== undefined

function syncConflicts(settings: Partial<Settings>): string[] {
  const found: string[] = []
  const { syncHost, seeds, clusterSecret, clusterSecretPrevious, syncTlsCert, syncTlsKey, syncTlsCa, legacySync } = settings
  const beyond = (seeds ?? []).find((seed) => !seed.startsWith('legacy+') && !isLoopback(hostOf(seed)))
  const needs = 'Set COUNTER_CLUSTER_SECRET to the same text on every node, or use COUNTER_SYNC_TLS_CA'
  if (!isTrusted(settings)) {
    if (syncHost !== undefined && !isLoopback(syncHost)) {
      found.push(
        `COUNTER_SYNC_HOST ${syncHost} lets other machines set any count, and nothing tells friend from stranger. ${needs}.`,
      )
    }
    if (beyond !== undefined) found.push(`COUNTER_SEEDS names another machine, ${beyond}, which must know this node. ${needs}.`)
  }
  if ((syncTlsCert === undefined) !== (syncTlsKey === undefined)) {
    found.push('COUNTER_SYNC_TLS_CERT and COUNTER_SYNC_TLS_KEY belong together. Set both, or neither.')
  }
  if (syncTlsCa !== undefined && syncTlsCert === undefined) {
    found.push(
      'COUNTER_SYNC_TLS_CA needs a certificate of this node to show. Set COUNTER_SYNC_TLS_CERT and COUNTER_SYNC_TLS_KEY.',
    )
  }
  const bound = syncHost ?? settings.host
  if (syncTlsCert !== undefined && settings.syncAdvertise === undefined && (bound === '0.0.0.0' || bound === '::')) {
    found.push(
      'With COUNTER_SYNC_TLS_CERT the others must know this node by a name of its certificate, not by the address they see. ' +
        'Set COUNTER_SYNC_ADVERTISE to https://NAME:PORT.',
    )
  }
  if (clusterSecretPrevious !== undefined && clusterSecret === undefined) {
    found.push('COUNTER_CLUSTER_SECRET_PREVIOUS is of no use without COUNTER_CLUSTER_SECRET. Set that one.')
  }
  if (legacySync === 'off' && seeds?.some((seed) => seed.startsWith('legacy+'))) {
    found.push('COUNTER_SEEDS names a node of the original system. Set COUNTER_LEGACY_SYNC=on to speak with it.')
  }
  return found
}

function etcdConflicts({ sequence, etcd, etcdUser, etcdPassword, etcdCert, etcdKey }: Partial<Settings>): string[] {
  const found: string[] = []
  if (sequence === 'etcd' && etcd?.length === 0) {
    found.push('COUNTER_SEQUENCE is etcd, and nothing says where that is. Set COUNTER_ETCD to the client ports of its members.')
  }
  if ((etcdUser === undefined) !== (etcdPassword === undefined)) {
    found.push('COUNTER_ETCD_USER and COUNTER_ETCD_PASSWORD belong together. Set both, or neither.')
  }
  if ((etcdCert === undefined) !== (etcdKey === undefined)) {
    found.push('COUNTER_ETCD_CERT and COUNTER_ETCD_KEY belong together. Set both, or neither.')
  }
  return found
}

const hostOf = (seed: string): string => new URL(seed.slice(seed.indexOf('+') + 1)).hostname.replace(/^\[|\]$/g, '')
