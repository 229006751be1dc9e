// Sequences of a node, made of its store and of replication: the way to the other nodes, and the engine that the settings ask for.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../persistence/index.ts'
import type { ApiSequences, ReadinessCheck } from '../publicapi/index.ts'
import { type HomePeers, HomeSequencer, LocalSequencer } from '../sequence/index.ts'
import { RefusedError, type Replication } from '../syncsrv/index.ts'

/** What sequences need of the settings; lib/config.ts says what each means. */
export interface SequenceSettings {
  readonly sequence: 'auto' | 'home'
  readonly sequenceHome: number
  readonly sequenceKeyTtlMs: number
  readonly idempotencyKeysMax: number
  readonly seeds: readonly string[]
}

export interface Sequences {
  readonly api: ApiSequences
  /** To be called when the other nodes can be asked. */
  start(): void
  /** For GET /readyz: it does not make a node unready, which counts without sequences. */
  check(): ReadinessCheck
  /** 1 while numbers are given, 0 while this node knows that they are not. */
  isGiving(): boolean
  close(): Promise<void>
}

/** How long the home may take for a call, and a member for a question: both answer in milliseconds, but for pauses. */
const CALL_MS = 2000
const ASK_MS = 1000
/** How often a home tells the others how far the sequences are. */
const TELL_INTERVAL_MS = 250

/** @throws CounterError LOG_CORRUPT: a note of the sequences is of another version */
export function openSequences(
  settings: SequenceSettings,
  parts: { store: Store; replication: Replication; clock: Clock; random: Random; logger: Logger },
): Sequences {
  const { store, replication, clock } = parts
  const limits = { keyTtlMs: settings.sequenceKeyTtlMs, keysMax: settings.idempotencyKeysMax }
  const home = new HomeSequencer({
    ...parts,
    local: new LocalSequencer({ notes: store, clock, ...limits }),
    notes: store,
    peers: peersOf(replication),
    home: settings.sequenceHome,
    seeksOthers: settings.sequence === 'home' || settings.seeds.some((seed) => !seed.startsWith('legacy+')),
    doubtful: store.recovered.incarnationIsNew,
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
        throw new CounterError('SEQUENCE_UNAVAILABLE', `node ${node} cannot be asked: ${(error as Error).message}`, {
          cause: error,
        })
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
