// A client's request as requests to shards: what goes along with each of them. The key of a client is never sent on as it is: the shards know it
// by its digest, so that all parts of one request have keys of their own and a retry makes the same ones.

import { createHash } from 'node:crypto'
import { type SlotMap, slotOf } from '../cluster/index.ts'
import type { Piece } from './pieces.ts'
import type { ShardCall } from './transport.ts'

/** What goes along with each request of a client. */
export interface Ask {
  /** The request id, under which the shards' logs speak of it too. */
  readonly id: string
  /** Of each shard, its own part of the session. */
  readonly session: ReadonlyMap<number, string>
}

export interface WriteAsk extends Ask {
  /** The client's key, and the digest of its whole request. */
  readonly once: { readonly key: string; readonly fingerprint: Uint8Array } | undefined
  /** How many members of each shard must have the write; undefined: one. */
  readonly level: 1 | 'majority' | 'all' | undefined
}

/** What is asked of each shard that has a part in a write. */
export interface Target {
  readonly method: 'POST' | 'DELETE'
  /** With its query. */
  readonly path: string
}

/** A key as the shards see it. */
export interface OnceOnShards {
  readonly digest: Uint8Array
  readonly key: string
  readonly of: string
}

const encoder = new TextEncoder()

export class Calls {
  /** The map that requests go by from now on. */
  map: SlotMap
  /** What a request needs whatever it is. */
  readonly headers: Readonly<Record<string, string>>

  /** @param token the bearer token of the shards */
  constructor(map: SlotMap, token: string | undefined) {
    this.map = map
    this.headers = { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  }

  shardOf(name: string): number {
    const bytes = encoder.encode(name)
    return this.map.shardOf(slotOf(bytes, 0, bytes.length))
  }

  read(shard: number, path: string, ask: Ask): ShardCall {
    return { method: 'GET', path, headers: this.#headersOf(shard, ask) }
  }

  /** @param index of several parts for one shard, which one this is */
  write(
    shard: number,
    { method, path }: Target,
    ask: WriteAsk,
    once: OnceOnShards | undefined,
    { body, attempt = 0 }: Pick<Piece, 'body' | 'attempt'>,
    index = 0,
  ): ShardCall {
    const suffix = `${attempt === 0 ? '' : `+${attempt}`}${index === 0 ? '' : `/${index}`}`
    return {
      method,
      // The fingerprint of the whole makes the same part of another request another one: its key is then known as reused.
      path: once === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}of=${once.of}`,
      headers: {
        ...this.#headersOf(shard, ask),
        ...(ask.level !== undefined && { 'counter-write-level': String(ask.level) }),
        ...(once !== undefined && { 'idempotency-key': once.key + suffix }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body }),
    }
  }

  /** Asks which replies a shard keeps under the key of a request. */
  counted(shard: number, ask: Ask, once: OnceOnShards): ShardCall {
    return {
      method: 'POST',
      path: '/v1/shard/questions',
      headers: { ...this.#headersOf(shard, { id: ask.id, session: new Map() }), 'content-type': 'application/json' },
      body: JSON.stringify({ ask: 'counted', key: once.key }),
    }
  }

  #headersOf(shard: number, { id, session }: Ask): Record<string, string> {
    const own = session.get(shard)
    return {
      ...this.headers,
      'counter-slots': `${this.map.tag}/${shard}`,
      'x-request-id': id,
      ...(own !== undefined && { 'counter-session': own }),
    }
  }
}

export function onceOf({ once }: WriteAsk): OnceOnShards | undefined {
  if (once === undefined) return undefined
  const digest = createHash('sha256').update(once.key).digest()
  return { digest, key: `part-${digest.toString('base64url')}`, of: Buffer.from(once.fingerprint).toString('base64url') }
}
