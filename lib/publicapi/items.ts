// The handlers of items per tenant: an item has an id and belongs to one tenant, and each tenant has a count of its items.

import type { Accept } from '../cluster/index.ts'
import type { ItemWriter } from './acceptance.ts'
import { acceptOf } from './acceptance.ts'
import type { Agreement } from './agreement.ts'
import { wrongLength } from './batch.ts'
import { collectBody } from './body.ts'
import { JSON_BYTES_MAX } from './contract/values.ts'
import type { Handler } from './endpoint.ts'
import { checkJsonType } from './intake.ts'
import { readItems } from './item-batch.ts'
import { readJson } from './json.ts'
import { fingerprintOf } from './once.ts'
import { readCursor, readLimit, writeCursor } from './paging.ts'
import { Problem } from './problem.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { decodeSegment, parametersOf, REQUIRE } from './target.ts'

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

const JSON_TYPE = 'application/json'
const ITEMS_PATH = '/v1/items/'
const TENANTS_PATH = '/v1/tenants/'
const COUNT = '/count'

export function createItems(options: ItemsOptions): Record<ItemsId, Handler> {
  const { store, write, agreement, itemsAccept, nameBytesMax, bodyBytesMax } = options

  return {
    addItems: agreement.write(async (exchange) => {
      const accept = acceptOf(exchange, itemsAccept)
      const fingerprint = fingerprintOf(exchange.incoming)
      checkJsonType(exchange)
      const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX))
      fingerprint?.update(body)
      const changes = readItems(readJson(body), nameBytesMax)
      return write(changes, accept, () => json(`{"items":${changes.length}}`), fingerprint)
    }),

    deleteItem: agreement.write(async (exchange) => {
      const accept = acceptOf(exchange, itemsAccept)
      const id = nameIn(exchange.path.slice(ITEMS_PATH.length), nameBytesMax)
      const reply = (): StoredReply => json(`{"id":${JSON.stringify(id)},"deleted":true}`)
      return write([{ id, tenant: undefined }], accept, reply, fingerprintOf(exchange.incoming))
    }),

    readItem: agreement.read(async ({ path }) => {
      const id = nameIn(path.slice(ITEMS_PATH.length), nameBytesMax)
      const item = store.item(id)
      await store.settled()
      if (item === undefined) throw new Problem('item-unknown', `There is no item "${shorten(id)}".`)
      const { tenant, stamp } = item
      return json(`{"id":${JSON.stringify(id)},"tenant":${JSON.stringify(tenant)},"stamp":${stamp}}`)
    }),

    readTenants: agreement.read(async ({ query }) => {
      const given = parametersOf(query, ['prefix', 'cursor', 'limit', REQUIRE])
      const { tenants, more } = await store.tenants({
        prefix: given.get('prefix') ?? '',
        after: readCursor(given.get('cursor')),
        limit: readLimit(given.get('limit')),
      })
      const last = tenants.at(-1)
      return json(JSON.stringify({ tenants, next: more && last !== undefined ? writeCursor(last.tenant) : null }))
    }),

    countTenant: agreement.read(async ({ path }) => {
      const tenant = nameIn(path.slice(TENANTS_PATH.length, -COUNT.length), nameBytesMax)
      const count = store.tenantCount(tenant)
      await store.settled()
      return json(`{"tenant":${JSON.stringify(tenant)},"count":${count}}`)
    }),
  }
}

const json = (body: string): StoredReply => ({ status: 200, contentType: JSON_TYPE, body })

/** An id or a tenant out of the path. @throws Problem path-invalid, name-too-long */
export function nameIn(segment: string, nameBytesMax: number): string {
  const name = decodeSegment(segment)
  const wrong = wrongLength(name, nameBytesMax)
  if (wrong !== undefined) throw new Problem('name-too-long', `"${shorten(name)}" in the path: ${wrong}.`)
  return name
}

const shorten = (name: string): string => (name.length > 40 ? `${name.slice(0, 40)}...` : name)
