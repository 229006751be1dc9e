// Seeded nonsense against the public port for some seconds: the node stays up, goes on answering small requests, stays within its memory,
// and counts nothing of what it refuses.
// time limit: 400 s
// Every word of a request that must be refused starts with `refused-`, and must read 0 in the end. SECONDS=300 makes it a long run.

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { collidingNames } from '../support/collisions.ts'
import { Connection, type Outcome, readCounts } from '../support/load.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'

const SECONDS = Number(process.env.SECONDS ?? 20)
const ATTACKERS = 16
/** Resident at most, in MiB: a node starts with about 100. */
const MEMORY_MIB_MAX = 768
/** A socket that the node neither answers nor closes is left by the attacker after this. */
const PATIENCE_MS = 1000

const test = suite('e2e/storm')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pick = <T>(all: readonly T[]): T => all[below(all.length)]!
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const bytes = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, () => random.uint32()))

/** Words that were sent in requests that must be refused. */
const refused: string[] = []
function bad(): string {
  refused.push(`refused-${refused.length}`)
  return refused.at(-1)!
}

const post = (path: string, headers: readonly string[], body: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers.join('\r\n')}\r\n\r\n`), Buffer.from(body)])
const sized = (path: string, headers: readonly string[], body: string | Buffer): Buffer =>
  post(path, [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body)
const json = (path: string, body: string | Buffer): Buffer => sized(path, ['Content-Type: application/json'], body)

/** Kinds of nonsense: what is sent, piece by piece, before the connection is closed. */
const KINDS: Record<string, () => Buffer[]> = {
  noise: () => [bytes(1 + below(4096))],
  'noise behind a request line': () => [
    Buffer.from(`${pick(['GET', 'POST', 'BREW', ''])} /keywords HTTP/1.1\r\n`),
    bytes(below(2000)),
  ],
  'headers without end': () => [Buffer.from(`GET /livez HTTP/1.1\r\nX: ${'x'.repeat(16_000 + below(60_000))}`)],
  'many headers': () => [
    Buffer.from(`GET /livez HTTP/1.1\r\n${Array.from({ length: 3000 }, (_, at) => `H${at}: ${at}\r\n`).join('')}\r\n`),
  ],
  'a body that is shorter than it says': () => [
    post('/keywords', [`Content-Length: ${1000 + below(10_000)}`], `${bad()} ${bad()}`),
  ],
  'lengths that make no sense': () => [
    post('/keywords', [`Content-Length: ${pick(['-1', '1e3', '99999999999999999999', '1, 2', ' '])}`], bad()),
  ],
  'two lengths': () => [post('/keywords', ['Content-Length: 9', 'Content-Length: 10'], bad())],
  'a length and chunks': () => [
    post('/keywords', ['Content-Length: 4', 'Transfer-Encoding: chunked'], `4\r\n${bad().slice(0, 4)}\r\n0\r\n\r\n`),
  ],
  'chunks that make no sense': () => [
    post('/keywords', ['Transfer-Encoding: chunked'], `${pick(['zz', '-5', 'ffffffffffffffff', ''])}\r\n${bad()}\r\n0\r\n\r\n`),
  ],
  'chunks without end': () => [
    post('/v1/texts', ['Content-Type: text/plain', 'Transfer-Encoding: chunked'], `5000\r\n ${bad()} `),
    bytes(500),
  ],
  'half a request': () => {
    const whole = json(
      '/v1/increments',
      JSON.stringify({
        items: [
          { name: bad(), delta: 1 },
          { name: bad(), delta: 2 },
        ],
      }),
    )
    return [whole.subarray(0, 20 + below(whole.length - 21))]
  },
  'more than a body may have': () => [post('/keywords', [`Content-Length: ${2 ** 30}`], bad())],
  'an encoding': () => [sized('/keywords', [`Content-Encoding: ${pick(['gzip', 'br', 'x'])}`], bad())],
  'a type that is not taken': () => [
    sized('/v1/texts', [`Content-Type: ${pick(['image/png', 'text/plain; charset=utf-16', '/', ''])}`], bad()),
  ],
  'a word that is too long': () => [sized('/keywords', [], `${bad()} ${bad()}-${'y'.repeat(5000)} ${bad()}`)],
  'JSON that is none': () => [
    json(pick(['/v1/texts', '/v1/increments']), Buffer.concat([Buffer.from(`{"text":"${bad()}`), bytes(200)])),
  ],
  'JSON that is deep': () => [
    json('/v1/increments', `{"items":[{"name":"${bad()}"}],"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
  ],
  'JSON of another shape': () => [
    json(
      '/v1/increments',
      JSON.stringify({ items: [{ name: bad(), delta: 1 }, pick<unknown>([null, 1, [], {}, { name: '' }])] }),
    ),
  ],
  'deltas that are no numbers': () => {
    const delta = pick(['1.5', '1e400', '"x"', 'null', 'true', '18446744073709551616', '-18446744073709551616', '[]'])
    return [
      json(`/v1/counters/${bad()}/increments`, `{"delta":${delta}}`),
      json('/v1/increments', `{"items":[{"name":"${bad()}","delta":${delta}}]}`),
    ]
  },
  'half a surrogate pair': () => [json('/v1/increments', `{"items":[{"name":"${bad()}"},{"name":"\\ud800"}]}`)],
  'paths that decode to nothing': () => [
    json(`/v1/counters/${bad()}${pick(['%', '%zz', '%ff', '%c0%80', '%ed%a0%80'])}/increments`, '{}'),
  ],
  'keys that are none': () => [sized('/keywords', [`Idempotency-Key: ${pick(['', 'x'.repeat(256), 'a b', '\u00e9'])}`], bad())],
  'queries that are none': () => [
    Buffer.from(`GET /keywords?keywords=${pick(['%', '%f', '%ff'])}&x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n`),
  ],
  'another host': () => [
    Buffer.from(`POST /keywords HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n${bad().slice(0, 9)}`),
  ],
}

/** Sends the pieces, listens for a while, and goes. @returns the statuses that came back */
function attack(port: number, pieces: readonly Buffer[]): Promise<number[]> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => socket.destroy(), below(4) === 0 ? PATIENCE_MS : 30)
    socket.setEncoding('latin1').on('data', (data) => {
      answer += data
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(Array.from(answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm), ([, status]) => Number(status)))
    })
    for (const piece of pieces) socket.write(piece)
  })
}

/** The most memory that the node ever had resident, in MiB; undefined where the system does not tell. */
function peakMemoryMib(node: NodeProcess): number | undefined {
  try {
    const status = readFileSync(`/proc/${node.child.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
  } catch {
    return undefined
  }
}

test(`${SECONDS} s of nonsense leave the node up, answering and exact`, async () => {
  const { path: dataDir, remove } = temporaryDirectory()
  let node = await startNode({ dataDir, env: { COUNTER_LOG_LEVEL: 'warn' } })
  try {
    const port = Number(new URL(node.url).port)
    const end = performance.now() + SECONDS * 1000
    const sent = new Map<string, number>()
    // On a slow machine it takes longer until each kind has come.
    const goesOn = (): boolean => performance.now() < end || sent.size < Object.keys(KINDS).length
    const surprises: string[] = []
    const attacker = async () => {
      while (goesOn()) {
        const kind = pick(Object.keys(KINDS))
        sent.set(kind, (sent.get(kind) ?? 0) + 1)
        for (const status of await attack(port, KINDS[kind]!())) {
          if (status < 400 || status === 500) surprises.push(`${kind}: ${status}`)
        }
      }
    }
    // Somebody who means well, meanwhile.
    let good = 0
    let slowestMs = 0
    const outcomes: Outcome[] = []
    const user = async () => {
      const connection = new Connection(port)
      while (goesOn()) {
        const started = performance.now()
        const outcome = await connection.request({ method: 'POST', path: '/keywords', body: 'good' })
        slowestMs = Math.max(slowestMs, performance.now() - started)
        if (outcome.kind === 'answered' && outcome.status === 200) good++
        else outcomes.push(outcome)
        await pause(20)
      }
      connection.close()
    }
    const crafted = collidingNames()
    const collisions = async () => {
      const connection = new Connection(port)
      const outcome = await connection.request({ method: 'POST', path: '/keywords', body: crafted.join('\n') })
      if (outcome.kind !== 'answered' || outcome.status !== 200) outcomes.push(outcome)
      connection.close()
    }
    await Promise.all([user(), collisions(), ...Array.from({ length: ATTACKERS }, attacker)])

    assert.is(node.child.exitCode, null, node.stderr())
    assert.equal([...new Set(surprises)], [])
    assert.equal(outcomes, [])
    const peakMib = peakMemoryMib(node) ?? 0
    assert.ok(peakMib < MEMORY_MIB_MAX, `${peakMib} MiB at the peak`)
    const total = [...sent.values()].reduce((sum, count) => sum + count, 0)
    console.log(
      `${total} attacks, ${good} good requests, the slowest ${slowestMs.toFixed()} ms, ${peakMib.toFixed()} MiB at the peak`,
    )

    for (const restarted of [false, true]) {
      if (restarted) {
        assert.is((await node.end('SIGTERM')).code, 0)
        node = await startNode({ dataDir })
      }
      const counts = await readCounts(Number(new URL(node.url).port), ['good', ...refused, ...crafted])
      assert.is(counts.get('good'), good)
      assert.equal(
        refused.filter((word) => counts.get(word) !== 0),
        [],
      )
      assert.equal(
        crafted.filter((word) => counts.get(word) !== 1),
        [],
      )
    }
    const metrics = await (await fetch(`${node.url}/metrics`)).text()
    assert.match(metrics, new RegExp(`^counter_names ${crafted.length + 1}$`, 'm'), 'nothing else was counted')
  } finally {
    await node.end('SIGKILL')
    remove()
  }
})

test.run()
