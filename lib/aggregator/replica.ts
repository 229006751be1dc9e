// One replica of a shard, as this aggregator knows it: where it is, whether it answers, and how much is under way to it.
// A circuit: a replica that refuses connections, or leaves several requests in a row without an answer, is asked nothing more until a probe
// has been answered.

import type { Clock } from '../base/clock.ts'
import { Gate } from './gate.ts'
import { type ShardCall, type ShardReply, type ShardTransport, Unanswered } from './transport.ts'

export type ReplicaState =
  /** Nothing was heard yet. */
  | 'unknown'
  /** It answers, and goes by the same map. */
  | 'up'
  | 'down'
  /** It answers, and goes by another map, or is another shard. */
  | 'conflict'

export interface ReplicaOptions {
  readonly url: string
  readonly transport: ShardTransport
  readonly clock: Clock
  readonly connectionsMax: number
}

/** So many requests in a row without an answer break the circuit. */
const SILENT_MAX = 3
/** Requests that wait for a connection, for each connection. */
const WAITING_SHARE = 4

export class Replica {
  readonly url: string
  readonly gate: Gate
  readonly #options: ReplicaOptions
  #state: ReplicaState = 'unknown'
  #detail = 'has not been asked yet'
  #sinceMs: number
  /** Requests in a row that got no answer. */
  #silent = 0

  constructor(options: ReplicaOptions) {
    const { url, clock, connectionsMax } = options
    this.url = url
    this.#options = options
    this.#sinceMs = clock.monotonicMs()
    this.gate = new Gate({ clock, placesMax: connectionsMax, waitingMax: connectionsMax * WAITING_SHARE })
  }

  get state(): ReplicaState {
    return this.#state
  }

  /** Why it is not up. */
  get detail(): string {
    return this.#detail
  }

  /** What a client is told when it is not up. */
  get trouble(): string {
    return this.#detail.startsWith(this.url) ? this.#detail : `${this.url} is not in service: ${this.#detail}`
  }

  /** How long it has been in this state. */
  get stateMs(): number {
    return this.#options.clock.monotonicMs() - this.#sinceMs
  }

  /** What a probe found; a request alone never mends a circuit. */
  set(state: ReplicaState, detail: string): void {
    if (state === 'up') this.#silent = 0
    this.#detail = detail
    if (state === this.#state) return
    this.#state = state
    this.#sinceMs = this.#options.clock.monotonicMs()
  }

  /** A request, when its turn comes. @throws Unanswered */
  async call(call: ShardCall, timeoutMs: number, signal?: AbortSignal): Promise<ShardReply> {
    const { transport, clock } = this.#options
    const endMs = clock.monotonicMs() + timeoutMs
    const turn = this.gate.enter(timeoutMs)
    if (turn !== undefined) await turn
    try {
      const reply = await transport.call(this.url, call, Math.max(1, endMs - clock.monotonicMs()), signal)
      this.#silent = 0
      return reply
    } catch (error) {
      if (!signal?.aborted) this.#missed(error)
      throw error
    } finally {
      this.gate.leave()
    }
  }

  /** A request past the gate and the circuit. @throws Unanswered */
  probe(call: ShardCall, timeoutMs: number): Promise<ShardReply> {
    return this.#options.transport.call(this.url, call, timeoutMs)
  }

  #missed(error: unknown): void {
    if (!(error instanceof Unanswered)) return
    this.#silent++
    if (error.silence === 'unsent' || this.#silent >= SILENT_MAX) this.set('down', error.message)
  }
}
