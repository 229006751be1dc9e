// What the store holds of a sequence, as JSON text under one key: its last number, and of each node the last batch that was given numbers.
// Both change in one write, so whoever reads the record knows of any batch whether it was carried out; and the numbers of an idempotency
// key, under keys of their own. Layout: docs/FORMATS.md, section "etcd".

import { CounterError } from '../base/errors.ts'

export interface SequenceRecord {
  readonly value: number
  /** The one that came last is last. */
  readonly batches: readonly BatchRecord[]
  /** Who set the value last, see Setter. */
  readonly set?: string | undefined
}

export interface BatchRecord {
  readonly life: string
  readonly node: number
  readonly number: number
  /** The first number of those without a key. */
  readonly first: number
}

/** The numbers that an idempotency key got, and from which batch: `LIFE/NUMBER`. */
export interface KeyRecord {
  readonly first: number
  readonly last: number
  readonly by: string
}

export const EMPTY_RECORD: SequenceRecord = { value: 0, batches: [] }

/** Lives remembered of a node, so that what is left of one before does not hide the present one's; and nodes, for large clusters' sake. */
const LIVES_MAX = 2
const BATCHES_MAX = 256

/** The record after a batch that took all numbers up to `value`. */
export function withBatch(record: SequenceRecord, batch: BatchRecord, value: number): SequenceRecord {
  const others = record.batches.filter(({ life }) => life !== batch.life)
  let lives = others.filter(({ node }) => node === batch.node).length + 1
  const kept = others.filter(({ node }) => node !== batch.node || lives-- <= LIVES_MAX)
  return { ...record, value, batches: [...kept, batch].slice(-BATCHES_MAX) }
}

export function encodeRecord({ value, batches, set }: SequenceRecord): string {
  return JSON.stringify({ value, batches: batches.map(({ life, node, number, first }) => [life, node, number, first]), set })
}

/** @throws CounterError SEQUENCE_UNAVAILABLE: the key holds something else */
export function decodeRecord(key: string, text: string): SequenceRecord {
  const { value, batches, set } = parsed(key, text)
  if (!isNumber(value) || !Array.isArray(batches) || (set !== undefined && typeof set !== 'string')) throw foreign(key)
  return { value, batches: batches.map((batch) => decodeBatch(key, batch)), set }
}

function decodeBatch(key: string, batch: unknown): BatchRecord {
  const [life, node, number, first] = Array.isArray(batch) ? (batch as unknown[]) : []
  if (typeof life !== 'string' || !isNumber(node) || !isNumber(number) || !isNumber(first)) throw foreign(key)
  return { life, node, number, first }
}

export const encodeKeyRecord = ({ first, last, by }: KeyRecord): string => JSON.stringify({ first, last, by })

/** @throws CounterError SEQUENCE_UNAVAILABLE: the key holds something else */
export function decodeKeyRecord(key: string, text: string): KeyRecord {
  const { first, last, by } = parsed(key, text)
  if (!isNumber(first) || !isNumber(last) || first > last || typeof by !== 'string') throw foreign(key)
  return { first, last, by }
}

export const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function parsed(key: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {}
  throw foreign(key)
}

const foreign = (key: string): CounterError =>
  new CounterError('SEQUENCE_UNAVAILABLE', `the key ${key} of etcd does not hold what this version writes there`, {
    fix: 'Look at it with etcdctl get. When another program uses these keys, give COUNTER_ETCD_PREFIX another value.',
  })

/** The names of the keys. A sequence's name may hold any character, so its length stands before it where something follows. */
export class KeyNames {
  readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  get values(): string {
    return `${this.prefix}value/`
  }

  value(name: string): string {
    return this.values + name
  }

  key(name: string, key: string): string {
    return `${this.prefix}key/${name.length}/${name}/${key}`
  }

  /** There: no sequence gives numbers. */
  get frozen(): string {
    return `${this.prefix}frozen`
  }

  /** One for each lease under which keys are kept. */
  get leases(): string {
    return `${this.prefix}lease/`
  }

  get compacted(): string {
    return `${this.prefix}compacted`
  }

  get nodes(): string {
    return `${this.prefix}node/`
  }
}
