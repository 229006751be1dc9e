// The typed client of the public API. Values are bigints, exact at any size. Each write carries an Idempotency-Key, so a request
// whose answer was lost can be repeated and still counts once; what is worth repeating is repeated here, with full jitter
// (Marc Brooker, "Exponential Backoff And Jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
// Of several nodes a write goes to the next when one does not answer for it, and says so there (Counter-Failover) when it may have counted:
// the nodes of a cluster tell each other of keys, and count it once. Keys of sequences are known to all nodes at once.
// It imports the contract's types alone, and needs nothing but fetch.

import type { JsonBody, JsonReply } from '../publicapi/contract.ts'
import { at, type Call, type CallOptions, got, posted, type Reached, type WriteLevel, written } from './call.ts'
import { doubted, type Failure, refused, unanswered } from './failure.ts'
import { createItemClient, type ItemClient } from './items.ts'
import { chance, freshKey, pause } from './platform.ts'
import { createSequenceClient, type SequenceClient } from './sequences.ts'
import { Session } from './session.ts'

export type { CallOptions, Reached, WriteLevel } from './call.ts'
export { ClientError } from './failure.ts'
export type { Accept, Accepted, Item, ItemOptions, NewItem, TenantCount, TenantsOptions } from './items.ts'
export { addItemsSpread, type Share, type SpreadOptions } from './items-spread.ts'
export type { Numbers, Sequence, SequenceEngine, SequencesOptions } from './sequences.ts'
export { Spreader, type SpreaderOptions, spread } from './spread.ts'

export interface ConnectOptions {
  /** The COUNTER_TOKEN of the node. */
  readonly token?: string
  /** How often a request is repeated after a failure that may pass. Default 5; 0: never. */
  readonly retriesMax?: number
  /** The first pause before a repetition is random up to this, in milliseconds; each further one up to twice as long. Default 100. */
  readonly backoffMs?: number
  /** No pause is longer than this, in milliseconds, unless the node asks for more. Default 5,000. */
  readonly backoffMaxMs?: number
  /** One attempt is given up after this, in milliseconds. Default 20,000. */
  readonly timeoutMs?: number
  /** Every write waits for so many members. Default 1: the node that takes it. */
  readonly w?: WriteLevel
  /** Reads show what this client has written before, whichever node answers; they wait for it, and fail as `session-behind`. */
  readonly session?: boolean
  readonly fetch?: typeof fetch
}

export interface Increment {
  readonly name: string
  /** Default 1. */
  readonly delta?: number | bigint
}

export interface Client extends ItemClient, SequenceClient {
  /** Counts the words of a text. */
  count(text: string, options?: CallOptions): Promise<JsonReply<'countText'>>
  /** Adds to a counter, by default 1, and gives its new value. */
  increment(name: string, delta?: number | bigint, options?: CallOptions): Promise<bigint>
  /** Adds to many counters, all or nothing. */
  incrementAll(items: readonly Increment[], options?: CallOptions): Promise<JsonReply<'incrementCounters'>>
  /** The value of a counter; 0n when it was never counted. */
  value(name: string, options?: CallOptions): Promise<bigint>
  /** The values of some counters, in the order asked. */
  values(names: readonly string[], options?: CallOptions): Promise<bigint[]>
  /** The members, and what each lacks of the others. */
  cluster(options?: CallOptions): Promise<JsonReply<'readCluster'>>
  /** Tells a member to hand over what it has and to leave; untilLeft() waits for it. */
  drain(node: number, options?: CallOptions): Promise<void>
  /** Removes a member that is gone for good. */
  remove(node: number, options?: CallOptions): Promise<void>
  /** Resolves when `node` is no member any more, as seen by the nodes of this client. */
  untilLeft(node: number, options?: CallOptions): Promise<void>
}

interface Answered {
  readonly reply: unknown
  readonly reached: Reached | undefined
  readonly headers: Headers
}

/** How often untilLeft() looks. */
const LOOK_MS = 500
const REACHED = /^(1|majority|all); reached=(\d+); members=(\d+)$/

