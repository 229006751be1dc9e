// A public server on a free port over a store in memory, and raw sockets for what fetch cannot or will not send.

import { connect, type Socket } from 'node:net'
import { systemClock } from '../../lib/base/clock.ts'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { createKeptSlots } from '../../lib/node/slots.ts'
import {
  type ApiOptions,
  createApi,
  createMetrics,
  findAssets,
  PublicServer,
  type PublicServerOptions,
} from '../../lib/publicapi/index.ts'
import { Custody } from '../../lib/sharding/index.ts'
import { MemoryNotes } from '../support/memory-notes.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { FakeCluster } from './fake-cluster.ts'
import { FakeSequences } from './fake-sequences.ts'

export const KIB = 1024

export interface LogLine {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string
}

export type HarnessOptions = PublicServerOptions & ApiOptions

export class Harness {
  readonly store = new MemoryStore()
  readonly cluster = new FakeCluster(this.store)
  readonly sequences = new FakeSequences()
  readonly slots = createKeptSlots(new Custody(new MemoryNotes(), { hide: () => {} }))
  readonly log: LogLine[] = []
  readonly server: PublicServer
  readonly options: HarnessOptions
  url = ''
  port = 0

  constructor(options: Partial<HarnessOptions> = {}) {
    const write = (level: string) => (fields: object, message: string) =>
      void this.log.push({ level, fields: fields as Record<string, unknown>, message })
    const all: HarnessOptions = {
      store: this.store,
      cluster: this.cluster,
      slots: this.slots,
      shard: {
        look: async () => ({
          node: 1,
          members: [1],
          known: [],
          names: 0,
          items: 0,
          nameless: 0,
          withdrawalsDue: 0,
          tableBytes: 0,
        }),
        answer: async () => ({ versions: [], pieces: false, body: '' }),
      },
      sequences: this.sequences,
      hash: createNameHash(seededRandom(1)),
      nameBytesMax: 64,
      tokenizer: 'space',
      itemsAccept: 'one',
      itemsCompat: 'both',
      bodyBytesMax: 2 * KIB * KIB,
      token: undefined,
      host: '127.0.0.1',
      port: 0,
      connectionsMax: 100,
      timeouts: { headersMs: 10_000, requestMs: 15_000, keepAliveMs: 5_000, checkMs: 1_000 },
      logger: {
        isLevelEnabled: () => true,
        debug: write('debug'),
        info: write('info'),
        warn: write('warn'),
        error: write('error'),
      },
      clock: systemClock,
      random: seededRandom(7),
      version: '1.2.3',
      assetsDirectory: findAssets(),
      readiness: () => ({ ready: true, checks: [{ name: 'log', ok: true, detail: 'writable' }] }),
      metrics: createMetrics('1.2.3'),
      ...options,
    }
    this.options = all
    this.server = new PublicServer(all, createApi(all))
  }

  async open(): Promise<this> {
    const { url, port } = await this.server.listen()
    this.url = url
    this.port = port
    return this
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers })
  }

  post(path: string, body: string | Uint8Array | undefined, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { method: 'POST', headers, ...(body === undefined ? {} : { body: body as string }) })
  }

  postJson(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return this.post(path, text, { 'Content-Type': 'application/json', ...headers })
  }

  /** Sends bytes as they are and resolves with all that comes back until the server closes. */
  raw(...pieces: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = ''
      const socket = this.socket()
      socket.setEncoding('latin1')
      socket.on('data', (data) => {
        answer += data
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(answer))
      for (const piece of pieces) socket.write(piece)
    })
  }

  socket(): Socket {
    return connect(this.port, '127.0.0.1')
  }
}

/** Opens a server for one test and closes it after, whatever happens. */
export async function withServer<Result>(
  options: Partial<HarnessOptions>,
  task: (harness: Harness) => Promise<Result>,
): Promise<Result> {
  const harness = await new Harness(options).open()
  try {
    return await task(harness)
  } finally {
    await harness.server.close()
  }
}

/** A problem document, with the headers that belong to it. */
export async function problemOf(response: Response): Promise<Record<string, unknown> & { retryAfter: string | null }> {
  const type = response.headers.get('content-type')
  if (type !== 'application/problem+json') throw new Error(`expected a problem, got ${response.status} ${type}`)
  const body = (await response.json()) as Record<string, unknown>
  if (body.status !== response.status) throw new Error(`the problem says ${body.status}, the response ${response.status}`)
  if (body.instance !== response.headers.get('x-request-id')) throw new Error('the problem does not carry the request id')
  return { ...body, retryAfter: response.headers.get('retry-after') }
}

/** The answer to a raw request, taken apart. */
export function parseRaw(answer: string): { status: number; headers: Map<string, string>; body: string } {
  const end = answer.indexOf('\r\n\r\n')
  const [first = '', ...lines] = answer.slice(0, end).split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  return { status: Number(first.split(' ')[1]), headers, body: answer.slice(end + 4) }
}
