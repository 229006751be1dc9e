// A network in memory between named addresses, on a virtual clock. Nothing is lost, late or twice unless a test says so: by `plan`, which is
// asked about each request and each message, or by cuts. Messages of one answer stay in order, as in TCP.

import type { Clock } from '../../lib/base/clock.ts'
import { CounterError } from '../../lib/base/errors.ts'
import type { Answer, SyncPath, Transport } from '../../lib/syncsrv/index.ts'

/** What a plan is asked about: message 0 is the request, 1 the first of the answer. */
export interface Passage {
  readonly from: string
  readonly to: string
  readonly path: SyncPath
  readonly message: number
  readonly bytes: Uint8Array
}

/** What may happen to it. `lose`: it vanishes, which only the time limit tells; `cut`: its connection breaks; `twice`: of a request. */
export type Fate = 'lose' | 'cut' | 'twice' | { readonly delayMs: number } | undefined

export class VirtualNetwork {
  readonly #clock: Clock
  readonly #answers = new Map<string, Answer>()
  readonly #cuts = new Set<string>()
  /** How long each message takes, in milliseconds. */
  latencyMs = 1
  plan: (passage: Passage) => Fate = () => undefined
  /** All that has passed, or was to pass, in order. */
  readonly passages: Passage[] = []

  /** @param clock that of the world, which no death of a process stops */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** From now on requests to the address are answered by this; undefined: connections are refused. */
  listen(address: string, answer: Answer | undefined): void {
    if (answer) this.#answers.set(address, answer)
    else this.#answers.delete(address)
  }

  /** Nothing comes from one address to the other any more. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`)
  }

  /** From now on what one address sends to the other arrives again. */
  mend(from: string, to: string): void {
    this.#cuts.delete(`${from} ${to}`)
  }

  heal(): void {
    this.#cuts.clear()
    this.plan = () => undefined
  }

  /** The network as the node at `from` sees it. @param clock of its process: it counts the time limits */
  transport(from: string, clock: Clock): Transport {
    return {
      request: (address, path, body, timeoutMs, signal) =>
        this.#request({ from, to: address, path }, body.slice(), new Inbox(clock, timeoutMs, address), signal),
    }
  }

  async *#request(
    way: Pick<Passage, 'from' | 'to' | 'path'>,
    body: Uint8Array,
    inbox: Inbox,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void> {
    const abort = () => inbox.fail('given up')
    signal?.addEventListener('abort', abort)
    void this.#deliver(way, body, inbox)
    try {
      for (let message = await inbox.next(); message !== undefined; message = await inbox.next()) yield message
    } finally {
      inbox.closed = true
      signal?.removeEventListener('abort', abort)
    }
  }

  async #deliver(way: Pick<Passage, 'from' | 'to' | 'path'>, body: Uint8Array, inbox: Inbox): Promise<void> {
    const fate = this.#fateOf({ ...way, message: 0, bytes: body })
    if (fate === 'lose') return
    if (fate === 'cut') return inbox.fail('the connection broke')
    await this.#pass(fate)
    const answer = this.#answers.get(way.to)
    if (answer === undefined) return inbox.fail('the connection was refused')
    if (fate === 'twice') for await (const _ of answer(way.path, body, ipOf(way.from))) break
    let number = 0
    try {
      for await (const message of answer(way.path, body, ipOf(way.from))) {
        number++
        const copy = message.slice()
        const next = this.#fateOf({ from: way.to, to: way.from, path: way.path, message: number, bytes: copy })
        if (next === 'lose') return
        await this.#pass(next)
        if (next === 'cut') return inbox.fail('the connection broke')
        if (inbox.closed || this.#answers.get(way.to) !== answer) return inbox.fail('the connection broke')
        inbox.push(copy)
      }
      inbox.end()
    } catch (error) {
      inbox.fail(`it threw ${error}`)
    }
  }

  #fateOf(passage: Passage): Fate {
    this.passages.push(passage)
    return this.#cuts.has(`${passage.from} ${passage.to}`) ? 'lose' : this.plan(passage)
  }

  #pass(fate: Fate): Promise<void> {
    const delayMs = typeof fate === 'object' ? fate.delayMs : this.latencyMs
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve)
    })
  }
}

const ipOf = (address: string): string => new URL(address).hostname

/** The asker's end of a request. */
class Inbox {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #address: string
  readonly #messages: Uint8Array[] = []
  #failure: string | undefined
  #ended = false
  #wake: () => void = () => {}
  /** Nobody reads on. */
  closed = false

  constructor(clock: Clock, timeoutMs: number, address: string) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#address = address
  }

  push(message: Uint8Array): void {
    this.#messages.push(message)
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  fail(why: string): void {
    this.#failure ??= why
    this.#wake()
  }

  async next(): Promise<Uint8Array | undefined> {
    const cancel = this.#clock.after(this.#timeoutMs, () => this.fail(`nothing came for ${this.#timeoutMs} ms`))
    try {
      for (;;) {
        const message = this.#messages.shift()
        if (message !== undefined) return message
        if (this.#failure !== undefined) throw new CounterError('PEER_UNREACHABLE', `${this.#address}: ${this.#failure}`)
        if (this.#ended) return undefined
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      cancel()
    }
  }
}
