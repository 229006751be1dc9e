// Every setting of a node, once: the command line, the environment, the file, `counter config` and the table in
// docs/OPERATING.md are all made from this list. A setting's flag is its variable in lower case: COUNTER_DATA_DIR, --data-dir.

import { NODE_MAX } from '../storage/index.ts'
import {
  baseUrl,
  baseUrlList,
  byteSize,
  duration,
  host,
  type Kind,
  networkList,
  oneOf,
  port,
  seedList,
  shardList,
  text,
  token,
  wholeNumber,
} from './values.ts'

export interface Setting<T> {
  readonly env: `COUNTER_${string}`
  readonly kind: Kind<T>
  /** The default as a user would write it; undefined when there is none. */
  readonly default: string | undefined
  /** Meaning, what higher and lower do, what zero means. */
  readonly doc: string
  /** Never printed. */
  readonly secret?: true
}

const COUNT_MAX = Number.MAX_SAFE_INTEGER

/** A setting with a default. */
function setting<T>(env: `COUNTER_${string}`, kind: Kind<T>, preset: string, doc: string): Setting<T> {
  return { env, kind, default: preset, doc }
}

/** A setting without a default. */
function optional<T>(env: `COUNTER_${string}`, kind: Kind<T>, doc: string): Setting<T | undefined> {
  return { env, kind: kind as Kind<T | undefined>, default: undefined, doc }
}

