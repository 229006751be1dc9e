// Requests with keys for tests of nodes that fail: each adds to a name of its own and to names that all share, and what every name must read is
// known when each of them has counted once. And clients that send them until they are answered.

import * as assert from 'uvu/assert'
import { type Answer, Connection, type Outcome, type Request, readCounts } from '../support/load.ts'

export interface Order {
  /** From 0, in the order in which they were begun. */
  readonly index: number
  readonly request: Request
}

/** What the shared names begin with in a text. */
const TEXT = 'All ALL shared'

export class Orders {
  readonly #expected = new Map<string, number>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /** What each name must read when all orders have counted once. */
  get expected(): ReadonlyMap<string, number> {
    return this.#expected
  }

  next(): Order {
    const index = this.#count++
    const own = `order-${index}`
    const text = `${TEXT} ${own} ${own}`
    switch (index % 5) {
      case 0:
        return this.#order(index, '/v1/texts', text, { all: 2, shared: 1, [own]: 2 })
      case 1:
        return this.#order(index, '/v1/texts', { text }, { all: 2, shared: 1, [own]: 2 })
      case 2:
        return this.#order(index, '/keywords', text, { all: 2, shared: 1, [own]: 2 })
      case 3:
        return this.#order(index, `/v1/counters/${own}/increments`, { delta: 5 }, { [own]: 5 })
      default: {
        const adds = { shared: index, falling: -3, [own]: 7 }
        const items = Object.entries(adds).map(([name, delta]) => ({ name, delta }))
        return this.#order(index, '/v1/increments', { items }, adds)
      }
    }
  }

  #order(index: number, path: string, content: string | object, adds: Readonly<Record<string, number>>): Order {
    for (const [name, delta] of Object.entries(adds)) this.#expected.set(name, (this.#expected.get(name) ?? 0) + delta)
    const isText = typeof content === 'string'
    const headers = { 'Idempotency-Key': `key-${index}`, 'Content-Type': isText ? 'text/plain' : 'application/json' }
    return { index, request: { method: 'POST', path, headers, body: isText ? content : JSON.stringify(content) } }
  }

  /** What is not as it must be on the nodes behind these ports together: one sentence for each name, or the error of a node that does not answer. */
  async breaches(...ports: readonly number[]): Promise<string[]> {
    const names = [...this.#expected.keys()]
    const parts = await Promise.all(ports.map((port) => readCounts(port, names)))
    return names.flatMap((name) => {
      const count = parts.reduce((sum, counts) => sum + counts.get(name)!, 0)
      return count === this.#expected.get(name) ? [] : [`${name} reads ${count} instead of ${this.#expected.get(name)}`]
    })
  }
}

/** The request as who sends it that has sent it to another node before. */
export const asFailover = (request: Request): Request => ({
  ...request,
  headers: { ...request.headers, 'Counter-Failover': 'true' },
})

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** Between two attempts, and two orders, of a client. */
const ATTEMPT_PAUSE_MS = 30
const ORDER_PAUSE_MS = 10
/** What a node or aggregator may say of a request with a key that is to be sent again. */
const TRY_AGAIN = [409, 503, 504]

/** Clients that send order after order to a port, each again and again until it is answered with 2xx. */
export class Clients {
  readonly #orders: Orders
  readonly #port: number
  readonly #done: Promise<unknown>
  readonly #answered: Order[] = []
  #stopped = false
  #abandoned = false
  /** Attempts in all; those without an answer; and answers that were given before. */
  attempts = 0
  lost = 0
  replayed = 0

  constructor(port: number, orders: Orders, count: number) {
    this.#port = port
    this.#orders = orders
    this.#done = Promise.all(Array.from({ length: count }, () => this.#run()))
    // Whoever stops them hears of it.
    this.#done.catch(() => {})
  }

  /** The answered ones of those that were begun from `index` on. */
  answeredFrom(index: number): readonly Order[] {
    return this.#answered.filter((order) => order.index >= index)
  }

  /** Lets each of them go on until its order is answered. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** Each of them ends with its next answer, or failure. */
  abandon(): void {
    this.#stopped = true
    this.#abandoned = true
  }

  async #run(): Promise<void> {
    const connection = new Connection(this.#port)
    while (!this.#stopped) {
      const order = this.#orders.next()
      while (!this.#take(await connection.request(order.request))) {
        if (this.#abandoned) return connection.close()
        await pause(ATTEMPT_PAUSE_MS)
      }
      this.#answered.push(order)
      await pause(ORDER_PAUSE_MS)
    }
    connection.close()
  }

  /** Whether the order is answered. */
  #take(outcome: Outcome): boolean {
    this.attempts++
    if (outcome.kind !== 'answered') {
      this.lost++
      return false
    }
    if (TRY_AGAIN.includes(outcome.status)) return false
    assert.is(outcome.status, 200, outcome.body)
    if (isReplay(outcome)) this.replayed++
    return true
  }
}

export const isReplay = ({ headers }: Answer): boolean => headers['idempotency-replayed'] === 'true'
