// Items over shards: an item is on the shard of its id, so a tenant's items are on all of them. Counts are summed, lists merged in order.
// A batch is kept whole or not at all on each shard; over several there is no such promise, so whoever asks for it is refused.

import type { Accept } from '../../cluster/index.ts'
import type { ItemChange } from '../../storage/index.ts'
import { acceptOf } from '../acceptance.ts'
import { checkJsonType, collectBody } from '../body.ts'
import { itemsContract } from '../contract/items.ts'
import { JSON_BYTES_MAX } from '../contract/values.ts'
import type { Exchange, Handler, Reply } from '../endpoint.ts'
import { readItems, readOriginalItems } from '../item-batch.ts'
import { idIn, nameOf, tenantIn } from '../items.ts'
import { readJson } from '../json.ts'
import type { Metrics } from '../metrics.ts'
import { type Fingerprint, fingerprintOf } from '../once.ts'
import { countBody, type ItemsCompat, originalTenantIn, SUCCESS } from '../original-items.ts'
import { Problem } from '../problem.ts'
import { jsonReply } from '../reply.ts'
import { askOf, requiresComplete, type WriteAskStart, withOnce, writeAskOf } from './ask.ts'
import { bodyOf, checkShown, doneReply, problemOf, shownHeaders } from './report.ts'
import type { ApiShards, GatheredAll, ShardPiece } from './router.ts'
import { bestOf, countJson, lacksJson, sumOf } from './sum.ts'
import { readTenantsPage } from './tenants.ts'

export interface ShardsItemsOptions {
  readonly shards: ApiShards
  readonly metrics: Metrics
  readonly nameBytesMax: number
  readonly bodyBytesMax: number
  /** Whose replies POST /items and GET /items/{tenant}/count give. */
  readonly itemsCompat: ItemsCompat
}

type ItemsId = 'addItems' | 'readItem' | 'deleteItem' | 'readTenants' | 'countTenant' | 'addOriginalItems' | 'countOriginalItems'

/** Most bytes of what is sent to a shard in one request, with room for its frame. */
const PIECE_BYTES_MAX = JSON_BYTES_MAX - 16

