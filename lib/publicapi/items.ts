// The handlers of items per tenant: an item has an id and belongs to one tenant, and each tenant has a count of its items.

import type { Accept } from '../cluster/index.ts'
import type { ItemWriter } from './acceptance.ts'
import { acceptOf } from './acceptance.ts'
import type { Agreement } from './agreement.ts'
import { wrongLength } from './batch.ts'
import { checkJsonType, collectBody } from './body.ts'
import { itemsContract } from './contract/items.ts'
import { JSON_BYTES_MAX } from './contract/values.ts'
import type { Handler } from './endpoint.ts'
import { readItems } from './item-batch.ts'
import { readJson } from './json.ts'
import { fingerprintOf } from './once.ts'
import { pageAsked, writeNext } from './paging.ts'
import { Problem } from './problem.ts'
import { jsonReply, whenDurable } from './reply.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { decodeSegment, parametersOf, REQUIRE, segmentOf } from './target.ts'

export interface ItemsOptions {
  readonly store: ApiStore
  readonly write: ItemWriter
  readonly agreement: Agreement
  /** How many members must take a batch when the request does not say. */
  readonly itemsAccept: Accept
  readonly nameBytesMax: number
  readonly bodyBytesMax: number
}

type ItemsId = 'addItems' | 'readItem' | 'deleteItem' | 'readTenants' | 'countTenant'

/** Ids and tenants in paths, still encoded. */
export const idIn = segmentOf(itemsContract.readItem.path)
export const tenantIn = segmentOf(itemsContract.countTenant.path)

export function createItems(options: ItemsOptions): Record<ItemsId, Handler> {
  const { store, write, agreement, itemsAccept, nameBytesMax, bodyBytesMax } = options

  return {
    addItems: agreement.write(async (exchange) => {
      const accept = acceptOf(exchange, itemsAccept)
      const fingerprint = fingerprintOf(exchange.incoming)
      checkJsonType(exchange.incoming)
      const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX), fingerprint)
      const changes = readItems(readJson(body), nameBytesMax)
      return write(changes, accept, () => jsonReply(`{"items":${changes.length}}`), fingerprint)
    }),

    deleteItem: agreement.write(async (exchange) => {
      const accept = acceptOf(exchange, itemsAccept)
      const id = nameOf(idIn(exchange.path), nameBytesMax)
      const reply = (): StoredReply => jsonReply(`{"id":${JSON.stringify(id)},"deleted":true}`)
      return write([{ id, tenant: undefined }], accept, reply, fingerprintOf(exchange.incoming))
    }),

    readItem: agreement.read(async ({ path }) => {
      const id = nameOf(idIn(path), nameBytesMax)
      const item = store.item(id)
      await store.settled()
      if (item === undefined) throw new Problem('item-unknown', `There is no item "${shorten(id)}".`)
      const { tenant, stamp } = item
      return jsonReply(`{"id":${JSON.stringify(id)},"tenant":${JSON.stringify(tenant)},"stamp":${stamp}}`)
    }),

    readTenants: agreement.read(async ({ query }) => {
      const given = parametersOf(query, ['prefix', 'cursor', 'limit', REQUIRE])
      const { tenants, more } = await store.tenants(pageAsked(given))
      return jsonReply(JSON.stringify({ tenants, next: writeNext(more, tenants.at(-1)?.tenant) }))
    }),

    countTenant: agreement.read(({ path }) => {
      const tenant = nameOf(tenantIn(path), nameBytesMax)
      return whenDurable(store, jsonReply(`{"tenant":${JSON.stringify(tenant)},"count":${store.tenantCount(tenant)}}`))
    }),
  }
}

/** An id or a tenant out of the path. @throws Problem path-invalid, name-too-long */
export function nameOf(segment: string, nameBytesMax: number): string {
  const name = decodeSegment(segment)
  const wrong = wrongLength(name, nameBytesMax)
  if (wrong !== undefined) throw new Problem('name-too-long', `"${shorten(name)}" in the path: ${wrong}.`)
  return name
}

const shorten = (name: string): string => (name.length > 40 ? `${name.slice(0, 40)}...` : name)
