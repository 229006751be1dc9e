// The composition root: the only file that sees every layer. It hands each what it needs, in the order of a start (lock and
// recovery, the sync port, the public port for reading, what the others know, writes), and takes them down in the reverse order.

import type { Clock } from './base/clock.ts'
import { systemClock } from './base/clock.ts'
import { CounterError } from './base/errors.ts'
import { createNameHash, type NameHash } from './base/hash.ts'
import type { Logger } from './base/log.ts'
import { type Random, systemRandom } from './base/random.ts'
import { createCluster } from './node/cluster.ts'
import { registerSequenceMetrics, registerStoreMetrics, registerSyncMetrics } from './node/metrics.ts'
import { openSequences, type SequenceSettings } from './node/sequence.ts'
import { createShard } from './node/slots.ts'
import { openSync, type Sync, type SyncSettings } from './node/sync.ts'
import { nodeDisk, type Recovered, Store, takeLock } from './persistence/index.ts'
import {
  type ApiLogger,
  createApi,
  createMetrics,
  findAssets,
  PublicServer,
  type Readiness,
  type ReadinessCheck,
} from './publicapi/index.ts'

/** What a data directory needs of the settings; lib/config.ts says what each means. */
export interface StoreSettings {
  readonly nodeId: number
  readonly dataDir: string
  readonly fsync: 'always' | 'interval' | 'never'
  readonly fsyncIntervalMs: number
  readonly logSegmentBytes: number
  readonly logQueueBytes: number
  readonly snapshotIntervalMs: number
  readonly snapshotLogBytes: number
  readonly keysMax: number
  readonly itemsMax: number
  readonly itemsClockAheadMs: number
  readonly idempotencyTtlMs: number
  readonly idempotencyKeysMax: number
  readonly tentativeBytesMax: number
}

/** What a node needs besides. */
export interface NodeSettings extends StoreSettings, SyncSettings, SequenceSettings {
  readonly token: string | undefined
  readonly bodyBytesMax: number
  readonly nameBytesMax: number
  readonly tokenizer: 'space' | 'word'
  readonly itemsAccept: 'one' | 'majority' | 'all'
  readonly itemsCompat: 'both' | 's1' | 's2'
  readonly connectionsMax: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly drainTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly sessionTimeoutMs: number
}

export interface NodeParts {
  readonly logger: ApiLogger & Logger
  readonly version: string
  readonly clock?: Clock
  readonly random?: Random
}

export interface CounterNode {
  /** The base URLs of the public port and of the sync port. */
  readonly url: string
  readonly syncUrl: string
  readonly recovered: Recovered
  /** Resolves when the node cannot go on, as after a failed flush: the process must end. */
  readonly failed: Promise<CounterError>
  /** Resolves when the node has been drained: the others have all it had, and the process may end. */
  readonly left: Promise<void>
  /** Answers the requests under way and flushes the log, within drainTimeoutMs as far as the disk allows. */
  close(): Promise<void>
}

const KEEP_ALIVE_MS = 5_000
/** GUARANTEES: slow sockets are looked for each second. */
const TIMEOUT_CHECK_MS = 1_000
/** Of the time to drain, what is kept back for the last flush. */
const CLOSE_SHARE = 0.2
const CLOSE_MS_MIN = 1_000
/** The last sync takes no longer, and no more than this share of what is left of the time to drain. */
const SETTLE_MS_MAX = 1_000
const SETTLE_SHARE = 0.5

/**
 * Opens the data directory, then the sync port, then the public port, and resolves when writes are taken.
 * @throws CounterError DIRECTORY_LOCKED, LOG_CORRUPT, SNAPSHOT_CORRUPT, IDENTITY_INVALID, PORT_UNUSABLE, NODE_ID_TAKEN and their like
 */
