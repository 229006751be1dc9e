// Sends the messages of an answer as they are made. Short ones that come within a turn leave together: most answers are one write, with the
// reply's headers and its end. The next message is asked for when the system has taken what was written, because messages are scratch; so a
// slow peer slows down the making, and one that goes away ends it.

import type { ServerResponse } from 'node:http'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { HEAD_BYTES, writeHead } from './framing.ts'
import type { AnswerMac } from './signature.ts'
import { MESSAGE_BYTES_MAX } from './transport.ts'

/** Messages are gathered until they have so many bytes together. */
const GATHERED_BYTES = 64 * 1024

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
  // Writing to a peer that has just gone away is no event here: 'close' comes too.
  outgoing.on('error', () => {})
  const source = messages[Symbol.asyncIterator]()
  const gathered = new Gathered(outgoing, clock, stallMs)
  try {
    for (;;) {
      const coming = source.next()
      // After the making of the next was begun: what that takes no longer than a turn for goes along.
      gathered.sendSoon()
      const { done, value: message } = await coming
      if (outgoing.destroyed) return
      if (done) break
      assert(message.length <= MESSAGE_BYTES_MAX, 'a message has at most MESSAGE_BYTES_MAX bytes')
      if (!(await gathered.add(message, mac?.next(message)))) return
    }
  } catch (error) {
    // What was made before is good.
    await gathered.sendNow()
    throw error
  } finally {
    gathered.forget()
    // Leaving the loop ends the making of the answer.
    await source.return?.()
  }
  gathered.end()
}

/** What was made and is not sent yet. */
class Gathered {
  readonly #outgoing: ServerResponse
  readonly #clock: Clock
  readonly #stallMs: number
  #pieces: Uint8Array[] = []
  #bytes = 0
  /** Counts what was added; what is to be sent soon is not when more came. */
  #added = 0
  /** A write that nobody has waited for yet. */
  #sending: Promise<boolean> | undefined

  constructor(outgoing: ServerResponse, clock: Clock, stallMs: number) {
    this.#outgoing = outgoing
    this.#clock = clock
    this.#stallMs = stallMs
  }

  /** Adds a message. Resolves when it may be overwritten; false when the peer is gone. */
  async add(message: Uint8Array, mac: Uint8Array | undefined): Promise<boolean> {
    this.#added++
    if (this.#sending && !(await this.#sending)) return false
    this.#sending = undefined
    const head = new Uint8Array(HEAD_BYTES)
    writeHead(head, message.length, mac)
    const isLong = message.length >= GATHERED_BYTES
    this.#pieces.push(head, isLong ? message : message.slice())
    this.#bytes += HEAD_BYTES + message.length
    return this.#bytes < GATHERED_BYTES || this.#send()
  }

  /** What is gathered leaves in the next turn, unless more comes until then. */
  sendSoon(): void {
    const added = this.#added
    if (this.#bytes === 0) return
    this.#clock.soon(() => {
      if (this.#added === added && this.#bytes > 0 && !this.#outgoing.destroyed) this.#sending = this.#send()
    })
  }

  async sendNow(): Promise<void> {
    await this.#sending
    if (this.#bytes > 0 && !this.#outgoing.destroyed) await this.#send()
  }

  /** Nothing is sent by itself any more. */
  forget(): void {
    this.#added++
  }

  /** Sends the rest, and the end. */
  end(): void {
    const { headersSent, destroyed } = this.#outgoing
    assert(this.#bytes > 0 || headersSent || destroyed, 'an answer has a message')
    this.#begin()
    if (this.#bytes > 0) this.#outgoing.end(Buffer.concat(this.#take()))
    else this.#outgoing.end()
  }

  #begin(): void {
    if (this.#outgoing.headersSent) return
    this.#outgoing.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Cache-Control': 'no-store' })
  }

  #take(): Uint8Array[] {
    const pieces = this.#pieces
    this.#pieces = []
    this.#bytes = 0
    return pieces
  }

  /** Whether the system took the bytes; false when the peer is gone. */
  #send(): Promise<boolean> {
    const outgoing = this.#outgoing
    this.#begin()
    return new Promise((resolve) => {
      const finish = (whole: boolean): void => {
        cancel()
        outgoing.off('close', onClose)
        resolve(whole)
      }
      const onClose = (): void => finish(false)
      const cancel = this.#clock.after(this.#stallMs, () => outgoing.destroy())
      outgoing.on('close', onClose)
      const taken = (error: Error | null | undefined): void => finish(error === undefined || error === null)
      if (this.#bytes < GATHERED_BYTES) return void outgoing.write(Buffer.concat(this.#take()), taken)
      // What is long is not copied.
      outgoing.cork()
      const pieces = this.#take()
      for (const [at, piece] of pieces.entries()) outgoing.write(piece, at === pieces.length - 1 ? taken : undefined)
      outgoing.uncork()
    })
  }
}
