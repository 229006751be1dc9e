// The load of the server benches, a process of its own: `load.ts KIND PORT REQUESTS SIZE [FIRST]`. Sixteen connections, one request under way on
// each. `keywords` posts texts of SIZE bytes, `incr` sends the same texts as one pipelined INCR a word, `get` asks for one name. `items` posts
// batches of SIZE items that nobody has sent before, from number FIRST on, `sadd` sends the same items as one pipelined SADD an item; `count`
// asks for the count of a tenant, `scard` for SIZE of them in one pipeline. What is sent is the same for all contestants.

import net from 'node:net'
import { englishText } from './english.ts'
import { itemsOf, TENANTS, tenantOf } from './items.ts'

const [kind, port, requestsText, sizeText, firstText = '0'] = process.argv.slice(2)
const total = Number(requestsText)
const size = Number(sizeText)
const first = Number(firstText)
/** Whether it speaks the protocol of Redis, each reply of which is `:<number>\r\n`. */
const isRedis = kind === 'incr' || kind === 'sadd' || kind === 'scard'
const CONNECTIONS = 16
const KINDS = 200

interface Request {
  readonly bytes: Buffer
  readonly words: number
}

const requests = makeRequests()
let sent = 0
let words = 0
const startedMs = performance.now()
await Promise.all(Array.from({ length: CONNECTIONS }, () => connection()))
console.log(JSON.stringify({ requests: total, words, seconds: (performance.now() - startedMs) / 1000 }))

function makeRequests(): Request[] {
  switch (kind) {
    case 'get':
      return [{ bytes: got('/v1/counters/the'), words: 1 }]
    case 'count':
      return Array.from({ length: KINDS }, (_, index) => ({ bytes: got(`/v1/tenants/${tenantOf(index)}/count`), words: 1 }))
    case 'scard':
      return Array.from({ length: KINDS }, (_, index) => {
        const tenants = Array.from({ length: size }, (_, at) => tenantOf((index + at) % TENANTS))
        return { bytes: commands(tenants.map((tenant) => ['SCARD', tenant])), words: size }
      })
    case 'items':
    case 'sadd':
      return Array.from({ length: total }, (_, index) => {
        const items = itemsOf(first + index * size, size)
        if (kind === 'items')
          return { bytes: posted('/v1/items', 'application/json', Buffer.from(JSON.stringify({ items }))), words: size }
        return { bytes: commands(items.map(({ id, tenant }) => ['SADD', tenant, id])), words: size }
      })
    default:
      return makeTexts()
  }
}

function makeTexts(): Request[] {
  const { text } = englishText()
  return Array.from({ length: KINDS }, (_, index) => {
    const from = (index * size * 7) % (text.length - size)
    const body = Buffer.from(text.subarray(from, from + size))
    const list = body.toString('latin1').toLowerCase().split(/\s+/).filter(Boolean)
    const bytes = kind === 'incr' ? commands(list.map((word) => ['INCR', word])) : posted('/keywords', 'text/plain', body)
    return { bytes, words: list.length }
  })
}

function got(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`)
}

function posted(path: string, type: string, body: Buffer): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** Commands of Redis, in one pipeline. */
function commands(all: readonly (readonly string[])[]): Buffer {
  const texts = all.map((words) => `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`)
  return Buffer.from(texts.join(''), 'latin1')
}

function connection(): Promise<void> {
  return new Promise((resolve, reject) => {
    let replies = 0
    let head = ''
    const socket = net.connect(Number(port), '127.0.0.1', next)
    function next(): void {
      if (sent >= total) return void socket.end(() => resolve())
      const request = requests[sent++ % requests.length]!
      words += request.words
      replies = isRedis ? request.words : 1
      head = ''
      socket.write(request.bytes)
    }
    socket.on('error', reject)
    socket.on('data', (piece) => {
      if (isRedis) {
        for (const byte of piece) if (byte === 0x0a) replies--
        if (replies === 0) next()
        return
      }
      head += piece.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 200')) return reject(new Error(`unexpected reply: ${head}`))
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      if (head.length >= end + 4 + length) next()
    })
  })
}
