// Who is believed on the sync port of real nodes (A23 of docs/GUARANTEES.md). The attacker's requests are made here from docs/PROTOCOL.md, not
// by the code under test. Whatever is refused is counted, and has changed nothing: not a count, not a byte of the log, not a member.
// time limit: 400 s

import { createHash, createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { request as requestByTls } from 'node:https'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { freePort } from '../support/fault-proxy.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { clusterOf, metricOf, post, read, statesOf, until, untilAllRead } from './asking.ts'
import { buildCounter } from './built.ts'

const SECRET = 'the-secret-of-this-cluster'
const OTHER_SECRET = 'the-secret-of-another-one'
const PATHS = ['/v1/probe', '/v1/exchange', '/v1/nudge', '/v1/digest', '/v1/drain', '/v1/call']
const BODY_BYTES_MAX = 4 * 1024 * 1024
/** Nobody here is slow to answer, but for the machine: no member is to be suspect for that. */
const QUICK = { COUNTER_SYNC_INTERVAL: '100ms', COUNTER_SYNC_TIMEOUT: '10s', COUNTER_JOIN_TIMEOUT: '500ms' }

const test = suite('e2e/trust')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))
const at = ({ process }: ClusterNode): NodeProcess => process!

async function withCluster(env: Record<string, string>, count: number, run: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.prepare({ nodes: count, random, command, env: { ...QUICK, ...env } })
  try {
    await run(cluster)
  } finally {
    await cluster.close()
  }
}

async function untilJoined(nodes: readonly ClusterNode[]): Promise<void> {
  const seen = () => Promise.all(nodes.map((node) => statesOf(at(node))))
  await until('all are alive', seen, (all) => all.every((states) => nodes.every(({ id }) => states[id] === 'alive')))
}

const linesOf = (node: NodeProcess, level: string): string[] =>
  node
    .stderr()
    .split('\n')
    .filter((line) => line.includes(`"level":"${level}"`))

/** Everything that a request could have changed. */
async function stateOf(node: NodeProcess): Promise<unknown> {
  const { members, incarnation, draining } = await clusterOf(node)
  return {
    counts: await read(node, ['x', 'y', 'forged']),
    names: await metricOf(node, 'counter_names'),
    log: await metricOf(node, 'counter_log_end_bytes'),
    members: members.map(({ node, incarnation, state, address }) => ({ node, incarnation, state, address })),
    incarnation,
    draining,
  }
}

