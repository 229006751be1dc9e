// Sends messages in the name of this node and brings answers to whoever asked. Messages are lost, delayed and overtake each other; an
// answer that comes after its question was given up is dropped.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Body, type Message, writeMessage } from './message.ts'

export interface MailboxOptions {
  /** The own id, such as n1. */
  readonly id: string
  readonly clock: Clock
  readonly random: Random
  /** Writes a line with its end to the network. */
  readonly write: (line: string) => void
}

export class Mailbox {
  readonly #options: MailboxOptions
  readonly #waiting = new Map<number, (body: Body) => void>()
  /** Starts anywhere, so that an answer to a process that had this id before is not taken for one to this. */
  #lastId: number

  constructor(options: MailboxOptions) {
    this.#options = options
    this.#lastId = options.random.uint32()
  }

  get id(): string {
    return this.#options.id
  }

  /** @returns the message's id */
  send(dest: string, body: Body): number {
    const msg_id = ++this.#lastId
    this.#options.write(writeMessage({ src: this.#options.id, dest, body: { ...body, msg_id } }))
    return msg_id
  }

  /** Answers a message, if its sender wants to hear. */
  reply({ src, body }: Message, answer: Body): void {
    if (body.msg_id !== undefined) this.send(src, { ...answer, in_reply_to: body.msg_id })
  }

  /**
   * Sends and waits for the answer, which may be an error.
   * @param signal aborted when nobody waits for it any more
   * @param sent called with the id under which it was sent
   * @throws CounterError PEER_UNREACHABLE: nothing for timeoutMs, or aborted
   */
  ask(dest: string, body: Body, timeoutMs: number, signal?: AbortSignal, sent: (id: number) => void = () => {}): Promise<Body> {
    return new Promise((resolve, reject) => {
      const giveUp = (why: string): void => {
        forget()
        reject(new CounterError('PEER_UNREACHABLE', `${dest} has not answered ${body.type}: ${why}`))
      }
      const abort = (): void => giveUp('the question was taken back')
      if (signal?.aborted) return reject(new CounterError('PEER_UNREACHABLE', `${dest} was not asked ${body.type} any more`))
      const id = this.send(dest, body)
      const cancel = this.#options.clock.after(timeoutMs, () => giveUp(`nothing for ${timeoutMs} ms`))
      const forget = (): void => {
        cancel()
        this.#waiting.delete(id)
        signal?.removeEventListener('abort', abort)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.set(id, (answer) => {
        forget()
        resolve(answer)
      })
      sent(id)
    })
  }

  /** Brings an answer to who waits for it. */
  take(body: Body): void {
    this.#waiting.get(body.in_reply_to!)?.(body)
  }
}
