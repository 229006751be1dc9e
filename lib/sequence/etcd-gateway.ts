// The way to etcd: its v3 API as JSON over HTTP, which every member serves since 3.4 (docs/decisions/0012). One endpoint is used until it fails,
// then the next. Each request is tried once, with a deadline; the only one repeated is a request refused for an old token, which is known
// not to have been carried out.

import { Agent } from 'undici'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'

export interface EtcdOptions {
  /** Base URLs of members, such as http://10.0.0.1:2379. */
  readonly endpoints: readonly string[]
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** PEM texts, for https endpoints. */
  readonly tls?: { readonly ca?: string | Buffer; readonly cert?: string | Buffer; readonly key?: string | Buffer } | undefined
  /** For a request, in milliseconds; etcd itself gives up a write after about 5 s. */
  readonly deadlineMs: number
  readonly clock: Clock
}

/** Connections to each endpoint, and requests under way. The others wait here, where it is known that they were not sent. */
const CONNECTIONS_MAX = 64
const WAITING_MAX = 20_000
const KEEP_ALIVE_MS = 30_000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const SAID_LENGTH_MAX = 300

/** What an endpoint has refused, in etcd's words. Codes are those of gRPC. */
export class EtcdRefusal extends Error {
  override readonly name = 'EtcdRefusal'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** gRPC codes that come from checks before a change is proposed: surely nothing was done. */
const CODE = {
  invalidArgument: 3,
  notFound: 5,
  denied: 7,
  exhausted: 8,
  precondition: 9,
  outOfRange: 11,
  unauthenticated: 16,
} as const
const SURE_CODES: ReadonlySet<number> = new Set(Object.values(CODE))
/** The leader's raft has not taken it. */
const DROPPED = 'raft proposal dropped'

export class EtcdGateway {
  readonly #options: EtcdOptions
  readonly #agent: Agent
  #endpoint = 0
  #token: Promise<string> | undefined
  #underWay = 0
  /** Those that wait, the first one first. */
  readonly #waiting = new Set<() => void>()
  #closed = false

  constructor(options: EtcdOptions) {
    this.#options = options
    const { deadlineMs, tls } = options
    this.#agent = new Agent({
      connections: CONNECTIONS_MAX,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // How long a request may take is measured here, by the clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: deadlineMs, ...tls },
    })
  }

  get endpoints(): readonly string[] {
    return this.#options.endpoints
  }

  /**
   * Asks the present endpoint, or the one that is named.
   * @throws EtcdRefusal: etcd said no, surely nothing was done; CounterError SEQUENCE_UNAVAILABLE (the same), SEQUENCE_UNKNOWN, CLOSED
   */
  async ask(path: string, body: object, endpoint?: string): Promise<Record<string, unknown>> {
    const token = await this.#authenticated(endpoint)
    try {
      return await this.#post(path, body, token, endpoint)
    } catch (error) {
      if (!(error instanceof EtcdRefusal) || token === undefined || !isTokenRefused(error)) throw error
    }
    this.#token = undefined
    return this.#post(path, body, await this.#authenticated(endpoint), endpoint)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#agent.destroy()
  }

  #authenticated(endpoint: string | undefined): Promise<string | undefined> {
    const { user, password } = this.#options
    if (user === undefined) return Promise.resolve(undefined)
    this.#token ??= this.#authenticate(user, password ?? '', endpoint)
    return this.#token
  }

  async #authenticate(name: string, password: string, endpoint: string | undefined): Promise<string> {
    try {
      const { token } = await this.#post('/v3/auth/authenticate', { name, password }, undefined, endpoint)
      if (typeof token !== 'string') throw new CounterError('SEQUENCE_UNAVAILABLE', 'etcd gave no token')
      return token
    } catch (error) {
      this.#token = undefined
      // Without a token the request itself was never sent.
      throw new CounterError('SEQUENCE_UNAVAILABLE', `etcd does not let in the user ${name}: ${(error as Error).message}`, {
        cause: error,
        fix: 'Check the user and the password of etcd, and that auth is enabled there.',
      })
    }
  }

  async #post(
    path: string,
    body: object,
    token: string | undefined,
    named: string | undefined,
  ): Promise<Record<string, unknown>> {
    await this.#enter()
    try {
      return await this.#send(path, body, token, named)
    } finally {
      // Whoever waits takes this one's place.
      const [next] = this.#waiting
      if (next === undefined) this.#underWay--
      else next()
    }
  }

  /** Waits until another request may be under way. @throws CounterError SEQUENCE_UNAVAILABLE */
  async #enter(): Promise<void> {
    const { clock, deadlineMs } = this.#options
    if (this.#underWay < CONNECTIONS_MAX) {
      this.#underWay++
      return
    }
    if (this.#waiting.size >= WAITING_MAX) throw busy(WAITING_MAX)
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        this.#waiting.delete(enter)
        cancel()
        resolve()
      }
      const cancel = clock.after(deadlineMs, () => {
        this.#waiting.delete(enter)
        reject(busy(this.#waiting.size))
      })
      this.#waiting.add(enter)
    })
  }

  async #send(
    path: string,
    body: object,
    token: string | undefined,
    named: string | undefined,
  ): Promise<Record<string, unknown>> {
    if (this.#closed) throw new CounterError('CLOSED', 'the node is stopping')
    const { endpoints, deadlineMs, clock } = this.#options
    const used = this.#endpoint
    const origin = named ?? endpoints[used % endpoints.length]!
    const aborter = new AbortController()
    const cancel = clock.after(deadlineMs, () => aborter.abort(new Error(`no answer within ${deadlineMs} ms`)))
    try {
      const reply = await this.#agent.request({
        origin,
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: token }) },
        body: JSON.stringify(body),
        signal: aborter.signal,
      })
      const answer = parse(await textOf(reply.body))
      if (reply.statusCode === 200 && answer !== undefined) return answer
      throw refusalOf(reply.statusCode, answer)
    } catch (error) {
      if (error instanceof EtcdRefusal && isSure(error)) throw error
      // Another request may have moved on from this endpoint already.
      if (named === undefined && this.#endpoint === used) this.#endpoint = (used + 1) % endpoints.length
      throw failureOf(origin, error)
    } finally {
      cancel()
    }
  }
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of body) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
  }
  return Buffer.concat(pieces).toString('utf8')
}

