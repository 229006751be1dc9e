// The one total of the original's sharded counter: `POST /increment` and `GET /total`. A node keeps it as an ordinary counter, under a name
// that no text can bring, as no word holds a space. A shard adds to its open part and shows the sum of the parts that it has.

import { TOTAL_NAME } from '../cluster/index.ts'
import type { Agreement } from './agreement.ts'
import { checkJsonType, collectBody } from './body.ts'
import { totalIncrement } from './contract/total.ts'
import { JSON_BYTES_MAX, readDelta } from './contract/values.ts'
import type { Exchange, Handler } from './endpoint.ts'
import type { Scratch } from './intake.ts'
import { readJson, writeInteger } from './json.ts'
import type { Fingerprint } from './once.ts'
import { fingerprintOf } from './once.ts'
import { jsonReply, whenDurable } from './reply.ts'
import type { ApiSlots, KeptSlots } from './slots.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { validate } from './validate.ts'
import type { Writer } from './writer.ts'

export interface TotalOptions {
  readonly store: ApiStore
  readonly slots: Pick<ApiSlots, 'kept'>
  readonly writer: Writer
  readonly scratch: Scratch
  readonly agreement: Agreement
  readonly bodyBytesMax: number
}

const encoder = new TextEncoder()
const WHOLE: Parts = { open: TOTAL_NAME, names: [encoder.encode(TOTAL_NAME)] }

/** The counters that the total here is the sum of, and the one of them that is added to. */
interface Parts {
  readonly open: string
  readonly names: readonly Uint8Array[]
}

export function createTotal(options: TotalOptions): Record<'addToTotal' | 'readTotal', Handler> {
  const { store, slots, writer, scratch, agreement, bodyBytesMax } = options
  let kept: KeptSlots | undefined
  let parts = WHOLE

  function partsNow(): Parts {
    const now = slots.kept()
    if (now !== kept) {
      kept = now
      parts = now === undefined ? WHOLE : partsOf(now)
    }
    return parts
  }

  const total = (): number | bigint => {
    const { names } = partsNow()
    if (names.length === 1) return store.value(names[0]!)
    return names.reduce((sum, name) => sum + BigInt(store.value(name)), 0n)
  }

  return {
    addToTotal: agreement.write(async (exchange) => {
      const { value, fingerprint } = await readAddition(exchange, bodyBytesMax)
      const tally = scratch.filled((empty) => empty.add(partsNow().open, value))
      const reply = (): StoredReply => jsonReply(addedJson(0, total()))
      return writer.write(tally, reply, fingerprint)
    }),

    readTotal: agreement.read(() => whenDurable(store, jsonReply(`{"total":${writeInteger(total())}}`))),
  }
}

function partsOf({ map, shard }: KeptSlots): Parts {
  const names = map.partsOf(shard)
  // Who has no slots is refused: whatever it adds to.
  return { open: names[0] ?? TOTAL_NAME, names: names.map((name) => encoder.encode(name)) }
}

/** What to add, 1 when nothing is said. @throws Problem media-type-unsupported, json-invalid, body-invalid, body-too-large */
export async function readAddition(
  exchange: Exchange,
  bodyBytesMax: number,
): Promise<{ value: number | bigint; fingerprint: Fingerprint | undefined }> {
  const fingerprint = fingerprintOf(exchange.incoming)
  const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX), fingerprint)
  if (body.length === 0) return { value: 1, fingerprint }
  checkJsonType(exchange.incoming)
  return { value: readDelta(validate(totalIncrement, readJson(body)).value ?? 1)!, fingerprint }
}

export const addedJson = (shard: number, count: number | bigint): string =>
  `{"success":true,"shardId":${shard},"count":${writeInteger(count)}}`
