// Items per tenant: the calls of the client, and how many members had to accept a batch.

import type { JsonBody, JsonReply } from '../publicapi/contract.ts'
import { at, type CallOptions, type Exchange, got, written } from './call.ts'
import { ClientError } from './failure.ts'

/** How many members must take a batch of items for it to be kept at all: the node that is asked, more than half of all, or all that are not dead. */
export type Accept = 'one' | 'majority' | 'all'

/** Who has taken a batch of items. */
export interface Accepted {
  readonly accept: Accept
  readonly accepted: number
  /** All members, also those that were not asked because they are dead. */
  readonly members: number
}

export interface NewItem {
  readonly id: string
  readonly tenant: string
}

/** An item; `stamp` is when it was last given to a tenant, in microseconds since 1970. */
export type Item = JsonReply<'readItem'>
export type TenantCount = JsonReply<'countTenant'>

export interface ItemOptions extends CallOptions {
  /** Default: what the node's COUNTER_ITEMS_ACCEPT says. A batch that too few accept fails as `items-refused`, and is kept nowhere. */
  readonly accept?: Accept
  /** Called before a batch that several members had to accept returns; not for a reply that is given again. */
  readonly onAccepted?: (accepted: Accepted) => void
}

export interface TenantsOptions extends Pick<CallOptions, 'signal'> {
  /** Only tenants that begin so. */
  readonly prefix?: string
  /** Most tenants of one request, 1 to 1,000. Default 100. */
  readonly limit?: number
}

export interface ItemClient {
  /** Gives items to tenants, all or none. An id that is there already moves. */
  addItems(items: readonly NewItem[], options?: ItemOptions): Promise<JsonReply<'addItems'>>
  /** The item; undefined when there is none with this id. */
  getItem(id: string, options?: CallOptions): Promise<Item | undefined>
  /** Deletes an item, if it is there. */
  deleteItem(id: string, options?: ItemOptions): Promise<void>
  /** The tenants that have items, in the order of their UTF-8 bytes. They are asked for a page at a time, while they are used. */
  tenants(options?: TenantsOptions): AsyncGenerator<TenantCount, void, undefined>
  /** How many items a tenant has. */
  tenantCount(tenant: string, options?: CallOptions): Promise<number>
}

const ACCEPTED = /^(one|majority|all); accepted=(\d+); members=(\d+)$/

export function createItemClient(exchange: Exchange): ItemClient {
  return {
    addItems(items, call = {}) {
      const body: JsonBody<'addItems'> = { items: items.map(({ id, tenant }) => ({ id, tenant })) }
      return exchange({ ...written(asking(at('/v1/items'), call), body), onHeaders: accepting(call) }, call)
    },

    async getItem(id, call) {
      try {
        return await exchange<Item>(got(at('/v1/items/{id}', id)), call)
      } catch (error) {
        if (error instanceof ClientError && error.type === 'item-unknown') return undefined
        throw error
      }
    },

    async deleteItem(id, call = {}) {
      const path = asking(at('/v1/items/{id}', id), call)
      await exchange({ method: 'DELETE', path, writes: true, onHeaders: accepting(call) }, call)
    },

    async *tenants({ prefix = '', limit, signal } = {}) {
      const asked = new URLSearchParams({ prefix, ...(limit !== undefined && { limit: String(limit) }) })
      for (let next: string | null = ''; next !== null; ) {
        const page: JsonReply<'readTenants'> = await exchange(got(`${at('/v1/tenants')}?${asked}`), signal && { signal })
        yield* page.tenants
        next = page.next
        asked.set('cursor', next ?? '')
      }
    },

    async tenantCount(tenant, call) {
      const { count } = await exchange<TenantCount>(got(at('/v1/tenants/{tenant}/count', tenant)), call)
      return count
    },
  }
}

const asking = (path: string, { accept }: ItemOptions): string => (accept === undefined ? path : `${path}?accept=${accept}`)

const accepting =
  ({ onAccepted }: ItemOptions) =>
  (headers: Headers): void => {
    const [, accept, accepted, members] = ACCEPTED.exec(headers.get('counter-accept') ?? '') ?? []
    if (accept !== undefined) onAccepted?.({ accept: accept as Accept, accepted: Number(accepted), members: Number(members) })
  }