const busy = (waiting: number): CounterError =>
  new CounterError('SEQUENCE_UNAVAILABLE', `${waiting} requests of this node wait for etcd, and this one has waited too long`, {
    fix: 'Try again in a second. If that lasts, give etcd faster disks, or use fewer sequences at a time.',
  })

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function refusalOf(status: number, answer: Record<string, unknown> | undefined): Error {
  const said = answer?.message ?? answer?.error
  if (typeof said !== 'string' || typeof answer?.code !== 'number') return new Error(`status ${status}, and no answer of etcd's`)
  return new EtcdRefusal(answer.code, said.slice(0, SAID_LENGTH_MAX))
}

/** A token that has expired, that a member which was restarted does not know, or from before users were changed. */
const isTokenRefused = ({ code, message }: EtcdRefusal): boolean =>
  code === CODE.unauthenticated || /invalid auth token|auth store is old|revision in header is old/.test(message)

const isSure = (refusal: EtcdRefusal): boolean =>
  SURE_CODES.has(refusal.code) || refusal.message.includes(DROPPED) || isTokenRefused(refusal)

/** Errors of undici when no connection came about, so that nothing was sent. */
const NOT_SENT: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

function failureOf(origin: string, error: unknown): CounterError {
  if (error instanceof CounterError) return error
  const { code, syscall } = error as NodeJS.ErrnoException
  const said = reasonOf(error)
  const fix = 'Look whether a majority of the etcd members runs and can be reached from here.'
  if (NOT_SENT.has(code) || syscall === 'connect' || isTlsFailure(code)) {
    return new CounterError('SEQUENCE_UNAVAILABLE', `etcd at ${origin} cannot be reached: ${said}`, { cause: error, fix })
  }
  return new CounterError('SEQUENCE_UNKNOWN', `etcd at ${origin} gave no answer: ${said}`, { cause: error, fix })
}

/** Certificates are checked before anything is sent. */
const isTlsFailure = (code: unknown): boolean =>
  /^(ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA)/.test(String(code ?? ''))

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message || error.name : String(error)
}
