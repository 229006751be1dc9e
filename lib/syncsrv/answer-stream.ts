// Sends the messages of an answer as they are made. The next one is asked for when the system has taken the last, because messages are
// scratch; so a slow peer slows down the making, and one that goes away ends it.

import type { ServerResponse } from 'node:http'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { HEAD_BYTES, writeHead } from './framing.ts'
import type { AnswerMac } from './signature.ts'
import { MESSAGE_BYTES_MAX } from './transport.ts'

/**
 * Resolves when the answer is out, or the peer is gone. The reply's headers leave with the first message, so what fails before it can still
 * be answered with a status.
 * @param mac undefined without a secret
 * @param stallMs a peer that takes nothing for so long is cut off
 */
export async function sendAnswer(
  outgoing: ServerResponse,
  messages: AsyncIterable<Uint8Array>,
  mac: AnswerMac | undefined,
  clock: Clock,
  stallMs: number,
): Promise<void> {
  const head = new Uint8Array(HEAD_BYTES)
  // Writing to a peer that has just gone away is no event here: 'close' comes too.
  outgoing.on('error', () => {})
  // Leaving the loop ends the making of the answer.
  for await (const message of messages) {
    if (outgoing.destroyed) return
    assert(message.length <= MESSAGE_BYTES_MAX, 'a message has at most MESSAGE_BYTES_MAX bytes')
    if (!outgoing.headersSent)
      outgoing.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Cache-Control': 'no-store' })
    writeHead(head, message.length, mac?.next(message))
    outgoing.write(head)
    if (!(await taken(outgoing, message, clock, stallMs))) return
  }
  assert(outgoing.headersSent || outgoing.destroyed, 'an answer has a message')
  outgoing.end()
}

/** Whether the system took the bytes; false when the peer is gone. */
function taken(outgoing: ServerResponse, bytes: Uint8Array, clock: Clock, stallMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (whole: boolean): void => {
      cancel()
      outgoing.off('close', onClose)
      resolve(whole)
    }
    const onClose = (): void => finish(false)
    const cancel = clock.after(stallMs, () => outgoing.destroy())
    outgoing.on('close', onClose)
    outgoing.write(bytes, (error) => finish(error === undefined || error === null))
  })
}
