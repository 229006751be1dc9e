// A TCP proxy that does to connections what networks do: delay, jitter, a narrow line, cuts in one or both directions, resets, half-closes.
// It stands in front of one port; what it does is switched while it runs, and counted.
// Bytes of a stream are never lost from its middle, as TCP does not lose them either: a connection that a cut has swallowed bytes of is reset
// when the cut is healed. A cut that holds delivers what it held.

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../../lib/base/random.ts'

/** What becomes of the bytes of a direction. */
export type Passage =
  | 'open'
  /** They vanish, as behind a dead router: who sent them waits for its timeout. */
  | 'swallow'
  /** They wait until it is open again, as in a short outage. */
  | 'hold'

export interface Conditions {
  /** From who connects to the port behind the proxy. */
  readonly there: Passage
  readonly back: Passage
  /** Each piece takes this long, and up to jitterMs longer; pieces stay in order. */
  readonly delayMs: number
  readonly jitterMs: number
  /** How many of a thousand pieces reset their connection instead. */
  readonly resetPermille: number
  /** Of each direction of each connection. */
  readonly bytesPerSecond: number
}

export const CALM: Conditions = {
  there: 'open',
  back: 'open',
  delayMs: 0,
  jitterMs: 0,
  resetPermille: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
}

export interface ProxyCounts {
  connections: number
  /** Connections to the port behind that could not be made. */
  refused: number
  bytes: number
  swallowedBytes: number
  heldBytes: number
  /** Pieces that took longer than they had to. */
  delayed: number
  resets: number
  halfCloses: number
}

export interface ProxyOptions {
  /** The port of this machine that it stands in front of. */
  readonly target: number
  readonly random: Random
}

/** Pieces of a narrow line. */
const NARROW_BYTES = 4096
/** A direction with so much under way reads no more. */
const UNDER_WAY_BYTES_MAX = 1024 * 1024

export class FaultProxy {
  readonly target: number
  readonly random: Random
  readonly counts: ProxyCounts = {
    connections: 0,
    refused: 0,
    bytes: 0,
    swallowedBytes: 0,
    heldBytes: 0,
    delayed: 0,
    resets: 0,
    halfCloses: 0,
  }
  readonly #server: Server
  readonly #links = new Set<Link>()
  #conditions = CALM

  private constructor({ target, random }: ProxyOptions) {
    this.target = target
    this.random = random
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
  }

