// What a sequence is: a name whose next numbers are given out, each number once, in the order of real time. A linearizable thing, so it is
// not counted in columns: one engine holds it, and what cannot be asked is refused, never guessed. The engines: `local` (this node's log),
// `home` (one node of several), `etcd` (a majority of etcd members).
// Promise: two calls never get the same number, and a call that began after another had ended gets a greater one. Numbers may be left out
// only where a call ended with SEQUENCE_UNKNOWN or was given up.

import { CounterError } from '../base/errors.ts'

/** The last number that a sequence can give: the greatest integer that JSON numbers carry exactly, 2^53 - 1. */
export const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER
/** Numbers that one call may take. */
export const SEQUENCE_COUNT_MAX = 1_000_000
/** Bytes of a sequence's name in UTF-8, and of an idempotency key. */
export const SEQUENCE_NAME_BYTES_MAX = 512
export const SEQUENCE_KEY_BYTES_MAX = 255

export interface NextOptions {
  /** How many numbers, in [1, SEQUENCE_COUNT_MAX]; 1 when it is not given. */
  readonly count?: number | undefined
  /** The Idempotency-Key. It belongs to the sequence: the same key may be used with another name. */
  readonly key?: string | undefined
  /** Gives the call up; numbers that were already asked for may then be left out. */
  readonly signal?: AbortSignal | undefined
}

/** The numbers [first, last], all of them the caller's alone. */
export interface Numbers {
  readonly first: number
  readonly last: number
  /** Whether these are the numbers that an earlier call with the same key got. */
  readonly replayed: boolean
}

export interface SequenceValue {
  readonly name: string
  /** The last number given; the next is greater by one. */
  readonly value: number
}

export interface SequencePage {
  /** Names that start with this; '' for all. */
  readonly prefix: string
  /** Names after this one, exclusive; undefined from the first. */
  readonly after: string | undefined
  readonly limit: number
}

export interface SequenceStatus {
  readonly engine: 'local' | 'home' | 'etcd'
  /** Whether any one node, or any one more member of the engine, may die and numbers go on. */
  readonly faultTolerant: boolean
  /** Whether the engine answered just now. */
  readonly reachable: boolean
  /** Whether numbers are stopped for good because the sequences have moved, or are moving, to another engine. */
  readonly frozen: boolean
  /** Who decides: a node id (`home`), or the name of a member (`etcd`). */
  readonly leader?: string
  readonly members?: readonly SequenceMember[]
  /** Of etcd: index of the last entry of the raft log that is applied at the endpoint asked. */
  readonly lastIndex?: number
  /** One sentence: what this is, or what is wrong and what to do. */
  readonly detail: string
}

export interface SequenceMember {
  readonly name: string
  readonly role: 'leader' | 'follower' | 'learner' | 'unreachable'
  readonly address?: string
}

export interface Sequencer {
  /**
   * Takes the next numbers.
   * @throws (as a rejection) CounterError SEQUENCE_UNAVAILABLE: surely nothing was taken, try again later; SEQUENCE_UNKNOWN: numbers may have
   *   been taken, a retry with the same key gets the same ones; SEQUENCE_FROZEN, SEQUENCE_EXHAUSTED, KEY_REUSED (the key came with another
   *   count), NAME_INVALID, NAME_TOO_LONG, DISK_FULL, LOG_BUSY, CLOSED: nothing was taken
   */
  next(name: string, options?: NextOptions): Promise<Numbers>
  /**
   * The last number given, 0 when there was none. Linearizable: no less than any number that a call ended with before this began.
   * @throws (as a rejection) CounterError SEQUENCE_UNAVAILABLE, NAME_INVALID, NAME_TOO_LONG, CLOSED
   */
  get(name: string): Promise<number>
  /** Sequences that were ever used, sorted by the UTF-8 bytes of their names. @throws (as a rejection) as get() */
  list(page: SequencePage): Promise<{ readonly sequences: readonly SequenceValue[]; readonly more: boolean }>
  /**
   * Makes `value` the last number given, for restoring a backup. Goes through the engine like any other change.
   * @param force also takes it back, so that numbers are given a second time
   * @throws (as a rejection) CounterError SEQUENCE_BACKWARDS: the sequence is further, and `force` is false; else as next()
   */
  set(name: string, value: number, options: { readonly force: boolean }): Promise<void>
  /** Never rejects: what cannot be reached is said. */
  status(): Promise<SequenceStatus>
  /**
   * Stops all sequences durably: next() and set() refuse with SEQUENCE_FROZEN from now on, over restarts too; get() and list() go on. What
   * get() then answers is final. Repeating it does nothing.
   * @throws (as a rejection) as set(); after SEQUENCE_UNKNOWN repeat it
   */
  freeze(): Promise<void>
  /** Takes freeze() back. Only right when no other engine has gone on from the final values. */
  thaw(): Promise<void>
  /** Calls under way end with CLOSED or SEQUENCE_UNKNOWN. */
  close(): Promise<void>
}

