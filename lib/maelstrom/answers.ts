// The other end of transport.ts: the answers that other nodes are being given, part by part. Each is an iterator that rests until its next
// part is asked for, and is given up when that takes too long: the asker has died, or a message was lost.

import type { Clock } from '../base/clock.ts'
import { type Answer, HEAD_BYTES, SYNC_PATHS, type SyncPath, writeHead } from '../syncsrv/index.ts'
import { FAULT, Fault } from './fault.ts'
import type { Body, Message } from './message.ts'

/** Bytes of an answer in one message, before base64. */
export const PART_BYTES = 48 * 1024
/** Answers under way at most. A node has one or two for each other. */
const ANSWERS_MAX = 256
/** How long an answer waits to be asked for its next part. */
const IDLE_MS = 30_000

interface Open {
  readonly parts: AsyncGenerator<string, string>
  /** The number of the part that may be asked for; undefined while one is being made. */
  next: number | undefined
  cancelIdle: () => void
}

export class Answers {
  readonly #answer: Answer
  readonly #clock: Clock
  readonly #open = new Map<string, Open>()

  constructor(answer: Answer, clock: Clock) {
    this.#answer = answer
    this.#clock = clock
  }

  /** The first part of the answer to a `sync`. @throws Fault, and what the answer throws */
  begin({ src, body }: Message): Promise<Body> {
    const { path, payload, msg_id } = body
    if (typeof payload !== 'string' || msg_id === undefined) throw new Fault(FAULT.malformed, 'sync needs a payload and a msg_id')
    if (!SYNC_PATHS.includes(path as SyncPath)) throw new Fault(FAULT.notSupported, `no such path: ${String(path)}`)
    if (this.#open.size >= ANSWERS_MAX) throw new Fault(FAULT.unavailable, `${ANSWERS_MAX} answers are under way already`)
    const name = nameOf(src, msg_id)
    if (this.#open.has(name)) throw new Fault(FAULT.malformed, `${name} is being answered already`)
    const parts = cut(this.#answer(path as SyncPath, Buffer.from(payload, 'base64'), ''))
    const open: Open = { parts, next: 0, cancelIdle: () => {} }
    this.#open.set(name, open)
    return this.#continue(name, open, 0)
  }

  /** The part that a `sync_next` asks for. @throws Fault, and what the answer throws */
  next({ src, body }: Message): Promise<Body> {
    const name = nameOf(src, body.stream)
    const open = this.#open.get(name)
    if (open === undefined) throw new Fault(FAULT.unavailable, `${name} is not being answered any more`)
    if (open.next === undefined || body.part !== open.next) {
      throw new Fault(FAULT.malformed, `part ${open.next} of ${name} is next, not ${String(body.part)}`)
    }
    return this.#continue(name, open, open.next)
  }

  /** Gives all of them up. */
  close(): void {
    for (const [name, open] of this.#open) this.#giveUp(name, open)
  }

  async #continue(name: string, open: Open, part: number): Promise<Body> {
    open.cancelIdle()
    open.next = undefined
    try {
      const { done, value } = await open.parts.next()
      if (done) this.#open.delete(name)
      else {
        open.next = part + 1
        open.cancelIdle = this.#clock.after(IDLE_MS, () => this.#giveUp(name, open))
      }
      return { type: done ? 'sync_ok' : 'sync_part', payload: value ?? '' }
    } catch (error) {
      this.#open.delete(name)
      throw error
    }
  }

  #giveUp(name: string, open: Open): void {
    open.cancelIdle()
    this.#open.delete(name)
    // What it throws on its way out is of no use to anybody.
    open.parts.return('').catch(() => {})
  }
}

const nameOf = (src: string, id: unknown): string => `message ${String(id)} of ${src}`

/** The bytes of all messages, cut into parts of PART_BYTES as base64; the rest is returned. */
async function* cut(messages: AsyncIterable<Uint8Array>): AsyncGenerator<string, string> {
  const part = Buffer.allocUnsafe(PART_BYTES)
  const head = new Uint8Array(HEAD_BYTES)
  let filled = 0
  for await (const message of messages) {
    writeHead(head, message.length, undefined)
    for (const piece of [head, message]) {
      for (let at = 0; at < piece.length; ) {
        const taken = Math.min(PART_BYTES - filled, piece.length - at)
        part.set(piece.subarray(at, at + taken), filled)
        at += taken
        filled += taken
        if (filled < PART_BYTES) continue
        yield part.toString('base64')
        filled = 0
      }
    }
  }
  return part.toString('base64', 0, filled)
}
