// How far a load has come, as a small JSON text: everything in front of `offset` was taken. It holds what the keys of batches depend on, so
// that a load that is taken up again repeats what was under way with the same keys, and each batch is taken once.

import { CounterError } from '../base/errors.ts'
import type { Columns } from './read.ts'
import type { Mark } from './window.ts'

const VERSION = 1

/** What a load is begun with, and goes on with. */
export interface Plan {
  /** Names this load, and no other of the same file. */
  readonly load: string
  readonly format: 'ndjson' | 'csv'
  /** Items of a batch at most. */
  readonly batch: number
  /** The nodes that batches are spread over, in order. */
  readonly nodes: readonly string[]
}

export interface Progress extends Plan {
  readonly offset: number
  /** The line at the offset. */
  readonly line: number
  /** Items that were taken, and lines that were left out. */
  readonly items: number
  readonly skipped: number
  readonly columns: Columns | undefined
  /** The record in front of the offset; undefined at the start. */
  readonly mark: Mark | undefined
}

export const begin = (plan: Plan): Progress => ({
  ...plan,
  offset: 0,
  line: 1,
  items: 0,
  skipped: 0,
  columns: undefined,
  mark: undefined,
})

export const encodeProgress = (progress: Progress): string => `${JSON.stringify({ version: VERSION, ...progress }, null, 2)}\n`

/** @param name of the file, for the message. @throws CounterError RESUME_INVALID */
export function decodeProgress(text: string, name: string): Progress {
  let value: Record<string, unknown>
  try {
    value = JSON.parse(text) ?? {}
  } catch {
    value = {}
  }
  const { version, load, format, batch, nodes, offset, line, items, skipped, columns, mark } = value
  const isValid =
    version === VERSION &&
    isText(load) &&
    (format === 'ndjson' || format === 'csv') &&
    isCount(batch) &&
    batch > 0 &&
    Array.isArray(nodes) &&
    nodes.length > 0 &&
    nodes.every(isText) &&
    [offset, line, items, skipped].every(isCount) &&
    (columns === undefined || isColumns(columns)) &&
    (mark === undefined ? offset === 0 : isMark(mark) && mark.start < (offset as number))
  if (!isValid) {
    throw new CounterError('RESUME_INVALID', `${name} does not say how far a load of items has come`, {
      fix: 'name another file with --resume-file, or remove this one to begin anew; what is there already stays as it is',
    })
  }
  return value as unknown as Progress
}

/**
 * Where a load with this plan goes on: where the progress says, or at the start when nothing was taken with another plan.
 * @param name of the file with the progress, for the message
 * @throws CounterError RESUME_INVALID when something was
 */
export function goOn(progress: Progress, plan: Plan, name: string): Progress {
  const differences: string[] = []
  if (progress.format !== plan.format) differences.push(`--format ${progress.format}`)
  if (progress.batch !== plan.batch) differences.push(`--batch ${progress.batch}`)
  if (progress.nodes.join() !== plan.nodes.join()) differences.push(`--url ${progress.nodes.join(',')}`)
  if (differences.length === 0) return progress
  if (progress.offset === 0) return begin(plan)
  throw new CounterError('RESUME_INVALID', `${name} is of a load that was begun with ${differences.join(' ')}`, {
    fix: 'go on with the same, also when a node is gone: its share goes to the next; or remove the file to begin anew',
  })
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isColumns(value: unknown): value is Columns {
  const { id, tenant, count } = (value ?? {}) as Record<string, unknown>
  return isCount(id) && isCount(tenant) && isCount(count) && id < count && tenant < count && id !== tenant
}

function isMark(value: unknown): value is Mark {
  const { start, line, sha256 } = (value ?? {}) as Record<string, unknown>
  return isCount(start) && isCount(line) && isText(sha256)
}
