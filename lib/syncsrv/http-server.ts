// The sync port: POSTs of other members over HTTP or HTTPS, their signatures, and answers that stream. Nothing of a request is believed, and
// no memory is taken for it, before it was found to come from a member. `/sync`, where the original system's nodes push their state, cannot be
// signed by them: it is there only when an operator switched it on, and believes everybody who reaches the port.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { sendAnswer } from './answer-stream.ts'
import { Gate } from './gate.ts'
import { LEGACY_BODY_BYTES_MAX } from './legacy-codec.ts'
import { plainAddress } from './networks.ts'
import { REFUSALS, Refusal, type RefusalReason, sendRefusal } from './refusals.ts'
import { PeerGone, readRequest } from './request-body.ts'
import { AnswerMac } from './signature.ts'
import { serverTls, type Tls } from './tls.ts'
import { type Answer, REQUEST_BYTES_MAX, SYNC_PATHS, type SyncPath } from './transport.ts'

export interface SyncHttpServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly answer: Answer
  /** Takes the body of a POST /sync of the original. Undefined: there is no such path. */
  readonly legacy?: (body: Uint8Array) => Promise<void>
  /** The cluster secrets, each of which is accepted. None: everybody who reaches the port is believed. */
  readonly secrets: readonly string[]
  /** Undefined: plain HTTP. With `ca`, a client has to show a certificate that it signed. */
  readonly tls?: Tls
  readonly clock: Clock
  readonly logger: Logger
  /** Most connections at a time; further ones are closed at once. */
  readonly connectionsMax: number
  /** Called for each request that is refused. */
  readonly onRefused?: (reason: RefusalReason) => void
}

/** Since the start. */
export interface SyncCounters {
  requests: number
  /** Without a signature or without a trusted certificate, and from browsers. */
  refusedUnsigned: number
  refusedForged: number
  refusedStale: number
  refusedReplayed: number
  /** Also of unknown paths, other methods and compressed bodies. */
  refusedMalformed: number
  refusedLarge: number
  refusedBusy: number
}

export const LEGACY_PATH = '/sync'
/** So many bodies of originals are gathered at a time, because anybody can send one. */
const LEGACY_REQUESTS_MAX = 2
const HEADERS_MS = 10_000
const REQUEST_MS = 15_000
/** Longer than the pause between two exchanges, so that connections are used again. */
const KEEP_ALIVE_MS = 65_000
/** A peer that takes nothing of its answer for so long is cut off. */
const STALL_MS = 30_000
/** Each reason is logged at most so often. */
const WARN_EVERY_MS = 60_000

const PATHS: ReadonlySet<string> = new Set(SYNC_PATHS)

export class SyncHttpServer {
  readonly counters: SyncCounters = {
    requests: 0,
    refusedUnsigned: 0,
    refusedForged: 0,
    refusedStale: 0,
    refusedReplayed: 0,
    refusedMalformed: 0,
    refusedLarge: 0,
    refusedBusy: 0,
  }
  readonly #options: SyncHttpServerOptions
  readonly #gate: Gate
  readonly #server: Server
  readonly #warnedAtMs = new Map<RefusalReason, number>()
  #legacyRequests = 0

  constructor(options: SyncHttpServerOptions) {
    const { clock, secrets, tls } = options
    this.#options = options
    this.#gate = new Gate(secrets, () => clock.now())
    const limits = {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
      noDelay: true,
    }
    const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => void this.#serve(incoming, outgoing)
    this.#server =
      tls === undefined
        ? createServer(limits, listener)
        : createTlsServer({ ...limits, ...serverTls(tls), handshakeTimeout: HEADERS_MS }, listener)
    this.#server.maxConnections = options.connectionsMax
    // What is not HTTP, or too slow, gets no words.
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('tlsClientError', (error: Error, socket: Socket) => {
      this.#count('certificate', socket.remoteAddress, undefined, error.message)
    })
  }

