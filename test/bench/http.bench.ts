// What a request costs the server, beside the nearest rivals in the same run, by CPU time of the server's process.
// P3: texts of 10 kB; P4: of 1 MB; P5: of 1 kB, all against one pipelined INCR a word. P6: a read, against bare node:http.

import { build, cpuSeconds, load, type Server, startBare, startCounter, startRedis } from './server.ts'

interface Run {
  readonly title: string
  readonly requests: number
  readonly textBytes: number
  readonly against: readonly { server: Server | undefined; target: number }[]
}

const ROUNDS = 3

build()
const counter = await startCounter()
const bare = await startBare()
const redis = await startRedis(false, 6390)
const redisAof = await startRedis(true, 6391)
if (!redis) console.log('redis-server is not installed: P3 to P5 are measured without it')

const texts: Run[] = [
  {
    title: 'P3  texts of 10 kB',
    requests: 4000,
    textBytes: 10_000,
    against: [
      { server: redisAof, target: 12 },
      { server: redis, target: 6 },
    ],
  },
  { title: 'P4  texts of 1 MB', requests: 60, textBytes: 1_000_000, against: [{ server: redis, target: 15 }] },
  { title: 'P5  texts of 1 kB', requests: 8000, textBytes: 1000, against: [{ server: redisAof, target: 2.5 }] },
  { title: '    texts of 100 B', requests: 12_000, textBytes: 100, against: [{ server: redisAof, target: 0 }] },
]
try {
  await load('keywords', counter.port, 2000, 10_000)
  for (const run of texts) await compareTexts(run)
  await compareReads()
} finally {
  for (const server of [counter, bare, redis, redisAof]) await server?.stop()
}

/** Units a CPU second of the server in the best round. */
async function rate(server: Server, kind: 'keywords' | 'incr' | 'get', requests: number, textBytes: number) {
  const before = cpuSeconds(server.pid)
  const done = await load(kind, server.port, requests, textBytes)
  const seconds = cpuSeconds(server.pid) - before
  return { words: done.words / seconds, requests: done.requests / seconds }
}

async function compareTexts({ title, requests, textBytes, against }: Run): Promise<void> {
  let ours = 0
  let oursRequests = 0
  const theirs = against.map(() => 0)
  for (let round = 0; round < ROUNDS; round++) {
    const mine = await rate(counter, 'keywords', requests, textBytes)
    ours = Math.max(ours, mine.words)
    oursRequests = Math.max(oursRequests, mine.requests)
    for (const [index, { server }] of against.entries()) {
      if (!server) continue
      // One word costs Redis about as much in a long pipeline as in a longer one, so a tenth of the requests is enough.
      const other = await rate(server, 'incr', Math.max(10, Math.round(requests / 10)), textBytes)
      theirs[index] = Math.max(theirs[index]!, other.words)
    }
  }
  console.log(`\n${title}, per CPU second of the server, best of ${ROUNDS}`)
  console.log(`  counter             ${millions(ours)} words   ${(1e6 / oursRequests).toFixed(0)} µs a request`)
  for (const [index, { server, target }] of against.entries()) {
    if (!server) continue
    const ratio = ours / theirs[index]!
    const verdict = target === 0 ? '' : `   target at least ${target}x: ${ratio >= target ? 'met' : 'MISSED'}`
    console.log(`  ${server.name.padEnd(18)}  ${millions(theirs[index]!)} words   ${ratio.toFixed(1)}x${verdict}`)
  }
}

async function compareReads(): Promise<void> {
  const requests = 20_000
  let ours = 0
  let theirs = 0
  for (let round = 0; round < ROUNDS; round++) {
    ours = Math.max(ours, (await rate(counter, 'get', requests, 0)).requests)
    theirs = Math.max(theirs, (await rate(bare, 'get', requests, 0)).requests)
  }
  const ratio = ours / theirs
  console.log(`\nP6  GET of one name, per CPU second of the server, best of ${ROUNDS}`)
  console.log(`  counter         ${(ours / 1000).toFixed(1)} k requests   ${(1e6 / ours).toFixed(1)} µs each`)
  console.log(`  bare node:http  ${(theirs / 1000).toFixed(1)} k requests   ${(1e6 / theirs).toFixed(1)} µs each`)
  console.log(`  ${ratio.toFixed(2)}x   target at least 0.8x: ${ratio >= 0.8 ? 'met' : 'MISSED'}`)
}

function millions(value: number): string {
  return `${(value / 1e6).toFixed(2)} M`.padStart(8)
}