interface Attack {
  readonly path?: string
  readonly method?: string
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends it, and gives the status and the code of the refusal. */
async function send(
  port: number,
  { path = '/v1/exchange', method = 'POST', body = EXCHANGE, headers = {} }: Attack,
): Promise<string> {
  const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  outgoing.end(method === 'GET' ? undefined : body)
  const [reply] = await once(outgoing, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of reply) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return reply.statusCode === 200 ? '200' : `${reply.statusCode} ${JSON.parse(text).code}`
}

/** The headers of a request, section 5 of docs/PROTOCOL.md. */
function sign(secret: string, path: string, body: Uint8Array, lateMs = 0): Record<string, string> {
  const time = String(Date.now() + lateMs)
  const nonce = randomBytes(16).toString('base64url')
  const hash = createHash('sha256').update(body).digest('base64url')
  const signed = `counter-sync-request-1\nPOST\n${path}\n${time}\n${nonce}\n${hash}`
  const signature = createHmac('sha256', secret).update(signed).digest('base64url')
  return { 'Counter-Time': time, 'Counter-Nonce': nonce, 'Counter-Body-Hash': hash, 'Counter-Signature': signature }
}

const textOf = (text: string): number[] => [text.length, ...Buffer.from(text)]
/** version sender(node incarnation life address publicUrl): node 9 of incarnation 5. */
const PROBE = Uint8Array.of(1, 9, 5, 1, 2, 3, 4, 5, 6, 7, 8, ...textOf('http://127.0.0.1:9'), ...textOf(''))
/** ... vector(count 0) news(count 1, member: node incarnation edition state address publicUrl, count 0): it tells of nobody but itself. */
const EXCHANGE = Uint8Array.of(...PROBE, 0, 1, 9, 5, 1, 0, ...textOf('http://127.0.0.1:9'), ...textOf(''), 0)

/** The attacks on one path, with what each must get. */
function attacksOn(path: string, replayed: Attack): [name: string, attack: Attack, expected: string][] {
  const signed = (lateMs = 0, secret = SECRET) => ({ path, headers: sign(secret, path, EXCHANGE, lateMs) })
  const garbage = randomBytes(300).fill(255, 0, 1)
  return [
    ['unsigned', { path }, '401 UNSIGNED'],
    ['signed in part', { path, headers: { 'Counter-Time': String(Date.now()) } }, '401 UNSIGNED'],
    ['signed with another secret', signed(0, OTHER_SECRET), '401 FORGED'],
    ['signed for another path', { path, headers: sign(SECRET, '/v1/other', EXCHANGE) }, '401 FORGED'],
    ['signed for another body', { path, headers: sign(SECRET, path, PROBE), body: EXCHANGE }, '401 FORGED'],
    ['two minutes old', signed(-120_000), '401 STALE'],
    ['two minutes early', signed(120_000), '401 STALE'],
    ['replayed', replayed, '401 REPLAYED'],
    ['a nonce in another form', { path, headers: { ...signed().headers, 'Counter-Nonce': 'short' } }, '400 MALFORMED'],
    ['garbage, unsigned', { path, body: garbage }, '401 UNSIGNED'],
    ['garbage, signed by a member', { path, body: garbage, headers: sign(SECRET, path, garbage) }, '400 SYNC_INVALID'],
    [
      'nothing, signed by a member',
      { path, body: new Uint8Array(), headers: sign(SECRET, path, new Uint8Array()) },
      '400 SYNC_INVALID',
    ],
    ['from a page', { path, headers: { ...signed().headers, Origin: 'http://evil.example' } }, '403 BROWSER'],
    ['compressed', { path, headers: { ...signed().headers, 'Content-Encoding': 'gzip' } }, '415 ENCODING'],
    ['GET', { path, method: 'GET' }, '405 METHOD'],
  ]
}

test('whatever is unsigned, forged, replayed, stale, garbage, too large or elsewhere is refused, counted, and changes nothing', () =>
  withCluster({ COUNTER_CLUSTER_SECRET: SECRET }, 2, async (cluster) => {
    const [a, b] = cluster.nodes as [ClusterNode, ClusterNode]
    await Promise.all(cluster.nodes.map((node) => cluster.start(node)))
    await untilJoined(cluster.nodes)
    await post(at(a), 'x')
    await post(at(b), 'x y')
    await untilAllRead(cluster.nodes.map(at), { x: 2, y: 1 })
    const before = await stateOf(at(a))

    const wrong: string[] = []
    let refusals = 0
    for (const path of PATHS) {
      // It is taken once, for what it is; only /v1/probe makes a request that changes nothing.
      const replayed: Attack = { path: '/v1/probe', body: PROBE, headers: sign(SECRET, '/v1/probe', PROBE) }
      assert.is(await send(a.syncPort, replayed), '200')
      for (const [name, attack, expected] of attacksOn(path, replayed)) {
        const got = await send(a.syncPort, attack)
        if (got !== expected) wrong.push(`${path}, ${name}: ${got} instead of ${expected}`)
        refusals++
      }
    }
    assert.equal(wrong, [])
    for (const path of ['/', '/sync', '/v1/exchange/', '/v2/exchange', '/metrics', '/v1/texts', '/v1/cluster/members/1/drain']) {
      assert.is(await send(a.syncPort, { path, headers: sign(SECRET, path, EXCHANGE) }), '404 UNKNOWN', path)
      refusals++
    }
    const announced = { ...sign(SECRET, '/v1/exchange', EXCHANGE), 'Content-Length': String(BODY_BYTES_MAX + 1) }
    assert.match(await sendRaw(a.syncPort, headOf('/v1/exchange', announced)), /^HTTP\/1\.1 413 /)
    assert.match(await sendRaw(a.syncPort, headOf('/v1/exchange', { 'Content-Length': '5' })), /^HTTP\/1\.1 401 /)
    await sendRaw(a.syncPort, randomBytes(10_000).toString('latin1'))

    assert.equal(await stateOf(at(a)), before)
    const counted = await metricOf(at(a), 'counter_sync_requests_refused_total')
    assert.ok(counted >= refusals + 2, `${counted} refusals are counted, of ${refusals + 2}`)
    for (const reason of ['unsigned', 'forged', 'stale', 'replayed', 'malformed', 'large']) {
      assert.ok((await metricOf(at(a), 'counter_sync_requests_refused_total', `reason="${reason}"`)) > 0, reason)
    }

    // A request of the same form that is signed well is taken: nothing else was in the way.
    assert.is(await send(a.syncPort, { headers: sign(SECRET, '/v1/exchange', EXCHANGE) }), '200')
    assert.is((await statesOf(at(a)))[9], 'alive')
    await post(at(a), 'y')
    await untilAllRead(cluster.nodes.map(at), { x: 2, y: 2 })
  }))

test('what members say to each other, read off the wire, is of no use to who repeats it', () =>
  withCluster({ COUNTER_CLUSTER_SECRET: SECRET }, 2, async (cluster) => {
    const [a, b] = cluster.nodes as [ClusterNode, ClusterNode]
    const wire = await tap(a.syncPort)
    try {
      await cluster.start(a, { COUNTER_SYNC_ADVERTISE: wire.url })
      await cluster.start(b, { COUNTER_SEEDS: wire.url })
      await untilJoined(cluster.nodes)
      await post(at(b), 'x')
      await untilAllRead(cluster.nodes.map(at), { x: 1 })
      await until(
        'a request is on the wire',
        () => wire.recorded(),
        (recorded) => recorded.some((text) => text.includes('/v1/exchange')),
      )
      const before = await stateOf(at(a))
      const recorded = wire.recorded()
      for (const text of recorded) assert.match(await sendRaw(a.syncPort, text), /^HTTP\/1\.1 401 /)
      assert.ok((await metricOf(at(a), 'counter_sync_requests_refused_total', 'reason="replayed"')) >= recorded.length)
      assert.equal(await stateOf(at(a)), before)
    } finally {
      await wire.close()
    }
  }))

test('a node with another secret does not join, and says what to do', () =>
  withCluster({}, 3, async (cluster) => {
    const [a, b, stranger] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    for (const node of [a, b]) await cluster.start(node, { COUNTER_CLUSTER_SECRET: SECRET })
    await untilJoined([a, b])
    await cluster.start(stranger, { COUNTER_CLUSTER_SECRET: OTHER_SECRET })
    await post(at(a), 'x')
    await post(at(stranger), 'forged')
    const forged = () => metricOf(at(a), 'counter_sync_requests_refused_total', 'reason="forged"')
    await until('it has tried again and again', forged, (count) => count >= 5)
    assert.equal(await statesOf(at(stranger)), { 3: 'alive' })
    for (const node of [a, b]) assert.equal(await statesOf(at(node)), { 1: 'alive', 2: 'alive' })
    await untilAllRead([at(a), at(b)], { x: 1, forged: 0 })
    assert.equal(await read(at(stranger), ['x', 'forged']), { x: 0, forged: 1 })
    const told = linesOf(at(stranger), 'warn').filter((line) => line.includes('a seed does not let this node join'))
    for (const line of told) assert.match(line, 'Give all nodes the same cluster secret.')
    assert.is(told.length, 2, 'once for each seed, however often it was tried')
  }))

test('the secret is changed one node at a time, and the cluster never parts', () =>
  withCluster({}, 2, async (cluster) => {
    const { nodes } = cluster
    const secrets = (first: string, second?: string) => ({
      COUNTER_CLUSTER_SECRET: first,
      ...(second !== undefined && { COUNTER_CLUSTER_SECRET_PREVIOUS: second }),
    })
    for (const node of nodes) await cluster.start(node, secrets(SECRET))
    await untilJoined(nodes)
    let x = 0
    for (const env of [secrets(SECRET, OTHER_SECRET), secrets(OTHER_SECRET, SECRET), secrets(OTHER_SECRET)]) {
      for (const node of nodes) {
        await cluster.end(node, 'SIGTERM')
        await cluster.start(node, env)
        for (const writer of nodes) await post(at(writer), 'x')
        x += 2
        await untilAllRead(nodes.map(at), { x })
        for (const other of nodes)
          assert.is(await metricOf(at(other), 'counter_sync_requests_refused_total', 'reason="forged"'), 0)
      }
    }
    await untilJoined(nodes)
  }))

test('nodes with certificates of one authority agree, and who has none is refused', () =>
  withCluster({}, 2, async (cluster) => {
    const file = (name: string) => resolve('test/fixtures/tls', name)
    const [a, b] = cluster.nodes as [ClusterNode, ClusterNode]
    const env = (node: ClusterNode, other: ClusterNode) => ({
      COUNTER_SYNC_TLS_CERT: file('node.pem'),
      COUNTER_SYNC_TLS_KEY: file('node.key'),
      COUNTER_SYNC_TLS_CA: file('authority.pem'),
      COUNTER_SYNC_ADVERTISE: node.proxy.url.replace('http:', 'https:'),
      COUNTER_SEEDS: other.proxy.url.replace('http:', 'https:'),
    })
    await cluster.start(a, env(a, b))
    await cluster.start(b, env(b, a))
    await untilJoined(cluster.nodes)
    await post(at(a), 'x')
    await post(at(b), 'x')
    await untilAllRead(cluster.nodes.map(at), { x: 2 })
    const before = await stateOf(at(a))

    const ca = readFileSync(file('authority.pem'))
    const foreign = { cert: readFileSync(file('stranger.pem')), key: readFileSync(file('stranger.key')) }
    for (const shown of [{}, foreign]) {
      const outgoing = requestByTls({
        host: '127.0.0.1',
        port: a.syncPort,
        path: '/v1/probe',
        method: 'POST',
        agent: false,
        ca,
        ...shown,
      })
      outgoing.end(PROBE)
      const [error] = await Promise.race([once(outgoing, 'error'), once(outgoing, 'response').then(() => [undefined])]).catch(
        (error) => [error],
      )
      assert.instance(error, Error)
    }
    const counted = () => metricOf(at(a), 'counter_sync_requests_refused_total', 'reason="unsigned"')
    await until('both are counted', counted, (count) => count >= 2)
    const plain = await sendRaw(a.syncPort, headOf('/v1/probe', { 'Content-Length': '0' }))
    assert.not.match(plain, /^HTTP\/1\.1 200/)
    assert.equal(await stateOf(at(a)), before)
  }))

test('without a secret the sync port stays on loopback when the public port is open to all', async () => {
  const { path: dataDir, remove } = temporaryDirectory()
  const [publicPort, syncPort] = [await freePort(), await freePort()]
  const node = await startNode({
    dataDir,
    command,
    env: {
      COUNTER_HOST: '0.0.0.0',
      COUNTER_TOKEN: 'a-token-of-our-own-choice',
      COUNTER_PUBLIC_PORT: String(publicPort),
      COUNTER_SYNC_PORT: String(syncPort),
    },
  })
  try {
    // 127.0.0.2 is this machine, but not where a port is that listens on 127.0.0.1 alone.
    assert.is(await reach('127.0.0.2', publicPort), 'connected')
    assert.is(await reach('127.0.0.1', syncPort), 'connected')
    assert.is(await reach('127.0.0.2', syncPort), 'ECONNREFUSED')
  } finally {
    await node.end('SIGKILL')
    remove()
  }
})

function reach(host: string, port: number): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ host, port })
    socket.on('connect', () => {
      socket.destroy()
      done('connected')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'unknown'))
  })
}

const headOf = (path: string, headers: Record<string, string>): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`

/** Sends bytes as they are, and gives what came back until the other side ended the connection or one reply was whole. */
function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let reply = ''
    socket.on('data', (piece) => {
      reply += piece.toString('latin1')
      if (reply.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => done(reply))
    socket.write(text, 'latin1')
  })
}

/** A proxy that records what is sent through it to a port: one text a connection. */
async function tap(target: number) {
  const sent: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ port: target, host: '127.0.0.1' })
    const index = sent.push('') - 1
    near.on('data', (piece) => {
      sent[index] += piece.toString('latin1')
    })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    recorded: () => sent.filter((text) => text.startsWith('POST ')),
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

test.run()
