// A network of replicas for tests: each answers as it is told, when time has passed as long as it is told, on the virtual clock.

import type { ShardCall, ShardReply, ShardTransport } from '../../lib/aggregator/index.ts'
import { Unanswered } from '../../lib/aggregator/index.ts'
import { Replica } from '../../lib/aggregator/replica.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** What a replica does with a request. */
export type Behaviour = ShardReply | 'refuse' | 'break' | 'hang'

export interface Asked extends ShardCall {
  readonly base: string
  /** Whether it was given up. */
  aborted: boolean
}

export const ok = (body = '{}', headers: ShardReply['headers'] = {}): ShardReply => ({ status: 200, headers, body })

export const problem = (status: number, applied: 'no' | 'unknown' = 'no', type = 'busy'): ShardReply => ({
  status,
  headers: { 'content-type': 'application/problem+json', 'retry-after': '1' },
  body: JSON.stringify({ type: `/problems/${type}`, status, detail: `it says ${status}`, applied }),
})

export class Network implements ShardTransport {
  readonly clock = new VirtualClock()
  readonly asked: Asked[] = []
  /** By base URL: what it does, and after how long. */
  readonly behaviours = new Map<string, (call: ShardCall) => Behaviour>()
  readonly delays = new Map<string, number>()

  does(base: string, ...behaviours: readonly (Behaviour | ((call: ShardCall) => Behaviour))[]): this {
    let step = 0
    this.behaviours.set(base, (call) => {
      const one = behaviours[Math.min(step++, behaviours.length - 1)]!
      return typeof one === 'function' ? one(call) : one
    })
    return this
  }

  replica(url: string, connectionsMax = 4): Replica {
    const replica = new Replica({ url, transport: this, clock: this.clock, connectionsMax })
    replica.set('up', '')
    return replica
  }

  call(base: string, call: ShardCall, timeoutMs: number, signal?: AbortSignal): Promise<ShardReply> {
    const asked: Asked = { ...call, base, aborted: false }
    this.asked.push(asked)
    const behaviour = this.behaviours.get(base)?.(call) ?? 'refuse'
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(timeoutMs, () => reject(new Unanswered('unknown', `${base} has not answered`)))
      signal?.addEventListener('abort', () => {
        asked.aborted = true
        cancel()
        reject(new Unanswered('unknown', 'given up'))
      })
      if (behaviour === 'hang') return
      this.clock.after(this.delays.get(base) ?? 1, () => {
        cancel()
        if (behaviour === 'refuse') reject(new Unanswered('unsent', `${base} refuses connections`))
        else if (behaviour === 'break') reject(new Unanswered('unknown', `${base} broke off`))
        else resolve(behaviour)
      })
    })
  }

  /** Lets time pass until the promise is settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const mark = (): void => {
      settled = true
    }
    promise.then(mark, mark)
    for (let turn = 0; turn < 10_000; turn++) {
      await new Promise((done) => setImmediate(done))
      if (settled) return promise
      if (!this.clock.step()) this.clock.advance()
    }
    throw new Error('it never settles')
  }

  basesAsked(): string[] {
    return this.asked.map(({ base }) => base)
  }
}
