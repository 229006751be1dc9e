// The network between node processes and clients: it routes the lines that each writes, and does to them what networks do. A message is
// delayed by a chosen time, so messages overtake each other; some are lost; between nodes whole directions can be cut. Everything that was
// done to a message is counted, so that a run can be told from one in which nothing happened.

import type { Random } from '../../lib/base/random.ts'
import { type Message, readMessage } from '../../lib/maelstrom/message.ts'

export interface NetworkCounts {
  delivered: number
  /** Of these, between nodes. */
  between: number
  lost: number
  cut: number
  /** For a node that was not running. */
  undeliverable: number
}

/** The client that starts nodes and reads in the end: nothing is done to its messages. */
export const CONTROL = 'c0'

export class Network {
  readonly #random: Random
  readonly #receivers = new Map<string, (message: Message) => boolean>()
  readonly #cut = new Set<string>()
  readonly counts: NetworkCounts = { delivered: 0, between: 0, lost: 0, cut: 0, undeliverable: 0 }
  /** What became of the rules: sentences about lines that should not have been written. */
  readonly breaches: string[] = []
  /** How many of a thousand messages are lost. */
  lossPermille = 0
  /** Each message takes up to this long. */
  delayMs = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** @param receive takes a message, and says whether there was anybody to take it */
  connect(id: string, receive: (message: Message) => boolean): void {
    this.#receivers.set(id, receive)
  }

  /** Swallows what goes from one node to the other, in this direction. */
  cut(source: string, target: string): void {
    this.#cut.add(`${source} ${target}`)
  }

  /** No cuts, no loss; delays stay. */
  heal(): void {
    this.#cut.clear()
    this.lossPermille = 0
  }

  /** A line that the process of `id` has written. */
  takeLine(id: string, line: string): void {
    const message = readMessage(line)
    if (message === undefined) this.breaches.push(`${id} writes what is no message: ${line.slice(0, 200)}`)
    else if (message.src !== id) this.breaches.push(`${id} writes in the name of ${message.src}`)
    else if (!this.#receivers.has(message.dest)) this.breaches.push(`${id} writes to ${message.dest}, which is nobody`)
    else this.send(message)
  }

  send(message: Message): void {
    if (message.src === CONTROL || message.dest === CONTROL) return this.#deliver(message)
    if (this.#random.uint32() % 1000 < this.lossPermille) return void this.counts.lost++
    const delay = this.delayMs === 0 ? 0 : this.#random.uint32() % (this.delayMs + 1)
    setTimeout(() => this.#deliver(message), delay)
  }

  #deliver(message: Message): void {
    // A cut that came while it was under way holds it too.
    if (this.#cut.has(`${message.src} ${message.dest}`)) return void this.counts.cut++
    if (!this.#receivers.get(message.dest)!(message)) return void this.counts.undeliverable++
    this.counts.delivered++
    if (isNode(message.src) && isNode(message.dest)) this.counts.between++
  }
}

const isNode = (id: string): boolean => id.startsWith('n')
