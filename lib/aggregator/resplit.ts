// Pieces whose names belong to other shards by now, cut anew by the present map. They are read back from their bodies: this happens only while
// slots move, and nothing is kept for it otherwise.

import { utf8 } from '../base/utf8.ts'
import type { Tenure } from './counted.ts'
import { PIECE_ITEMS_MAX, type Piece } from './pieces.ts'

/** A thing in a body: a counter's name and amount, or an item's id and tenant. */
export interface Entry {
  readonly name: string
  /** As it stands in the body. */
  readonly json: string
}

/** An entry, and who has had its slot, the present owner last. */
export interface Placed {
  readonly entry: Entry
  readonly tenures: readonly Tenure[]
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

/**
 * What is left of a request with a key, by shard under the present map. Replicas of a shard tell by the bytes whether another one has counted the
 * same part. So they are the same from whatever pieces of the request they are made: a shard that none of its slots has come to or left keeps its
 * pieces, and what others get is ordered by who has had the slots, as those of one history have always gone together.
 * @param pieces by this map or one before it, and all that is in them
 * @param left of the shards that keep their pieces all or nothing
 */
export function resplit(pieces: readonly Piece[], placed: readonly Placed[], left: readonly Placed[]): Piece[] {
  const touched = new Set<number>()
  for (const { tenures } of placed) if (tenures.length > 1) for (const { shard } of tenures) touched.add(shard)
  const whole = new Set(left.map(ownerOf).filter((shard) => !touched.has(shard)))
  const others = left
    .filter((each) => touched.has(ownerOf(each)))
    .map((each) => ({ each, history: each.tenures.map(({ shard, since }) => `${since} ${shard}`).join() }))
    .toSorted((one, other) => (one.history < other.history ? -1 : one.history > other.history ? 1 : 0))
  const owners = new Map(others.map(({ each }) => [each.entry.name, ownerOf(each)]))
  const anew = cut(
    others.map(({ each }) => each.entry),
    (name) => owners.get(name)!,
  )
  return [...pieces.filter(({ shard }) => whole.has(shard)), ...anew]
}

const ownerOf = ({ tenures }: Placed): number => tenures.at(-1)!.shard

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
