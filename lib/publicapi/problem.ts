// A request that is refused, or that failed, as an error that handlers throw and as the document that its client reads (RFC 9457). Whatever else is
// thrown becomes one here: what a CounterError of the layers below is to a client, and an internal problem for all that nobody expected.

import type { ErrorCode } from '../base/errors.ts'
import { CounterError } from '../base/errors.ts'
import { AcceptanceRefused, type Refusal } from '../cluster/index.ts'
import { PROBLEMS, type ProblemKind, type ProblemType } from './problem-kinds.ts'

/** Where in the request something does not fit. */
export interface Misfit {
  readonly in: 'body' | 'query' | 'path' | 'header'
  /** JSON pointer for a body, the parameter's name otherwise. */
  readonly path: string
  readonly message: string
}

/** Whether the request changed a count. */
export type Applied = 'yes' | 'no' | 'unknown'

/** A request that is refused, or that failed. `message` says what was wrong with this one. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly type: ProblemType
  readonly fix: string
  readonly applied: Applied
  readonly errors: readonly Misfit[] | undefined
  readonly refusals: readonly Refusal[] | undefined
  /** Further members of the document. */
  readonly extension: Readonly<Record<string, unknown>> | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    type: ProblemType,
    detail: string,
    more: {
      fix?: string
      applied?: Applied
      errors?: readonly Misfit[]
      refusals?: readonly Refusal[]
      extension?: Readonly<Record<string, unknown>>
      headers?: Record<string, string>
      cause?: unknown
    } = {},
  ) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause })
    const { retryAfter, fix }: ProblemKind = PROBLEMS[type]
    this.type = type
    this.fix = more.fix ?? fix
    this.applied = more.applied ?? 'no'
    this.errors = more.errors
    this.refusals = more.refusals
    this.extension = more.extension
    this.headers = retryAfter === undefined ? (more.headers ?? {}) : { 'Retry-After': String(retryAfter), ...more.headers }
  }

  get status(): number {
    return PROBLEMS[this.type].status
  }

  /** The problem document. `instance` is the request id, under which the log speaks of the request. */
  document(instance: string) {
    const { type, status, message, fix, applied, errors, refusals, extension } = this
    return {
      type: `/problems/${type}`,
      title: PROBLEMS[type].title,
      status,
      detail: message,
      errors,
      refusals,
      fix,
      applied,
      instance,
      ...extension,
    }
  }

  /** The same as an application/problem+json body. */
  body(instance: string): string {
    return JSON.stringify(this.document(instance))
  }
}

/** What a CounterError of the layers below is to a client. Codes that are not here never reach a request: internal. */
const TYPE_OF_CODE: Partial<Record<ErrorCode, ProblemType>> = {
  NAME_INVALID: 'name-invalid',
  NAME_TOO_LONG: 'name-too-long',
  NAMES_MAX: 'names-max',
  ITEMS_MAX: 'items-max',
  BATCH_TOO_LARGE: 'body-too-large',
  COUNT_OVERFLOW: 'count-overflow',
  KEY_IN_FLIGHT: 'key-in-flight',
  KEY_REUSED: 'key-reused',
  KEYS_UNSETTLED: 'writes-unsettled',
  DISK_FULL: 'disk-full',
  LOG_BUSY: 'busy',
  LOG_FAILED: 'log-failed',
  CLOSED: 'closed',
  DRAINING: 'draining',
  STARTING: 'starting',
  MEMBER_UNKNOWN: 'member-unknown',
  MEMBER_ALIVE: 'member-alive',
  ITEMS_REFUSED: 'items-refused',
  SEQUENCE_UNAVAILABLE: 'sequence-unavailable',
  SEQUENCE_UNKNOWN: 'sequence-unknown',
  SEQUENCE_FROZEN: 'sequence-frozen',
  SEQUENCE_BACKWARDS: 'sequence-backwards',
  SEQUENCE_EXHAUSTED: 'sequence-exhausted',
  SEQUENCE_SOUND: 'sequence-sound',
  SLOTS_INVALID: 'body-invalid',
  SLOTS_CONFLICT: 'slots-conflict',
  SLOTS_MOVED: 'slots-moved',
  SLOTS_FROZEN: 'slots-frozen',
  PEER_UNREACHABLE: 'member-unreachable',
  PEER_REFUSED: 'member-unreachable',
}

/** Any thrown value as a problem. `writes`: the request meant to change a count, so a surprise leaves open whether it did. */
export function toProblem(error: unknown, writes: boolean): Problem {
  if (error instanceof Problem) return error
  const type = error instanceof CounterError ? TYPE_OF_CODE[error.code] : undefined
  if (error instanceof CounterError && type !== undefined) {
    const isUnknown = type === 'sequence-unknown' || (type === 'log-failed' && writes)
    const fix = error.fix === undefined ? {} : { fix: error.fix }
    const refusals = error instanceof AcceptanceRefused ? { refusals: error.refusals } : {}
    return new Problem(type, error.message, { applied: isUnknown ? 'unknown' : 'no', cause: error, ...fix, ...refusals })
  }
  return new Problem('internal', 'The request could not be completed.', { applied: writes ? 'unknown' : 'no', cause: error })
}
