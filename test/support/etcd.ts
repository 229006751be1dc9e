// A real etcd for tests: members as processes of their own, with their data in a temporary directory, and a fault proxy before the client port and
// the peer port of each, so that a member can be killed, paused, started again, cut off and slowed down.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { FaultProxy, freePort } from './fault-proxy.ts'
import { type Need, needs } from './needs.ts'
import { PATIENCE_MS, temporaryDirectory } from './process.ts'

export const etcdProgram: Need = needs('etcd')

export interface EtcdOptions {
  readonly members?: number
  /** Further arguments of each member. */
  readonly args?: readonly string[]
  readonly random?: Random
  /** Files for https on the client ports. Their certificate is for 127.0.0.1. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** Short, so that elections take no longer than tests can wait. */
const HEARTBEAT_MS = 50
const ELECTION_MS = 500

export class EtcdMember {
  readonly name: string
  /** The client port itself, and the URL of the proxy before it. */
  readonly port: number
  readonly peerPort: number
  readonly proxy: FaultProxy
  /** What the other members send to this one goes through it. */
  readonly peerProxy: FaultProxy
  readonly #command: () => readonly string[]
  #child: ChildProcess | undefined
  #said = ''

  constructor(
    name: string,
    ports: { port: number; peerPort: number },
    proxies: { proxy: FaultProxy; peerProxy: FaultProxy },
    command: () => readonly string[],
  ) {
    this.name = name
    this.port = ports.port
    this.peerPort = ports.peerPort
    this.proxy = proxies.proxy
    this.peerProxy = proxies.peerProxy
    this.#command = command
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** What it has printed. */
  get said(): string {
    return this.#said
  }

  start(): void {
    if (this.#child !== undefined) return
    const child = spawn(etcdProgram.path, this.#command(), { stdio: ['ignore', 'pipe', 'pipe'], env: {} })
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (this.#said += text))
    this.#child = child
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.#child = undefined
    const gone = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }
}

export class Etcd {
  readonly members: readonly EtcdMember[]
  readonly #scheme: string
  readonly #remove: () => void

  constructor(members: readonly EtcdMember[], scheme: string, remove: () => void) {
    this.members = members
    this.#scheme = scheme
    this.#remove = remove
  }

  /** Of the client ports, without proxies. */
  get urls(): string[] {
    return this.members.map(({ port }) => `${this.#scheme}://127.0.0.1:${port}`)
  }

  /** Of the proxies before the client ports. */
  get proxyUrls(): string[] {
    return this.members.map(({ proxy }) => `${this.#scheme}://127.0.0.1:${proxy.port}`)
  }

  /** The member that leads now, as one that runs says. */
  async leader(): Promise<EtcdMember> {
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await wait(50)) {
      for (const member of this.members) {
        const said = await ask(member.port, '/v3/maintenance/status', {}).catch(() => undefined)
        const { header, leader } = (said ?? {}) as { header?: { member_id?: string }; leader?: string }
        if (leader !== undefined && leader === header?.member_id) return member
      }
    }
    throw new Error('etcd has no leader')
  }

  /** Resolves when a majority takes writes. */
  async ready(): Promise<void> {
    const body = { key: 'cmVhZHk=', value: '' }
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await wait(50)) {
      const all = await Promise.all(this.members.map(({ port }) => ask(port, '/v3/kv/put', body).catch(() => undefined)))
      if (all.every((answer) => answer?.header !== undefined)) return
    }
    throw new Error(`etcd did not become ready:\n${this.members.map(({ said }) => said).join('\n')}`)
  }

  heal(): void {
    for (const { proxy, peerProxy } of this.members) {
      proxy.heal()
      peerProxy.heal()
    }
  }

  async close(): Promise<void> {
    for (const member of this.members) {
      member.resume()
      await member.kill()
      await Promise.all([member.proxy.close(), member.peerProxy.close()])
    }
    this.#remove()
  }
}

/** Starts the members and, unless they speak https, waits until they take writes. */
export async function startEtcd({
  members: count = 3,
  args = [],
  random = seededRandom(1),
  tls,
}: EtcdOptions = {}): Promise<Etcd> {
  const directory = temporaryDirectory()
  const scheme = tls === undefined ? 'http' : 'https'
  const members: EtcdMember[] = []
  const cluster = (): string => members.map(({ name, peerProxy }) => `${name}=http://127.0.0.1:${peerProxy.port}`).join(',')
  for (let index = 0; index < count; index++) {
    const name = `m${index}`
    const [port, peerPort] = [await freePort(), await freePort()]
    const proxy = await FaultProxy.open({ target: port, random })
    const peerProxy = await FaultProxy.open({ target: peerPort, random })
    const command = (): string[] => [
      ...['--name', name, '--data-dir', join(directory.path, name), '--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', `${scheme}://127.0.0.1:${port}`, '--advertise-client-urls', `${scheme}://127.0.0.1:${port}`],
      ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`],
      ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peerProxy.port}`],
      ...['--initial-cluster', cluster(), '--initial-cluster-token', directory.path],
      ...['--heartbeat-interval', String(HEARTBEAT_MS), '--election-timeout', String(ELECTION_MS)],
      ...(tls === undefined ? [] : ['--cert-file', tls.cert, '--key-file', tls.key]),
      ...args,
    ]
    members.push(new EtcdMember(name, { port, peerPort }, { proxy, peerProxy }, command))
  }
  for (const member of members) member.start()
  const etcd = new Etcd(members, scheme, directory.remove)
  if (tls !== undefined) return etcd
  try {
    await etcd.ready()
  } catch (error) {
    await etcd.close()
    throw error
  }
  return etcd
}

/** What the member at a port answers to a question, as its JSON has it. */
export async function ask(port: number, path: string, body: object, timeoutMs = 2000): Promise<Record<string, unknown>> {
  const reply = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  })
  return (await reply.json()) as Record<string, unknown>
}
