// What a node needs to agree with others: the sync port, the way to theirs, replication between them, and the bridge to nodes
// of the original system. Opened after recovery and before the public port, and closed after it.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { isLoopback } from '../base/loopback.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../persistence/index.ts'
import {
  checkTls,
  createLegacyClient,
  HttpTransport,
  LegacyBridge,
  Networks,
  Replication,
  Seeds,
  SyncHttpServer,
  systemLookup,
  type Tls,
} from '../syncsrv/index.ts'
import { readPem } from './pem.ts'

/** What the sync port needs of the settings; lib/config.ts says what each means. */
export interface SyncSettings {
  readonly nodeId: number
  readonly host: string
  readonly publicPort: number
  readonly seeds: readonly string[]
  readonly syncPort: number
  readonly syncHost: string | undefined
  readonly syncAdvertise: string | undefined
  readonly clusterSecret: string | undefined
  readonly clusterSecretPrevious: string | undefined
  readonly clusterNetworks: readonly string[]
  readonly syncTlsCert: string | undefined
  readonly syncTlsKey: string | undefined
  readonly syncTlsCa: string | undefined
  readonly syncIntervalMs: number
  readonly syncTimeoutMs: number
  readonly suspectTimeoutMs: number
  readonly joinTimeoutMs: number
  readonly digestIntervalMs: number
  readonly itemsAcceptTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly legacySync: 'off' | 'on'
}

export interface Sync {
  /** The base URL of the sync port. */
  readonly url: string
  readonly replication: Replication
  readonly server: SyncHttpServer
  /** Only where nodes of the original are spoken with. */
  readonly bridge: LegacyBridge | undefined
  /** Asks the others what they know of this node, and begins to agree with them. @throws CounterError NODE_ID_TAKEN */
  start(): Promise<void>
  close(): Promise<void>
}

const CONNECTIONS_MAX = 1000
const LOOKUP_MS = 2000
const WILDCARDS = ['0.0.0.0', '::']

/**
 * Opens the sync port, which answers from now on.
 * @throws CounterError PORT_UNUSABLE, CONFIG_INVALID
 */
export async function openSync(
  settings: SyncSettings,
  store: Store,
  parts: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
): Promise<Sync> {
  const { clock, random, logger } = parts
  const secrets = [settings.clusterSecret, settings.clusterSecretPrevious].filter((secret) => secret !== undefined)
  const tls = readTls(settings)
  const host = syncHostOf(settings, secrets.length > 0 || tls?.ca !== undefined)
  const seeds = new Seeds({ seeds: settings.seeds, lookup: systemLookup, lookupTimeoutMs: LOOKUP_MS, clock, logger })
  const networks = new Networks(settings.clusterNetworks, seeds)
  const transport = new HttpTransport({
    secrets,
    clock,
    random,
    connectTimeoutMs: settings.syncTimeoutMs,
    ...(tls && { tls }),
  })

  // The port is open before its address is known to replication, which answers from its construction on.
  let replication: Replication | undefined
  let bridge: LegacyBridge | undefined
  const server = new SyncHttpServer({
    host,
    port: settings.syncPort,
    answer: (path, body, from) => replication!.answer(path, body, from),
    ...(settings.legacySync === 'on' && { legacy: (body: Uint8Array) => acceptLegacy(body) }),
    secrets,
    ...(tls && { tls }),
    clock,
    logger,
    connectionsMax: CONNECTIONS_MAX,
  })
  const acceptLegacy = (body: Uint8Array): Promise<void> =>
    bridge?.accept(body) ?? Promise.reject(new CounterError('CLOSED', 'the node is starting'))
  const { url, port } = await server.listen()
  replication = new Replication({
    store,
    transport,
    clock,
    random,
    logger,
    node: settings.nodeId,
    // Behind a wildcard the others put in the host that they see.
    address: settings.syncAdvertise ?? (WILDCARDS.includes(host) ? `:${port}` : url),
    publicUrl: publicUrlOf(settings),
    seeds: () => seeds.resolve(),
    mayContact: (address, from) => networks.allows(address, from),
    savedMembers: store.recovered.members,
    incarnationIsNew: store.recovered.incarnationIsNew,
    intervalMs: settings.syncIntervalMs,
    requestTimeoutMs: settings.syncTimeoutMs,
    joinTimeoutMs: settings.joinTimeoutMs,
    suspectMs: settings.suspectTimeoutMs,
    digestIntervalMs: settings.digestIntervalMs,
    acceptTimeoutMs: settings.itemsAcceptTimeoutMs,
    confirmTimeoutMs: settings.writeTimeoutMs,
  })
  const client = createLegacyClient({ clock, timeoutMs: settings.syncTimeoutMs })
  if (settings.legacySync === 'on') {
    bridge = new LegacyBridge({
      store,
      seeds: seeds.legacy,
      isOurs: (node) => replication.hasMember(node),
      intervalMs: settings.syncIntervalMs,
      clock,
      random,
      logger,
      post: client.post,
    })
  }

  logger.info({ url }, 'listens for other nodes')
  return {
    url,
    replication,
    server,
    bridge,
    async start() {
      await replication.start()
      bridge?.start()
    },
    async close() {
      // Before the bridge, which waits for the push that is under way.
      await client.close()
      await bridge?.stop()
      await replication.stop()
      await server.close()
      await transport.close()
    },
  }
}

/** Without a way to tell friend from stranger the port stays on loopback; config has refused what says otherwise. */
function syncHostOf({ syncHost, host }: SyncSettings, trusted: boolean): string {
  if (syncHost !== undefined) return syncHost
  return trusted || isLoopback(host) ? host : '127.0.0.1'
}

/** Where users reach the node, as far as it can know; '' behind a wildcard or a free port. */
function publicUrlOf({ host, publicPort }: SyncSettings): string {
  if (publicPort === 0 || WILDCARDS.includes(host)) return ''
  return `http://${host.includes(':') ? `[${host}]` : host}:${publicPort}`
}

/** @throws CounterError CONFIG_INVALID */
function readTls({ syncTlsCert, syncTlsKey, syncTlsCa }: SyncSettings): Tls | undefined {
  if (syncTlsCert === undefined || syncTlsKey === undefined) return undefined
  const tls = {
    cert: readPem('COUNTER_SYNC_TLS_CERT', syncTlsCert),
    key: readPem('COUNTER_SYNC_TLS_KEY', syncTlsKey),
    ...(syncTlsCa !== undefined && { ca: readPem('COUNTER_SYNC_TLS_CA', syncTlsCa) }),
  }
  checkTls(tls)
  return tls
}
