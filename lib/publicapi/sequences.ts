// The handlers of sequences: numbers given out once, by name, and the engine behind them. What must not be done twice is the engine's to
// know; here requests become calls, and its answers replies.

import type { Migrated, Sequencer, SequenceStatus } from '../sequence/index.ts'
import { checkJsonType, collectBody } from './body.ts'
import { numbersAsked, sequenceRecovery, sequenceSet, sequencesContract } from './contract/sequences.ts'
import { JSON_BYTES_MAX } from './contract/values.ts'
import type { Exchange, Handler, Reply } from './endpoint.ts'
import { readJson } from './json.ts'
import type { Metrics } from './metrics.ts'
import { keyOf } from './once.ts'
import { pageAsked, writeNext } from './paging.ts'
import { Problem } from './problem.ts'
import { jsonReply } from './reply.ts'
import { decodeSegment, parametersOf, segmentOf } from './target.ts'
import { validate } from './validate.ts'

/** What this layer needs of the sequences. lib/node.ts fills it with the engine that the settings name. */
export interface ApiSequences extends Pick<Sequencer, 'next' | 'get' | 'list' | 'set' | 'status' | 'freeze' | 'thaw'> {
  /** Of an engine that can lose what it has given: goes on above what was heard of. @throws CounterError SEQUENCE_SOUND, SEQUENCE_UNAVAILABLE */
  recover?(ahead: number, options: { readonly force: boolean }): Promise<void>
  /** Of an engine that is one node: freezes all sequences and brings them to etcd. @throws CounterError as lib/sequence's migrate() */
  migrate?(): Promise<Migrated>
}

type SequencesId =
  | 'nextNumbers'
  | 'readSequence'
  | 'readSequences'
  | 'setSequence'
  | 'readSequenceEngine'
  | 'recoverSequences'
  | 'migrateSequences'
  | 'freezeSequences'
  | 'thawSequences'

const nameIn = {
  next: segmentOf(sequencesContract.nextNumbers.path),
  read: segmentOf(sequencesContract.readSequence.path),
  set: segmentOf(sequencesContract.setSequence.path),
}

export interface SequencesOptions {
  readonly sequences: ApiSequences
  readonly metrics: Metrics
}

export function createSequences({ sequences, metrics }: SequencesOptions): Record<SequencesId, Handler> {
  return {
    async nextNumbers(exchange) {
      const name = decodeSegment(nameIn.next(exchange.path))
      const key = keyOf(exchange.incoming)
      const body = await bodyOf(exchange)
      const { count } = body === undefined ? {} : validate(numbersAsked, body)
      const { first, last, replayed } = await sequences.next(name, { count, key })
      if (!replayed) metrics.numbers.inc(last - first + 1)
      return reply(`{"name":${JSON.stringify(name)},"first":${first},"last":${last}}`, replayed)
    },

    async readSequence({ path }) {
      const name = decodeSegment(nameIn.read(path))
      return reply(JSON.stringify({ name, value: await sequences.get(name) }))
    },

    async readSequences({ query }) {
      const given = parametersOf(query, ['prefix', 'cursor', 'limit'])
      const page = await sequences.list(pageAsked(given))
      return reply(JSON.stringify({ sequences: page.sequences, next: writeNext(page.more, page.sequences.at(-1)?.name) }))
    },

    async setSequence(exchange) {
      const name = decodeSegment(nameIn.set(exchange.path))
      const { value, force = false } = validate(sequenceSet, await bodyOf(exchange))
      await sequences.set(name, value, { force })
      return reply(JSON.stringify({ name, value }))
    },

    async readSequenceEngine() {
      return reply(JSON.stringify(engineView(await sequences.status())))
    },

    async recoverSequences(exchange) {
      const { ahead, force = false } = validate(sequenceRecovery, await bodyOf(exchange))
      if (sequences.recover === undefined) {
        throw new Problem('sequence-sound', 'This engine keeps its numbers on several machines: there is nothing to recover.')
      }
      await sequences.recover(ahead, { force })
      return reply(JSON.stringify({ ahead }))
    },

    async migrateSequences() {
      if (sequences.migrate === undefined)
        throw new Problem('sequence-sound', 'The sequences are in etcd: there is nothing to move.')
      const { sequences: moved, keys, ahead } = await sequences.migrate()
      return reply(JSON.stringify({ sequences: moved, keys, ahead }))
    },

    async freezeSequences() {
      await sequences.freeze()
      return reply('{"frozen":true}')
    },

    async thawSequences() {
      await sequences.thaw()
      return reply('{"frozen":false}')
    },
  }
}

function engineView({ leader, members, lastIndex, ...status }: SequenceStatus): object {
  return { ...status, leader: leader ?? null, members: memberViews(members), lastIndex: lastIndex ?? null }
}

export const memberViews = (members: SequenceStatus['members'] = []): object[] =>
  members.map(({ name, role, address }) => ({ name, role, address: address ?? null }))

const reply = (body: string, replayed = false): Reply => ({
  ...jsonReply(body),
  ...(replayed && { headers: { 'Idempotency-Replayed': 'true' } }),
})

/** The JSON of a body; undefined when there is none. */
export async function bodyOf({ incoming }: Exchange): Promise<unknown> {
  const body = await collectBody(incoming, JSON_BYTES_MAX)
  if (body.length === 0) return undefined
  checkJsonType(incoming)
  return readJson(body)
}
