// The way to another node over Maelstrom's messages. A question is one message, `sync`. Its answer is the stream of bytes that the sync port
// would send (lib/syncsrv/framing.ts), cut into parts: the first comes as the reply to `sync`, each further one when it is asked for with
// `sync_next`, and the last is called `sync_ok`, the others `sync_part`. So nothing piles up, however slow one side is, and a message that is
// lost shows as a question without an answer.
//
//   n1 -> n2  {"type": "sync", "msg_id": 7, "path": "/v1/exchange", "payload": base64}
//   n2 -> n1  {"type": "sync_part", "in_reply_to": 7, "payload": base64}
//   n1 -> n2  {"type": "sync_next", "msg_id": 8, "stream": 7, "part": 1}
//   n2 -> n1  {"type": "sync_ok", "in_reply_to": 8, "payload": base64}

import { CounterError } from '../base/errors.ts'
import { MESSAGE_BYTES_MAX, MessageReader, type SyncPath, type Transport } from '../syncsrv/index.ts'
import { FAULT } from './fault.ts'
import type { Mailbox } from './mailbox.ts'
import type { Body } from './message.ts'

const SCHEME = 'http://'

/** A node's id as the address that members know it by. */
export const addressOf = (id: string): string => `${SCHEME}${id}`

export class MessageTransport implements Transport {
  readonly #mailbox: Mailbox

  constructor(mailbox: Mailbox) {
    this.#mailbox = mailbox
  }

  /** @throws CounterError PEER_UNREACHABLE, PEER_REFUSED, SYNC_INVALID */
  async *request(
    address: string,
    path: SyncPath,
    body: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    const peer = address.slice(SCHEME.length)
    const reader = new MessageReader(MESSAGE_BYTES_MAX, () => {})
    let stream = 0
    const first = { type: 'sync', path, payload: base64(body) }
    let answer = await this.#mailbox.ask(peer, first, timeoutMs, signal, (id) => {
      stream = id
    })
    for (let part = 1; ; part++) {
      reader.push(payloadOf(answer, peer))
      for (let message = reader.next(); message !== undefined; message = reader.next()) yield message
      if (answer.type === 'sync_ok') return reader.end()
      answer = await this.#mailbox.ask(peer, { type: 'sync_next', stream, part }, timeoutMs, signal)
    }
  }
}

/** The bytes of a part. @throws CounterError when it is not one */
function payloadOf(answer: Body, peer: string): Uint8Array {
  const { type, payload, code, text } = answer
  if ((type === 'sync_part' || type === 'sync_ok') && typeof payload === 'string') return Buffer.from(payload, 'base64')
  if (type !== 'error') throw new CounterError('SYNC_INVALID', `${peer} answers with a ${type} instead of a part of an answer`)
  const mayAnswerLater = code === FAULT.unavailable || code === FAULT.timeout || code === FAULT.crash
  throw new CounterError(mayAnswerLater ? 'PEER_UNREACHABLE' : 'PEER_REFUSED', `${peer} answers with error ${code}: ${text}`)
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
