// The handlers that count and read: texts, keywords and named counters. Replies on the hot path are put together by hand,
// because JSON.stringify can write neither a bigint nor a number of 20 digits.

import type { Tally } from '../text/index.ts'
import { nameBytes } from '../text/index.ts'
import { negotiate } from './accept.ts'
import type { Agreement } from './agreement.ts'
import { itemsOf } from './batch.ts'
import { charsetOf, collectBody, mediaTypeOf, readBody } from './body.ts'
import { increment, JSON_BYTES_MAX, readDelta, text } from './contract.ts'
import type { Exchange, Handler, Reply } from './endpoint.ts'
import { addIncrements, INCREMENT } from './increments.ts'
import { readJson, writeInteger } from './json.ts'
import type { Metrics } from './metrics.ts'
import type { Fingerprint } from './once.ts'
import { fingerprintOf } from './once.ts'
import { Problem } from './problem.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { decodeSegment, valuesOf } from './target.ts'
import { validate } from './validate.ts'
import type { WriteReply, Writer } from './writer.ts'

export interface CountingOptions {
  readonly store: ApiStore
  readonly writer: Writer
  readonly agreement: Agreement
  readonly metrics: Metrics
  readonly nameBytesMax: number
  readonly bodyBytesMax: number
  /** The form under which a text's words are counted: lower case. */
  readonly lowerWord: (word: string) => string
}

type CountingId =
  | 'countKeywords'
  | 'readKeywords'
  | 'countText'
  | 'incrementCounter'
  | 'incrementCounters'
  | 'readCounter'
  | 'readCounters'

const JSON_TYPE = 'application/json'
const TEXT_TYPE = 'text/plain; charset=utf-8'
const COUNTER_TYPES = ['application/json', 'text/plain'] as const
const COUNTERS_PATH = '/v1/counters/'
const INCREMENTS = '/increments'
/** Of a text, as much is gathered before it is counted; some two milliseconds of work at most. */
const GATHERED_BYTES = 256 * 1024
const EMPTY: StoredReply = { status: 200, contentType: '', body: '' }