  /** Listens on a free port of this machine. */
  static async open(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get conditions(): Conditions {
    return this.#conditions
  }

  /** From now on it is like this, for connections that are open too; what is not named is calm. */
  set(conditions: Partial<Conditions>): void {
    this.#conditions = { ...CALM, ...conditions }
    for (const link of this.#links) link.changed()
  }

  /** Cuts both directions, so that connections are made but nothing comes. */
  cut(): void {
    this.set({ there: 'swallow', back: 'swallow' })
  }

  heal(): void {
    this.set(CALM)
  }

  /** Resets all connections. */
  reset(): void {
    for (const link of this.#links) link.reset()
  }

  /** Ends one direction of all connections, and leaves the other open. */
  halfClose(side: 'there' | 'back'): void {
    for (const link of this.#links) link[side].end()
    this.counts.halfCloses += this.#links.size
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.drop()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(near: Socket): void {
    this.counts.connections++
    const far = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const link = new Link(this, near, far, () => this.#links.delete(link))
    this.#links.add(link)
  }
}

/** Both directions of a connection. */
class Link {
  readonly there: Direction
  readonly back: Direction
  readonly #proxy: FaultProxy
  readonly #near: Socket
  readonly #far: Socket
  readonly #gone: () => void

  constructor(proxy: FaultProxy, near: Socket, far: Socket, gone: () => void) {
    this.#proxy = proxy
    this.#near = near
    this.#far = far
    this.#gone = gone
    this.there = new Direction(proxy, near, far, 'there', () => this.reset())
    this.back = new Direction(proxy, far, near, 'back', () => this.reset())
    let connected = false
    far.on('connect', () => {
      connected = true
    })
    // A side that breaks off takes the other with it, unless the cut keeps that from being known.
    near.on('error', () => this.#brokenOff())
    far.on('error', () => {
      if (!connected) proxy.counts.refused++
      this.#brokenOff()
    })
    const closed = () => {
      if (!near.destroyed || !far.destroyed) return
      this.there.stop()
      this.back.stop()
      gone()
    }
    near.on('close', closed)
    far.on('close', closed)
  }

  changed(): void {
    const { there, back } = this.#proxy.conditions
    const isOpen = there !== 'swallow' && back !== 'swallow'
    if (isOpen && (this.there.hasHole || this.back.hasHole)) return this.reset()
    this.there.pump()
    this.back.pump()
  }

  reset(): void {
    this.#proxy.counts.resets++
    this.#breakOff()
  }

  drop(): void {
    this.#breakOff()
  }

  #brokenOff(): void {
    const { there, back } = this.#proxy.conditions
    if (there === 'open' && back === 'open') this.#breakOff()
    else this.there.hasHole = true
  }

  #breakOff(): void {
    this.there.stop()
    this.back.stop()
    for (const socket of [this.#near, this.#far]) {
      // While its end is on the way a socket cannot be reset: Node would leave it open for good.
      const isEnding = socket.writableEnded && !socket.writableFinished
      if (socket.connecting || isEnding) socket.destroy()
      else socket.resetAndDestroy()
    }
    this.#gone()
  }
}

interface Piece {
  /** undefined: the source has ended. */
  readonly bytes: Buffer | undefined
  /** When it may be delivered, in milliseconds of performance.now(). */
  readonly atMs: number
}

/** One direction of a connection: what was read and is under way, in order. */
class Direction {
  readonly #proxy: FaultProxy
  readonly #source: Socket
  readonly #target: Socket
  readonly #side: 'there' | 'back'
  readonly #reset: () => void
  readonly #queue: Piece[] = []
  #queuedBytes = 0
  #lastMs = 0
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  /** Whether something of the stream was swallowed, so that it cannot go on. */
  hasHole = false

  constructor(proxy: FaultProxy, source: Socket, target: Socket, side: 'there' | 'back', reset: () => void) {
    this.#proxy = proxy
    this.#source = source
    this.#target = target
    this.#side = side
    this.#reset = reset
    source.on('data', (bytes: Buffer) => this.#take(bytes))
    source.on('end', () => this.#add(undefined))
    target.on('drain', () => this.pump())
  }

  /** Ends it after what is under way. */
  end(): void {
    this.#add(undefined)
  }

  /** Nothing is delivered any more. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#queue.length = 0
  }

  /** Delivers what is due, and comes back for the rest. */
  pump(): void {
    clearTimeout(this.#timer)
    const passage = this.#proxy.conditions[this.#side]
    while (this.#queue.length > 0 && passage !== 'hold' && !this.#target.writableNeedDrain) {
      const [piece] = this.#queue as [Piece]
      const waitMs = piece.atMs - performance.now()
      if (waitMs > 0 && passage === 'open') {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs))
        return
      }
      this.#queue.shift()
      this.#queuedBytes -= piece.bytes?.length ?? 0
      if (passage === 'swallow' || this.hasHole) this.#swallow(piece)
      else if (piece.bytes === undefined) this.#target.end()
      else if (this.#target.writable) {
        this.#proxy.counts.bytes += piece.bytes.length
        this.#target.write(piece.bytes)
      }
    }
    if (this.#queuedBytes < UNDER_WAY_BYTES_MAX) this.#source.resume()
  }

  #take(bytes: Buffer): void {
    const { conditions, counts, random } = this.#proxy
    if (random.uint32() % 1000 < conditions.resetPermille) return this.#reset()
    if (conditions[this.#side] === 'hold') counts.heldBytes += bytes.length
    if (conditions.bytesPerSecond === Number.POSITIVE_INFINITY) return this.#add(bytes)
    for (let at = 0; at < bytes.length; at += NARROW_BYTES) this.#add(bytes.subarray(at, at + NARROW_BYTES))
  }

  #add(bytes: Buffer | undefined): void {
    if (this.#stopped) return
    const { conditions, counts, random } = this.#proxy
    const { delayMs, jitterMs, bytesPerSecond } = conditions
    const nowMs = performance.now()
    const lateMs = delayMs + (jitterMs === 0 ? 0 : random.uint32() % (jitterMs + 1))
    const lineMs = ((bytes?.length ?? 0) / bytesPerSecond) * 1000
    if (lateMs + lineMs > 0) counts.delayed++
    this.#lastMs = Math.max(nowMs + lateMs, this.#lastMs) + lineMs
    this.#queue.push({ bytes, atMs: this.#lastMs })
    this.#queuedBytes += bytes?.length ?? 0
    if (this.#queuedBytes >= UNDER_WAY_BYTES_MAX) this.#source.pause()
    this.pump()
  }

  #swallow({ bytes }: Piece): void {
    this.hasHole = true
    this.#proxy.counts.swallowedBytes += bytes?.length ?? 0
  }
}

/**
 * Below the ports that systems give to outgoing connections, any of which could take one before it is listened on; above 10,080,
 * the last one that fetch refuses.
 */
const FREE_PORTS = [10_100, 32_000] as const
/** Each process that runs tests has a range of its own, so that of two at a time none takes a port while the other's node is down. */
const RANGE_PORTS = 300
const RANGES = Math.floor((FREE_PORTS[1] - FREE_PORTS[0]) / RANGE_PORTS)
const rangeStart = FREE_PORTS[0] + (process.pid % RANGES) * RANGE_PORTS
let nextOffset = randomInt(RANGE_PORTS)

/** A port of this machine that nobody listens on, and that was not given before: a node that is down finds its port again. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < RANGE_PORTS; tries++) {
    const port = rangeStart + (nextOffset++ % RANGE_PORTS)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error(`no port from ${rangeStart} to ${rangeStart + RANGE_PORTS - 1} is free`)
}
