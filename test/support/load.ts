// Load over plain sockets, so that it is known of every request what became of it: answered, lost after it was sent, or never
// sent. `Connection` is one HTTP/1.1 connection with one request at a time; `Writers` are many, which write into a ledger.

import { connect, type Socket } from 'node:net'
import { type Ledger, type Op, requestOf } from './ledger.ts'

export interface Answer {
  readonly kind: 'answered'
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * `lost`: all or a part of the request was handed to a connection, and no whole answer came. `unsent`: nothing was, because there is
 * no connection to be had.
 */
export type Outcome = Answer | { readonly kind: 'lost' } | { readonly kind: 'unsent' }

export interface Request {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** One connection at a time to a port of this machine, made when a request needs it. */
export class Connection {
  readonly #port: number
  #socket: Socket | undefined
  #received: Buffer = Buffer.alloc(0)
  #settle: ((outcome: Outcome) => void) | undefined

  constructor(port: number) {
    this.#port = port
  }

  /** Sends a request, after the one before was settled. */
  async request(request: Request): Promise<Outcome> {
    const socket = this.#socket ?? (await this.#connect())
    if (socket === undefined) return { kind: 'unsent' }
    return new Promise((resolve) => {
      this.#settle = resolve
      socket.write(encode(request))
    })
  }

  close(): void {
    this.#socket?.destroy()
  }

  #connect(): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
      socket.on('connect', () => {
        this.#socket = socket
        this.#received = Buffer.alloc(0)
        resolve(socket)
      })
      socket.on('error', () => {})
      // A connection that its other side ends takes no further request, and one that is under way is not answered any more.
      socket.on('end', () => this.#leave(socket))
      socket.on('close', () => {
        this.#leave(socket)
        resolve(undefined)
      })
      socket.on('data', (piece) => this.#take(piece))
    })
  }

  #leave(socket: Socket): void {
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.#finish({ kind: 'lost' })
  }

  #finish(outcome: Outcome): void {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(outcome)
  }

  #take(piece: Buffer): void {
    this.#received = this.#received.length === 0 ? piece : Buffer.concat([this.#received, piece])
    const read = decode(this.#received)
    if (read === undefined) return
    this.#received = this.#received.subarray(read.length)
    if (read.answer.headers.connection === 'close') {
      this.#socket?.destroy()
      this.#socket = undefined
    }
    this.#finish(read.answer)
  }
}

function encode({ method, path, headers = {}, body = '' }: Request): string {
  const all = { Host: 'localhost', ...(method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(body) }), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

/** The answer at the start of `bytes` and its length; undefined while it is not whole. */
function decode(bytes: Buffer): { answer: Answer; length: number } | undefined {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const [first, ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const status = Number(first!.split(' ')[1])
  const start = headEnd + HEAD_END.length
  if (headers['content-length'] === undefined) throw new Error(`an answer without a Content-Length: ${first}`)
  const length = start + Number(headers['content-length'])
  if (bytes.length < length) return undefined
  return { answer: { kind: 'answered', status, headers, body: bytes.toString('utf8', start, length) }, length }
}

type OnAnswer = (answer: Answer, op: Op) => Promise<void> | undefined

/** Connections that write ops of a ledger, each the next as soon as the last is answered, until their node dies or stop(). */
export class Writers {
  readonly #ledger: Ledger
  readonly #onAnswer: OnAnswer
  readonly #done: Promise<unknown>
  #stopped = false
  /** Requests that were sent and have no answer yet. */
  inFlight = 0

  /** @param onAnswer called for each answer; the writer goes on when what it returns has resolved */
  constructor(port: number, ledger: Ledger, count: number, onAnswer: OnAnswer = () => undefined) {
    this.#ledger = ledger
    this.#onAnswer = onAnswer
    this.#done = Promise.all(Array.from({ length: count }, () => this.#write(new Connection(port))))
  }

  /** Resolves when every writer has ended: its connection was lost, or stop() was called and its last request settled. */
  ended(): Promise<unknown> {
    return this.#done
  }

  /** Lets each writer finish its request. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  async #write(connection: Connection): Promise<void> {
    while (!this.#stopped) {
      const op = this.#ledger.begin()
      this.inFlight++
      const outcome = await connection.request(requestOf(op))
      this.inFlight--
      settle(this.#ledger, op, outcome)
      if (outcome.kind !== 'answered') return
      await this.#onAnswer(outcome, op)
    }
    connection.close()
  }
}

/** Writes into the ledger what became of an op. */
export function settle(ledger: Ledger, op: Op, outcome: Outcome): void {
  if (outcome.kind === 'unsent') ledger.refused(op)
  else if (outcome.kind === 'lost') ledger.unknown(op)
  else if (outcome.status === 200) ledger.acknowledged(op)
  else if (appliedOf(outcome) === 'unknown') ledger.unknown(op)
  else ledger.refused(op)
}

/** What a problem says of the increment it refuses; `unknown` when it does not say. */
function appliedOf({ body }: Answer): string {
  try {
    return (JSON.parse(body) as { applied?: string }).applied ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Sends an op again, with its key, until it is answered. */
export async function retryUntilAnswered(ledger: Ledger, op: Op, connection: Connection): Promise<Answer> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    ledger.resend(op)
    const outcome = await connection.request(requestOf(op))
    // 409: the first request with the key is still under way.
    if (outcome.kind !== 'answered' || outcome.status === 409) continue
    settle(ledger, op, outcome)
    return outcome
  }
  throw new Error(`${op.name} was not answered in 1000 attempts`)
}

/** Names in one request: their URL must fit into the 16 KiB that a node reads of one. */
const QUERY_BYTES_MAX = 12_000

/** The counts of many names, by GET /keywords. Words are asked for as they are: in lower case. */
export async function readCounts(port: number, names: Iterable<string>): Promise<Map<string, number>> {
  const connection = new Connection(port)
  const counts = new Map<string, number>()
  let query = ''
  const ask = async () => {
    if (query === '') return
    const outcome = await connection.request({ method: 'GET', path: `/keywords?${query.slice(1)}` })
    if (outcome.kind !== 'answered' || outcome.status !== 200) throw new Error(`reading failed: ${JSON.stringify(outcome)}`)
    for (const { key, count } of JSON.parse(outcome.body) as Array<{ key: string; count: number }>) counts.set(key, count)
    query = ''
  }
  for (const name of names) {
    const part = `&keywords=${encodeURIComponent(name)}`
    if (query.length + part.length > QUERY_BYTES_MAX) await ask()
    query += part
  }
  await ask()
  connection.close()
  return counts
}
