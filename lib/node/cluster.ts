// The cluster as the public API sees it, made of replication.

import type { ApiCluster } from '../publicapi/index.ts'
import type { Replication } from '../syncsrv/index.ts'

export function createCluster(
  replication: Replication,
  { writeTimeoutMs, sessionTimeoutMs }: Pick<ApiCluster, 'writeTimeoutMs' | 'sessionTimeoutMs'>,
): ApiCluster {
  return {
    writeTimeoutMs,
    sessionTimeoutMs,
    status: () => replication.status(),
    waitFor: (at, level, timeoutMs) => replication.waitFor(at, level, timeoutMs),
    waitUntilKnown: (entries, timeoutMs) => replication.waitUntilKnown(entries, timeoutMs),
    acceptItems: (changes, accept, reply, once) => replication.acceptItems(changes, accept, reply, once),
    async drain(node) {
      if (node !== replication.status().node) return replication.requestDrain(node)
      // It takes as long as the others take; GET /v1/cluster shows how it goes on.
      replication.drain().catch(() => {})
    },
    remove: (node) => replication.remove(node),
  }
}
