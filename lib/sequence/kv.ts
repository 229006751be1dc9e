// What the etcd engine needs of a store that a majority agrees on: keys with revisions, transactions that compare and then write, leases.
// Every change of the store has a revision, greater than all before; a key says with which one it was changed last. Whoever compares that
// number sees every change in between, also one to another value and back. etcd has these terms; another such store could be put in its place.

import { CounterError } from '../base/errors.ts'

export interface KvEntry {
  readonly key: string
  readonly value: string
  /** Revision of the transaction that made the key; of the one that wrote it last. */
  readonly createRevision: number
  readonly modRevision: number
}

export interface KvWrite {
  readonly key: string
  /** undefined deletes the key. */
  readonly value: string | undefined
  /** The key goes when this lease does. */
  readonly lease?: string | undefined
}

export interface Txn {
  /** All must hold: the key was written last with this revision; 0: it is not there. At most TXN_KEYS_MAX. */
  readonly compare: readonly { readonly key: string; readonly modRevision: number }[]
  /** What is done then, as one. At most TXN_KEYS_MAX, no key twice. */
  readonly success: readonly KvWrite[]
  /** What is read otherwise. At most TXN_KEYS_MAX. */
  readonly failure: readonly string[]
}

/** Of the transaction: `revision` is its own when it succeeded, and `entries` what `failure` asked for when it did not. */
export interface TxnResult {
  readonly succeeded: boolean
  readonly revision: number
  readonly entries: readonly (KvEntry | undefined)[]
}

export interface KvRange {
  /** Keys that start with this. */
  readonly prefix: string
  /** Keys behind this one, exclusive. */
  readonly after?: string | undefined
  readonly limit: number
}

export interface KvMember {
  readonly name: string
  readonly address: string
  readonly role: 'leader' | 'follower' | 'learner' | 'unreachable'
}

export interface KvStatus {
  readonly members: readonly KvMember[]
  readonly leader: string | undefined
  readonly lastIndex: number
  readonly version: string
  /** Bytes of the store's file, and what is wrong with it, such as NOSPACE. */
  readonly bytes: number
  readonly alarms: readonly string[]
}

/** etcd takes so many comparisons or operations in a transaction unless it is told otherwise (--max-txn-ops). */
export const TXN_KEYS_MAX = 128

/**
 * Each call is tried once. It rejects with CounterError SEQUENCE_UNAVAILABLE when it surely has not been carried out and will not be, and with
 * SEQUENCE_UNKNOWN when it may have been, or may be yet: whoever asks again then has to make sure that only one of the two counts.
 */
export interface ConsensusKv {
  /** @throws LeaseGoneError: nothing was done */
  txn(txn: Txn): Promise<TxnResult>
  /** Linearizable: at least all that had ended when it was asked for. Entries as the keys are; a failed read has changed nothing. */
  read(keys: readonly string[]): Promise<{ readonly entries: readonly (KvEntry | undefined)[]; readonly revision: number }>
  /** Linearizable, sorted by the bytes of the keys. */
  range(range: KvRange): Promise<{ readonly entries: readonly KvEntry[]; readonly more: boolean; readonly revision: number }>
  grantLease(ttlSeconds: number): Promise<string>
  /** false: the lease is gone, and all keys with it. */
  keepAlive(lease: string): Promise<boolean>
  revokeLease(lease: string): Promise<void>
  /** Forgets what keys were before this revision; what they are stays. */
  compact(revision: number): Promise<void>
  status(): Promise<KvStatus>
  close(): Promise<void>
}

/** The lease of a write is not there any more. */
export class LeaseGoneError extends CounterError {
  constructor(message: string) {
    super('SEQUENCE_UNAVAILABLE', message)
  }
}

/** Whether an error leaves open what has happened. What is not a refusal of the store's does. */
export function isDoubtful(error: unknown): boolean {
  return !(error instanceof CounterError) || (error.code !== 'SEQUENCE_UNAVAILABLE' && error.code !== 'CLOSED')
}
