// The write load of a cluster, a process of its own: `cluster-load.ts TEXTS_A_SECOND SECONDS TEXT_BYTES PORT...`. Texts go to all ports in turns,
// eight connections to each, one request under way on each. With a rate texts are due at even distances whether or not the
// servers keep up, and what is due waits for a free connection; with rate 0 each connection posts as fast as it is answered.

import { Client } from './client.ts'
import { englishText } from './english.ts'

const [rate, seconds, textBytes, ...ports] = process.argv.slice(2).map(Number) as [number, number, number, ...number[]]
const CONNECTIONS = 8
const KINDS = 200
const TICK_MS = 2

const { text } = englishText()
const texts = Array.from({ length: KINDS }, (_, index) => {
  const from = (index * textBytes * 7) % (text.length - textBytes)
  return text.subarray(from, from + textBytes)
})
const clients = await Promise.all(
  ports.map((port) => Promise.all(Array.from({ length: CONNECTIONS }, () => Client.connect(port)))),
)
let posted = 0
let failed = 0
const startedMs = performance.now()
const endMs = startedMs + seconds * 1000
console.log('begins')
await Promise.all(clients.map((lot, at) => (rate === 0 ? asFastAsPossible(lot) : paced(lot, rate / ports.length, at))))
console.log(JSON.stringify({ posted, failed, seconds: (performance.now() - startedMs) / 1000 }))
for (const client of clients.flat()) client.close()

async function post(client: Client): Promise<void> {
  const { status } = await client.post('/keywords', texts[posted % texts.length]!)
  posted++
  if (status !== 200) failed++
}

async function asFastAsPossible(lot: readonly Client[]): Promise<void> {
  await Promise.all(
    lot.map(async (client) => {
      while (performance.now() < endMs) await post(client)
    }),
  )
}

async function paced(lot: readonly Client[], textsASecond: number, at: number): Promise<void> {
  const free = [...lot]
  // Ports are not written to in step.
  let sent = -at / ports.length
  while (performance.now() < endMs) {
    const due = ((performance.now() - startedMs) / 1000) * textsASecond
    for (; sent < due && free.length > 0; sent++) {
      const client = free.pop()!
      post(client).then(() => free.push(client))
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  while (free.length < lot.length) await new Promise((resolve) => setTimeout(resolve, TICK_MS))
}