export function createCounting(options: CountingOptions): Record<CountingId, Handler> {
  const { store, writer, agreement, metrics, nameBytesMax, bodyBytesMax, lowerWord } = options

  return {
    countKeywords: agreement.write((exchange) => countBody(exchange, () => EMPTY)),

    countText: agreement.write((exchange) => {
      const contentType = exchange.incoming.headers['content-type']
      const type = mediaTypeOf(contentType)
      if (type === JSON_TYPE) return countJson(exchange)
      if (type !== 'text/plain') throw wrongType(type, 'text/plain or application/json')
      const charset = charsetOf(contentType!)
      if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
        throw new Problem('media-type-unsupported', `The charset is ${charset}; expected utf-8.`, {
          fix: 'Encode the text as UTF-8.',
        })
      }
      return countBody(exchange, tallied)
    }),

    incrementCounter: agreement.write(async (exchange) => {
      const name = decodeSegment(exchange.path.slice(COUNTERS_PATH.length, -INCREMENTS.length))
      const bytes = bytesOfName(name)
      const fingerprint = fingerprintOf(exchange.incoming)
      const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX))
      fingerprint?.update(body)
      let delta: number | bigint = 1
      if (body.length > 0) {
        checkJsonType(exchange)
        delta = readDelta(validate(increment, readJson(body)).delta ?? 1)!
      }
      const reply = (): StoredReply => ({ status: 200, contentType: JSON_TYPE, body: counterJson(name, store.value(bytes)) })
      return writeNames((tally) => tally.add(name, delta), reply, fingerprint)
    }),

    incrementCounters: agreement.write(async (exchange) => {
      const fingerprint = fingerprintOf(exchange.incoming)
      checkJsonType(exchange)
      const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX))
      fingerprint?.update(body)
      const items = itemsOf(readJson(body), INCREMENT)
      const reply = (): StoredReply => ({ status: 200, contentType: JSON_TYPE, body: `{"items":${items.length}}` })
      return writeNames((tally) => addIncrements(tally, items), reply, fingerprint)
    }),

    readKeywords: agreement.read(({ query }) => {
      let body = '['
      for (const word of valuesOf(query, 'keywords', 'ignore')) {
        // An empty word is never counted, and a name of no bytes is none.
        const count = word === '' ? 0 : store.value(nameBytes(lowerWord(word)))
        body += `${body === '[' ? '' : ','}{"key":${JSON.stringify(word)},"count":${writeInteger(count)}}`
      }
      return whenDurable({ status: 200, contentType: JSON_TYPE, body: `${body}]` })
    }),

    readCounter: agreement.read(({ incoming, path }) => {
      const type = negotiate(incoming.headers.accept, COUNTER_TYPES)
      const name = decodeSegment(path.slice(COUNTERS_PATH.length))
      const value = store.value(bytesOfName(name))
      return whenDurable(
        type === JSON_TYPE
          ? { status: 200, contentType: JSON_TYPE, body: counterJson(name, value) }
          : { status: 200, contentType: TEXT_TYPE, body: writeInteger(value) },
      )
    }),

    readCounters: agreement.read(({ query }) => {
      const counters = valuesOf(query, 'names', 'refuse').map((name) => counterJson(name, store.value(bytesOfName(name))))
      return whenDurable({ status: 200, contentType: JSON_TYPE, body: `{"counters":[${counters.join(',')}]}` })
    }),
  }

  /**
   * Counts a text while it arrives, as much at once as GATHERED_BYTES: the scratch is then used for one request after the
   * other and stays in the cache, and most bodies take it only when they are complete.
   */
  async function countBody(exchange: Exchange, reply: (tally: Tally) => StoredReply): Promise<WriteReply> {
    const fingerprint = fingerprintOf(exchange.incoming)
    const gathered: Buffer[] = []
    let gatheredBytes = 0
    let tally: Tally | undefined
    const feed = (): Tally => {
      tally ??= writer.lease()
      for (const piece of gathered) tally.feed(piece)
      gathered.length = 0
      gatheredBytes = 0
      return tally
    }
    try {
      await readBody(exchange.incoming, bodyBytesMax, (piece) => {
        fingerprint?.update(piece)
        gathered.push(piece)
        gatheredBytes += piece.length
        if (gatheredBytes >= GATHERED_BYTES) feed()
      })
      tally = feed()
      tally.end()
    } catch (error) {
      if (tally !== undefined) writer.release(tally)
      throw error
    }
    return countTally(tally, reply, fingerprint)
  }

  async function countJson(exchange: Exchange): Promise<WriteReply> {
    const fingerprint = fingerprintOf(exchange.incoming)
    const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX))
    fingerprint?.update(body)
    const bytes = nameBytes(validate(text, readJson(body)).text)
    const tally = writer.lease()
    try {
      tally.feed(bytes)
      tally.end()
    } catch (error) {
      writer.release(tally)
      throw error
    }
    return countTally(tally, tallied, fingerprint)
  }

  async function countTally(
    tally: Tally,
    reply: (tally: Tally) => StoredReply,
    fingerprint: Fingerprint | undefined,
  ): Promise<WriteReply> {
    const { tokens } = tally
    const written = await writer.write(tally, () => reply(tally), fingerprint)
    if (!written.replayed) metrics.tokens.inc(tokens)
    return written
  }

  function writeNames(
    fill: (tally: Tally) => void,
    reply: () => StoredReply,
    fingerprint: Fingerprint | undefined,
  ): Promise<WriteReply> {
    const tally = writer.lease()
    try {
      fill(tally)
    } catch (error) {
      writer.release(tally)
      throw error
    }
    return writer.write(tally, reply, fingerprint)
  }

  /** Rule 1 of the design: what a read shows does not leave before it is durable. */
  function whenDurable(reply: Reply): Reply | Promise<Reply> {
    const settled = store.settled()
    return settled === undefined ? reply : settled.then(() => reply)
  }

  function bytesOfName(name: string): Uint8Array {
    if (name === '') throw new Problem('name-invalid', 'The name is empty.')
    const bytes = nameBytes(name)
    if (bytes.length <= nameBytesMax) return bytes
    throw new Problem(
      'name-too-long',
      `The name "${name.slice(0, 40)}..." has ${bytes.length} bytes; at most ${nameBytesMax} are taken.`,
    )
  }
}

const tallied = ({ tokens, count }: Tally): StoredReply => ({
  status: 200,
  contentType: JSON_TYPE,
  body: `{"tokens":${tokens},"distinct":${count}}`,
})

const counterJson = (name: string, value: number | bigint): string => {
  const digits = writeInteger(value)
  return `{"name":${JSON.stringify(name)},"value":${digits},"valueString":"${digits}"}`
}

const wrongType = (type: string, expected: string): Problem =>
  new Problem('media-type-unsupported', `The Content-Type is ${type === '' ? 'missing' : type}; expected ${expected}.`)

/** @throws Problem media-type-unsupported */
export function checkJsonType({ incoming }: Exchange): void {
  const type = mediaTypeOf(incoming.headers['content-type'])
  if (type !== JSON_TYPE) throw wrongType(type, JSON_TYPE)
}
