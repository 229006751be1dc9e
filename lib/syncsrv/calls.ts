// Calls: questions that other parts of the program ask their like on another node, over the same trusted way as exchanges. Each
// has a service name; payload and answer are bytes of its own.

import { CounterError } from '../base/errors.ts'
import { converse, cutOff, unexpected } from './conversation.ts'
import { RefusedError } from './exchange-client.ts'
import { encodeCall } from './messages.ts'
import type { Site } from './site.ts'

/**
 * Answers calls of one service. The payload is a view, to be used before the first await.
 * @throws CounterError: the caller gets its code and message as a refusal
 */
export type Service = (payload: Uint8Array, node: number) => Promise<Uint8Array>

export interface CallOptions {
  readonly timeoutMs: number
}

const PATH = '/v1/call'

export class Calls {
  readonly #site: Site
  readonly #services = new Map<string, Service>()

  constructor(site: Site) {
    this.#site = site
  }

  /** From now on calls of the service are answered. */
  serve(service: string, answer: Service): void {
    this.#services.set(service, answer)
  }

  /** @throws CounterError SERVICE_UNKNOWN, and what the service throws */
  async answer(service: string, payload: Uint8Array, node: number): Promise<Uint8Array> {
    const answer = this.#services.get(service)
    if (answer === undefined) throw new CounterError('SERVICE_UNKNOWN', `this node knows no ${service}`)
    return answer(payload, node)
  }

  /**
   * Asks a member.
   * @returns a view, to be used before anything else is awaited
   * @throws CounterError MEMBER_UNKNOWN: nothing was sent; RefusedError, whose `why` is the code that the service threw; PEER_UNREACHABLE,
   *   PEER_REFUSED, SYNC_INVALID, SYNC_UNTRUSTED, CLOSED: it is not known whether the member has heard the question
   */
  async call(node: number, service: string, payload: Uint8Array, { timeoutMs }: CallOptions): Promise<Uint8Array> {
    const { roster } = this.#site
    const member = roster.find(node)
    if (member === undefined || member.state === 'left' || !roster.mayContact(member)) {
      throw new CounterError('MEMBER_UNKNOWN', `node ${node} is no member that may be asked`)
    }
    const { address } = member
    const sender = roster.sender()
    const body = encodeCall({ sender, service, payload })
    for await (const message of converse(this.#site, address, PATH, body, timeoutMs)) {
      if (message.kind === 'refusal') throw new RefusedError(address, message, sender.incarnation)
      if (message.kind !== 'returned') unexpected(address, PATH, message)
      return message.payload
    }
    return cutOff(address, PATH)
  }
}
