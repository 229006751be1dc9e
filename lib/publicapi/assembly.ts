// A table of handlers as an API: the contract's operations bound to their handlers, pages for people beside them, and an answer for whatever
// the contract does not know. What is behind the handlers is not known here: a node, or shards.

import type { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import { Hono } from 'hono'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { OperationId } from './contract.ts'
import { contract } from './contract.ts'
import type { ApiEnv, ApiLogger, Bound, Endpoint, Handler, ShapeFailure } from './endpoint.ts'
import { createBinder, toResponse } from './endpoint.ts'
import { createGuard } from './guard.ts'
import type { Metrics } from './metrics.ts'
import { openapi } from './openapi.ts'
import type { Readiness } from './operating.ts'
import { createOperating } from './operating.ts'
import { createPages } from './pages.ts'
import { Problem } from './problem.ts'
import { pathOf } from './target.ts'

/** What every public API needs, whatever is behind it. */
export interface AppOptions {
  /** Most bytes of a request body. JSON bodies are held to JSON_BYTES_MAX as well. */
  readonly bodyBytesMax: number
  /** The bearer token; undefined: everybody who reaches the port may ask. */
  readonly token: string | undefined
  /** The address the server is bound to; on loopback without a token the Host header is checked against it. */
  readonly host: string
  readonly logger: ApiLogger
  readonly clock: Clock
  readonly random: Random
  readonly version: string
  /** Where Swagger UI's files lie: findAssets(). */
  readonly assetsDirectory: string
  readonly readiness: () => Readiness
  readonly metrics: Metrics
  /** Looks at every request; throws when it goes by another map of slots. */
  readonly checkSlots?: (incoming: IncomingMessage) => void
}

export interface Api {
  readonly app: Hono<ApiEnv>
  readonly fetch: Hono<ApiEnv>['fetch']
  /** The same without the router, where there is such a way for this request. */
  readonly express: (incoming: IncomingMessage) => Bound | undefined
  /** From now on /readyz says no. */
  drain(): void
  /** From now on every reply asks its client to close the connection. */
  closeAfterReplies(): void
}

const page = (path: string): Endpoint => ({ method: 'GET', path, auth: false, writes: false })
/** Paths beside the contract: pages for people, and an older name of the liveness check. */
const PAGES = { land: page('/'), readAsset: page('/swagger/{file}'), explainProblem: page('/problems/{type}') }
const HEALTHZ = page('/healthz')
const COUNTER = '/v1/counters/'
const NOWHERE: Endpoint = { method: '*', path: '*', auth: false, writes: false }

/** Operations that every API has, made here. */
type OwnId = 'live' | 'ready' | 'metrics' | 'explore' | 'readDefinition'
/** Operations whose handlers are given. */
export type HandledId = Exclude<OperationId, OwnId>

/**
 * Binds the handlers of all other operations.
 * @param shapes of the failures of operations that do not answer with problem documents
 */
export function assembleApi(
  options: AppOptions,
  others: Record<HandledId, Handler>,
  shapes: Partial<Record<OperationId, ShapeFailure>> = {},
): Api {
  const { metrics, version, assetsDirectory, random } = options
  let draining = false
  let closing = false
  const readiness = (): Readiness => {
    const { ready, checks } = options.readiness()
    return draining
      ? { ready: false, checks: [...checks, { name: 'drain', ok: false, detail: 'the node is shutting down' }] }
      : { ready, checks }
  }

  const operating = createOperating({ readiness, metrics })
  const pages = createPages({ assetsDirectory, version, definition: JSON.stringify(openapi(version)) })
  const handlers: Record<OperationId, Handler> = {
    ...others,
    ...operating,
    explore: pages.explore,
    readDefinition: pages.readDefinition,
  }

  // Routes are matched on the path as it was sent: names in it are decoded once, by their handler.
  const app = new Hono<ApiEnv>({
    getPath: (_request, context) => pathOf((context as { env: ApiEnv['Bindings'] }).env.incoming.url!),
  })
  const bind = createBinder({
    guard: createGuard(options),
    metrics,
    logger: options.logger,
    clock: options.clock,
    idPrefix: random.uint32().toString(36),
    closing: () => closing,
  })
  const all = new Map<Endpoint, Bound>()
  const add = (endpoint: Endpoint, handler: Handler, shape?: ShapeFailure): void => {
    const bound = bind(endpoint, handler, shape)
    all.set(endpoint, bound)
    app.on(endpoint.method, endpoint.path.replace(/\{(\w+)\}/g, ':$1'), (context) => routed(bound, context))
  }
  for (const id of Object.keys(contract) as OperationId[]) add(contract[id], handlers[id], shapes[id])
  for (const id of Object.keys(PAGES) as (keyof typeof PAGES)[]) add(PAGES[id], pages[id])
  add(HEALTHZ, operating.live)

  const endpoints: Endpoint[] = [...Object.values(contract), ...Object.values(PAGES), HEALTHZ]
  const elsewhere = bind(NOWHERE, ({ incoming, path }) => {
    const methods = methodsAt(endpoints, path)
    if (methods.length === 0) throw notFound(endpoints, path)
    const allow = methods.join(', ')
    if (incoming.method === 'OPTIONS') return { status: 204, contentType: '', body: '', headers: { Allow: allow } }
    throw new Problem('method-not-allowed', `${incoming.method} is not among the methods of ${path}: ${allow}.`, {
      headers: { Allow: allow },
    })
  })
  app.notFound((context: Context<ApiEnv>) => routed(elsewhere, context))

  const drain = (): void => {
    draining = true
  }
  const closeAfterReplies = (): void => {
    closing = true
  }
  return { app, fetch: app.fetch, express: expressLane(all), drain, closeAfterReplies }
}

function routed(bound: Bound, { env: { incoming } }: Context<ApiEnv>): Response | Promise<Response> {
  const answer = bound(incoming)
  return answer instanceof Promise ? answer.then(toResponse) : toResponse(answer)
}

/** A way past the router for the operations that are asked most. It knows them by their target alone, or knows nothing. */
function expressLane(all: ReadonlyMap<Endpoint, Bound>): Api['express'] {
  const often = [
    contract.countKeywords,
    contract.countText,
    contract.incrementCounters,
    contract.addToTotal,
    contract.addItems,
    contract.addOriginalItems,
  ]
  const posts = new Map(often.map((endpoint) => [endpoint.path as string, all.get(endpoint)]))
  const readKeywords = all.get(contract.readKeywords)
  const readCounter = all.get(contract.readCounter)
  const readCounters = all.get(contract.readCounters)
  return ({ method, url }) => {
    if (method === 'POST') return posts.get(url!)
    if (method !== 'GET') return undefined
    if (url!.startsWith('/keywords?')) return readKeywords
    // So an aggregator asks its shards.
    if (url!.startsWith('/v1/counters?')) return readCounters
    return url!.startsWith(COUNTER) && url!.length > COUNTER.length && !url!.includes('/', COUNTER.length)
      ? readCounter
      : undefined
  }
}

/** The methods that an operation takes at this path, for the Allow header; none when there is no operation. */
function methodsAt(endpoints: readonly Endpoint[], path: string): string[] {
  const found = endpoints.filter((endpoint) => patternOf(endpoint.path).test(path)).map(({ method }) => method)
  if (found.length === 0) return []
  return [...(found.includes('GET') ? ['GET', 'HEAD'] : []), ...found.filter((method) => method !== 'GET'), 'OPTIONS']
}

const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`)

/** Names the operation that was perhaps meant, or else all of them. */
function notFound(endpoints: readonly Endpoint[], path: string): Problem {
  const paths = [...new Set(endpoints.map((endpoint) => endpoint.path))]
  const trimmed = path.toLowerCase().replace(/\/+$/, '')
  const near = (candidate: string): boolean =>
    candidate.length > 1 && !candidate.includes('{') && (trimmed.startsWith(candidate) || candidate === `/v1${trimmed}`)
  const meant = paths.find((candidate) => patternOf(candidate).test(trimmed)) ?? paths.find(near)
  const hint = meant === undefined ? `The paths are ${paths.join(', ')}.` : `Did you mean ${meant}?`
  const shown = path.length > 100 ? `${path.slice(0, 100)}...` : path
  return new Problem('not-found', `There is nothing at ${shown}.`, { fix: `${hint} GET /swagger explains the operations.` })
}
