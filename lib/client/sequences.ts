// Sequences: the calls of the client. A call for numbers that was left without an answer is repeated with its key, at any node, and gets the
// numbers that the first attempt took.

import type { JsonBody, JsonReply } from '../publicapi/contract.ts'
import { at, type Call, type CallOptions, type Exchange, got, posted, written } from './call.ts'

/** The numbers from `first` to `last`, all of them the caller's alone. */
export type Numbers = JsonReply<'nextNumbers'>
/** A sequence and the last number it gave. */
export type Sequence = JsonReply<'readSequence'>
export type SequenceEngine = JsonReply<'readSequenceEngine'>

export interface SequencesOptions extends Pick<CallOptions, 'signal'> {
  /** Only sequences that begin so. */
  readonly prefix?: string
  /** Most sequences of one request, 1 to 1,000. Default 100. */
  readonly limit?: number
}

/** Also when it makes numbers come a second time, or when a member does not answer: see each call. */
export interface ForceOptions extends CallOptions {
  readonly force?: boolean
}

export interface SequenceClient {
  /** The next number of a sequence. */
  next(name: string, options?: CallOptions): Promise<number>
  /** The next few, 1 to 1,000,000. */
  nextNumbers(name: string, count: number, options?: CallOptions): Promise<Numbers>
  /** The last number that a sequence gave; 0 when it never gave one. */
  lastNumber(name: string, options?: CallOptions): Promise<number>
  /** All sequences, in the order of their UTF-8 bytes. They are asked for a page at a time, while they are used. */
  sequences(options?: SequencesOptions): AsyncGenerator<Sequence, void, undefined>
  /** Lets a sequence go on from a value. Fails as `sequence-backwards` when it is further, unless it is forced. */
  setSequence(name: string, value: number, options?: ForceOptions): Promise<void>
  /** What holds the sequences, and whether it is reachable. */
  sequenceEngine(options?: CallOptions): Promise<SequenceEngine>
  /** Goes on `ahead` above what any node has heard of, after the home of the sequences has lost its data; forced also without some members. */
  recoverSequences(ahead: number, options?: ForceOptions): Promise<void>
  /** Freezes all sequences and brings them to etcd. */
  migrateSequences(options?: CallOptions): Promise<JsonReply<'migrateSequences'>>
  freezeSequences(options?: CallOptions): Promise<void>
  /** Takes a freeze back. Only right when no other engine has gone on from the frozen values. */
  thawSequences(options?: CallOptions): Promise<void>
}

export function createSequenceClient(exchange: Exchange): SequenceClient {
  const numbers = (name: string, count: number, call: CallOptions | undefined): Promise<Numbers> => {
    const body: JsonBody<'nextNumbers'> = { count }
    return exchange({ ...written(at('/v1/sequences/{name}/next', name), body), anywhere: true }, call)
  }
  return {
    async next(name, call) {
      return (await numbers(name, 1, call)).last
    },

    nextNumbers: numbers,

    async lastNumber(name, call) {
      return (await exchange<Sequence>(got(at('/v1/sequences/{name}', name)), call)).value
    },

    async *sequences({ prefix = '', limit, signal } = {}) {
      const asked = new URLSearchParams({ prefix, ...(limit !== undefined && { limit: String(limit) }) })
      for (let next: string | null = ''; next !== null; ) {
        const page: JsonReply<'readSequences'> = await exchange(got(`${at('/v1/sequences')}?${asked}`), signal && { signal })
        yield* page.sequences
        next = page.next
        asked.set('cursor', next ?? '')
      }
    },

    async setSequence(name, value, { force = false, ...call } = {}) {
      const body: JsonBody<'setSequence'> = { value, force }
      await exchange(order(at('/v1/sequences/{name}/set', name), body), call)
    },

    sequenceEngine: (call) => exchange(got(at('/v1/sequence-engine')), call),

    async recoverSequences(ahead, { force = false, ...call } = {}) {
      const body: JsonBody<'recoverSequences'> = { ahead, force }
      await exchange(order(at('/v1/sequence-engine/recover'), body), call)
    },

    migrateSequences: (call) => exchange(posted(at('/v1/sequence-engine/migrate')), call),

    async freezeSequences(call) {
      await exchange(posted(at('/v1/sequence-engine/freeze')), call)
    },

    async thawSequences(call) {
      await exchange(posted(at('/v1/sequence-engine/thaw')), call)
    },
  }
}

/** Without a key: done twice it is the same as once. */
const order = (path: string, body: unknown): Call => posted(path, JSON.stringify(body), 'application/json')