export async function openNode(settings: NodeSettings, parts: NodeParts): Promise<CounterNode> {
  const { logger, version, clock = systemClock, random = systemRandom } = parts
  const hash = createNameHash(random)
  const { nameBytesMax, bodyBytesMax, token, host, drainTimeoutMs } = settings

  // Lock and recovery
  let sync: Sync | undefined
  const store = await openStore(settings, { logger, clock, random, hash, onSettled: () => sync?.replication.nudge() })
  const { members, ...recovered } = store.recovered
  logger.info({ ...recovered, elapsedMs: Math.round(recovered.elapsedMs) }, 'has its counts')

  // The sync port
  const starting = new CounterError('STARTING', 'the node asks the others what they know of it before it takes writes')
  store.refuseWrites(starting)
  let isStarting = true
  try {
    sync = await openSync(settings, store, { logger, clock, random })
  } catch (error) {
    await store.close()
    throw error
  }
  const { replication, url: syncUrl } = sync
  const sequences = openSequences(settings, { store, replication, clock, random, logger })

  // The public port
  const metrics = createMetrics(version)
  registerStoreMetrics(metrics.registry, () => store.status())
  registerSyncMetrics(metrics.registry, sync)
  registerSequenceMetrics(metrics.registry, sequences)
  const publicOptions = {
    ...createShard({ store, cluster: createCluster(replication, settings), replication, clock, hash, nameBytesMax }),
    sequences: sequences.api,
    hash,
    nameBytesMax,
    tokenizer: settings.tokenizer,
    itemsAccept: settings.itemsAccept,
    itemsCompat: settings.itemsCompat,
    bodyBytesMax,
    token,
    host,
    port: settings.publicPort,
    logger,
    clock,
    random,
    version,
    metrics,
    assetsDirectory: findAssets(),
    readiness: () => readinessOf(store, isStarting, sequences.check()),
    connectionsMax: settings.connectionsMax === 0 ? Number.POSITIVE_INFINITY : settings.connectionsMax,
    timeouts: {
      headersMs: settings.headersTimeoutMs,
      requestMs: settings.requestTimeoutMs,
      keepAliveMs: KEEP_ALIVE_MS,
      checkMs: TIMEOUT_CHECK_MS,
    },
  }
  const server = new PublicServer(publicOptions, createApi(publicOptions))
  try {
    const { url } = await server.listen()
    logger.info({ url }, 'listens')

    // The others
    await sync.start()
    isStarting = false
    store.refuseWrites(undefined)
    sequences.start()
    return { url, syncUrl, recovered: store.recovered, failed: store.failed, left: replication.left, close: () => close() }
  } catch (error) {
    await server.close()
    await sequences.close()
    await sync.close()
    await store.close()
    throw error
  }

  async function close(): Promise<void> {
    const endMs = clock.monotonicMs() + drainTimeoutMs
    replication.end()
    const answered = await server.drain(drainTimeoutMs * (1 - CLOSE_SHARE))
    if (!answered) logger.warn({ drainTimeoutMs }, 'requests were cut off; a longer COUNTER_DRAIN_TIMEOUT leaves them more time')
    await settle((endMs - clock.monotonicMs()) * SETTLE_SHARE)
    const leftMs = Math.max(CLOSE_MS_MIN, endMs - clock.monotonicMs())
    const closed = await within(
      clock,
      leftMs,
      sequences
        .close()
        .then(() => sync!.close())
        .then(() => store.close()),
    )
    logger.info({}, closed ? 'has flushed the log' : 'ends before the disk has answered; what was acknowledged is on it')
  }

  /** What was acknowledged is with the others before this node ends, as far as they answer: it may stay down for long. */
  async function settle(limitMs: number): Promise<void> {
    try {
      const lacking = await replication.settle(Math.min(SETTLE_MS_MAX, limitMs))
      if (lacking.length > 0)
        logger.warn({ members: lacking }, 'ends before these members have all it has; they get it when it is back')
    } catch (error) {
      logger.warn({ err: error }, 'ends without telling the others what it has')
    }
  }
}

/** Opens the data directory alone, for a node and for the commands that work on a directory without one. */
export function openStore(
  settings: StoreSettings,
  parts: { logger: Logger; clock: Clock; random: Random; hash: NameHash; onSettled?: () => void },
): Promise<Store> {
  parts.logger.info({ directory: settings.dataDir }, 'reads the data directory')
  return Store.open({
    ...parts,
    directory: settings.dataDir,
    nodeId: settings.nodeId,
    disk: nodeDisk,
    lock: takeLock,
    namesMax: settings.keysMax,
    itemsMax: settings.itemsMax,
    itemsAheadMsMax: settings.itemsClockAheadMs,
    fsync: settings.fsync,
    fsyncIntervalMs: settings.fsyncIntervalMs,
    segmentBytes: settings.logSegmentBytes,
    queueBytesMax: settings.logQueueBytes,
    snapshotIntervalMs: settings.snapshotIntervalMs,
    snapshotLogBytes: settings.snapshotLogBytes,
    replyTtlMs: settings.idempotencyTtlMs,
    repliesMax: settings.idempotencyKeysMax,
    tentativeBytesMax: settings.tentativeBytesMax,
  })
}

function readinessOf(store: Store, isStarting: boolean, sequences: ReadinessCheck): Readiness {
  const { writable, refusal, names, snapshotFailed } = store.status()
  const checks = [
    { name: 'recovery', ok: true, detail: `${names} names` },
    { name: 'members', ok: !isStarting, detail: isStarting ? 'are asked what they know of this node' : 'have been asked' },
    { name: 'log', ok: writable, detail: refusal ?? 'writable' },
    // Without snapshots the log grows and starts take longer, but requests are served.
    { name: 'snapshot', ok: !snapshotFailed, detail: snapshotFailed ? 'the last attempt failed; see the log' : 'fine' },
    // A home that refuses to give numbers counts all the same.
    sequences,
  ]
  return { ready: writable && !isStarting, checks }
}

/** Whether `task` came to its end within `ms`. A task that fails rejects. */
function within(clock: Clock, ms: number, task: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(false))
    task.then(() => resolve(true), reject).finally(cancel)
  })
}
