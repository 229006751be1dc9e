// The list of a request that changes many things at once: {"items": [...]}. Its items are checked by hand, because a schema costs a
// hundred times what taking one does. The schemas of the contract describe the same, and a test holds the two together.

import { ITEMS_MAX } from './contract/values.ts'
import type { Misfit } from './problem.ts'
import { Problem } from './problem.ts'

/** A body that does not fit lists so many misfits at most. */
export const MISFITS_MAX = 10

const LONE_SURROGATE = /\p{Surrogate}/u
/** Of one UTF-16 unit, in UTF-8. */
const UNIT_BYTES_MAX = 3

/**
 * The items of a body, not yet checked themselves.
 * @param item what an item looks like, for the message
 * @throws Problem body-invalid
 */
export function itemsOf(body: unknown, item: string): readonly unknown[] {
  if (typeof body !== 'object' || body === null || !('items' in body) || !Array.isArray(body.items)) {
    throw misfit([{ in: 'body', path: '/items', message: `expected {"items": [${item}, ...]}` }])
  }
  const unknown = Object.keys(body).find((key) => key !== 'items')
  if (unknown !== undefined) throw misfit([{ in: 'body', path: `/${unknown}`, message: 'unknown field, expected only items' }])
  checkLength(body.items, '/items')
  return body.items
}

/** @throws Problem body-invalid when there are more items than a request may have */
export function checkLength({ length }: readonly unknown[], path: string): void {
  if (length <= ITEMS_MAX) return
  throw misfit([{ in: 'body', path, message: `expected at most ${ITEMS_MAX} items, got ${length}` }])
}

/** What is wrong with a text that names something; undefined when nothing is. */
export function wrongName(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'expected a string'
  if (value === '') return 'expected at least one character'
  if (LONE_SURROGATE.test(value)) return 'expected well-formed Unicode, got half of a surrogate pair'
  return undefined
}

/** What is wrong with the length of a name; undefined when nothing is. @param bytesMax in UTF-8 */
export function wrongLength(name: string, bytesMax: number): string | undefined {
  if (name.length * UNIT_BYTES_MAX <= bytesMax) return undefined
  const bytes = Buffer.byteLength(name)
  return bytes <= bytesMax ? undefined : `expected at most ${bytesMax} bytes of UTF-8, got ${bytes}`
}

/** @param errors at least one */
export const misfit = (errors: readonly Misfit[]): Problem =>
  new Problem('body-invalid', `${errors[0]!.path || 'The body'}: ${errors[0]!.message}.`, { errors })
