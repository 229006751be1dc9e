// The handlers that count and read over shards: texts, keywords and named counters, in the shapes of a node. A text is tallied once, here; each
// shard gets its names in one request, and all at once.

import { hasPart, isPart, TOTAL_NAME } from '../../cluster/index.ts'
import type { Tally } from '../../text/index.ts'
import { negotiate } from '../accept.ts'
import { countingContract } from '../contract/counting.ts'
import { type CountingId, tallied } from '../counting.ts'
import type { Exchange, Handler, Reply } from '../endpoint.ts'
import type { Filled, Intake, Scratch } from '../intake.ts'
import type { Metrics } from '../metrics.ts'
import { Problem } from '../problem.ts'
import { EMPTY, JSON_TYPE, jsonReply, textReply } from '../reply.ts'
import type { StoredReply } from '../store.ts'
import { decodeSegment, segmentOf, valuesOf } from '../target.ts'
import { askOf, requiresComplete, type WriteAskStart, withOnce, writeAskOf } from './ask.ts'
import { bodyOf, checkShown, doneReply, lastKnownOf, missingOf, shownHeaders } from './report.ts'
import type { ApiShards, Gathered, GatheredAll } from './router.ts'
import { sumOf } from './sum.ts'

export interface ShardsCountingOptions {
  readonly shards: ApiShards
  readonly intake: Intake
  readonly scratch: Scratch
  readonly metrics: Metrics
  /** The form under which a text's words are counted: lower case. */
  readonly lowerWord: (word: string) => string
}

const INCREMENTS = countingContract.incrementCounters
const segmentIn = segmentOf(countingContract.readCounter.path)

