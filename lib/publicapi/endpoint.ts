// From an operation and its handler to what answers a request: the guard first, then the handler, then one place where
// every reply and every failure gets its headers, is measured and logged. Handlers return plain replies and throw problems.
// An answer goes out by the router as a Response, or straight to the socket where the request came past the router.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../base/clock.ts'
import { Disconnected } from './body.ts'
import type { Guard } from './guard.ts'
import type { Metrics } from './metrics.ts'
import type { Problem } from './problem.ts'
import { toProblem } from './problem.ts'
import { pathOf, queryOf } from './target.ts'

/** What this layer needs of a log; pino's loggers have it. */
export interface ApiLogger {
  isLevelEnabled(level: string): boolean
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Reply {
  readonly status: number
  /** '' when there is no body. */
  readonly contentType: string
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** What a handler sees of a request. */
export interface Exchange {
  readonly incoming: IncomingMessage
  /** The request id: the client's own X-Request-Id, or one made here. */
  readonly id: string
  readonly path: string
  readonly query: string
}

/** What a failure looks like. `instance` is the request id. */
export type ShapeFailure = (problem: Problem, instance: string) => Pick<Reply, 'contentType' | 'body'>

export type Handler = (exchange: Exchange) => Reply | Promise<Reply>

/** What an endpoint needs to know of an operation; those of the contract have it. */
export interface Endpoint {
  readonly method: string
  readonly path: string
  readonly auth: boolean
  readonly writes: boolean
  readonly keyed?: true
}

export interface EndpointOptions {
  readonly guard: Guard
  readonly metrics: Metrics
  readonly logger: ApiLogger
  readonly clock: Clock
  /** Starts the request ids of this process. */
  readonly idPrefix: string
  /** Whether connections are to be closed after their reply. */
  readonly closing: () => boolean
}

export type ApiEnv = { Bindings: { incoming: IncomingMessage; outgoing: ServerResponse } }

const REQUEST_ID = /^[\w.:-]{1,128}$/
/** A client that went away gets no status; logs and metrics borrow nginx's. */
const STATUS_GONE = 499

/** A reply with all its headers. */
export interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string | Uint8Array
}

/** Answers a request; never throws. */
export type Bound = (incoming: IncomingMessage) => Answer | Promise<Answer>

/** Makes router handlers. One for the whole API, because it numbers the requests. */
export function createBinder(options: EndpointOptions): (endpoint: Endpoint, handler: Handler, shape?: ShapeFailure) => Bound {
  const { guard, metrics, logger, clock, closing, idPrefix } = options
  let requests = 0

  return (endpoint, handler, shape = asDocument) => {
    const observe = metrics.route(endpoint.method, endpoint.path)

    const finish = (exchange: Exchange, reply: Reply, startMs: number): Answer => {
      const elapsedMs = clock.monotonicMs() - startMs
      observe(reply.status, elapsedMs / 1000)
      logAccess(logger, exchange, reply.status, elapsedMs)
      const headers: Record<string, string> = {
        'X-Request-Id': exchange.id,
        'X-Content-Type-Options': 'nosniff',
        'Cache-Control': 'no-store',
      }
      if (reply.contentType !== '') headers['Content-Type'] = reply.contentType
      if (exchange.incoming.method === 'HEAD') headers['Content-Length'] = String(Buffer.byteLength(reply.body))
      if (closing()) headers.Connection = 'close'
      if (reply.headers !== undefined) Object.assign(headers, reply.headers)
      return { status: reply.status, headers, body: reply.body }
    }

    const fail = (exchange: Exchange, error: unknown, startMs: number): Answer => {
      if (error instanceof Disconnected) return finish(exchange, { status: STATUS_GONE, contentType: '', body: '' }, startMs)
      const problem = toProblem(error, endpoint.writes || endpoint.keyed === true)
      if (problem.type === 'internal') logger.error({ err: problem.cause, request: exchange.id }, 'a request failed unexpectedly')
      return finish(exchange, { status: problem.status, ...shape(problem, exchange.id), headers: problem.headers }, startMs)
    }

    return (incoming) => {
      const startMs = clock.monotonicMs()
      const given = incoming.headers['x-request-id']
      const id = typeof given === 'string' && REQUEST_ID.test(given) ? given : `${idPrefix}-${(requests++).toString(36)}`
      const target = incoming.url!
      const exchange = { incoming, id, path: pathOf(target), query: queryOf(target) }
      try {
        guard(incoming, endpoint)
        const reply = handler(exchange)
        if (!(reply instanceof Promise)) return finish(exchange, reply, startMs)
        return reply.then(
          (given) => finish(exchange, given, startMs),
          (error: unknown) => fail(exchange, error, startMs),
        )
      } catch (error) {
        return fail(exchange, error, startMs)
      }
    }
  }
}

const asDocument: ShapeFailure = (problem, instance) => ({
  contentType: 'application/problem+json',
  body: problem.body(instance),
})

/** An answer for the router. The headers stay a plain object, which keeps node-server on its fast path. */
export const toResponse = ({ status, headers, body }: Answer): Response => new Response(body as string, { status, headers })

/** An answer straight to the socket. */
export function send(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  headers['Content-Length'] = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length)
  outgoing.writeHead(status, headers)
  outgoing.end(body)
}

/** Good requests are many and at debug; a client's mistakes are at info; ours are warnings. Queries hold names and stay out. */
function logAccess(logger: ApiLogger, { incoming, id, path }: Exchange, status: number, elapsedMs: number): void {
  const level = status < 400 ? 'debug' : status < 500 ? 'info' : 'warn'
  if (!logger.isLevelEnabled(level)) return
  logger[level](
    { request: id, method: incoming.method, path: path.slice(0, 200), status, ms: Math.round(elapsedMs * 100) / 100 },
    'request',
  )
}
