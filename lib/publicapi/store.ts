// What this layer needs of the store behind it. lib/persistence's Store satisfies it; so does the one in memory of the tests.

import type { Batch, Count, Item, ItemChange, StoredReply, Once as StoreOnce, WriteAt } from '../storage/index.ts'

export type { StoredReply }

/** Who asks, and by which map of slots: what is kept under the key speaks of the names that the shard had under that. */
export type Once = StoreOnce & { readonly slots?: string }

/** What an increment is answered with: the reply, and the place of the write; of a reply given again, that of the write it was given to. */
export type Incremented = StoredReply & { readonly replayed: boolean; readonly at: WriteAt }

/** Which tenants to list: those with the prefix, after `after` in the order of their UTF-8 bytes, and at most `limit`. */
export interface TenantsPage {
  readonly prefix: string
  readonly after: string | undefined
  readonly limit: number
}

export interface TenantsFound {
  readonly tenants: readonly { readonly tenant: string; readonly count: number }[]
  /** Whether there are others behind them. */
  readonly more: boolean
}

export interface ApiStore {
  /**
   * undefined: there is room for this batch now, go on in the same turn. A promise: wait for it, then ask again.
   * @param once what increment() will be given
   * @throws CounterError DISK_FULL, LOG_BUSY, LOG_FAILED, NAMES_MAX, NAME_TOO_LONG, COUNT_OVERFLOW, DRAINING, CLOSED
   */
  admit(batch: Batch, once?: Once): Promise<void> | undefined
  /**
   * Changes state in the calling turn, right after admit() returned undefined; the batch may be reused as soon as the call
   * returns. `reply` is called in that turn, after the change. Resolves when durable; a key seen before gives its reply again.
   * @throws CounterError KEY_IN_FLIGHT, KEY_REUSED, and of a failover KEYS_UNSETTLED
   */
  increment(batch: Batch, reply: () => StoredReply, once?: Once): Promise<Incremented>
  /** The reply kept for `once`, if there is one. @throws CounterError KEY_IN_FLIGHT, KEY_REUSED */
  replay(once: Once): Promise<Incremented> | undefined
  /** What is known of each replica. */
  vector(): Iterable<WriteAt>
  /** The value of a name, 0 when never counted. It may not be durable yet: await settled() before it leaves the process. */
  value(name: Uint8Array): Count
  /**
   * Changes items, all or none, as soon as there is room; of one id that is named twice the last counts. Resolves when durable; a key seen
   * before gives its reply again.
   * @throws CounterError ITEMS_MAX, DISK_FULL, LOG_BUSY, LOG_FAILED, KEY_IN_FLIGHT, KEY_REUSED, DRAINING, STARTING, CLOSED
   */
  changeItems(changes: readonly ItemChange[], reply: () => StoredReply, once?: Once): Promise<Incremented>
  /** undefined when it was never there, or is deleted. It may not be durable yet, as with value(). */
  item(id: string): Item | undefined
  /** How many items the tenant has. It may not be durable yet, as with value(). */
  tenantCount(tenant: string): number
  /** Tenants that have an item. Resolves when what it shows is durable. */
  tenants(page: TenantsPage): Promise<TenantsFound>
  /** undefined when all that value() has shown is durable; else a promise for that. Rejects when the log failed. */
  settled(): Promise<void> | undefined
}
