// The way to the shards over HTTP: undici (docs/decisions/0005), a pool of kept connections to each replica, one request at a time on each.
// Its lowest level is used, which costs half of request(), and says whether a request was ever handed to a connection.

import { Agent, type Dispatcher } from 'undici'
import type { Clock } from '../base/clock.ts'
import { type ShardCall, type ShardReply, type ShardTransport, Unanswered } from './transport.ts'

export interface HttpShardsOptions {
  readonly clock: Clock
  /** Connections to one replica. */
  readonly connectionsMax: number
  /** For a connection to be made, in milliseconds. */
  readonly connectTimeoutMs: number
}

/** A node keeps an idle connection for five seconds and says so; this is for those that do not say. */
const KEEP_ALIVE_MS = 4_000

export class HttpShards implements ShardTransport {
  readonly #clock: Clock
  readonly #agent: Agent

  constructor({ clock, connectionsMax, connectTimeoutMs }: HttpShardsOptions) {
    this.#clock = clock
    this.#agent = new Agent({
      connections: connectionsMax,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // How long a reply may take is measured here, by the clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: connectTimeoutMs },
    })
  }

  /** Breaks off all requests that are under way. */
  close(): Promise<void> {
    return this.#agent.destroy()
  }

  call(base: string, call: ShardCall, timeoutMs: number, signal?: AbortSignal): Promise<ShardReply> {
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(base, resolve, reject)
      exchange.cancel = this.#clock.after(timeoutMs, () => exchange.giveUp(`has not answered for ${Math.round(timeoutMs)} ms`))
      if (signal !== undefined) {
        if (signal.aborted) return exchange.giveUp('is not asked any more')
        signal.addEventListener('abort', () => exchange.giveUp('is not asked any more'), { once: true })
      }
      const { method, path, headers, body } = call
      this.#agent.dispatch({ origin: base, path, method, headers, body: body ?? null }, exchange)
    })
  }
}

/** One request and its reply. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #base: string
  readonly #resolve: (reply: ShardReply) => void
  readonly #reject: (error: Unanswered) => void
  cancel = (): void => {}
  /** Since the request is on a connection. */
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  #status = 0
  #headers: ShardReply['headers'] = {}
  readonly #pieces: Buffer[] = []

  constructor(base: string, resolve: (reply: ShardReply) => void, reject: (error: Unanswered) => void) {
    this.#base = base
    this.#resolve = resolve
    this.#reject = reject
  }

  giveUp(why: string): void {
    this.#fail(`${this.#base} ${why}`)
    this.#controller?.abort(new Error(why))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // It was given up while it waited for a connection; nothing has been written.
    if (this.#settled) controller.abort(new Error('given up'))
    else this.#controller = controller
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ShardReply['headers']): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_: Dispatcher.DispatchController, piece: Buffer): void {
    this.#pieces.push(piece)
  }

  onResponseEnd(): void {
    if (this.#settled) return
    this.#end()
    const [first] = this.#pieces
    const body = this.#pieces.length === 1 ? first!.toString() : Buffer.concat(this.#pieces).toString()
    this.#resolve({ status: this.#status, headers: this.#headers, body })
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#fail(`${this.#base}: ${reasonOf(error)}`, error)
  }

  #fail(message: string, cause?: Error): void {
    if (this.#settled) return
    this.#end()
    this.#reject(new Unanswered(this.#controller === undefined ? 'unsent' : 'unknown', message, cause))
  }

  #end(): void {
    this.#settled = true
    this.cancel()
  }
}

/** A connection that was tried at several addresses fails with an error for each, and without a message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message || error.name : String(error)
}