export function createShardsItems(options: ShardsItemsOptions): Record<ItemsId, Handler> {
  const { shards, metrics, nameBytesMax, bodyBytesMax, itemsCompat } = options
  const encoder = new TextEncoder()

  return {
    async addItems(exchange) {
      checkJsonType(exchange.incoming)
      const { start, accept, fingerprint, body } = await begin(exchange)
      const changes = readItems(readJson(body), nameBytesMax)
      return add(changes, start, accept, fingerprint, `{"items":${changes.length}}`)
    },

    // Any content type, as with the originals.
    async addOriginalItems(exchange) {
      const { start, accept, fingerprint, body } = await begin(exchange)
      return add(readOriginalItems(readJson(body), nameBytesMax), start, accept, fingerprint, SUCCESS[itemsCompat])
    },

    async deleteItem(exchange) {
      const start = writeAskOf(exchange)
      const accept = askedAccept(exchange)
      const id = nameOf(idIn(exchange.path), nameBytesMax)
      const fingerprint = fingerprintOf(exchange.incoming)
      const ask = withOnce(start, fingerprint)
      const path = `${exchange.path}${acceptQuery(accept)}`
      const parts = await shards.send([{ shard: shards.shardOf(id), body: undefined }], { method: 'DELETE', path }, ask)
      return { ...jsonReply(bodyOf(parts)), ...doneReply(parts, ask) }
    },

    async readItem(exchange) {
      const id = nameOf(idIn(exchange.path), nameBytesMax)
      const ask = askOf(exchange)
      const part = await shards.readOne(id, exchange.path, ask)
      if (part.state === 'refused') throw problemOf(part)
      const sessions = new Map(part.state === 'done' && part.session !== undefined ? [[part.shard, part.session]] : [])
      const all: GatheredAll = { values: [], missing: part.state === 'done' ? [] : [part], refused: undefined, sessions }
      checkShown(all, true, [])
      return { ...jsonReply(bodyOf([part])), headers: shownHeaders(all, ask) }
    },

    async countTenant(exchange) {
      const tenant = nameOf(tenantIn(exchange.path), nameBytesMax)
      return count(exchange, exchange.path, (all) => `{"tenant":${JSON.stringify(tenant)},${countJson('count', all)}}`)
    },

    async countOriginalItems(exchange) {
      const segment = originalTenantIn(exchange.path)
      nameOf(segment, nameBytesMax)
      return count(
        exchange,
        itemsContract.countTenant.path.replace('{tenant}', () => segment),
        (all) => {
          const sum = sumOf(all.values)
          if (sum !== undefined) return countBody[itemsCompat](Number(sum))
          const fields = { both: ['count', 'counter'], s1: ['count'], s2: ['counter'] }[itemsCompat]
          return `{${fields.map((field) => `"${field}":${bestOf(all)}`).join(',')},${lacksJson(all)}}`
        },
      )
    },

    async readTenants(exchange) {
      return readTenantsPage(shards, exchange)
    },
  }

  async function begin(exchange: Exchange) {
    const start = writeAskOf(exchange)
    const accept = askedAccept(exchange)
    const fingerprint = fingerprintOf(exchange.incoming)
    const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX), fingerprint)
    return { start, accept, fingerprint, body }
  }

  async function add(
    changes: readonly ItemChange[],
    start: WriteAskStart,
    accept: Accept | undefined,
    fingerprint: Fingerprint | undefined,
    body: string,
  ): Promise<Reply> {
    const pieces = piecesOf(changes)
    if (accept !== undefined && accept !== 'one' && pieces.length > 1) {
      throw new Problem(
        'not-over-shards',
        `These items lie on ${pieces.length} shards or more, which cannot agree to keep all or none.`,
        {
          fix: 'Send the items of each shard by themselves: ids with a common part in {braces} are on one. Or leave out accept.',
        },
      )
    }
    const ask = withOnce(start, fingerprint)
    const parts =
      pieces.length === 0
        ? []
        : await shards.send(pieces, { method: 'POST', path: `${itemsContract.addItems.path}${acceptQuery(accept)}` }, ask)
    const reply = doneReply(parts, ask)
    if (reply.headers['Idempotency-Replayed'] === undefined) metrics.items.inc(changes.length)
    return { ...jsonReply(body), ...reply }
  }

  /** The changes of each shard, in the order given: of one id named twice the last stays. */
  function piecesOf(changes: readonly ItemChange[]): ShardPiece[] {
    const pieces: ShardPiece[] = []
    const open = new Map<number, { items: string[]; bytes: number }>()
    const close = (shard: number, items: readonly string[]): void => {
      pieces.push({ shard, body: encoder.encode(`{"items":[${items.join(',')}]}`) })
    }
    for (const { id, tenant } of changes) {
      const shard = shards.shardOf(id)
      const item = JSON.stringify({ id, tenant })
      const bytes = Buffer.byteLength(item) + 1
      let own = open.get(shard)
      if (own !== undefined && own.bytes + bytes > PIECE_BYTES_MAX) {
        close(shard, own.items)
        own = undefined
      }
      if (own === undefined) open.set(shard, (own = { items: [], bytes: 0 }))
      own.items.push(item)
      own.bytes += bytes
    }
    for (const [shard, { items }] of open) close(shard, items)
    return pieces
  }

  async function count(exchange: Exchange, path: string, body: (all: GatheredAll) => string): Promise<Reply> {
    const isComplete = requiresComplete(exchange)
    const ask = askOf(exchange)
    const all = await shards.sum(path, 'count', ask)
    checkShown(all, isComplete, [])
    return { ...jsonReply(body(all)), headers: shownHeaders(all, ask) }
  }
}

/** The acceptance that a request asks for by itself; the shards have settings of their own for those that do not. */
const askedAccept = (exchange: Exchange): Accept | undefined =>
  /(^|&)accept(=|&|$)/.test(exchange.query) ? acceptOf(exchange, 'one') : undefined

const acceptQuery = (accept: Accept | undefined): string => (accept === undefined ? '' : `?accept=${accept}`)
