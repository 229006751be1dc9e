// The way to another node, as this layer sees it: one request, and an answer that comes message by message. HTTP is one
// such way (http-client.ts), the network of the simulator and the messages of Maelstrom are others.

/** What can be asked of a node; on the sync port these are the paths. */
export const SYNC_PATHS = ['/v1/probe', '/v1/exchange', '/v1/nudge', '/v1/digest', '/v1/drain', '/v1/call'] as const
export type SyncPath = (typeof SYNC_PATHS)[number]

/** No request is longer. Checked before memory is taken for one. */
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024
/** No message of an answer is longer: a megabyte of names, and the cells of 8,192 rows. Checked before memory is taken. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

export interface Transport {
  /**
   * Sends a request. Whoever stops iterating gives up the rest of the answer. The body may be reused when the first message is there.
   * @param address base URL of the other node's sync port, such as http://10.0.0.2:3001
   * @param timeoutMs how long the next message may take, each time
   * @param signal aborted when the answer is not wanted any more, also while a message is waited for
   * @throws CounterError PEER_UNREACHABLE: no connection, a broken one, or nothing for timeoutMs; PEER_REFUSED: it said no;
   *   SYNC_UNTRUSTED: no member has made this message, or the other end's certificate is not trusted; SYNC_INVALID: what came is no message
   */
  request(address: string, path: SyncPath, body: Uint8Array, timeoutMs: number, signal?: AbortSignal): AsyncIterable<Uint8Array>
}

/**
 * Answers a request that was found to come from a member: the other end of a Transport. Messages are scratch, to be used
 * before the next is asked for.
 * @param from the IP address it came from, '' when there is none
 * @throws CounterError SYNC_INVALID: a malformed request, nothing was changed
 */
export type Answer = (path: SyncPath, body: Uint8Array, from: string) => AsyncIterable<Uint8Array>
