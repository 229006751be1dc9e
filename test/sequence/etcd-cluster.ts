// Nodes with the etcd engine in this process, on a real etcd: what lies between them is a function call, what lies between them and etcd is a
// fault proxy before each member. And clients that call and keep what they have seen.

import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../../lib/base/clock.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { EtcdKv, EtcdSequencer, type EtcdSequencerOptions, type Sequencer } from '../../lib/sequence/index.ts'
import type { Etcd } from '../support/etcd.ts'
import type { Seen, Taken } from './history.ts'

const LOGGER = { debug() {}, info() {}, warn() {}, error() {} }

/** Engines that own sequences together. Each begins with another endpoint. */
export function enginesOn(
  etcd: Etcd,
  count: number,
  prefix: string,
  overrides: Partial<EtcdSequencerOptions> = {},
): EtcdSequencer[] {
  const engines: EtcdSequencer[] = []
  for (let node = 0; node < count; node++) {
    const endpoints = etcd.proxyUrls.map((_, index, urls) => urls[(index + node) % urls.length]!)
    engines.push(
      new EtcdSequencer({
        kv: new EtcdKv({ endpoints, deadlineMs: 1000, clock: systemClock }),
        peers: {
          self: node,
          live: () => engines.map((_, other) => other),
          call: (other, payload, timeoutMs) => within(timeoutMs, engines[other]!.answer(payload.slice(), node)),
        },
        clock: systemClock,
        random: seededRandom(node + 1),
        logger: LOGGER,
        prefix,
        timeoutMs: 5000,
        keyTtlMs: 3_600_000,
        keysMax: 100_000,
        compactRevisions: 10_000,
        ...overrides,
      }),
    )
  }
  return engines
}

function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new CounterError('PEER_UNREACHABLE', 'no answer')), timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

export interface Load {
  readonly name: string
  readonly clients: number
  /** Milliseconds, at least: it lasts until there were so many calls. */
  readonly forMs: number
  readonly callsMin?: number
  readonly random: Random
  /** Of each client. */
  readonly pauseMs?: number
}

/** Clients that take numbers and look, now with a key and again with it, until the time is over and there were enough. */
export async function runClients(nodes: readonly Pick<Sequencer, 'next' | 'get'>[], load: Load): Promise<Seen[]> {
  const { name, clients, forMs, callsMin = 0, random, pauseMs = 2 } = load
  const seen: Seen[] = []
  const dice = (sides: number): number => random.uint32() % sides
  const endMs = performance.now() + forMs
  let keys = 0

  const call = async (count: number, key: string | undefined): Promise<Taken['outcome']> => {
    const startMs = performance.now()
    const outcome = await nodes[dice(nodes.length)]!.next(name, { count, key }).catch(
      (error: CounterError): 'nothing' | 'unknown' => {
        if (error.code === 'SEQUENCE_UNKNOWN') return 'unknown'
        if (error.code === 'SEQUENCE_UNAVAILABLE') return 'nothing'
        throw error
      },
    )
    seen.push({ kind: 'next', startMs, endMs: performance.now(), count, key, outcome })
    return outcome
  }

  const client = async (): Promise<void> => {
    while (performance.now() < endMs || seen.length < callsMin) {
      await wait(dice(2 * pauseMs + 1))
      if (dice(5) === 0) {
        const startMs = performance.now()
        const value = await nodes[dice(nodes.length)]!.get(name).catch(() => undefined)
        if (value !== undefined) seen.push({ kind: 'get', startMs, endMs: performance.now(), value })
      }
      const key = dice(3) === 0 ? `k${keys++}` : undefined
      const count = 1 + dice(3)
      for (let tries = 0; tries < 3; tries++) {
        const outcome = await call(count, key)
        if (key === undefined || (typeof outcome !== 'string' && dice(5) > 0)) break
      }
    }
  }

  await Promise.all(Array.from({ length: clients }, client))
  return seen
}
