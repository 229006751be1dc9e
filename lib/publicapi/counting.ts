// The handlers that count and read: texts, keywords and named counters. Replies on the hot path are put together by hand,
// because JSON.stringify can write neither a bigint nor a number of 20 digits.

import type { Tally } from '../text/index.ts'
import { nameBytes } from '../text/index.ts'
import { negotiate } from './accept.ts'
import type { Agreement } from './agreement.ts'
import { countingContract } from './contract/counting.ts'
import type { Handler } from './endpoint.ts'
import type { Filled, Intake, Scratch } from './intake.ts'
import { writeInteger } from './json.ts'
import type { Metrics } from './metrics.ts'
import { EMPTY, JSON_TYPE, jsonReply, textReply, whenDurable } from './reply.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { decodeSegment, segmentOf, valuesOf } from './target.ts'
import type { WriteReply, Writer } from './writer.ts'

export interface CountingOptions {
  readonly store: ApiStore
  readonly writer: Writer
  readonly agreement: Agreement
  readonly intake: Intake
  readonly scratch: Scratch
  readonly metrics: Metrics
  /** The form under which a text's words are counted: lower case. */
  readonly lowerWord: (word: string) => string
}

/** The operations that count names and read counts, on a node and over shards. */
export type CountingId =
  | 'countKeywords'
  | 'readKeywords'
  | 'countText'
  | 'incrementCounter'
  | 'incrementCounters'
  | 'readCounter'
  | 'readCounters'

const COUNTER_TYPES = [JSON_TYPE, 'text/plain'] as const
const segmentIn = segmentOf(countingContract.readCounter.path)

export function createCounting(options: CountingOptions): Record<CountingId, Handler> {
  const { store, writer, agreement, intake, scratch, metrics, lowerWord } = options

  return {
    countKeywords: agreement.write(async (exchange) => countTally(await intake.words(exchange), () => EMPTY)),

    countText: agreement.write(async (exchange) => countTally(await intake.text(exchange), tallied)),

    incrementCounter: agreement.write(async (exchange) => {
      const { name, bytes, delta, fingerprint } = await intake.increment(exchange)
      const reply = (): StoredReply => jsonReply(counterJson(name, store.value(bytes)))
      return writer.write(
        scratch.filled((tally) => tally.add(name, delta)),
        reply,
        fingerprint,
      )
    }),

    incrementCounters: agreement.write(async (exchange) => {
      const { tally, items, fingerprint } = await intake.increments(exchange)
      return writer.write(tally, () => jsonReply(`{"items":${items}}`), fingerprint)
    }),

    readKeywords: agreement.read(({ query }) => {
      let body = '['
      for (const word of valuesOf(query, 'keywords', 'ignore')) {
        // An empty word is never counted, and a name of no bytes is none.
        const count = word === '' ? 0 : store.value(nameBytes(lowerWord(word)))
        body += `${body === '[' ? '' : ','}{"key":${JSON.stringify(word)},"count":${writeInteger(count)}}`
      }
      return whenDurable(store, jsonReply(`${body}]`))
    }),

    readCounter: agreement.read(({ incoming, path }) => {
      const type = negotiate(incoming.headers.accept, COUNTER_TYPES)
      const name = decodeSegment(segmentIn(path))
      const value = store.value(intake.nameBytes(name))
      return whenDurable(store, type === JSON_TYPE ? jsonReply(counterJson(name, value)) : textReply(writeInteger(value)))
    }),

    readCounters: agreement.read(({ query }) => {
      const counters = valuesOf(query, 'names', 'refuse').map((name) => counterJson(name, store.value(intake.nameBytes(name))))
      return whenDurable(store, jsonReply(`{"counters":[${counters.join(',')}]}`))
    }),
  }

  async function countTally({ tally, fingerprint }: Filled, reply: (tally: Tally) => StoredReply): Promise<WriteReply> {
    const { tokens } = tally
    const written = await writer.write(tally, () => reply(tally), fingerprint)
    if (!written.replayed) metrics.tokens.inc(tokens)
    return written
  }
}

/** What a text comes to. */
export const tallied = ({ tokens, count }: Tally): StoredReply => jsonReply(`{"tokens":${tokens},"distinct":${count}}`)

export const counterJson = (name: string, value: number | bigint): string => {
  const digits = writeInteger(value)
  return `{"name":${JSON.stringify(name)},"value":${digits},"valueString":"${digits}"}`
}
