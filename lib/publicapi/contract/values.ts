// Values that several resources speak of, and the limits of bodies. Numbers are exact beyond 2^53 wherever something is counted: an increment may
// be a JSON integer of any length or a text of digits, and a count is written in all its digits.

import { z } from 'zod'

/** Most bytes of a JSON body. Longer texts go as text/plain, which is counted while it arrives. */
export const JSON_BYTES_MAX = 1024 * 1024
/** Most items of one request to increment many names, or to give items to tenants. */
export const ITEMS_MAX = 10_000

/** Bounds of an increment, exclusive: +-2^64. */
const DELTA_LIMIT = 2n ** 64n

export const DELTA_EXPECTED = 'expected an integer between -2^64 and 2^64 (exclusive), as a JSON integer or a string of digits'
const DELTA_DIGITS = /^-?\d{1,20}$/

/** Reads an increment exactly; undefined when it is not one. */
export function readDelta(value: unknown): number | bigint | undefined {
  // Adding 0 turns -0 into 0.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined
  const delta = typeof value === 'string' && DELTA_DIGITS.test(value) ? BigInt(value) : value
  return typeof delta === 'bigint' && delta < DELTA_LIMIT && delta > -DELTA_LIMIT ? delta : undefined
}

export const delta = z
  .custom<number | bigint | string>((value) => readDelta(value) !== undefined, DELTA_EXPECTED)
  .meta({
    id: 'Delta',
    description: 'What to add, negative to subtract. Read exactly, also beyond 2^53. Default 1.',
    anyOf: [{ type: 'integer' }, { type: 'string', pattern: DELTA_DIGITS.source }],
    default: 1,
    examples: [1, -3, '18446744073709551615'],
  })

/** A count. Not z.int(), whose JSON schema ends at 2^53 - 1. */
export const exact = z
  .number()
  .meta({ type: 'integer', description: 'Exact digits, also beyond 2^53: read `valueString` where numbers are doubles.' })

/** How many there are of something, or which: from 0 to 2^53 - 1. */
export const natural = z.int().min(0)

export const seconds = z.number().min(0)
