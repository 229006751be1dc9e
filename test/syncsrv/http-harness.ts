// A sync port and a transport on real sockets, with time that a test owns.

import type { Random } from '../../lib/base/random.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { HttpTransport, type HttpTransportOptions } from '../../lib/syncsrv/http-client.ts'
import { SyncHttpServer, type SyncHttpServerOptions } from '../../lib/syncsrv/http-server.ts'
import type { Answer } from '../../lib/syncsrv/transport.ts'
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
