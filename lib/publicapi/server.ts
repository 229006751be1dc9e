// The public port: the API behind node's HTTP server, with its limits on slow and on many clients, and an orderly end.
// Draining: /readyz turns to 503, connections that wait are accepted and no more, each reply asks its client to close, idle connections
// are closed; it is over when the last request is answered or the deadline passes.

import type { Server } from 'node:http'
import { createServer, STATUS_CODES } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Server as NetServer } from 'node:net'
import { getRequestListener, RequestError } from '@hono/node-server'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Api } from './assembly.ts'
import type { ApiLogger } from './endpoint.ts'
import { send } from './endpoint.ts'
import { Problem } from './problem.ts'

export interface ServerTimeouts {
  /** For the headers of a request to arrive, in milliseconds; 0: no limit. */
  readonly headersMs: number
  /** For a whole request to arrive, in milliseconds; 0: no limit. Lower cuts off slow uploads. */
  readonly requestMs: number
  /** How long an idle connection is kept, in milliseconds. */
  readonly keepAliveMs: number
  /** How often the two limits above are checked, in milliseconds. */
  readonly checkMs: number
}

export interface PublicServerOptions {
  /** The address to listen on. */
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Most connections at a time; further ones are closed at once. */
  readonly connectionsMax: number
  readonly timeouts: ServerTimeouts
  readonly logger: ApiLogger
  readonly clock: Clock
}

export interface Listening {
  readonly address: string
  readonly port: number
  readonly url: string
}

/** While draining, how often idle connections are looked for; those on which nothing came between two looks are closed. */
const IDLE_CHECK_MS = 50
/** For how long a drain goes on accepting when connections come without a pause. */
const ACCEPT_MS_MAX = 1000
/** That many turns without a connection say that none waits. */
const QUIET_TURNS = 3

export class PublicServer {
  readonly #options: PublicServerOptions
  readonly #api: Api
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Connections accepted since the start. */
  #accepted = 0

  constructor(options: PublicServerOptions, api: Api) {
    const { timeouts } = options
    this.#options = options
    this.#api = api
    const { express } = this.#api
    const listener = getRequestListener(this.#api.fetch, { hostname: 'localhost', errorHandler: (error) => this.#failed(error) })
    this.#server = createServer(
      {
        headersTimeout: timeouts.headersMs,
        requestTimeout: timeouts.requestMs,
        keepAliveTimeout: timeouts.keepAliveMs,
        connectionsCheckingInterval: timeouts.checkMs,
      },
      (incoming, outgoing) => {
        const bound = express(incoming)
        if (bound === undefined) {
          void listener(incoming, outgoing)
          return
        }
        const answer = bound(incoming)
        if (answer instanceof Promise) void answer.then((given) => send(outgoing, given))
        else send(outgoing, answer)
      },
    )
    this.#server.maxConnections = options.connectionsMax
    this.#server.on('clientError', refuse)
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      this.#accepted++
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** Opens the port. @throws CounterError PORT_UNUSABLE */
  listen(): Promise<Listening> {
    const { host, port } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        const taken = error.code === 'EADDRINUSE' ? 'Stop the program that has the port, or set' : 'Set'
        const fix = `${taken} COUNTER_HOST and COUNTER_PUBLIC_PORT to an address that is free.`
        reject(
          new CounterError('PORT_UNUSABLE', `cannot listen on ${host} port ${port}: ${error.message}`, { cause: error, fix }),
        )
      }
      this.#server.once('error', onError)
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError)
        const { address, port: bound } = this.#server.address() as AddressInfo
        resolve({ address, port: bound, url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}` })
      })
    })
  }

  /**
   * Ends the service in order. Requests that are under way are answered; whoever is not done by then is cut off.
   * @param deadlineMs how long to wait for them
   * @returns whether all were answered in time
   */
  drain(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options
    this.#api.drain()
    return new Promise((resolve) => {
      let inTime = true
      let ended = false
      const cancelDeadline = clock.after(deadlineMs, () => {
        inTime = false
        this.#server.closeAllConnections()
      })
      // Not the close() of the HTTP server: it would cut idle connections at once, on which a request may be on its way.
      const stopListening = (): void => {
        // Not before: a client that is asked to close makes a new connection at once, and the queue would never be empty.
        this.#api.closeAfterReplies()
        NetServer.prototype.close.call(this.#server, () => {
          cancelDeadline()
          ended = true
          cancelTick()
          // The HTTP server's own close() also ends its check for slow clients.
          this.#server.close(() => resolve(inTime))
        })
      }
      this.#acceptWaiting(clock.monotonicMs() + Math.min(deadlineMs, ACCEPT_MS_MAX), stopListening)
      let before = -1
      const tick = (): void => {
        const now = this.#bytesRead()
        // Idle are connections on which nothing arrived for a while, not those whose next request lies unread in the socket.
        if (now === before) this.#closeIdle()
        before = now
        cancelTick = later()
      }
      // In the turn after the timer, because a busy loop fires late timers before it reads what has arrived.
      const later = (): (() => void) => clock.after(IDLE_CHECK_MS, () => clock.soon(() => ended || tick()))
      let cancelTick = later()
    })
  }

  /** Ends the service at once: what is under way is cut off. */
  close(): Promise<void> {
    this.#api.drain()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  /**
   * Goes on accepting until some turns have brought no connection, then calls `done`. Connections wait in the queue of the port and are
   * accepted one a turn; a request may have been sent on them already, and closing the port would reset them.
   */
  #acceptWaiting(untilMs: number, done: () => void): void {
    const { clock } = this.#options
    const look = (before: number, quietTurns: number): void => {
      if (quietTurns === QUIET_TURNS || clock.monotonicMs() >= untilMs) return done()
      const now = this.#accepted
      clock.soon(() => look(now, now === before ? quietTurns + 1 : 0))
    }
    look(-1, 0)
  }

  #bytesRead(): number {
    let bytes = 0
    for (const socket of this.#sockets) bytes += socket.bytesRead
    return bytes
  }

  #closeIdle(): void {
    this.#server.closeIdleConnections()
    // A connection that never asked for anything does not count as idle.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
  }

  /** A request that never became one: its target or its Host header makes no URL. */
  #failed(error: unknown): Response {
    const problem =
      error instanceof RequestError
        ? new Problem('request-malformed', `${error.message}.`)
        : new Problem('internal', 'The request could not be completed.', { applied: 'unknown' })
    if (problem.type === 'internal') this.#options.logger.error({ err: error }, 'a request failed unexpectedly')
    return new Response(problem.body('none'), {
      status: problem.status,
      headers: { 'Content-Type': 'application/problem+json', 'X-Content-Type-Options': 'nosniff' },
    })
  }
}

/** What node's parser refuses gets an answer too, where the connection still takes one. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const problem =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? new Problem('request-timeout', 'The request did not arrive in time.')
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? new Problem('headers-too-large', 'The request line and the headers are larger than 16 KiB.')
        : new Problem('request-malformed', 'This is not a well-formed HTTP/1.1 request.')
  const body = problem.body('none')
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
