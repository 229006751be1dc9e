// Pieces whose names belong to other shards by now, cut anew by the present map. They are read back from their bodies: this happens only while
// slots move, and nothing is kept for it otherwise.

import { utf8 } from '../base/utf8.ts'
import { PIECE_ITEMS_MAX, type Piece } from './pieces.ts'

/** A thing in a body: a counter's name and amount, or an item's id and tenant. */
export interface Entry {
  readonly name: string
  /** As it stands in the body. */
  readonly json: string
}

const BYTES_MAX = 1024 * 1024 - 64
const encoder = new TextEncoder()

/** What a piece has; undefined when its body has no list, so that the path says what it is about. */
export function entriesOf({ body }: Piece): Entry[] | undefined {
  if (body === undefined) return undefined
  const { items } = JSON.parse(utf8.decode(body)) as { items?: { name?: string; id?: string }[] }
  return items?.map((item) => ({ name: (item.name ?? item.id)!, json: JSON.stringify(item) }))
}

/** The name in `/v1/counters/{name}/increments` or `/v1/items/{id}`. */
export const nameInPath = (path: string): string => decodeURIComponent(path.split('?')[0]!.split('/')[3]!)

/** Entries by shard as bodies, in their order. */
export function cut(entries: readonly Entry[], shardOf: (name: string) => number): Piece[] {
  const pieces: Piece[] = []
  const open = new Map<number, { json: string[]; bytes: number }>()
  const close = (shard: number, json: readonly string[]): void => {
    pieces.push({ shard, body: encoder.encode(`{"items":[${json.join(',')}]}`) })
  }
  for (const { name, json } of entries) {
    const shard = shardOf(name)
    const bytes = Buffer.byteLength(json) + 1
    let own = open.get(shard)
    if (own !== undefined && (own.bytes + bytes > BYTES_MAX || own.json.length === PIECE_ITEMS_MAX)) {
      close(shard, own.json)
      own = undefined
    }
    if (own === undefined) open.set(shard, (own = { json: [], bytes: 0 }))
    own.json.push(json)
    own.bytes += bytes
  }
  for (const [shard, { json }] of open) close(shard, json)
  return pieces
}
