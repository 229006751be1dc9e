// The typed client of the public API. Values are bigints, exact at any size. Each write carries an Idempotency-Key, so a request
// whose answer was lost can be repeated and still counts once; what is worth repeating is repeated here, with full jitter
// (Marc Brooker, "Exponential Backoff And Jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
// It imports the contract's types alone, and needs nothing but fetch.

import type { Contract, JsonBody, JsonReply, OperationId } from '../publicapi/contract.ts'
import { chance, freshKey, pause } from './platform.ts'

export interface ConnectOptions {
  /** The COUNTER_TOKEN of the node. */
  readonly token?: string
  /** How often a request is repeated after a failure that may pass. Default 5; 0: never. */
  readonly retriesMax?: number
  /** The first pause before a repetition is random up to this, in milliseconds; each further one up to twice as long. Default 100. */
  readonly backoffMs?: number
  /** No pause is longer than this, in milliseconds, unless the node asks for more. Default 5,000. */
  readonly backoffMaxMs?: number
  /** One attempt is given up after this, in milliseconds. Default 20,000. */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

/** A call's own options. */
export interface CallOptions {
  /** Names the operation across processes: repeated with the same key it counts once. Default: a fresh one. */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
}

export interface Increment {
  readonly name: string
  /** Default 1. */
  readonly delta?: number | bigint
}

/** What the node refused, or could not do. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  /** The last part of the problem's type, such as `name-too-long`; `unreachable` when there was no answer. */
  readonly type: string
  /** 0 when there was no answer. */
  readonly status: number
  /** How to correct it. */
  readonly fix: string | undefined
  /** Whether the request changed a count. */
  readonly applied: 'yes' | 'no' | 'unknown'

  constructor(type: string, status: number, message: string, more: { fix?: string; applied?: string; cause?: unknown }) {
    super(message, { cause: more.cause })
    this.type = type
    this.status = status
    this.fix = more.fix
    this.applied = more.applied === 'yes' || more.applied === 'no' ? more.applied : 'unknown'
  }
}

export interface Client {
  /** Counts the words of a text. */
  count(text: string, options?: CallOptions): Promise<JsonReply<'countText'>>
  /** Adds to a counter, by default 1, and gives its new value. */
  increment(name: string, delta?: number | bigint, options?: CallOptions): Promise<bigint>
  /** Adds to many counters, all or nothing. */
  incrementAll(items: readonly Increment[], options?: CallOptions): Promise<JsonReply<'incrementCounters'>>
  /** The value of a counter; 0n when it was never counted. */
  value(name: string, options?: CallOptions): Promise<bigint>
  /** The values of some counters, in the order asked. */
  values(names: readonly string[], options?: CallOptions): Promise<bigint[]>
}

type Path<Id extends OperationId> = Contract[Id]['path']

interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly contentType?: string
  readonly body?: string
}

