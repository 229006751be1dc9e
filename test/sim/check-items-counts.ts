// What is read of single items and of tenants is what the store holds: the count of each tenant is the number of its items.

import type { Store } from '../../lib/persistence/index.ts'
import type { TenantCount } from '../../lib/storage/index.ts'
import { ITEM_IDS, ITEM_TENANTS, type Versions } from './item-versions.ts'

export type ItemReadings = Pick<Store, 'item' | 'tenantCount'>

export function countsOf(held: Versions): Map<string, number> {
  const counts = new Map<string, number>(ITEM_TENANTS.map((tenant) => [tenant, 0]))
  for (const { tenant } of held.values()) if (tenant !== undefined) counts.set(tenant, (counts.get(tenant) ?? 0) + 1)
  return counts
}

export function checkItemCounts(store: ItemReadings, held: Versions, where: string): string[] {
  const found: string[] = []
  for (const [tenant, count] of countsOf(held)) {
    const read = store.tenantCount(tenant)
    if (read !== count) found.push(`${where} counts ${read} items of tenant ${tenant}, and holds ${count}`)
  }
  for (const id of ITEM_IDS) {
    const read = store.item(id)
    const version = held.get(id)
    const isRight = version?.tenant === read?.tenant && (read === undefined || read.stamp === version?.stamp)
    if (!isRight) found.push(`${where} reads item ${id} as ${JSON.stringify(read)}, and holds ${JSON.stringify(version)}`)
  }
  return found
}

/** @param listed all tenants, as they were listed while `held` was held */
export function checkTenantList(listed: readonly TenantCount[], held: Versions, where: string): string[] {
  const expected = [...countsOf(held)]
    .filter(([, count]) => count > 0)
    .sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
  const lineOf = (list: readonly (readonly [string, number])[]) => list.map(([tenant, count]) => `${tenant} ${count}`).join(', ')
  const read = lineOf(listed.map(({ tenant, count }) => [tenant, count]))
  return read === lineOf(expected) ? [] : [`${where} lists tenants ${read}, and holds ${lineOf(expected)}`]
}
