// The way to the shards over HTTP: undici (docs/decisions/0005), a pool of kept connections to each replica, one request at a time on each.

import { Agent } from 'undici'
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
/** Errors before there was a connection. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

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

  async call(base: string, call: ShardCall, timeoutMs: number, signal?: AbortSignal): Promise<ShardReply> {
    const { method, path, headers, body } = call
    const aborter = new AbortController()
    const late = new Unanswered('unknown', `${base} has not answered for ${Math.round(timeoutMs)} ms`)
    const cancel = this.#clock.after(timeoutMs, () => aborter.abort(late))
    const giveUp = (): void => aborter.abort(new Unanswered('unknown', `the request to ${base} was given up`))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    try {
      const reply = await this.#agent.request({
        origin: base,
        path,
        method,
        headers,
        signal: aborter.signal,
        ...(body === undefined ? {} : { body }),
      })
      return { status: reply.statusCode, headers: reply.headers, body: await reply.body.text() }
    } catch (error) {
      if (error instanceof Unanswered) throw error
      throw new Unanswered(wasUnsent(error) ? 'unsent' : 'unknown', `${base}: ${reasonOf(error)}`, error)
    } finally {
      cancel()
      signal?.removeEventListener('abort', giveUp)
    }
  }
}

function wasUnsent(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(wasUnsent)
  const { code, syscall } = error as NodeJS.ErrnoException
  return UNSENT.has(String(code)) || syscall === 'connect'
}

/** A connection that was tried at several addresses fails with an error for each, and without a message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message || error.name : String(error)
}