/** A client of the node at `url`. Nothing is sent before the first call. */
export function connect(url: string, options: ConnectOptions = {}): Client {
  const base = url.replace(/\/+$/, '')
  const { token, retriesMax = 5, backoffMs = 100, backoffMaxMs = 5_000, timeoutMs = 20_000 } = options
  const send = options.fetch ?? fetch

  return {
    count: (text, call) =>
      exchange({ method: 'POST', path: at('/v1/texts'), contentType: 'text/plain; charset=utf-8', body: text }, call),

    async increment(name, delta = 1, call) {
      const body: JsonBody<'incrementCounter'> = { delta: String(delta) }
      const path = at('/v1/counters/{name}/increments', name)
      const { valueString } = await exchange<JsonReply<'incrementCounter'>>(posted(path, body), call)
      return BigInt(valueString)
    },

    incrementAll(items, call) {
      const body: JsonBody<'incrementCounters'> = { items: items.map(({ name, delta = 1 }) => ({ name, delta: String(delta) })) }
      return exchange(posted(at('/v1/increments'), body), call)
    },

    async value(name, call) {
      const { valueString } = await exchange<JsonReply<'readCounter'>>(
        { method: 'GET', path: at('/v1/counters/{name}', name) },
        call,
      )
      return BigInt(valueString)
    },

    async values(names, call) {
      if (names.length === 0) return []
      const query = names.map((name) => `names=${encodeURIComponent(name)}`).join('&')
      const { counters } = await exchange<JsonReply<'readCounters'>>(
        { method: 'GET', path: `${at('/v1/counters')}?${query}` },
        call,
      )
      return counters.map(({ valueString }) => BigInt(valueString))
    },
  }

  async function exchange<Reply>(call: Call, { idempotencyKey, signal }: CallOptions = {}): Promise<Reply> {
    const headers: Record<string, string> = { Accept: 'application/json' }
    if (token !== undefined) headers.Authorization = `Bearer ${token}`
    if (call.contentType !== undefined) headers['Content-Type'] = call.contentType
    if (call.method === 'POST') headers['Idempotency-Key'] = idempotencyKey ?? freshKey()
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      const answer = await once(call, headers, signal)
      if (!(answer instanceof Failure)) return answer as Reply
      if (!answer.passing || attempt >= retriesMax) throw answer.error
      const backoff = Math.min(backoffMaxMs, backoffMs * 2 ** attempt) * chance()
      await pause(Math.max(backoff, answer.afterMs), signal)
    }
  }

  /** One attempt. Only the caller's own abort is thrown. */
  async function once(
    { method, path, body }: Call,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const limit = AbortSignal.timeout(timeoutMs)
    try {
      const response = await send(base + path, {
        method,
        headers,
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
        ...(body === undefined ? {} : { body }),
      })
      const text = await response.text()
      return response.ok ? JSON.parse(text) : failureOf(response, text)
    } catch (error) {
      signal?.throwIfAborted()
      const message = `no answer from ${base}: ${reasonOf(error)}`
      return new Failure(new ClientError('unreachable', 0, message, { cause: error }), true, 0)
    }
  }
}

/** A failed attempt, and whether it may pass. */
class Failure {
  readonly error: ClientError
  readonly passing: boolean
  /** What the node asked to wait, in milliseconds. */
  readonly afterMs: number

  constructor(error: ClientError, passing: boolean, afterMs: number) {
    this.error = error
    this.passing = passing
    this.afterMs = afterMs
  }
}

/** Statuses after which the same request may succeed shortly. A full disk is not among them: its cure takes people. */
const PASSING = new Set([408, 429, 502, 503, 504])

function failureOf(response: Response, text: string): Failure {
  const problem = problemIn(text)
  const type = problem.type?.split('/').at(-1) ?? `status-${response.status}`
  const message = problem.detail ?? `the node answered ${response.status}`
  const passing = PASSING.has(response.status) || type === 'key-in-flight' || type === 'log-failed'
  const after = Number(response.headers.get('retry-after'))
  return new Failure(new ClientError(type, response.status, message, problem), passing, Number.isFinite(after) ? after * 1000 : 0)
}

function problemIn(text: string): { type?: string; detail?: string; fix?: string; applied?: string } {
  try {
    const problem: unknown = JSON.parse(text)
    return typeof problem === 'object' && problem !== null ? problem : {}
  } catch {
    return {}
  }
}

/** A path of the contract, checked by the compiler, with its name filled in. */
function at(path: Path<OperationId>, name?: string): string {
  if (name === undefined) return path
  if (name === '.' || name === '..') {
    throw new TypeError(`a URL cannot hold the name "${name}" in its path; use values() and incrementAll()`)
  }
  return path.replace('{name}', () => encodeURIComponent(name))
}

const posted = (path: string, body: unknown): Call => ({
  method: 'POST',
  path,
  contentType: 'application/json',
  body: JSON.stringify(body),
})

const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message || cause.name : String(cause)
}
