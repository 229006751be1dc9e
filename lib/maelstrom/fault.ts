// Errors as Maelstrom numbers them. A definite one says that the operation did not and will not happen; after any other it is
// unknown, and a checker counts with both. So a code is definite only where nothing was changed for certain.

import { CounterError } from '../base/errors.ts'
import type { Body } from './message.ts'

export const FAULT = {
  /** Indefinite: no answer in time. */
  timeout: 0,
  /** Definite. */
  notSupported: 10,
  /** Definite. */
  unavailable: 11,
  /** Definite. */
  malformed: 12,
  /** Indefinite: this side failed on the way. */
  crash: 13,
} as const

/** A refusal with a code of Maelstrom's own. */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** The body that tells of an error. */
export function faultBody(error: unknown): Body {
  const text = error instanceof Error ? error.message : String(error)
  return { type: 'error', code: codeOf(error), text }
}

function codeOf(error: unknown): number {
  if (error instanceof Fault) return error.code
  if (!(error instanceof CounterError)) return FAULT.crash
  switch (error.code) {
    // Nothing was changed, and later it may be.
    case 'DISK_FULL':
    case 'LOG_BUSY':
    case 'DRAINING':
      return FAULT.unavailable
    // Nothing was changed, and never will be.
    case 'COUNT_OVERFLOW':
    case 'NAMES_MAX':
      return FAULT.notSupported
    case 'SYNC_INVALID':
    case 'DELTA_INVALID':
      return FAULT.malformed
    default:
      return FAULT.crash
  }
}
