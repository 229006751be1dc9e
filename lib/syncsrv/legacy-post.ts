// A POST to a node of the original: plain HTTP, one kept connection a node, no redirects, no proxy. The original never ends an
// idle connection, so one that is gone tells that the node has restarted.

import { Agent, type IncomingMessage, request } from 'node:http'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'

/**
 * Sends a body and resolves when it was taken: the answer was 200.
 * `reused`: it went over the connection of the request before.
 * @throws (as a rejection) CounterError PEER_UNREACHABLE, PEER_REFUSED
 */
export type LegacyPost = (url: string, body: Uint8Array) => Promise<{ readonly reused: boolean }>

export interface LegacyClient {
  readonly post: LegacyPost
  /** Breaks off what is under way. */
  close(): void
}

/** @param timeoutMs how long a node may take for its answer, from the request's beginning on */
export function createLegacyClient({ clock, timeoutMs }: { clock: Clock; timeoutMs: number }): LegacyClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return { post: (url, body) => post(url, body), close: () => agent.destroy() }

  function post(url: string, body: Uint8Array): Promise<{ reused: boolean }> {
    return new Promise((resolve, reject) => {
      const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length }
      const outgoing = request(url, { method: 'POST', agent, headers })
      const cancel = clock.after(timeoutMs, () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)))
      const fail = (cause: Error): void => {
        cancel()
        reject(new CounterError('PEER_UNREACHABLE', `${url} cannot be reached: ${cause.message}`, { cause }))
      }
      outgoing.on('error', fail)
      outgoing.on('response', (incoming: IncomingMessage) => {
        incoming.on('error', fail)
        // What it says besides is not read into memory.
        incoming.resume()
        incoming.on('end', () => {
          cancel()
          if (incoming.statusCode === 200) return resolve({ reused: outgoing.reusedSocket })
          reject(new CounterError('PEER_REFUSED', `${url} has answered ${incoming.statusCode}, expected 200`))
        })
      })
      outgoing.end(body)
    })
  }
}
