// A node always starts, unless what it reads is damaged, or the disk failed while it did; then it says so with a code.

import { CounterError } from '../../lib/base/errors.ts'

const DAMAGE = new Set(['LOG_CORRUPT', 'SNAPSHOT_CORRUPT', 'IDENTITY_INVALID'])

/** @param excuse what happened to the disk: bytes that rotted, calls that failed, or nothing */
export function checkStart(error: unknown, excuse: 'rot' | 'fault' | undefined): string[] {
  if (excuse === 'fault') return []
  const code = error instanceof CounterError ? error.code : undefined
  if (excuse === 'rot' && code !== undefined && DAMAGE.has(code)) return []
  return [`the node does not start: ${error}`]
}