export const SETTINGS = {
  nodeId: setting(
    'COUNTER_NODE_ID',
    wholeNumber(0, NODE_MAX),
    '0',
    'Which node of a cluster this is. Each node has its own; a data directory belongs to one node id for ever.',
  ),
  seeds: setting(
    'COUNTER_SEEDS',
    seedList,
    '',
    'Sync ports of other nodes: one that answers is enough to join. `dns+http://counter:3001` stands for every address of the name. ' +
      '`legacy+http://...` is a node of the original system, which is pushed to. Empty: the node waits for others to join it.',
  ),
  host: setting(
    'COUNTER_HOST',
    host,
    '127.0.0.1',
    'Where the ports listen. Beyond loopback (`0.0.0.0`, `::`, an address of this machine) a token must be set.',
  ),
  publicPort: setting('COUNTER_PUBLIC_PORT', port, '3000', 'The port of the API. Zero: any free port, named in the banner.'),
  syncPort: setting('COUNTER_SYNC_PORT', port, '3001', 'The port for other nodes. Zero: any free port, named in the banner.'),
  syncHost: optional(
    'COUNTER_SYNC_HOST',
    host,
    'Where the sync port listens. Beyond loopback the nodes must know each other by `COUNTER_CLUSTER_SECRET` or `COUNTER_SYNC_TLS_CA`. ' +
      'Not set: as `COUNTER_HOST` when they do, else loopback.',
  ),
  syncAdvertise: optional(
    'COUNTER_SYNC_ADVERTISE',
    baseUrl,
    'The address under which other nodes reach the sync port, when it is not the one they see: behind a proxy or a translated network.',
  ),
  clusterSecret: {
    ...optional(
      'COUNTER_CLUSTER_SECRET',
      token,
      'Signs what nodes say to each other; the same on all. Not set: the sync port stays on loopback.',
    ),
    secret: true,
  },
  clusterSecretPrevious: {
    ...optional(
      'COUNTER_CLUSTER_SECRET_PREVIOUS',
      token,
      'A second secret that is accepted but not used, so that the secret can be changed one node at a time.',
    ),
    secret: true,
  },
  clusterNetworks: setting(
    'COUNTER_CLUSTER_NETWORKS',
    networkList,
    '127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7',
    'Where members may live. An address that is learned from another node is contacted only when it is in one of these, or is that of a seed.',
  ),
  syncTlsCert: optional(
    'COUNTER_SYNC_TLS_CERT',
    text,
    'A file with the certificate of the sync port, PEM. With it nodes speak https with each other.',
  ),
  syncTlsKey: optional('COUNTER_SYNC_TLS_KEY', text, 'The file with its private key, PEM.'),
  syncTlsCa: optional(
    'COUNTER_SYNC_TLS_CA',
    text,
    'A file with the certificate authority of the cluster, PEM. Whoever connects must then show a certificate of it.',
  ),
  syncIntervalMs: setting(
    'COUNTER_SYNC_INTERVAL',
    duration('10ms', '10m'),
    '1s',
    'How often each other node is asked for news. Fresh writes are told at once; this is the safety net and the heartbeat. ' +
      'Lower: failures are seen sooner, with more idle traffic.',
  ),
  syncTimeoutMs: setting(
    'COUNTER_SYNC_TIMEOUT',
    duration('100ms', '10m'),
    '5s',
    'How long another node may be silent within a request before it counts as unreachable. Higher: rides out pauses.',
  ),
  suspectTimeoutMs: setting(
    'COUNTER_SUSPECT_TIMEOUT',
    duration('100ms', '1h'),
    '5s',
    'How long a node that does not answer is suspected before it counts as dead. A dead one is still a member and may come back.',
  ),
  joinTimeoutMs: setting(
    'COUNTER_JOIN_TIMEOUT',
    duration('0', '10m'),
    '3s',
    'At a start, how long to wait for every known member to say what it has of this node. When one does not, the node goes on in a new column.',
  ),
  digestIntervalMs: setting(
    'COUNTER_DIGEST_INTERVAL',
    duration('0', '30d'),
    '10m',
    'How often the whole content is compared with another node, to find what should never happen. Zero: never.',
  ),
  writeTimeoutMs: setting(
    'COUNTER_WRITE_TIMEOUT',
    duration('10ms', '10m'),
    '5s',
    'With `w=majority` or `w=all`, how long a write waits for other nodes before it answers 202.',
  ),
  sessionTimeoutMs: setting(
    'COUNTER_SESSION_TIMEOUT',
    duration('0', '10m'),
    '2s',
    'How long a read with `Counter-Session` waits for the state it asks for before it answers 412.',
  ),
  sequence: setting(
    'COUNTER_SEQUENCE',
    oneOf('auto', 'home', 'etcd'),
    'auto',
    'Where sequences get their numbers. `etcd`: from `COUNTER_ETCD`. `home`: from one node, `COUNTER_SEQUENCE_HOME`; without it there are none. ' +
      '`auto`: from etcd where that is set, else as `home`; but a node that has neither seeds nor other members is its own home.',
  ),
  sequenceHome: setting(
    'COUNTER_SEQUENCE_HOME',
    wholeNumber(0, NODE_MAX),
    '0',
    'The node that gives the numbers of sequences, the same on all nodes. ' +
      'Another: the sequences move there, when every member has been restarted with it.',
  ),
  sequenceKeyTtlMs: setting(
    'COUNTER_SEQUENCE_KEY_TTL',
    duration('1s', '30d'),
    '24h',
    'How long the numbers that a request with an `Idempotency-Key` got are remembered, and given again to a retry.',
  ),
  etcd: setting(
    'COUNTER_ETCD',
    baseUrlList,
    '',
    'The client ports of etcd, such as `http://a:2379,http://b:2379,http://c:2379`: with three members sequences go on when any one is lost.',
  ),
  etcdUser: optional('COUNTER_ETCD_USER', text, 'The user of etcd, where it asks for one.'),
  etcdPassword: { ...optional('COUNTER_ETCD_PASSWORD', text, 'The password of that user.'), secret: true },
  etcdCa: optional(
    'COUNTER_ETCD_CA',
    text,
    'A file with the certificate authority of etcd, PEM, where it is none that the system knows.',
  ),
  etcdCert: optional('COUNTER_ETCD_CERT', text, 'A file with the certificate that this node shows to etcd, PEM.'),
  etcdKey: optional('COUNTER_ETCD_KEY', text, 'The file with its private key, PEM.'),
  etcdPrefix: setting(
    'COUNTER_ETCD_PREFIX',
    text,
    'counter/',
    'What the names of all that is kept in etcd begin with. Clusters that share one etcd have different ones.',
  ),
  shards: setting(
    'COUNTER_SHARDS',
    shardList,
    '',
    'For `counter aggregate`: the public ports of the shards. `http://a:3000,http://b1:3000|http://b2:3000` are two shards, the second ' +
      'with two replicas. The order says which names each shard has, and the shards keep it: it never changes.',
  ),
  shardTimeoutMs: setting(
    'COUNTER_SHARD_TIMEOUT',
    duration('10ms', '10m'),
    '2s',
    'How long an aggregator waits for a shard. A read then says that the shard is missing, a write that it may have been counted. ' +
      'Higher: slow shards are waited for. A write with `w` may take `COUNTER_WRITE_TIMEOUT` longer.',
  ),
  shardHedgeMs: setting(
    'COUNTER_SHARD_HEDGE',
    duration('0', '10m'),
    '50ms',
    'When a replica has not answered a read for so long, an aggregator asks another beside it. Lower: fewer slow reads, more load. Zero: never.',
  ),
  shardConnectionsMax: setting(
    'COUNTER_SHARD_CONNECTIONS',
    wholeNumber(1, 10_000),
    '64',
    'Connections of an aggregator to one replica, each with one request at a time. Four times as many requests wait; further ones get 503.',
  ),
  legacySync: setting(
    'COUNTER_LEGACY_SYNC',
    oneOf('off', 'on'),
    'off',
    '`on`: the sync port takes what nodes of the original system push to `/sync`. They cannot sign: use it in a network you trust.',
  ),
  token: {
    ...optional(
      'COUNTER_TOKEN',
      token,
      'When set, every request for counts must bring it as `Authorization: Bearer ...`. Not set: anyone who reaches the port may count. ' +
        'Other users of the machine can see flags: prefer the variable or the file.',
    ),
    secret: true,
  },
  dataDir: setting(
    'COUNTER_DATA_DIR',
    text,
    './data',
    'The directory with the log and the snapshots. One process at a time may use it. Not set with a node id N other than 0: `./data-N`.',
  ),
  fsync: setting(
    'COUNTER_FSYNC',
    oneOf('always', 'interval', 'never'),
    'always',
    'When the log is made durable. `always`: before each reply; nothing acknowledged is lost. ' +
      '`interval`: every `COUNTER_FSYNC_INTERVAL`; a power cut may lose that much. ' +
      '`never`: when the system likes; a power cut may lose many seconds. A crash of the process alone loses nothing in any of them.',
  ),
  fsyncIntervalMs: setting(
    'COUNTER_FSYNC_INTERVAL',
    duration('1ms', '1m'),
    '50ms',
    'With `COUNTER_FSYNC=interval`, how often the log is made durable. Higher: fewer disk flushes, more lost in a power cut.',
  ),
  logSegmentBytes: setting(
    'COUNTER_LOG_SEGMENT_BYTES',
    byteSize('64KiB', '1GiB'),
    '64MiB',
    'Size at which the log goes on in a new file. Higher: fewer files; lower: disk space comes back sooner after a snapshot.',
  ),
  logQueueBytes: setting(
    'COUNTER_LOG_QUEUE_BYTES',
    byteSize('1MiB', '1GiB'),
    '64MiB',
    'What may wait for the disk. Beyond it writes get 503. Higher: longer stalls of the disk are ridden out, with more memory.',
  ),
  snapshotIntervalMs: setting(
    'COUNTER_SNAPSHOT_INTERVAL',
    duration('0', '30d'),
    '10m',
    'A snapshot is written this long after the last one if anything changed. Lower: quicker starts, more disk writes. Zero: not by time.',
  ),
  snapshotLogBytes: setting(
    'COUNTER_SNAPSHOT_LOG_BYTES',
    byteSize('0', '1TiB'),
    '256MiB',
    'A snapshot is written when the log has grown by this much. Lower: quicker starts, more disk writes. Zero: not by size.',
  ),
  bodyBytesMax: setting(
    'COUNTER_BODY_BYTES_MAX',
    byteSize('1KiB', '64MiB'),
    '16MiB',
    'The longest request body; longer ones get 413. Higher: larger texts in one request, with more memory for each.',
  ),
  nameBytesMax: setting(
    'COUNTER_NAME_BYTES_MAX',
    wholeNumber(1, 65_535),
    '4096',
    'The longest name, in bytes of UTF-8. A text with a longer word is refused whole.',
  ),
  keysMax: setting(
    'COUNTER_KEYS_MAX',
    wholeNumber(0, COUNT_MAX),
    '0',
    'How many names there may be. At the limit new names get 507 and the others go on counting. Zero: no limit but memory.',
  ),
  itemsMax: setting(
    'COUNTER_ITEMS_MAX',
    wholeNumber(0, COUNT_MAX),
    '0',
    'Items at most, deleted ones included, which keep their ids. Beyond it new ids get 507, and those that exist can still be changed. ' +
      'Zero: no limit but memory.',
  ),
  itemsClockAheadMs: setting(
    'COUNTER_ITEMS_CLOCK_AHEAD',
    duration('1s', '30d'),
    '1m',
    'How far the stamps of items from other nodes may be ahead of the clock. What is further ahead is not taken until the clock has come ' +
      'near, and the log says so. Higher: nodes with bad clocks are borne, whose changes hold against later ones for longer.',
  ),
  itemsAccept: setting(
    'COUNTER_ITEMS_ACCEPT',
    oneOf('one', 'majority', 'all'),
    'one',
    'How many members must accept a batch of items for it to be kept at all, when the request does not say by `accept=`. `one`: the node that is ' +
      'asked. `majority`: more than half of all members. `all`: all that are not dead; one that drains or has no room then refuses for all.',
  ),
  itemsCompat: setting(
    'COUNTER_ITEMS_COMPAT',
    oneOf('both', 's1', 's2'),
    'both',
    'Whose replies `POST /items` and `GET /items/{tenant}/count` give. `both`: the fields of both original systems at once, and what went wrong. ' +
      '`s1`: `message` and `count` alone, `s2`: `status` and `counter` alone, byte for byte as the one system wrote them.',
  ),
  itemsAcceptTimeoutMs: setting(
    'COUNTER_ITEMS_ACCEPT_TIMEOUT',
    duration('10ms', '10m'),
    '2s',
    'With `accept=majority` or `accept=all`, how long a batch of items waits for other nodes to accept it before it is refused. ' +
      'Higher: rides out pauses of other nodes, and a node that is down makes batches wait longer.',
  ),
  idempotencyTtlMs: setting(
    'COUNTER_IDEMPOTENCY_TTL',
    duration('1s', '30d'),
    '24h',
    'How long the reply for an `Idempotency-Key` is kept. Higher: later retries still count once, with more memory.',
  ),
  idempotencyKeysMax: setting(
    'COUNTER_IDEMPOTENCY_KEYS_MAX',
    wholeNumber(1, 100_000_000),
    '1000000',
    'How many such replies are kept; beyond it the oldest go first. Higher: the same as above.',
  ),
  tentativeBytesMax: setting(
    'COUNTER_TENTATIVE_BYTES_MAX',
    byteSize('1MiB', '64GiB'),
    '256MiB',
    'In a cluster, memory for writes with an `Idempotency-Key` that not all members know of yet; these can be taken back where two ' +
      'nodes have counted them. It is used only while a member is missing. Higher: that may be for longer. When it is full, writes that may ' +
      'have been counted elsewhere are refused (`writes-unsettled`).',
  ),
  tokenizer: setting(
    'COUNTER_TOKENIZER',
    oneOf('space', 'word'),
    'space',
    'How a text becomes words. `space`: at white space, as the original does. `word`: at Unicode word boundaries, without punctuation.',
  ),
  connectionsMax: setting(
    'COUNTER_CONNECTIONS_MAX',
    wholeNumber(0, 1_000_000),
    '10000',
    'Open connections of the public port; further ones are closed at once. Stay below the limit of open files. Zero: no limit.',
  ),
  headersTimeoutMs: setting(
    'COUNTER_HEADERS_TIMEOUT',
    duration('100ms', '1h'),
    '10s',
    'How long a client may take for the headers of a request. Lower: slow or idle sockets are let go sooner.',
  ),
  requestTimeoutMs: setting(
    'COUNTER_REQUEST_TIMEOUT',
    duration('100ms', '1h'),
    '15s',
    'How long a client may take for a whole request with its body. Higher: large texts over slow links.',
  ),
  drainTimeoutMs: setting(
    'COUNTER_DRAIN_TIMEOUT',
    duration('0', '1h'),
    '10s',
    'After SIGTERM, how long requests under way may take before they are cut off. Zero: they are cut off at once.',
  ),
  logLevel: setting(
    'COUNTER_LOG_LEVEL',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'The least important message that is logged. `debug` shows each request.',
  ),
  logFormat: setting(
    'COUNTER_LOG_FORMAT',
    oneOf('auto', 'json', 'text'),
    'auto',
    'The form of the log on stderr: one JSON object a line, or text for people. `auto`: text on a terminal, JSON otherwise.',
  ),
} as const satisfies Record<string, Setting<unknown>>

/** The file with further settings is named by a flag or a variable, not by a file. */
export const CONFIG_ENV = 'COUNTER_CONFIG'

export type SettingName = keyof typeof SETTINGS

/** The name of a setting's flag without its dashes: COUNTER_DATA_DIR gives data-dir. */
export function flagOf(env: string): string {
  return env.slice('COUNTER_'.length).toLowerCase().replaceAll('_', '-')
}
