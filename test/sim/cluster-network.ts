// The network between the nodes: requests and answers of lib/syncsrv/transport.ts, message by message, each with a delay of its own.
// What may happen: a direction is cut (messages vanish, which only a timeout tells), a connection breaks at any message, a request
// comes twice, or late, or behind one that was sent after it. Messages within one answer stay in order, as in TCP.

import { CounterError } from '../../lib/base/errors.ts'
import type { Random } from '../../lib/base/random.ts'
import type { Answer, SyncPath, Transport } from '../../lib/syncsrv/index.ts'
import type { VirtualClock } from '../support/virtual-clock.ts'
import type { NodeClock } from './cluster-clock.ts'

/** A node as the network sees it. */
export interface Station {
  readonly address: string
  readonly clock: NodeClock
  /** Answers while its port is open. */
  answer: Answer | undefined
  /** Raised when the process dies. */
  life: number
}

/** Messages of an answer that may be under way. */
const WINDOW = 2
const MILLION = 1_000_000

export class ClusterNetwork {
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #happened: (what: string) => void
  readonly #stations = new Map<string, Station>()
  readonly #cuts = new Set<string>()
  /** Of a million messages, how many break their connection, and of requests, how many come twice. */
  breaks = 0
  duplicates = 0
  /** Delays are in [0, delayMs), and now and then twenty times that. */
  delayMs = 10
  stragglers = 0

  constructor(clock: VirtualClock, random: Random, happened: (what: string) => void) {
    this.#clock = clock
    this.#random = random
    this.#happened = happened
  }

  add(station: Station): void {
    this.#stations.set(station.address, station)
  }

  /** From now on nothing that `from` sends comes to `to`. */
  cut(from: Station, to: Station): void {
    this.#cuts.add(`${from.address} ${to.address}`)
  }

  isCut(from: Station, to: Station): boolean {
    return this.#cuts.has(`${from.address} ${to.address}`)
  }

  get anyCut(): boolean {
    return this.#cuts.size > 0
  }

  /** All links are whole, and nothing is lost any more. */
  heal(): void {
    this.#cuts.clear()
    this.breaks = 0
    this.duplicates = 0
    this.delayMs = 10
    this.stragglers = 0
  }

  /** The network as one process of the station sees it. */
  transport(station: Station): Transport {
    const { life } = station
    return {
      request: (address, path, body, timeoutMs, signal) => this.#request(station, life, address, path, body, timeoutMs, signal),
    }
  }

