// A batch: what the callers of one node take of one sequence at once, and what they get. It has a number that grows over the life of the node's
// engine, and lives of a node have numbers that grow too. The record remembers the last batch of a node: so a batch may be sent any
// number of times to any node and takes numbers once, and one that was given up is not carried out once a later one was.

import { CounterError, type ErrorCode } from '../base/errors.ts'
import { isNumber } from './record.ts'
import { checkSequenceName, type Numbers, SEQUENCE_COUNT_MAX, SEQUENCE_KEY_BYTES_MAX } from './sequencer.ts'

export interface Batch {
  readonly name: string
  readonly node: number
  /** Of the engine that sends it: a revision of the store at which it wrote, so greater than of all engines before on this node. */
  readonly life: number
  readonly number: number
  /** How many numbers for those without a key, in all. */
  readonly plain: number
  /** Each key once. */
  readonly keyed: readonly { readonly key: string; readonly count: number }[]
}

/** Why some of a batch got nothing. */
export interface Refused {
  readonly refused: ErrorCode
  readonly message: string
  readonly fix?: string | undefined
}

export interface BatchAnswer {
  /** The first number for those without a key. */
  readonly plain: number | Refused
  /** As the batch has them. */
  readonly keyed: readonly (Numbers | Refused)[]
}

/** Keys in a batch: half of what a transaction takes, so that two nodes' fit. */
export const BATCH_KEYS_MAX = 50

export const refusedBy = ({ code, message, fix }: CounterError): Refused => ({
  refused: code,
  message,
  ...(fix !== undefined && { fix }),
})

export const errorOf = ({ refused, message, fix }: Refused): CounterError =>
  new CounterError(refused, message, fix === undefined ? {} : { fix })

export const isRefused = (answer: number | Numbers | Refused): answer is Refused =>
  typeof answer === 'object' && 'refused' in answer

/** What a node sends to the owner. Layout: docs/PROTOCOL.md, "Sequences". */
export function encodeBatch(batch: Batch, timeoutMs: number): Uint8Array {
  const { name, life, number, plain, keyed } = batch
  return encode({ version: 1, name, life, number, plain, keyed: keyed.map(({ key, count }) => [key, count]), timeoutMs })
}

/** @throws CounterError SYNC_INVALID; NAME_INVALID, NAME_TOO_LONG */
export function decodeBatch(bytes: Uint8Array, node: number): { batch: Batch; timeoutMs: number } {
  const { version, name, life, number, plain, keyed, timeoutMs } = decode(bytes)
  if (version !== 1) throw invalid(`version ${version}`)
  if (typeof name !== 'string' || !isNumber(life) || !isNumber(number)) throw invalid('its head')
  if (!isNumber(plain) || !isNumber(timeoutMs) || !Array.isArray(keyed) || keyed.length > BATCH_KEYS_MAX)
    throw invalid('its counts')
  checkSequenceName(name)
  const keys = keyed.map(decodeKeyed)
  if (new Set(keys.map(({ key }) => key)).size !== keys.length) throw invalid('a key twice')
  return { batch: { name, node, life, number, plain, keyed: keys }, timeoutMs }
}

function decodeKeyed(entry: unknown): { key: string; count: number } {
  const [key, count] = Array.isArray(entry) ? (entry as unknown[]) : []
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > SEQUENCE_KEY_BYTES_MAX) throw invalid('a key')
  if (!isNumber(count) || count < 1 || count > SEQUENCE_COUNT_MAX) throw invalid('a count')
  return { key, count }
}

/** What the owner sends back: the answer, or why there is none. */
export function encodeAnswer(answer: BatchAnswer | Refused): Uint8Array {
  return encode(answer)
}

/** @throws CounterError SYNC_INVALID */
export function decodeAnswer(bytes: Uint8Array, batch: Batch): BatchAnswer | Refused {
  const answer = decode(bytes)
  if ('refused' in answer) return decodeRefused(answer)
  const { plain, keyed } = answer
  if (!Array.isArray(keyed) || keyed.length !== batch.keyed.length) throw invalid('the answers to its keys')
  return { plain: isNumber(plain) ? plain : decodeRefused(plain), keyed: keyed.map(decodeNumbers) }
}

function decodeNumbers(entry: unknown): Numbers | Refused {
  const { first, last, replayed } = (entry ?? {}) as Record<string, unknown>
  if (isNumber(first) && isNumber(last) && first <= last && typeof replayed === 'boolean') return { first, last, replayed }
  return decodeRefused(entry)
}

function decodeRefused(entry: unknown): Refused {
  const { refused, message, fix } = (entry ?? {}) as Record<string, unknown>
  if (typeof refused !== 'string' || !isPassedOn(refused) || typeof message !== 'string') throw invalid('a refusal')
  return { refused, message, ...(typeof fix === 'string' && { fix }) }
}

/** What an owner may say of a batch. */
const PASSED_ON = [
  'SEQUENCE_UNAVAILABLE',
  'SEQUENCE_UNKNOWN',
  'SEQUENCE_FROZEN',
  'SEQUENCE_EXHAUSTED',
  'KEY_REUSED',
  'CLOSED',
  'SYNC_INVALID',
  'NAME_INVALID',
  'NAME_TOO_LONG',
] as const satisfies readonly ErrorCode[]

const isPassedOn = (code: string): code is (typeof PASSED_ON)[number] => (PASSED_ON as readonly string[]).includes(code)

const encode = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

function decode(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {}
  throw invalid('no JSON object')
}

const invalid = (what: string): CounterError => new CounterError('SYNC_INVALID', `a batch of a sequence is not valid: ${what}`)
