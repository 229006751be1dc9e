// Sequences of a node: the engine that the settings ask for, made of its store, of replication and of etcd.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../persistence/index.ts'
import type { ApiSequences, ReadinessCheck } from '../publicapi/index.ts'
import {
  Claims,
  EtcdKv,
  EtcdSequencer,
  HomeSequencer,
  LocalSequencer,
  type Migrated,
  migrate,
  type SequencePeers,
  Succession,
} from '../sequence/index.ts'
import type { Replication } from '../syncsrv/index.ts'
import { readPem } from './pem.ts'
import { NodeClaim } from './sequence-claim.ts'
import { ETCD_SERVICE, ownersOf, peersOf } from './sequence-peers.ts'

/** What sequences need of the settings; lib/config.ts says what each means. */
export interface SequenceSettings {
  readonly sequence: 'auto' | 'home' | 'etcd'
  readonly sequenceHome: number
  readonly sequenceKeyTtlMs: number
  readonly etcd: readonly string[]
  readonly etcdUser: string | undefined
  readonly etcdPassword: string | undefined
  readonly etcdCa: string | undefined
  readonly etcdCert: string | undefined
  readonly etcdKey: string | undefined
  readonly etcdPrefix: string
  readonly idempotencyKeysMax: number
  readonly seeds: readonly string[]
}

export interface Sequences {
  readonly api: ApiSequences
  /** To be called when the other nodes can be asked. */
  start(): void
  /** For GET /readyz: it does not make a node unready, which counts without sequences. */
  check(): ReadinessCheck
  /** Whether numbers are given, as far as this node knows without asking. */
  isGiving(): boolean
  close(): Promise<void>
}

interface Parts {
  readonly store: Store
  readonly replication: Replication
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** How long the home may take for a call, and a member for a question: both answer in milliseconds, but for pauses. */
const CALL_MS = 2000
const ASK_MS = 1000
/** How often a home tells the others how far the sequences are. */
const TELL_INTERVAL_MS = 250
/** A request to etcd; and a call for numbers, which rides out an election or two. */
const ETCD_REQUEST_MS = 1000
const ETCD_CALL_MS = 5000
/** How long a claim on a node id outlives its node. */
const CLAIM_MS = 15_000
/** What etcd keeps of the past: a few hundred MB at most of its 2 GB. */
const ETCD_REVISIONS = 50_000

/** @throws CounterError LOG_CORRUPT: a note of the sequences is of another version; CONFIG_INVALID: a file of a certificate cannot be read */
export function openSequences(settings: SequenceSettings, parts: Parts): Sequences {
  const limits = { keyTtlMs: settings.sequenceKeyTtlMs, keysMax: settings.idempotencyKeysMax }
  const local = new LocalSequencer({ notes: parts.store, clock: parts.clock, ...limits })
  const usesEtcd = settings.sequence === 'etcd' || (settings.sequence === 'auto' && settings.etcd.length > 0)
  return usesEtcd ? openEtcd(settings, parts, local) : openHome(settings, parts, local)
}

function openHome(settings: SequenceSettings, parts: Parts, local: LocalSequencer): Sequences {
  const { store, replication } = parts
  const home = new HomeSequencer({
    ...parts,
    local,
    notes: store,
    peers: peersOf(replication),
    home: settings.sequenceHome,
    seeksOthers: settings.sequence === 'home' || settings.seeds.some((seed) => !seed.startsWith('legacy+')),
    doubtful: store.recovered.incarnationIsNew,
    migrate: () => moveToEtcd(settings, parts, local),
    callTimeoutMs: CALL_MS,
    askTimeoutMs: ASK_MS,
    intervalMs: TELL_INTERVAL_MS,
  })
  return {
    api: home,
    start: () => home.start(),
    check() {
      const { home: node, isHome, trouble } = home.health()
      const detail = isHome ? 'this node gives the numbers' : `node ${node} gives the numbers`
      return { name: 'sequences', ok: trouble === undefined, detail: trouble ?? detail }
    },
    isGiving: () => home.health().trouble === undefined,
    close: () => home.close(),
  }
}

function openEtcd(settings: SequenceSettings, parts: Parts, local: LocalSequencer): Sequences {
  const { store, replication } = parts
  const kv = connectEtcd(settings, parts)
  const etcd = engineOn(kv, settings, parts, ownersOf(replication))
  const options = { ...parts, kv, prefix: settings.etcdPrefix, ttlMs: CLAIM_MS }
  const open = (directory: string, onLost: (error: CounterError) => void) => new Claims({ ...options, directory, onLost })
  const claim = new NodeClaim({ ...parts, notes: store, open })
  replication.serve(ETCD_SERVICE, (payload, node) => etcd.answer(payload, node))
  const sequences = new Succession({ etcd, local, notes: store })
  return {
    api: sequences,
    start() {
      const { node, members } = replication.status()
      claim.start({ node, address: members.find(({ self }) => self)?.address ?? '' })
    },
    check() {
      const { trouble } = claim
      return { name: 'sequences', ok: trouble === undefined, detail: trouble?.message ?? 'etcd gives the numbers' }
    },
    isGiving: () => true,
    async close() {
      await claim.close()
      await sequences.close()
    },
  }
}

function connectEtcd(settings: SequenceSettings, { clock }: Parts): EtcdKv {
  const { etcd: endpoints, etcdUser: user, etcdPassword: password, etcdCa: ca, etcdCert: cert, etcdKey: key } = settings
  const pem = (name: string, path: string | undefined) => (path === undefined ? undefined : readPem(name, path))
  const tls = {
    ...(ca !== undefined && { ca: pem('COUNTER_ETCD_CA', ca)! }),
    ...(cert !== undefined && { cert: pem('COUNTER_ETCD_CERT', cert)! }),
    ...(key !== undefined && { key: pem('COUNTER_ETCD_KEY', key)! }),
  }
  return new EtcdKv({ endpoints, user, password, tls, deadlineMs: ETCD_REQUEST_MS, clock })
}

function engineOn(kv: EtcdKv, settings: SequenceSettings, parts: Parts, peers: SequencePeers): EtcdSequencer {
  return new EtcdSequencer({
    ...parts,
    kv,
    peers,
    prefix: settings.etcdPrefix,
    timeoutMs: ETCD_CALL_MS,
    keyTtlMs: settings.sequenceKeyTtlMs,
    keysMax: settings.idempotencyKeysMax,
    compactRevisions: ETCD_REVISIONS,
  })
}

/** For `counter sequence migrate`: the home brings all it has to the etcd of its own settings. */
async function moveToEtcd(settings: SequenceSettings, parts: Parts, local: LocalSequencer): Promise<Migrated> {
  if (settings.etcd.length === 0) {
    throw new CounterError(
      'SEQUENCE_UNAVAILABLE',
      `node ${settings.sequenceHome}, which has the sequences, knows of no etcd to move them to`,
      {
        fix: 'Start it with COUNTER_SEQUENCE=home and COUNTER_ETCD, and repeat this.',
      },
    )
  }
  const { node: self } = parts.replication.status()
  const alone = { self, live: () => [self], call: () => Promise.reject(new CounterError('MEMBER_UNKNOWN', 'it is alone')) }
  const etcd = engineOn(connectEtcd(settings, parts), settings, parts, alone)
  try {
    return await migrate(local, etcd)
  } finally {
    await etcd.close()
  }
}
