// Sums over shards. What a missing shard had when it was last asked stands in for it, and is said to; a shard of which nothing was ever heard makes
// the sum unknown, because any number would pass it off as 0.

import { lastKnownOf, missingOf } from './report.ts'
import type { Gathered, GatheredAll } from './router.ts'

/** The sum of all, when all are known. */
export function sumOf(values: readonly Gathered[]): string | undefined {
  let sum = 0n
  for (const { value } of values) {
    if (value === undefined) return undefined
    sum += BigInt(value)
  }
  return String(sum)
}

/** The sum, or what is known of it; null when of a missing shard nothing was ever heard. */
export function countJson(field: string, all: GatheredAll): string {
  const sum = sumOf(all.values)
  return sum === undefined ? `"${field}":${bestOf(all)},${lacksJson(all)}` : `"${field}":${sum}`
}

/** The sum with what was last known of missing shards. */
export const bestOf = ({ values }: GatheredAll): string =>
  sumOf(values.map((one) => ({ ...one, value: one.value ?? one.lastKnown?.digits }))) ?? 'null'

/** What is lacking, as members of an object. */
export function lacksJson({ values, missing }: GatheredAll): string {
  const shards = missingOf(missing).missing.map(({ shard, detail }) => {
    const last = lastKnownOf(values[shard]?.lastKnown)
    const known = last === undefined ? 'null' : `{"value":${last.digits},"ageSeconds":${last.ageSeconds}}`
    return `{"shard":${shard},"detail":${JSON.stringify(detail)},"lastKnown":${known}}`
  })
  const answered = sumOf(values.filter(({ value }) => value !== undefined))
  return `"complete":false,"answered":${answered},"missing":[${shards.join(',')}]`
}
