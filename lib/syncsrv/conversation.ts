// One request and its answer, message by message. Stopping ends it at once, also while a message is waited for, and so does leaving the loop.
// Who leaves the loop with the message that ends an answer lets the connection live: the next request goes over it.
// The last message is handed on when the answer has ended behind it: then its connection can carry the next request.

import { CounterError } from '../base/errors.ts'
import { decodeMessage, type Message } from './messages.ts'
import { type Site, stopped } from './site.ts'
import type { SyncPath } from './transport.ts'

/**
 * Sends a request and gives the messages of its answer, each to be used before the next.
 * @throws CounterError PEER_UNREACHABLE, PEER_REFUSED, SYNC_INVALID, SYNC_UNTRUSTED; CLOSED when the node stops
 */
export async function* converse(
  site: Site,
  address: string,
  path: SyncPath,
  body: Uint8Array,
  timeoutMs: number = site.options.requestTimeoutMs,
): AsyncGenerator<Message, void> {
  if (site.stop.happened) throw stopped()
  const aborter = new AbortController()
  const forget = site.stop.on(() => aborter.abort())
  site.counters.bytesOut += body.length
  const messages = site.options.transport.request(address, path, body, timeoutMs, aborter.signal)[Symbol.asyncIterator]()
  let complete = false
  try {
    for (;;) {
      const next = await site.orStopped(messages.next())
      if (next.done) {
        complete = true
        return
      }
      site.counters.bytesIn += next.value.length
      const message = decodeMessage(next.value)
      // Decoded, what comes last holds no view of the bytes.
      if (isLast(path, message)) complete = await site.orStopped(hasEnded(messages))
      yield message
      if (complete) return
    }
  } finally {
    forget()
    if (!complete) {
      aborter.abort()
      // Not waited for: what gives up its request while a message is under way may need the whole time limit.
      Promise.resolve(messages.return?.()).catch(() => {})
    }
  }
}

/** Whether nothing comes behind the message. */
function isLast(path: SyncPath, { kind }: Message): boolean {
  if (kind === 'welcome') return path === '/v1/nudge' || path === '/v1/drain'
  return kind !== 'cells'
}

/** Whether an answer whose last message has come has also ended. When it has not, that message is good all the same. */
function hasEnded(messages: AsyncIterator<Uint8Array>): Promise<boolean> {
  return messages.next().then(
    ({ done }) => done === true,
    () => false,
  )
}

/** @throws CounterError SYNC_INVALID: a message that does not come here */
export function unexpected(address: string, path: SyncPath, { kind }: Message): never {
  throw new CounterError('SYNC_INVALID', `${address}${path} answered with a ${kind} where none belongs`)
}

/** @throws CounterError SYNC_INVALID: the answer ended too early, with all that came before it being good */
export function cutOff(address: string, path: SyncPath): never {
  throw new CounterError('SYNC_INVALID', `${address}${path} ended its answer before it was complete`)
}
