// Pages of sorted names: how many are asked for, and where a page goes on. A cursor is the last name of the page before. Nobody is to rely
// on that, so it is not shown as such.

import { PAGE_MAX, PAGE_PRESET } from './contract/paging.ts'
import { Problem } from './problem.ts'

/** Which page a query asks for. @throws Problem query-invalid */
export const pageAsked = (given: ReadonlyMap<string, string>) => ({
  prefix: given.get('prefix') ?? '',
  after: readCursor(given.get('cursor')),
  limit: readLimit(given.get('limit')),
})

/** The `next` of a page. @param last its last name, if it has one */
export const writeNext = (more: boolean, last: string | undefined): string | null =>
  more && last !== undefined ? writeCursor(last) : null

function readLimit(text: string | undefined): number {
  if (text === undefined) return PAGE_PRESET
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= PAGE_MAX) return limit
  throw wrongParameter('limit', text, `expected a whole number from 1 to ${PAGE_MAX}`)
}

const writeCursor = (last: string): string => Buffer.from(last).toString('base64url')

function readCursor(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const last = Buffer.from(text, 'base64url').toString()
  if (text !== '' && writeCursor(last) === text) return last
  throw wrongParameter('cursor', text, 'expected the `next` of an earlier page, unchanged')
}

const wrongParameter = (path: string, text: string, message: string): Problem =>
  new Problem('query-invalid', `${path} is "${text.length > 40 ? `${text.slice(0, 40)}...` : text}": ${message}.`, {
    errors: [{ in: 'query', path, message }],
    fix: 'Correct what `errors` lists, or leave the parameter out.',
  })
