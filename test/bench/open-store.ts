// The store of the benches: on the real disk, with settings like a node's, but no snapshot unless one is asked for.

import { systemClock } from '../../lib/base/clock.ts'
import type { NameHash } from '../../lib/base/hash.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { type FsyncMode, nodeDisk, Store, takeLock } from '../../lib/persistence/index.ts'

const quiet = { debug() {}, info() {}, warn() {}, error: console.error }

/** What a write is answered with where nobody reads it. */
export const reply = () => ({ status: 200, contentType: '', body: '' })

export function openStore(directory: string, hash: NameHash, fsync: FsyncMode = 'always'): Promise<Store> {
  return Store.open({
    directory,
    nodeId: 0,
    hash,
    clock: systemClock,
    random: systemRandom,
    disk: nodeDisk,
    lock: takeLock,
    logger: quiet,
    namesMax: 0,
    itemsMax: 0,
    itemsAheadMsMax: 60_000,
    fsync,
    fsyncIntervalMs: 50,
    segmentBytes: 64 << 20,
    queueBytesMax: 64 << 20,
    snapshotIntervalMs: 0,
    snapshotLogBytes: 0,
    replyTtlMs: 1000,
    repliesMax: 1000,
    tentativeBytesMax: 1 << 20,
  })
}