const LONE_SURROGATE = /\p{Surrogate}/u

/** @throws CounterError NAME_INVALID, NAME_TOO_LONG */
export function checkSequenceName(name: string): void {
  // Half of a surrogate pair would become the same bytes as any other half, and so two names one sequence.
  if (name === '' || LONE_SURROGATE.test(name)) {
    throw new CounterError('NAME_INVALID', 'the name of a sequence is Unicode text of at least one character', {
      fix: 'Send a name that is not empty and is well-formed Unicode.',
    })
  }
  const bytes = Buffer.byteLength(name)
  if (bytes > SEQUENCE_NAME_BYTES_MAX) {
    throw new CounterError(
      'NAME_TOO_LONG',
      `the name of a sequence has at most ${SEQUENCE_NAME_BYTES_MAX} bytes in UTF-8, this one has ${bytes}`,
      { fix: 'Shorten the name.' },
    )
  }
}

/** @throws TypeError: a mistake of the caller, who checks what users send */
export function checkNumbersAsked(count: number, key: string | undefined): void {
  if (!Number.isInteger(count) || count < 1 || count > SEQUENCE_COUNT_MAX) {
    throw new TypeError(`count is an integer in [1, ${SEQUENCE_COUNT_MAX}], not ${count}`)
  }
  if (key === undefined) return
  const bytes = Buffer.byteLength(key)
  if (bytes < 1 || bytes > SEQUENCE_KEY_BYTES_MAX) {
    throw new TypeError(`a key has 1 to ${SEQUENCE_KEY_BYTES_MAX} bytes, not ${bytes}`)
  }
}

/** @throws TypeError: a mistake of the caller, who checks what users send */
export function checkSequenceValue(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`a value is an integer in [0, 2^53 - 1], not ${value}`)
}

export const sequenceFrozen = (detail: string): CounterError =>
  new CounterError('SEQUENCE_FROZEN', detail, {
    fix: 'Use the engine that the sequences have moved to on every node, or thaw them if the move was given up.',
  })

export const sequenceBackwards = (name: string, at: number, asked: number): CounterError =>
  new CounterError(
    'SEQUENCE_BACKWARDS',
    `the sequence "${name}" is at ${at}; set to ${asked} it would give numbers a second time`,
    {
      fix: 'Restore a newer value, or force it if the numbers after it were never used.',
    },
  )

export const sequenceExhausted = (name: string, at: number, count: number): CounterError =>
  new CounterError(
    'SEQUENCE_EXHAUSTED',
    `the sequence "${name}" is at ${at} and cannot give ${count} more: its last number is 2^53 - 1`,
    {
      fix: 'Start a sequence of another name.',
    },
  )

export const keyReused = (key: string, before: number, count: number): CounterError =>
  new CounterError(
    'KEY_REUSED',
    `the Idempotency-Key '${key}' was used for ${before} numbers of this sequence, not for ${count}`,
    {
      fix: 'use a new key for a new request, or send the same request again',
    },
  )
