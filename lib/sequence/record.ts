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
  readonly node: number
  readonly life: number
  readonly number: number
  /** The first number of those without a key. */
  readonly first: number
}

/** The numbers that an idempotency key got, and from which batch: `NODE/LIFE/NUMBER`. */
export interface KeyRecord {
  readonly first: number
  readonly last: number
  readonly by: string
}

export const EMPTY_RECORD: SequenceRecord = { value: 0, batches: [] }

/** Of larger clusters, a batch may be forgotten before its node asks again what became of it, and its numbers are then left out. */
const NODES_MAX = 256

/** The record after a batch that took all numbers up to `value`. */
export function withBatch(record: SequenceRecord, batch: BatchRecord, value: number): SequenceRecord {
  const others = record.batches.filter(({ node }) => node !== batch.node)
  return { ...record, value, batches: [...others, batch].slice(-NODES_MAX) }
}

export function encodeRecord({ value, batches, set }: SequenceRecord): string {
  return JSON.stringify({ value, batches: batches.map(({ node, life, number, first }) => [node, life, number, first]), set })
}

/** @throws CounterError SEQUENCE_UNAVAILABLE: the key holds something else */
export function decodeRecord(key: string, text: string): SequenceRecord {
  const { value, batches, set } = parsed(key, text)
  if (!isNumber(value) || !Array.isArray(batches) || (set !== undefined && typeof set !== 'string')) throw foreign(key)
  return { value, batches: batches.map((batch) => decodeBatch(key, batch)), set }
}

function decodeBatch(key: string, batch: unknown): BatchRecord {
  const [node, life, number, first] = Array.isArray(batch) ? (batch as unknown[]) : []
  if (!isNumber(node) || !isNumber(life) || !isNumber(number) || !isNumber(first)) throw foreign(key)
  return { node, life, number, first }
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

  /** Written by each engine as it begins, for the revision. */
  life(node: number): string {
    return `${this.prefix}life/${node}`
  }

  get compacted(): string {
    return `${this.prefix}compacted`
  }

  get nodes(): string {
    return `${this.prefix}node/`
  }
}
