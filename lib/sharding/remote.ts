// A replica of a shard as a mover has it: over HTTP, on its public port.

import { CounterError, type ErrorCode } from '../base/errors.ts'
import type { Contents, Digest, KeepRequest, Known, Page, ShardPort, View } from './port.ts'
import { natural, readAnswer, readKnown } from './questions.ts'

/** What this needs of HTTP. */
export interface RemoteTransport {
  /** @throws when there is no whole reply in time */
  call(
    base: string,
    call: { method: 'GET' | 'POST'; path: string; headers: Readonly<Record<string, string>>; body?: string },
    timeoutMs: number,
  ): Promise<{ readonly status: number; readonly body: string }>
}

export interface RemoteOptions {
  readonly url: string
  readonly transport: RemoteTransport
  /** The bearer token of the shards. */
  readonly token: string | undefined
  readonly timeoutMs: number
}

const LOOK = '/v1/shard'
const ASK = '/v1/shard/questions'
const KEEP = '/v1/cluster/slots'

/** What a replica refuses with, where it is not for a while. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  'slots-conflict': 'SLOTS_CONFLICT',
  'count-overflow': 'COUNT_OVERFLOW',
  'name-too-long': 'NAME_TOO_LONG',
  'names-max': 'NAMES_MAX',
  'items-max': 'ITEMS_MAX',
  'disk-full': 'DISK_FULL',
}

export class RemoteReplica implements ShardPort {
  readonly #options: RemoteOptions

  constructor(options: RemoteOptions) {
    this.#options = options
  }

  get url(): string {
    return this.#options.url
  }

  async look(): Promise<View> {
    return readView(await this.#call('GET', LOOK))
  }

  async keep({ map, shard, after }: KeepRequest): Promise<void> {
    await this.#call('POST', KEEP, { ...map, shard, ...(after !== null && { after }) })
  }

  async know(known: readonly Known[]): Promise<boolean> {
    return readAnswer.know(await this.#ask({ ask: 'know', known }))
  }

  async take(request: { tag: string; from: number }): Promise<Page> {
    return readAnswer.page(await this.#ask({ ask: 'take', ...request }))
  }

  async find(request: { tag: string; names: readonly string[]; ids: readonly string[] }): Promise<Contents> {
    return readAnswer.contents(await this.#ask({ ask: 'find', ...request }))
  }

  async put(request: { readonly tag: string } & Contents): Promise<void> {
    await this.#ask({ ask: 'put', ...request })
  }

  async digest(request: { tag: string }): Promise<Digest> {
    return readAnswer.digest(await this.#ask({ ask: 'digest', ...request }))
  }

  #ask(question: object): Promise<unknown> {
    return this.#call('POST', ASK, question)
  }

  async #call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    const { url, transport, token, timeoutMs } = this.#options
    const headers = {
      accept: 'application/json',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    }
    let reply: { readonly status: number; readonly body: string }
    try {
      reply = await transport.call(url, { method, path, headers, ...(body && { body: JSON.stringify(body) }) }, timeoutMs)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new CounterError('PEER_UNREACHABLE', `${url} does not answer: ${why.replace(`${url}: `, '')}`, {
        fix: 'run the same again when it answers; what has moved stays moved, and counts are as they were',
      })
    }
    const answer = parse(reply.body)
    if (reply.status === 200 && answer !== undefined) return answer
    throw refusalOf(url, reply.status, answer)
  }
}

function refusalOf(url: string, status: number, answer: unknown): CounterError {
  const { type, detail, fix } = (answer ?? {}) as Record<string, unknown>
  const message = `${url} answers with status ${status}${typeof detail === 'string' ? `: ${detail}` : ''}`
  const code = CODES[String(type).replace('/problems/', '')] ?? (status >= 500 ? 'PEER_UNREACHABLE' : 'PEER_REFUSED')
  return new CounterError(code, message, typeof fix === 'string' ? { fix } : {})
}

function readView(answer: unknown): View {
  const { node, kept, members, known, names, items, nameless, withdrawalsDue, tableBytes } = (answer ?? {}) as Record<
    string,
    unknown
  >
  return {
    node: natural(node),
    kept: kept === undefined || kept === null ? undefined : (kept as View['kept']),
    members: Array.isArray(members) ? members.map(natural) : [],
    known: Array.isArray(known) ? known.map(readKnown) : [],
    names: natural(names),
    items: natural(items),
    nameless: natural(nameless),
    withdrawalsDue: natural(withdrawalsDue),
    tableBytes: natural(tableBytes),
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
