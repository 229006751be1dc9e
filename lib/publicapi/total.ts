// The one total of the original's sharded counter: `POST /increment` and `GET /total`. A node keeps it as an ordinary counter, under a name
// that no text can bring, as no word holds a space.

import { TOTAL_NAME } from '../cluster/index.ts'
import type { Agreement } from './agreement.ts'
import { collectBody } from './body.ts'
import { JSON_BYTES_MAX, readDelta, totalIncrement } from './contract.ts'
import type { Exchange, Handler } from './endpoint.ts'
import { checkJsonType, type Scratch } from './intake.ts'
import { readJson, writeInteger } from './json.ts'
import type { Fingerprint } from './once.ts'
import { fingerprintOf } from './once.ts'
import type { ApiStore, StoredReply } from './store.ts'
import { validate } from './validate.ts'
import type { Writer } from './writer.ts'

export interface TotalOptions {
  readonly store: ApiStore
  readonly writer: Writer
  readonly scratch: Scratch
  readonly agreement: Agreement
  readonly bodyBytesMax: number
}

const JSON_TYPE = 'application/json'
const NAME_BYTES = new TextEncoder().encode(TOTAL_NAME)

export function createTotal(options: TotalOptions): Record<'addToTotal' | 'readTotal', Handler> {
  const { store, writer, scratch, agreement, bodyBytesMax } = options
  return {
    addToTotal: agreement.write(async (exchange) => {
      const { value, fingerprint } = await readAddition(exchange, bodyBytesMax)
      const tally = scratch.filled((empty) => empty.add(TOTAL_NAME, value))
      const reply = (): StoredReply => ({ status: 200, contentType: JSON_TYPE, body: addedJson(0, store.value(NAME_BYTES)) })
      return writer.write(tally, reply, fingerprint)
    }),

    readTotal: agreement.read(() => {
      const reply = { status: 200, contentType: JSON_TYPE, body: `{"total":${writeInteger(store.value(NAME_BYTES))}}` }
      const settled = store.settled()
      return settled === undefined ? reply : settled.then(() => reply)
    }),
  }
}

/** What to add, 1 when nothing is said. @throws Problem media-type-unsupported, json-invalid, body-invalid, body-too-large */
export async function readAddition(
  exchange: Exchange,
  bodyBytesMax: number,
): Promise<{ value: number | bigint; fingerprint: Fingerprint | undefined }> {
  const fingerprint = fingerprintOf(exchange.incoming)
  const body = await collectBody(exchange.incoming, Math.min(bodyBytesMax, JSON_BYTES_MAX))
  fingerprint?.update(body)
  if (body.length === 0) return { value: 1, fingerprint }
  checkJsonType(exchange)
  return { value: readDelta(validate(totalIncrement, readJson(body)).value ?? 1)!, fingerprint }
}

export const addedJson = (shard: number, count: number | bigint): string =>
  `{"success":true,"shardId":${shard},"count":${writeInteger(count)}}`
