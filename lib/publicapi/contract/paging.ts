// Long lists are read a page at a time: what is asked for, and where the next page begins.

import { z } from 'zod'
import type { Query } from './operation.ts'

/** Most entries of one page, and how many there are when nothing is said. */
export const PAGE_MAX = 1000
export const PAGE_PRESET = 100

export const nextPage = z.string().nullable().meta({ description: 'The cursor of the next page; null on the last.' })

/** What a list is asked for. `what` is in it; the examples are those of its prefix, of a cursor and of a limit. */
export const pageQuery = (what: string, prefix: string, cursor: string, limit: number) =>
  [
    { name: 'prefix', many: false, description: `Only ${what} that begin so.`, example: prefix },
    { name: 'cursor', many: false, description: 'The `next` of the page before.', example: cursor },
    {
      name: 'limit',
      many: false,
      description: `Most ${what} of the page.`,
      schema: z.int().min(1).max(PAGE_MAX).default(PAGE_PRESET),
      example: limit,
    },
  ] as const satisfies readonly Query[]