  #chance(ofMillion: number): boolean {
    return ofMillion > 0 && this.#random.uint32() % MILLION < ofMillion
  }

  #delay(): number {
    const factor = this.#chance(this.stragglers) ? 20 : 1
    return (this.#random.uint32() % Math.max(1, this.delayMs)) * factor
  }

  /**
   * Runs `task` at the station after a delay, if it is alive then in the same life; a paused one gets it when it goes on.
   * @param lost called instead when the direction is cut
   */
  #send(from: Station, to: Station, life: number, delayMs: number, task: () => void, lost: () => void = () => {}): void {
    const drop = () => {
      this.#happened('message cut')
      lost()
    }
    if (this.isCut(from, to)) return drop()
    this.#clock.after(delayMs, () => {
      if (this.isCut(from, to)) return drop()
      to.clock.soon(() => {
        if (to.life === life) task()
      })
    })
  }

  async *#request(
    from: Station,
    life: number,
    address: string,
    path: SyncPath,
    body: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const call = new Call(from.clock, timeoutMs, address)
    const onAbort = () => call.fail(new CounterError('PEER_UNREACHABLE', `${address}: given up`))
    signal?.addEventListener('abort', onAbort)
    const to = this.#stations.get(address)
    const request = body.slice()
    const twice = this.#chance(this.duplicates)
    if (signal?.aborted) onAbort()
    else if (to) this.#deliver(from, life, to, path, request, call)
    if (to && twice) {
      this.#happened('request twice')
      // Nobody reads this answer; it is given up after a message.
      const nobody = new Call(from.clock, 1, address)
      nobody.closed = true
      this.#deliver(from, life, to, path, request, nobody)
    }
    try {
      for (;;) {
        const message = await call.next()
        if (message === undefined) return
        yield message
      }
    } finally {
      call.closed = true
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #deliver(from: Station, life: number, to: Station, path: SyncPath, body: Uint8Array, call: Call): void {
    const toLife = to.life
    const refused = new CounterError('PEER_UNREACHABLE', `${to.address} does not answer`)
    const toBack = (task: () => void) => this.#send(to, from, life, this.#delay(), task)
    if (this.isCut(from, to)) return this.#happened('message cut')
    this.#clock.after(this.#delay(), () => {
      if (this.isCut(from, to)) return
      // The machine answers for a process that is not there.
      if (to.life !== toLife || to.answer === undefined) return toBack(() => call.fail(refused))
      const { answer } = to
      to.clock.soon(() => {
        if (to.life === toLife) void this.#answer(from, life, to, toLife, answer(path, body, ipOf(from)), call)
      })
    })
  }

  async #answer(
    from: Station,
    life: number,
    to: Station,
    toLife: number,
    answer: AsyncIterable<Uint8Array>,
    call: Call,
  ): Promise<void> {
    // Messages of one connection arrive in order: none before the one sent before it.
    let arrivesMs = 0
    let underWay = 0
    let goOn: (() => void) | undefined
    // And none behind one that was lost.
    let lost = false
    const lose = () => {
      lost = true
    }
    const send = (task: () => void) => {
      const nowMs = this.#clock.monotonicMs()
      arrivesMs = Math.max(arrivesMs, nowMs + this.#delay())
      underWay++
      const arrive = () => {
        underWay--
        // The acknowledgement frees the window.
        this.#send(from, to, toLife, 0, () => goOn?.())
        if (!lost) task()
      }
      this.#send(to, from, life, arrivesMs - nowMs, arrive, lose)
    }
    const broken = (why: string) => send(() => call.fail(new CounterError('PEER_UNREACHABLE', `${to.address}: ${why}`)))
    try {
      for await (const message of answer) {
        if (this.#chance(this.breaks)) {
          this.#happened('connection broken')
          return broken('the connection broke')
        }
        const copy = message.slice()
        send(() => call.push(copy))
        if (call.closed) return
        if (underWay >= WINDOW) {
          await new Promise<void>((resolve) => {
            goOn = resolve
            // Who gets no acknowledgement gives up.
            to.clock.after(30_000, resolve)
          })
          goOn = undefined
          if (underWay >= WINDOW) return
        }
        if (call.closed) return
      }
      send(() => call.end())
    } catch (error) {
      broken(`${error}`)
      if (!(error instanceof CounterError)) this.#happened(`answer threw ${error}`)
    }
  }
}

const ipOf = (station: Station): string => `10.0.0.${/\d+/.exec(station.address)?.[0] ?? 0}`

/** The asker's side of a request: messages that came, and who waits for the next. */
class Call {
  readonly #clock: NodeClock
  readonly #timeoutMs: number
  readonly #address: string
  readonly #messages: Uint8Array[] = []
  #error: CounterError | undefined
  #ended = false
  #wake: (() => void) | undefined
  closed = false

  constructor(clock: NodeClock, timeoutMs: number, address: string) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#address = address
  }

  push(message: Uint8Array): void {
    if (this.#error === undefined && !this.#ended) this.#messages.push(message)
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  fail(error: CounterError): void {
    if (!this.#ended) this.#error ??= error
    this.#wake?.()
  }

  async next(): Promise<Uint8Array | undefined> {
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      this.fail(new CounterError('PEER_UNREACHABLE', `${this.#address}: nothing for ${this.#timeoutMs} ms`))
    })
    try {
      for (;;) {
        const message = this.#messages.shift()
        if (message) return message
        if (this.#error) throw this.#error
        if (this.#ended) return undefined
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    } finally {
      cancel()
    }
  }
}
