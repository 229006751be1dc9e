// A stand-in for a node of the original system, that behaves as a real one was observed to: totals by CRC-64 in a list by node id,
// joined by the greater, all of it pushed to its seeds' /sync every two seconds. With its faults: a list is grown one short
// before an own word is counted, of two entries with a key in one body the later one alone is taken, and it has no durable memory.

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc64 } from '../../lib/base/crc64.ts'

const keyOf = (word: string): bigint => crc64(Buffer.from(word))

export class Original {
  readonly id: number
  readonly totals = new Map<bigint, bigint[]>()

  constructor(id: number) {
    this.id = id
  }

  /** POST /keywords. @throws where the real one panics: it heard of the word in an entry that is too short for it */
  count(text: string): void {
    for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
      const totals = this.totals.get(keyOf(word)) ?? new Array<bigint>(this.id + 1).fill(0n)
      while (totals.length < this.id) totals.push(0n)
      this.totals.set(keyOf(word), totals)
      if (this.id >= totals.length) throw new RangeError(`index out of range [${this.id}] with length ${totals.length}`)
      totals[this.id]!++
    }
  }

  /** GET /keywords. */
  value(word: string): bigint {
    return (this.totals.get(keyOf(word.toLowerCase())) ?? []).reduce((sum, total) => sum + total, 0n)
  }

  /** What it pushes. */
  body(): Buffer {
    if (this.totals.size === 0) return Buffer.from('null')
    const entries = Array.from(this.totals, ([key, totals]) => `{"hash_keyword":${key},"totals":[${totals.join()}]}`)
    return Buffer.from(`[${entries.join()}]`)
  }

  /** What is pushed to it. @throws SyntaxError where the real one answers 400 */
  take(body: Uint8Array): void {
    const quoted = Buffer.from(body)
      .toString()
      .replace(/(?<=[[:,])\d+(?=[\],}])/g, '"$&"')
    const entries = (JSON.parse(quoted) ?? []) as { hash_keyword: string; totals: string[] | null }[]
    const data = new Map(entries.map((entry) => [BigInt(entry.hash_keyword), (entry.totals ?? []).map(BigInt)]))
    for (const [key, theirs] of data) {
      const ours = this.totals.get(key)
      if (ours === undefined) this.totals.set(key, theirs)
      else for (let at = 0; at < theirs.length; at++) ours[at] = max(ours[at] ?? 0n, theirs[at]!)
    }
  }
}

const max = (left: bigint, right: bigint): bigint => (left > right ? left : right)

export interface OriginalServer {
  readonly original: Original
  readonly publicUrl: string
  readonly syncUrl: string
  close(): Promise<void>
}

/** An original on the ports (public, sync) of this machine, 0 for free ones, until `close`. */
export async function serveOriginal(
  id: number,
  seeds: readonly string[],
  intervalMs = 2000,
  ports: readonly [number, number] = [0, 0],
): Promise<OriginalServer> {
  const original = new Original(id)
  const publicServer = createServer((incoming, outgoing) => void answerPublic(original, incoming, outgoing))
  const syncServer = createServer((incoming, outgoing) => void answerSync(original, incoming, outgoing))
  const [publicUrl, syncUrl] = await Promise.all([listen(publicServer, ports[0]), listen(syncServer, ports[1])])
  const pushAll = (): void => {
    for (const seed of seeds) push(`${seed}/sync`, original.body())
  }
  const timer = setInterval(pushAll, intervalMs)
  return {
    original,
    publicUrl,
    syncUrl,
    async close() {
      clearInterval(timer)
      for (const server of [publicServer, syncServer]) {
        server.closeAllConnections()
        await new Promise((done) => server.close(done))
      }
    },
  }
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function push(url: string, body: Buffer): void {
  const outgoing = request(url, { method: 'POST', agent: false, headers: { 'Content-Length': body.length } })
  outgoing.on('error', () => {})
  outgoing.on('response', (incoming) => incoming.resume())
  outgoing.end(body)
}

async function answerPublic(original: Original, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const url = new URL(incoming.url!, 'http://original')
  if (incoming.method === 'POST') {
    try {
      original.count((await bodyOf(incoming)).toString())
      outgoing.end()
    } catch {
      outgoing.destroy()
    }
    return
  }
  const counts = url.searchParams.getAll('keywords').map((key) => `{"key":${JSON.stringify(key)},"count":${original.value(key)}}`)
  outgoing.end(counts.length === 0 ? 'null' : `[${counts.join()}]`)
}

async function answerSync(original: Original, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  try {
    original.take(await bodyOf(incoming))
  } catch {
    outgoing.statusCode = 400
  }
  outgoing.end()
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part)
  return Buffer.concat(parts)
}