  /** Opens the port. @throws CounterError PORT_UNUSABLE */
  listen(): Promise<{ readonly url: string; readonly port: number }> {
    const { host, port, tls } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        const taken = error.code === 'EADDRINUSE' ? 'Stop the program that has the port, or set' : 'Set'
        const fix = `${taken} COUNTER_HOST and COUNTER_SYNC_PORT to an address that is free.`
        const message = `cannot listen for other nodes on ${host} port ${port}: ${error.message}`
        reject(new CounterError('PORT_UNUSABLE', message, { cause: error, fix }))
      }
      this.#server.once('error', onError)
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError)
        const { port: bound } = this.#server.address() as AddressInfo
        const scheme = tls === undefined ? 'http' : 'https'
        resolve({ url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${bound}`, port: bound })
      })
    })
  }

  /** Ends the service at once: answers under way are cut off, and their making ends. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.counters.requests++
    try {
      const path = this.#pathOf(incoming)
      if (path === LEGACY_PATH) await this.#serveLegacy(incoming, outgoing)
      else await this.#serveMember(path, incoming, outgoing)
    } catch (error) {
      this.#failed(error, incoming, outgoing)
    }
  }

  async #serveMember(path: SyncPath, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { answer, clock } = this.#options
    const from = plainAddress(incoming.socket.remoteAddress ?? '')
    const signed = this.#gate.admit(path, incoming.headers)
    const body = await readRequest(incoming, REQUEST_BYTES_MAX, signed?.bodyHash)
    const mac = signed && new AnswerMac(signed.key, signed.nonce)
    await sendAnswer(outgoing, answer(path, body, from), mac, clock, STALL_MS)
  }

  async #serveLegacy(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (this.#legacyRequests >= LEGACY_REQUESTS_MAX)
      throw new Refusal('busy', 'Other nodes are pushing just now. Push again later.')
    this.#legacyRequests++
    try {
      await this.#options.legacy!(await readRequest(incoming, LEGACY_BODY_BYTES_MAX, undefined))
    } finally {
      this.#legacyRequests--
    }
    outgoing.writeHead(200, { 'Content-Length': 0 }).end()
  }

  /** What is asked for, when it can be asked for in this way. @throws Refusal */
  #pathOf({ url = '', method, headers }: IncomingMessage): SyncPath | typeof LEGACY_PATH {
    const legacy = url === LEGACY_PATH && this.#options.legacy !== undefined
    if (!legacy && !PATHS.has(url)) throw new Refusal('unknown', 'The sync port has no such path. The API is on the public port.')
    if (method !== 'POST') throw new Refusal('method', `The method is ${method}; expected POST.`)
    // Every browser sends one of them; no node does.
    if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
      throw new Refusal('browser', 'Pages in a browser have no business with the sync port.')
    }
    if (headers['content-encoding'] !== undefined) {
      throw new Refusal('encoding', `The Content-Encoding is "${headers['content-encoding']}"; send the body as it is.`)
    }
    const bytesMax = legacy ? LEGACY_BODY_BYTES_MAX : REQUEST_BYTES_MAX
    if (Number(headers['content-length'] ?? 0) > bytesMax) {
      throw new Refusal('large', `The body has ${headers['content-length']} bytes; at most ${bytesMax} are taken.`)
    }
    return url as SyncPath | typeof LEGACY_PATH
  }

  /** Says what went wrong while the reply has not begun; after that, cuts it off. */
  #failed(error: unknown, incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { logger } = this.#options
    if (error instanceof PeerGone) return
    if (outgoing.headersSent || outgoing.destroyed) {
      outgoing.destroy()
      logger.debug({ err: error, path: incoming.url }, 'an answer to another node was cut off')
      return
    }
    const from = incoming.socket.remoteAddress
    // Of what is left of a body no more is read than may be sent; a body of unknown length ends with its connection.
    const close = incoming.headers['content-length'] === undefined || (error instanceof Refusal && error.reason === 'large')
    if (error instanceof Refusal) {
      this.#count(error.reason, from, incoming.url, error.message)
      sendRefusal(outgoing, REFUSALS[error.reason], error.reason.toUpperCase(), error.message, close)
    } else if (error instanceof CounterError) {
      const invalid = error.code === 'SYNC_INVALID' || error.code === 'DELTA_INVALID'
      if (invalid) this.#count('malformed', from, incoming.url, error.message)
      sendRefusal(outgoing, invalid ? 400 : 503, error.code, error.fix ? `${error.message}. ${error.fix}` : error.message, close)
    } else {
      logger.error({ err: error, path: incoming.url }, 'a request of another node failed unexpectedly')
      sendRefusal(outgoing, 500, 'INTERNAL', 'The request could not be completed. The log of this node says why.', close)
    }
  }

  #count(reason: RefusalReason, from: string | undefined, path: string | undefined, detail: string): void {
    const { clock, logger, onRefused } = this.#options
    if (reason === 'unsigned' || reason === 'certificate' || reason === 'browser') this.counters.refusedUnsigned++
    else if (reason === 'forged') this.counters.refusedForged++
    else if (reason === 'stale') this.counters.refusedStale++
    else if (reason === 'replayed') this.counters.refusedReplayed++
    else if (reason === 'large') this.counters.refusedLarge++
    else if (reason === 'busy') this.counters.refusedBusy++
    else this.counters.refusedMalformed++
    onRefused?.(reason)
    const nowMs = clock.monotonicMs()
    if (nowMs - (this.#warnedAtMs.get(reason) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY_MS) return
    this.#warnedAtMs.set(reason, nowMs)
    logger.warn({ reason, from, path: path?.slice(0, 100), detail }, 'refused a request on the sync port')
  }
}