/** A client of the node at `url`, or of the cluster of which these are nodes. Nothing is sent before the first call. */
export function connect(urls: string | readonly string[], options: ConnectOptions = {}): Client {
  const bases = (typeof urls === 'string' ? [urls] : urls).map((url) => url.replace(/\/+$/, ''))
  if (bases.length === 0) throw new TypeError('a client needs the URL of a node')
  const { token, retriesMax = 5, backoffMs = 100, backoffMaxMs = 5_000, timeoutMs = 20_000 } = options
  const send = options.fetch ?? fetch
  const session = options.session ? new Session() : undefined
  /** The node that answered last. */
  let current = 0

  return {
    ...createItemClient(exchange),
    ...createSequenceClient(exchange),

    count: (text, call) => exchange({ ...posted(at('/v1/texts'), text, 'text/plain; charset=utf-8'), writes: true }, call),

    async increment(name, delta = 1, call) {
      const body: JsonBody<'incrementCounter'> = { delta: String(delta) }
      const path = at('/v1/counters/{name}/increments', name)
      const { valueString } = await exchange<JsonReply<'incrementCounter'>>(written(path, body), call)
      return BigInt(valueString)
    },

    incrementAll(items, call) {
      const body: JsonBody<'incrementCounters'> = { items: items.map(({ name, delta = 1 }) => ({ name, delta: String(delta) })) }
      return exchange(written(at('/v1/increments'), body), call)
    },

    async value(name, call) {
      const { valueString } = await exchange<JsonReply<'readCounter'>>(got(at('/v1/counters/{name}', name)), call)
      return BigInt(valueString)
    },

    async values(names, call) {
      if (names.length === 0) return []
      const query = names.map((name) => `names=${encodeURIComponent(name)}`).join('&')
      const { counters } = await exchange<JsonReply<'readCounters'>>(got(`${at('/v1/counters')}?${query}`), call)
      return counters.map(({ valueString }) => BigInt(valueString))
    },

    cluster: (call) => exchange(got(at('/v1/cluster')), call),

    async drain(node, call) {
      await exchange(posted(at('/v1/cluster/members/{node}/drain', String(node))), call)
    },

    async remove(node, call) {
      await exchange(posted(at('/v1/cluster/members/{node}/remove', String(node))), call)
    },

    async untilLeft(node, call) {
      for (;;) {
        const { members } = await exchange<JsonReply<'readCluster'>>(got(at('/v1/cluster')), call)
        if (members.every((member) => member.node !== node || member.state === 'left')) return
        await pause(LOOK_MS, call?.signal)
      }
    },
  }

  async function exchange<Reply>(call: Call, options: CallOptions = {}): Promise<Reply> {
    const { idempotencyKey, onReached, signal } = options
    const headers = headersOf(call, options)
    let node = idempotencyKey === undefined ? current : 0
    /** The node where the write may have counted first; each other one is told that it is not the first. */
    let first = idempotencyKey === undefined ? undefined : 0
    let askedSincePause = 0
    /** Whether an earlier attempt may have counted. */
    let inDoubt = false
    let hasWaited = false
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      const isFirst = first === undefined || node === first || !call.writes || call.anywhere === true
      const answer = await once(bases[node]!, call, isFirst ? headers : { ...headers, 'Counter-Failover': 'true' }, signal)
      if ('reply' in answer) {
        current = node
        if (answer.reached !== undefined) onReached?.(answer.reached)
        call.onHeaders?.(answer.headers)
        return answer.reply as Reply
      }
      const { error, passing, uncounted, silent, afterMs } = answer
      if (!passing || attempt >= retriesMax) throw inDoubt ? doubted(error) : error
      let stays = false
      if (call.writes && !uncounted) {
        const inFlight = error.type === 'key-in-flight'
        // Where the answer was lost the reply most likely is, and elsewhere the write counts twice for a while.
        stays = !call.anywhere && (inFlight ? !hasWaited : !inDoubt && !silent)
        hasWaited ||= inFlight
        inDoubt = true
        first ??= node
      }
      if (!stays) {
        node = (node + 1) % bases.length
        if (++askedSincePause < bases.length) continue
      }
      askedSincePause = 0
      const backoff = Math.min(backoffMaxMs, backoffMs * 2 ** attempt) * chance()
      await pause(Math.max(backoff, afterMs), signal)
    }
  }

  function headersOf(
    { contentType, writes, anywhere }: Call,
    { idempotencyKey, w = options.w }: CallOptions,
  ): Record<string, string> {
    return {
      Accept: 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(contentType !== undefined && { 'Content-Type': contentType }),
      ...(session?.token !== undefined && { 'Counter-Session': session.token }),
      ...(writes && { 'Idempotency-Key': idempotencyKey ?? freshKey() }),
      ...(writes && !anywhere && w !== undefined && { 'Counter-Write-Level': String(w) }),
    }
  }

  /** One attempt. Only the caller's own abort is thrown. */
  async function once(
    base: string,
    { method, path, body }: Call,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<Answered | Failure> {
    const limit = AbortSignal.timeout(timeoutMs)
    try {
      const response = await send(base + path, {
        method,
        headers,
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
        ...(body === undefined ? {} : { body }),
      })
      const text = await response.text()
      if (!response.ok) return refused(response, text)
      const covered = response.headers.get('counter-session')
      if (covered !== null) session?.cover(covered)
      return { reply: JSON.parse(text), reached: reachedOf(response), headers: response.headers }
    } catch (error) {
      signal?.throwIfAborted()
      return unanswered(base, error)
    }
  }
}

function reachedOf(response: Response): Reached | undefined {
  const match = REACHED.exec(response.headers.get('counter-write-level') ?? '')
  if (match === null) return undefined
  const level = match[1] === '1' ? 1 : (match[1] as WriteLevel)
  return { level, reached: Number(match[2]), members: Number(match[3]), met: response.status !== 202 }
}
