// The way to other members over HTTP: undici, a few kept connections to each, no redirects (docs/decisions/0005). The answer is taken apart
// as it arrives, its messages are checked one by one, and giving it up closes its connection, which ends the making of it at the other end.

import { Agent, type Dispatcher } from 'undici'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { MessageReader } from './framing.ts'
import { hostOf } from './networks.ts'
import { AnswerMac, hashOf, type Key, keysOf, makeNonce, sign } from './signature.ts'
import { clientTls, isTlsFailure, type Tls } from './tls.ts'
import { MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX, type SyncPath, type Transport } from './transport.ts'

export interface HttpTransportOptions {
  /** The cluster secrets: the first signs. None: requests are not signed, and answers are believed. */
  readonly secrets: readonly string[]
  /** What to show to and expect of nodes whose address is https. Undefined: no certificate, and the system's authorities. */
  readonly tls?: Tls
  readonly clock: Clock
  readonly random: Random
  /** For a connection to be made, in milliseconds. */
  readonly connectTimeoutMs: number
}

/** An exchange, a nudge, a probe and a digest may be under way at a time, and an exchange that was just given up. */
const CONNECTIONS_MAX = 6
/**
 * Calls come as often as clients want something of several nodes. They have connections of their own, so that a member that is slow to
 * answer them is not slow to agree.
 */
const CALL_CONNECTIONS_MAX = 32
/** The other end says how long it keeps an idle connection; this is for those that do not. */
const KEEP_ALIVE_MS = 4_000
const KEEP_ALIVE_MS_MAX = 120_000
/** So much of what a refusal says is read and shown. */
const REFUSAL_BYTES_MAX = 4096
const REFUSAL_LENGTH_MAX = 300

type Reply = Dispatcher.ResponseData<unknown>

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #key: Key | undefined
  readonly #agent: Agent
  readonly #callAgent: Agent

  constructor(options: HttpTransportOptions) {
    const { secrets, tls, connectTimeoutMs } = options
    this.#options = options
    this.#key = keysOf(secrets)[0]
    const agent = {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS_MAX,
      // How long a message may take is measured here, by the clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: connectTimeoutMs, ...(tls === undefined ? {} : clientTls(tls)) },
    }
    this.#agent = new Agent({ ...agent, connections: CONNECTIONS_MAX })
    this.#callAgent = new Agent({ ...agent, connections: CALL_CONNECTIONS_MAX })
  }

  /** Breaks off all requests that are under way. */
  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#callAgent.destroy()])
  }

  async *request(
    address: string,
    path: SyncPath,
    body: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    assert(body.length <= REQUEST_BYTES_MAX, 'a request has at most REQUEST_BYTES_MAX bytes')
    if (hostOf(address) === undefined) throw new CounterError('PEER_UNREACHABLE', `"${address}" is no base URL of another node`)
    const { clock } = this.#options
    const { headers, mac } = this.#sign(path, body)
    const aborter = new AbortController()
    const late = (): void =>
      aborter.abort(new CounterError('PEER_UNREACHABLE', `${address}${path}: nothing came for ${timeoutMs} ms`))
    const giveUp = (): void => aborter.abort(new CounterError('PEER_UNREACHABLE', `${address}${path}: the request was given up`))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    let cancel = clock.after(timeoutMs, late)
    try {
      const agent = path === '/v1/call' ? this.#callAgent : this.#agent
      const reply = await agent.request({
        origin: address,
        path,
        method: 'POST',
        headers,
        body,
        signal: aborter.signal,
      })
      // Leaving the loop below gives the rest up and closes the connection; who gives up needs no error for it.
      reply.body.on('error', () => {})
      if (reply.statusCode !== 200) throw await refusalOf(address, path, reply)
      let count = 0
      const reader = new MessageReader(MESSAGE_BYTES_MAX, (payload, sent) => {
        if (mac === undefined || mac.matches(payload, sent)) return
        throw new CounterError(
          'SYNC_UNTRUSTED',
          `${address}${path}: message ${count} was not made by a holder of the cluster secret`,
          {
            fix: 'Give all nodes the same cluster secret.',
          },
        )
      })
      for await (const piece of reply.body) {
        reader.push(piece)
        for (let message = reader.next(); message !== undefined; message = reader.next()) {
          count++
          cancel()
          yield message
          cancel = clock.after(timeoutMs, late)
        }
      }
      reader.end()
      if (count === 0) throw new CounterError('SYNC_INVALID', 'the answer is empty')
    } catch (error) {
      throw failure(`${address}${path}`, error)
    } finally {
      cancel()
      signal?.removeEventListener('abort', giveUp)
    }
  }

  #sign(path: SyncPath, body: Uint8Array): { headers: Record<string, string>; mac: AnswerMac | undefined } {
    const headers = { 'content-type': 'application/octet-stream' }
    if (this.#key === undefined) return { headers, mac: undefined }
    const { clock, random } = this.#options
    const head = { path, time: String(Math.floor(clock.now())), nonce: makeNonce(random), bodyHash: hashOf(body) }
    return {
      headers: {
        ...headers,
        'counter-time': head.time,
        'counter-nonce': head.nonce,
        'counter-body-hash': head.bodyHash,
        'counter-signature': sign(this.#key, head),
      },
      mac: new AnswerMac(this.#key, head.nonce),
    }
  }
}

/** What a reply that is no answer says, in a line. */
async function refusalOf(address: string, path: SyncPath, { statusCode, body }: Reply): Promise<CounterError> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of body as AsyncIterable<Buffer>) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes > REFUSAL_BYTES_MAX) break
  }
  const text = Buffer.concat(pieces).toString('utf8')
  const said = (detailOf(text) ?? text).replace(/[\p{Cc}\s]+/gu, ' ').trim()
  const short = said.length > REFUSAL_LENGTH_MAX ? `${said.slice(0, REFUSAL_LENGTH_MAX)}...` : said
  return new CounterError('PEER_REFUSED', `${address}${path} answered with status ${statusCode}: ${short || 'no reason'}`)
}

function detailOf(text: string): string | undefined {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown }
    return typeof detail === 'string' ? detail : undefined
  } catch {
    return undefined
  }
}

function failure(what: string, error: unknown): CounterError {
  if (error instanceof CounterError) {
    return error.code === 'SYNC_INVALID' ? new CounterError('SYNC_INVALID', `${what}: ${error.message}`) : error
  }
  const why = reasonOf(error)
  if (isTlsFailure(error)) {
    return new CounterError('SYNC_UNTRUSTED', `${what}: no trusted connection: ${why}`, {
      cause: error,
      fix: 'Give all nodes certificates of one authority, with the name or IP address by which they are reached.',
    })
  }
  return new CounterError('PEER_UNREACHABLE', `${what}: ${why}`, { cause: error })
}

/** A connection that was tried at several addresses fails with an error for each, and without a message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message || error.name : String(error)
}
