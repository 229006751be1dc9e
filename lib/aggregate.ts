// The composition root of an aggregator: the public port over shards. It has no data directory and no sync port; what it needs of a node it has
// from the same layers.

import { registerShardMetrics } from './aggregate/metrics.ts'
import { Aggregator, HttpShards } from './aggregator/index.ts'
import type { Clock } from './base/clock.ts'
import { systemClock } from './base/clock.ts'
import { createNameHash } from './base/hash.ts'
import type { Logger } from './base/log.ts'
import { type Random, systemRandom } from './base/random.ts'
import type { SlotMap } from './cluster/index.ts'
import { type ApiLogger, createMetrics, createShardsApi, findAssets, PublicServer, type Readiness } from './publicapi/index.ts'

/** What an aggregator needs of the settings; lib/config.ts says what each means. */
export interface AggregateSettings {
  readonly shards: readonly (readonly string[])[]
  readonly shardTimeoutMs: number
  readonly shardHedgeMs: number
  readonly shardConnectionsMax: number
  readonly writeTimeoutMs: number
  readonly host: string
  readonly publicPort: number
  readonly token: string | undefined
  readonly bodyBytesMax: number
  readonly nameBytesMax: number
  readonly tokenizer: 'space' | 'word'
  readonly itemsCompat: 'both' | 's1' | 's2'
  readonly connectionsMax: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly drainTimeoutMs: number
}

export interface AggregateParts {
  readonly logger: ApiLogger & Logger
  readonly version: string
  readonly clock?: Clock
  readonly random?: Random
}

export interface RunningAggregator {
  readonly url: string
  /** Answers the requests under way, within drainTimeoutMs. */
  close(): Promise<void>
}

const KEEP_ALIVE_MS = 5_000
const TIMEOUT_CHECK_MS = 1_000
/** A shard that takes longer than this to accept a connection is as good as gone; a request has time left for another replica then. */
const CONNECT_MS_MAX = 1_000

/**
 * Asks each shard whether it is there, then opens the public port. Shards that do not answer are waited for while it runs.
 * @throws CounterError PORT_UNUSABLE
 */
export async function openAggregator(settings: AggregateSettings, parts: AggregateParts): Promise<RunningAggregator> {
  const { logger, version, clock = systemClock, random = systemRandom } = parts
  const { shards, shardTimeoutMs, shardConnectionsMax, host, token, nameBytesMax, bodyBytesMax, tokenizer } = settings
  const transport = new HttpShards({
    clock,
    connectionsMax: shardConnectionsMax,
    connectTimeoutMs: Math.min(CONNECT_MS_MAX, shardTimeoutMs),
  })
  const aggregator = new Aggregator({
    shards,
    transport,
    token,
    timeoutMs: shardTimeoutMs,
    writeTimeoutMs: settings.writeTimeoutMs,
    hedgeMs: settings.shardHedgeMs,
    connectionsMax: shardConnectionsMax,
    clock,
    random,
    logger,
  })
  const metrics = createMetrics(version)
  registerShardMetrics(metrics.registry, () => aggregator.view())
  const common = { host, logger, clock }
  const api = createShardsApi({
    ...common,
    shards: aggregator,
    hash: createNameHash(random),
    nameBytesMax,
    tokenizer,
    itemsCompat: settings.itemsCompat,
    bodyBytesMax,
    token,
    random,
    version,
    metrics,
    assetsDirectory: findAssets(),
    readiness: () => readinessOf(aggregator),
  })
  const server = new PublicServer(
    {
      ...common,
      port: settings.publicPort,
      connectionsMax: settings.connectionsMax === 0 ? Number.POSITIVE_INFINITY : settings.connectionsMax,
      timeouts: {
        headersMs: settings.headersTimeoutMs,
        requestMs: settings.requestTimeoutMs,
        keepAliveMs: KEEP_ALIVE_MS,
        checkMs: TIMEOUT_CHECK_MS,
      },
    },
    api,
  )
  try {
    await aggregator.start()
    const { url } = await server.listen()
    logger.info({ url, shards: shards.length }, 'listens')
    return {
      url,
      async close() {
        const answered = await server.drain(settings.drainTimeoutMs)
        if (!answered) logger.warn({}, 'requests were cut off; a longer COUNTER_DRAIN_TIMEOUT leaves them more time')
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }

  async function end(): Promise<void> {
    aggregator.stop()
    await transport.close()
  }
}

/** Ready while one shard at least answers: reads say what is missing, and a write that needs a missing shard is refused. */
function readinessOf(aggregator: Aggregator): Readiness {
  const { map } = aggregator
  let ready = false
  const checks = aggregator.view().map(({ shard, replicas }) => {
    const up = replicas.filter(({ state }) => state === 'up').length
    const down = replicas.find(({ state }) => state !== 'up')
    const detail = `${up} of ${replicas.length} in service${down === undefined ? '' : `; ${down.url}: ${down.detail}`}`
    if (isSpare(map, shard)) return { name: `shard ${shard}`, ok: true, detail: `has nothing left and may be stopped; ${detail}` }
    if (up > 0) ready = true
    return { name: `shard ${shard}`, ok: up > 0, detail }
  })
  return { ready, checks }
}

/** Whether the shard was emptied, and nobody asks it about retries any more. */
const isSpare = (map: SlotMap, shard: number): boolean =>
  shard < map.shards && map.partsOf(shard).length === 0 && map.former.every((former) => former.shard !== shard)
