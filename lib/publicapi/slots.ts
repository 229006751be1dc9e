// The map of slots that a node keeps as a shard (docs/decisions/0015, 0016): shown, kept, and held against what each request of an aggregator goes
// by. So an aggregator whose shards are in another order, or another number, is refused and cannot count a name in two places.

import type { IncomingMessage } from 'node:http'
import { SLOTS, SlotMap } from '../cluster/index.ts'
import { checkJsonType, collectBody } from './body.ts'
import type { Handler } from './endpoint.ts'
import { readJson } from './json.ts'
import { Problem } from './problem.ts'
import { jsonReply } from './reply.ts'

/** A map, and which of its shards this node is. */
export interface KeptSlots {
  readonly map: SlotMap
  readonly shard: number
}

export interface ApiSlots {
  /** undefined: the node is no shard of an aggregator. */
  kept(): KeptSlots | undefined
  /**
   * Resolves when it is durable, and no write that was taken under an older one is under way.
   * @param after the tag of the map that has to be kept now; undefined: any older one
   * @throws CounterError SLOTS_CONFLICT
   */
  keep(slots: KeptSlots, after?: string): Promise<void>
}

const BODY_BYTES_MAX = 1024 * 1024
const HEADER = 'counter-slots'
/** A node that is no shard has all names. */
const WHOLE = { version: 0, tag: '', shard: 0, shards: [{ shard: 0, ranges: [[0, SLOTS - 1]], replicas: null }] }

export function createSlots(slots: ApiSlots): Record<'readSlots' | 'keepSlots', Handler> {
  const show = () => jsonReply(JSON.stringify(viewOf(slots.kept())))
  return {
    readSlots: show,

    async keepSlots(exchange) {
      checkJsonType(exchange.incoming)
      const plain = readJson(await collectBody(exchange.incoming, BODY_BYTES_MAX))
      const map = SlotMap.read(plain)
      const { shard, after } = plain as { shard?: unknown; after?: unknown }
      if (!Number.isSafeInteger(shard) || (shard as number) < 0 || (shard as number) >= map.shards) {
        throw new Problem('body-invalid', `/shard: expected the number of one of the ${map.shards} shards.`, {
          errors: [{ in: 'body', path: '/shard', message: `expected a whole number from 0 to ${map.shards - 1}` }],
        })
      }
      await slots.keep({ map, shard: shard as number }, typeof after === 'string' ? after : undefined)
      return show()
    },
  }
}

function viewOf(kept: KeptSlots | undefined): object {
  if (kept === undefined) return WHOLE
  const { map, shard } = kept
  const { shards, ...plain } = map.plain()
  return { ...plain, tag: map.tag, shard, shards: shards.map((entry) => ({ ...entry, replicas: null })) }
}

/** Refuses a request that goes by another map, or takes this node for another shard. */
export function createSlotsCheck(slots: ApiSlots): (incoming: IncomingMessage) => void {
  let last: KeptSlots | undefined
  let expected = ''
  return ({ headers }) => {
    const asked = headers[HEADER]
    if (asked === undefined) return
    const kept = slots.kept()
    if (kept !== undefined && kept !== last) {
      last = kept
      expected = `${kept.map.tag}/${kept.shard}`
    }
    if (kept !== undefined && asked === expected) return
    const here = kept === undefined ? 'this node is no shard yet' : `this node is shard ${kept.shard} of the map ${kept.map.tag}`
    throw new Problem('slots-moved', `The request goes by ${String(asked).slice(0, 80)}; ${here}.`, {
      extension: { slots: viewOf(kept) },
    })
  }
}

/** A read that began under one map and ends under another is refused: what it shows may be of both. */
export function createPin(check: (incoming: IncomingMessage) => void): (show: Handler) => Handler {
  return (show) => (exchange) => {
    const answer = show(exchange)
    if (exchange.incoming.headers[HEADER] === undefined || !(answer instanceof Promise)) return answer
    return answer.then((reply) => {
      check(exchange.incoming)
      return reply
    })
  }
}
