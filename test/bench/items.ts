// The items of the benches: each id once, spread over a thousand tenants.

export const TENANTS = 1000

export const tenantOf = (number: number): string => `tenant-${number % TENANTS}`

/** Items number `first` and on. */
export const itemsOf = (first: number, count: number, tenant = tenantOf) =>
  Array.from({ length: count }, (_, index) => ({ id: `item-${first + index}`, tenant: tenant((first + index) * 7919) }))
