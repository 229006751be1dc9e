// A sync port and a transport on real sockets, with time that a test owns.

import { Agent, type OutgoingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import type { Random } from '../../lib/base/random.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { HttpTransport, type HttpTransportOptions } from '../../lib/syncsrv/http-client.ts'
import { SyncHttpServer, type SyncHttpServerOptions } from '../../lib/syncsrv/http-server.ts'
import { hashOf, keysOf, makeNonce, sign } from '../../lib/syncsrv/signature.ts'
import type { Answer, SyncPath } from '../../lib/syncsrv/transport.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

export const SECRET = 'a secret of the cluster'
export const OTHER_SECRET = 'another secret, just as long'
export const NO_LOG = { debug() {}, info() {}, warn() {}, error() {} }

/** Gives back the body, a message for each byte it begins with, so that [3, ...] is answered three times. */
export const echo: Answer = async function* (_path, body) {
  for (let number = 0; number < body[0]!; number++) yield body
}

export class Pair {
  readonly clock = new VirtualClock()
  readonly random: Random = seededRandom(1)
  readonly #closing: (() => Promise<void>)[] = []

  async serve(options: Partial<SyncHttpServerOptions> = {}): Promise<{ server: SyncHttpServer; url: string; port: number }> {
    const server = new SyncHttpServer({
      host: '127.0.0.1',
      port: 0,
      answer: echo,
      secrets: [],
      clock: this.clock,
      logger: NO_LOG,
      connectionsMax: 20,
      ...options,
    })
    const { url, port } = await server.listen()
    this.#closing.push(() => server.close())
    return { server, url, port }
  }

  transport(options: Partial<HttpTransportOptions> = {}): HttpTransport {
    const transport = new HttpTransport({
      secrets: [],
      clock: this.clock,
      random: this.random,
      connectTimeoutMs: 5000,
      ...options,
    })
    this.#closing.push(() => transport.close())
    return transport
  }

  /** A server of any bytes: `reply` is called when something has come on a connection. Resolves with its base URL. */
  async serveBytes(reply: (socket: Socket, first: string) => void): Promise<string> {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}))
      socket.once('data', (piece) => reply(socket, piece.toString('latin1')))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.#closing.push(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** A server that replies with the bytes that are made for the nonce of a request. */
  serveRequests(reply: (nonce: string) => Uint8Array): Promise<string> {
    return this.serveBytes((socket, first) => socket.write(reply(/counter-nonce: (\S+)/i.exec(first)![1]!)))
  }

  /** Headers as a member with this secret would send them. */
  sign(secret: string, path: SyncPath, body: Uint8Array, { timeMs = this.clock.now(), nonce = makeNonce(this.random) } = {}) {
    const head = { path, time: String(timeMs), nonce, bodyHash: hashOf(body) }
    return {
      'counter-time': head.time,
      'counter-nonce': head.nonce,
      'counter-body-hash': head.bodyHash,
      'counter-signature': sign(keysOf([secret])[0]!, head),
    }
  }

  /** Closes all that was opened; transports first, so that no server waits for them. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close()
  }
}

/** All messages of an answer, copied. */
export async function collect(answer: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = []
  for await (const message of answer) messages.push(message.slice())
  return messages
}

/** What the rejected promise says: its code and its message. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return `${(error as { code?: string }).code} ${(error as Error).message}`
  }
  throw new Error('expected a failure')
}

/** Sends any request, on a connection of its own, and resolves with the reply. */
export function send(
  url: string,
  {
    method = 'POST',
    headers = {},
    body = new Uint8Array(0),
  }: { method?: string; headers?: OutgoingHttpHeaders; body?: Uint8Array },
): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false })
    const outgoing = request(url, { method, headers, agent }, (incoming) => {
      let text = ''
      incoming.setEncoding('latin1').on('data', (piece: string) => (text += piece))
      incoming.on('end', () => resolve({ status: incoming.statusCode!, text, headers: incoming.headers }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** Waits for something that other turns of the event loop bring about. */
export async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setImmediate(resolve))
}