export function createShardsCounting(options: ShardsCountingOptions): Record<CountingId, Handler> {
  const { shards, intake, scratch, metrics, lowerWord } = options
  const encoder = new TextEncoder()

  return {
    async countKeywords(exchange) {
      const ask = writeAskOf(exchange)
      return countTally(await intake.words(exchange), ask, () => EMPTY)
    },

    async countText(exchange) {
      const ask = writeAskOf(exchange)
      return countTally(await intake.text(exchange), ask, tallied)
    },

    async incrementCounter(exchange) {
      const start = writeAskOf(exchange)
      const { name, delta, fingerprint } = await intake.increment(exchange)
      if (isPart(encoder.encode(name))) throw partOfTotal(`"${name}"`)
      const ask = withOnce(start, fingerprint)
      const piece = { shard: shards.shardOf(name), body: encoder.encode(`{"delta":"${delta}"}`) }
      const parts = await shards.send([piece], { method: 'POST', path: exchange.path }, ask)
      return { ...jsonReply(bodyOf(parts)), ...doneReply(parts, ask) }
    },

    async incrementCounters(exchange) {
      const ask = writeAskOf(exchange)
      const { items, ...filled } = await intake.increments(exchange)
      if (hasPart(filled.tally)) {
        scratch.release(filled.tally)
        throw partOfTotal(`A name that begins with "${TOTAL_NAME}"`)
      }
      return send(filled, ask, jsonReply(`{"items":${items}}`))
    },

    async readKeywords(exchange) {
      const words = valuesOf(exchange.query, 'keywords', 'ignore')
      const all = await valuesFor(exchange, words.map(lowerWord))
      // An empty word is never counted, and a name of no bytes is none.
      const counts = words.map((word, index) => `{"key":${JSON.stringify(word)},"count":${all.values[index]?.value ?? 'null'}}`)
      return { ...jsonReply(`[${counts.join(',')}]`), headers: all.headers }
    },

    async readCounter(exchange) {
      const type = negotiate(exchange.incoming.headers.accept, [JSON_TYPE, 'text/plain'])
      const name = decodeSegment(segmentIn(exchange.path))
      intake.nameBytes(name)
      const { values, headers } = await valuesFor(exchange, [name])
      const digits = values[0]!.value!
      return { ...(type === JSON_TYPE ? jsonReply(counterJson(name, values[0]!)) : textReply(digits)), headers }
    },

    async readCounters(exchange) {
      const names = valuesOf(exchange.query, 'names', 'refuse')
      for (const name of names) intake.nameBytes(name)
      const all = await valuesFor(exchange, names)
      const counters = names.map((name, index) => counterJson(name, all.values[index]!)).join(',')
      const missing =
        all.missing.length === 0 ? '' : `,"complete":false,"missing":${JSON.stringify(missingOf(all.missing).missing)}`
      return { ...jsonReply(`{"counters":[${counters}]${missing}}`), headers: all.headers }
    },
  }

  async function countTally(filled: Filled, ask: WriteAskStart, reply: (tally: Tally) => StoredReply): Promise<Reply> {
    const { tokens } = filled.tally
    const made = reply(filled.tally)
    const answer = await send(filled, ask, made)
    if (answer.headers?.['Idempotency-Replayed'] === undefined) metrics.tokens.inc(tokens)
    return answer
  }

  /** Sends a tally to its shards. The tally is given back as soon as its names are on their way. */
  async function send({ tally, fingerprint }: Filled, start: WriteAskStart, reply: StoredReply): Promise<Reply> {
    let pieces: Awaited<ReturnType<ApiShards['split']>>
    try {
      const splitting = shards.split(tally)
      pieces = splitting instanceof Promise ? await splitting : splitting
    } finally {
      scratch.release(tally)
    }
    const ask = withOnce(start, fingerprint)
    const parts = pieces.length === 0 ? [] : await shards.send(pieces, INCREMENTS, ask)
    return { ...reply, ...doneReply(parts, ask) }
  }

  /** @throws Problem when nothing can be shown, or not all and that is required */
  async function valuesFor(
    exchange: Exchange,
    names: readonly string[],
  ): Promise<GatheredAll & { headers: Record<string, string> }> {
    const isComplete = requiresComplete(exchange)
    const ask = askOf(exchange)
    const known = names.map((name, index) => ({ name, index })).filter(({ name }) => name !== '')
    const plain = known.filter(({ name }) => name !== TOTAL_NAME)
    const [all, total] = await Promise.all([
      shards.values(
        plain.map(({ name }) => name),
        ask,
      ),
      plain.length === known.length ? undefined : shards.total(ask),
    ])
    const values: Gathered[] = names.map(() => ({ value: '0', lastKnown: undefined, shard: 0 }))
    for (const [at, { index }] of plain.entries()) values[index] = all.values[at]!
    if (total !== undefined) {
      const sum = sumOf(total.values)
      for (const { name, index } of known) if (name === TOTAL_NAME) values[index] = { value: sum, lastKnown: undefined, shard: 0 }
    }
    const gathered: GatheredAll = {
      values,
      missing: [...all.missing, ...(total?.missing ?? [])],
      refused: all.refused ?? total?.refused,
      sessions: new Map([...all.sessions, ...(total?.sessions ?? [])]),
    }
    checkShown(gathered, isComplete, names)
    return { ...gathered, headers: shownHeaders(gathered, ask) }
  }
}

function counterJson(name: string, { value, lastKnown }: Gathered): string {
  const head = `{"name":${JSON.stringify(name)},"value":${value ?? 'null'},"valueString":${value === undefined ? 'null' : `"${value}"`}`
  const last = lastKnownOf(lastKnown)
  if (last === undefined) return `${head}}`
  const { digits, ageSeconds } = last
  return `${head},"lastKnown":{"value":${digits},"valueString":"${digits}","ageSeconds":${ageSeconds}}}`
}

const partOfTotal = (what: string): Problem =>
  new Problem('name-invalid', `${what} is the one total, or a part of it that a shard has.`, {
    fix: 'Add to it with POST /increment.',
  })
