// The list of tenants over shards. Each shard lists its own in the same order, so one place in that order is a cursor for all of them: every shard
// is asked for a page behind it, and of what they merge to the first page is right, as no shard can have a tenant between those that it showed.

import { itemsContract } from '../contract/items.ts'
import { PAGE_MAX } from '../contract/paging.ts'
import type { Exchange, Reply } from '../endpoint.ts'
import { pageAsked, writeNext } from '../paging.ts'
import { jsonReply } from '../reply.ts'
import { parametersOf, REQUIRE } from '../target.ts'
import { askOf, requiresComplete } from './ask.ts'
import { checkShown, missingOf, shownHeaders } from './report.ts'
import type { ApiShards, GatheredAll, Part } from './router.ts'

interface Page {
  readonly tenants: readonly { readonly tenant: string; readonly count: number }[]
  readonly next: string | null
}

/** @throws Problem query-invalid; shards-missing when no shard answers, or not all and that is required */
export async function readTenantsPage(shards: ApiShards, exchange: Exchange): Promise<Reply> {
  const isComplete = requiresComplete(exchange)
  const given = parametersOf(exchange.query, ['prefix', 'cursor', 'limit', REQUIRE])
  const { limit } = pageAsked(given)
  given.delete(REQUIRE)
  given.set('limit', String(limit))
  const query = Array.from(given, ([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
  const ask = askOf(exchange)
  const parts = await shards.readAll(`${itemsContract.readTenants.path}?${query}`, ask)
  const pages = parts.map((part) => (part.state === 'done' ? readPage(part.body) : undefined))
  const all = gathered(parts, pages)
  checkShown(all, isComplete, [])
  const { tenants, next } = mergePages(
    pages.filter((page) => page !== undefined),
    limit,
  )
  const isPart = all.missing.length > 0
  // Of a tenant a missing shard may have any number of items.
  const shown = isPart ? tenants.map(({ tenant, count }) => ({ tenant, count: null, answered: count })) : tenants
  const body = { tenants: shown, next, ...(isPart && { complete: false, ...missingOf(all.missing) }) }
  return { ...jsonReply(JSON.stringify(body)), headers: shownHeaders(all, ask) }
}

/** The first tenants of all pages together, in the order of their UTF-8 bytes. Each page has the first `limit` of its shard. */
export function mergePages(pages: readonly Page[], limit: number): Page {
  const counts = new Map<string, number>()
  for (const { tenants } of pages) for (const { tenant, count } of tenants) counts.set(tenant, (counts.get(tenant) ?? 0) + count)
  const ordered = Array.from(counts, ([tenant, count]) => ({ tenant, count, bytes: Buffer.from(tenant) })).sort((left, right) =>
    Buffer.compare(left.bytes, right.bytes),
  )
  const tenants = ordered.slice(0, limit).map(({ tenant, count }) => ({ tenant, count }))
  const hasMore = ordered.length > limit || pages.some(({ next }) => next !== null)
  return { tenants, next: writeNext(hasMore, tenants.at(-1)?.tenant) }
}

function gathered(parts: readonly Part[], pages: readonly (Page | undefined)[]): GatheredAll {
  const sessions = new Map<number, string>()
  for (const part of parts) if (part.state === 'done' && part.session !== undefined) sessions.set(part.shard, part.session)
  const missing = parts.flatMap((part, index): Part[] => {
    if (part.state === 'refused' || pages[index] !== undefined) return []
    return [part.state === 'done' ? { shard: part.shard, state: 'unsent', detail: 'its answer is not what was asked for' } : part]
  })
  // For checkShown: whether there is anything to show.
  const values = pages.map((page, shard) => ({ value: page && '', lastKnown: undefined, shard }))
  return { values, missing, refused: parts.find(({ state }) => state === 'refused'), sessions }
}

function readPage(body: string): Page | undefined {
  try {
    const { tenants, next } = JSON.parse(body) as { tenants: unknown; next: unknown }
    if (!Array.isArray(tenants) || tenants.length > PAGE_MAX || !(next === null || typeof next === 'string')) return undefined
    const fits = tenants.every((one) => typeof one?.tenant === 'string' && Number.isSafeInteger(one.count))
    return fits ? { tenants, next } : undefined
  } catch {
    return undefined
  }
}
