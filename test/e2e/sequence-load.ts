// Clients of a sequence over HTTP, on all nodes of a cluster: what they call for, what they see, and how they call again.

import { Agent, request } from 'undici'
import type { Random } from '../../lib/base/random.ts'
import type { Seen, Taken } from '../sequence/history.ts'

export interface SequenceLoad {
  /** Base URLs of the nodes; asked for at each call, because nodes come and go. */
  readonly urls: () => readonly (string | undefined)[]
  readonly name: string
  /** Calls for numbers of all clients together, at least; until `isEnough` they go on, for up to LONGER_MAX times as many. */
  readonly calls: number
  readonly isEnough: (tally: SequenceTally) => boolean
  readonly clients: number
  readonly random: Random
}

/** Calls by their outcomes. */
export interface SequenceTally {
  readonly given: number
  readonly unknown: number
  readonly nothing: number
}

export interface SequenceSeen extends SequenceTally {
  readonly seen: Seen[]
}

/** On a slow machine troubles last longer, and more calls fail. */
const LONGER_MAX = 20

const TIMEOUT_MS = 10_000
const TRIES_MAX = 4
/** After a refusal. */
const PAUSE_MS = 100
/** Codes of a connection that never was. */
const UNSENT = new Set(['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT'])

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** Runs the clients until all calls are made, and enough came of them. */
export async function runSequenceClients({ urls, name, calls, isEnough, clients, random }: SequenceLoad): Promise<SequenceSeen> {
  const agent = new Agent({ connections: clients, pipelining: 1 })
  const seen: Seen[] = []
  const dice = (sides: number): number => random.uint32() % sides
  const pick = (): string | undefined => {
    const all = urls()
    return all[dice(all.length)]
  }
  let [made, keys] = [0, 0]
  const tally = { given: 0, unknown: 0, nothing: 0 }

  /** undefined: it was surely not sent. */
  const send = async (method: 'GET' | 'POST', path: string, body?: string, key?: string) => {
    const url = pick()
    if (url === undefined) return undefined
    try {
      const reply = await request(`${url}${path}`, {
        method,
        dispatcher: agent,
        headersTimeout: TIMEOUT_MS,
        bodyTimeout: TIMEOUT_MS,
        headers: {
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
          ...(key !== undefined && { 'Idempotency-Key': key }),
        },
        ...(body !== undefined && { body }),
      })
      return { status: reply.statusCode, headers: reply.headers, body: (await reply.body.json()) as Record<string, unknown> }
    } catch (error) {
      return UNSENT.has((error as NodeJS.ErrnoException).code ?? '') ? undefined : ('lost' as const)
    }
  }

  const call = async (count: number, key: string | undefined): Promise<Taken['outcome']> => {
    const startMs = performance.now()
    const reply = await send('POST', `/v1/sequences/${name}/next`, JSON.stringify({ count }), key)
    const outcome = outcomeOf(reply)
    seen.push({ kind: 'next', startMs, endMs: performance.now(), count, key, outcome })
    tally[typeof outcome === 'string' ? outcome : 'given']++
    return outcome
  }

  const look = async (): Promise<void> => {
    const startMs = performance.now()
    const reply = await send('GET', `/v1/sequences/${name}`)
    if (typeof reply !== 'object' || reply.status !== 200) return
    seen.push({ kind: 'get', startMs, endMs: performance.now(), value: Number(reply.body.value) })
  }

  const client = async (): Promise<void> => {
    while (made < calls || (made < LONGER_MAX * calls && !isEnough(tally))) {
      made++
      if (dice(5) === 0) await look()
      const key = dice(2) === 0 ? `k${keys++}` : undefined
      const count = dice(4) === 0 ? 1 + dice(3) : 1
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const outcome = await call(count, key)
        if (typeof outcome === 'string') await pause(dice(PAUSE_MS))
        // Now and then a client does not hear the answer and asks again.
        else if (key === undefined || dice(10) > 0) break
        if (key === undefined && outcome === 'unknown') break
      }
    }
  }

  await Promise.all(Array.from({ length: clients }, client))
  await agent.close()
  return { seen, ...tally }
}

type Answered = { status: number; headers: Record<string, unknown>; body: Record<string, unknown> } | 'lost' | undefined

function outcomeOf(reply: Answered): Taken['outcome'] {
  if (reply === undefined) return 'nothing'
  if (reply === 'lost') return 'unknown'
  const { status, headers, body } = reply
  if (status === 200) {
    return { first: Number(body.first), last: Number(body.last), replayed: headers['idempotency-replayed'] === 'true' }
  }
  if (body.applied === 'no') return 'nothing'
  if (body.applied === 'unknown') return 'unknown'
  throw new Error(`a node answered ${status}: ${JSON.stringify(body)}`)
}
