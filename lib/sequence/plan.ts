// What a transaction for several batches of one sequence has to be, and what each of them gets when it succeeds. Pure: what is known of the
// store goes in, and where that is not enough the plan is to read more.

import { type Batch, type BatchAnswer, type Refused, refusedBy } from './batch.ts'
import { type KeyRecord, type SequenceRecord, withBatch } from './record.ts'
import { keyReused, type Numbers, SEQUENCE_MAX, sequenceExhausted, sequenceFrozen } from './sequencer.ts'

/** What was read of the store, or what is guessed of it: a guess is only good for trying a transaction that compares it. */
export interface Known {
  readonly record: SequenceRecord
  readonly modRevision: number
  /** Undefined: not read; then it is guessed that nothing is frozen, and that no key is there. */
  readonly read: { readonly frozen: boolean; readonly keys: ReadonlyMap<string, KeyRecord> } | undefined
}

export interface Plan {
  /** As the batches. They hold when the write succeeds, or at once when there is nothing to write. */
  readonly answers: readonly BatchAnswer[]
  readonly write:
    | { readonly record: SequenceRecord; readonly keys: readonly (KeyRecord & { readonly key: string })[] }
    | undefined
}

export const FROZEN_IN_ETCD = 'the sequences in etcd are frozen: they have moved to another engine, or are being moved'

/** undefined: what is known is not enough to answer; read first. */
export function planFor(batches: readonly Batch[], known: Known): Plan | undefined {
  let { record } = known
  const keys: (KeyRecord & { key: string })[] = []
  const answers: BatchAnswer[] = []
  for (const batch of batches) {
    const outcome = recorded(batch, known) ?? take(batch, known, record)
    if (outcome === 'read') return undefined
    answers.push(outcome.answer)
    if (outcome.record !== undefined) record = outcome.record
    keys.push(...(outcome.keys ?? []))
  }
  return { answers, write: record === known.record ? undefined : { record, keys } }
}

interface Outcome {
  readonly answer: BatchAnswer
  /** Undefined when the batch takes nothing. */
  readonly record?: SequenceRecord
  readonly keys?: readonly (KeyRecord & { readonly key: string })[]
}

/** What became of a batch that was carried out before, or came too late; undefined when it has neither. */
function recorded(batch: Batch, { record, read }: Known): Outcome | 'read' | undefined {
  const last = record.batches.find(({ node }) => node === batch.node)
  if (last === undefined || last.life < batch.life) return undefined
  if (last.life > batch.life || last.number > batch.number) return refuseAll(batch, OVERTAKEN)
  if (last.number < batch.number) return undefined
  if (batch.keyed.length > 0 && read === undefined) return 'read'
  const keyed = batch.keyed.map(({ key, count }) => {
    const kept = read!.keys.get(key)
    return kept === undefined ? KEY_GONE : answerOfKey(key, count, kept, kept.by !== nameOf(batch))
  })
  return { answer: { plain: last.first, keyed } }
}

const OVERTAKEN: Refused = { refused: 'SEQUENCE_UNKNOWN', message: 'the call was overtaken by a later one of its node' }
const KEY_GONE: Refused = {
  refused: 'SEQUENCE_UNKNOWN',
  message: 'numbers were taken for the key, and it was forgotten before it could be asked which',
}

function take(batch: Batch, { read }: Known, record: SequenceRecord): Outcome | 'read' {
  const first = record.value + 1
  const keys: (KeyRecord & { key: string })[] = []
  let value = record.value + batch.plain
  const keyed: (Numbers | undefined | Refused)[] = batch.keyed.map(({ key, count }) => {
    const kept = read?.keys.get(key)
    if (kept !== undefined) return answerOfKey(key, count, kept, true)
    const numbers = { first: value + 1, last: value + count, replayed: false }
    value += count
    keys.push({ key, first: numbers.first, last: numbers.last, by: nameOf(batch) })
    return numbers
  })
  if (value === record.value) return { answer: { plain: first, keyed: keyed as Numbers[] } }
  const wanted = value - record.value
  const refusal = read?.frozen
    ? sequenceFrozen(FROZEN_IN_ETCD)
    : wanted > SEQUENCE_MAX - record.value
      ? sequenceExhausted(batch.name, record.value, wanted)
      : undefined
  if (refusal === undefined) {
    const { life, node, number } = batch
    return {
      answer: { plain: first, keyed: keyed as (Numbers | Refused)[] },
      record: withBatch(record, { life, node, number, first }, value),
      keys,
    }
  }
  // A guess is no ground to refuse on.
  if (read === undefined) return 'read'
  const refused = refusedBy(refusal)
  const taking = new Set(keys.map(({ key }) => key))
  return {
    answer: {
      plain: refused,
      keyed: batch.keyed.map(({ key }, index) => (taking.has(key) ? refused : (keyed[index] as Numbers))),
    },
  }
}

function answerOfKey(key: string, count: number, { first, last }: KeyRecord, replayed: boolean): Numbers | Refused {
  const before = last - first + 1
  return before === count ? { first, last, replayed } : refusedBy(keyReused(key, before, count))
}

const refuseAll = (batch: Batch, refused: Refused): Outcome => ({
  answer: { plain: refused, keyed: batch.keyed.map(() => refused) },
})

const nameOf = ({ node, life, number }: Batch): string => `${node}/${life}/${number}`
