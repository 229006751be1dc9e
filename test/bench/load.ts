// The load of the server benches, a process of its own: `load.ts keywords|incr|get PORT REQUESTS TEXT_BYTES`. Sixteen connections, one
// request under way on each. `keywords` posts texts, `incr` sends the same texts as one pipelined INCR a word, `get` asks for one name.
// The texts are the same for all contestants.

import net from 'node:net'
import { englishText } from './english.ts'

const [kind, port, requestsText, bytesText] = process.argv.slice(2)
const total = Number(requestsText)
const textBytes = Number(bytesText)
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
  if (kind === 'get') {
    return [{ bytes: Buffer.from(`GET /v1/counters/the HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`), words: 1 }]
  }
  const { text } = englishText()
  return Array.from({ length: KINDS }, (_, index) => {
    const from = (index * textBytes * 7) % (text.length - textBytes)
    const body = Buffer.from(text.subarray(from, from + textBytes))
    const list = body.toString('latin1').toLowerCase().split(/\s+/).filter(Boolean)
    if (kind === 'incr') {
      const commands = list.map((word) => `*2\r\n$4\r\nINCR\r\n$${word.length}\r\n${word}\r\n`).join('')
      return { bytes: Buffer.from(commands, 'latin1'), words: list.length }
    }
    const head = `POST /keywords HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: text/plain\r\nContent-Length: ${textBytes}\r\n\r\n`
    return { bytes: Buffer.concat([Buffer.from(head), body]), words: list.length }
  })
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
      replies = kind === 'incr' ? request.words : 1
      head = ''
      socket.write(request.bytes)
    }
    socket.on('error', reject)
    socket.on('data', (piece) => {
      if (kind === 'incr') {
        // Each reply is `:<number>\r\n`.
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
