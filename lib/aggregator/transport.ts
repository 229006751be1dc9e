// What an aggregator says to a replica of a shard, and what it hears: requests of the public API. A parameter, so that tests can own the network.

export interface ShardCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface ShardReply {
  readonly status: number
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface ShardTransport {
  /**
   * @param base the base URL of the replica's public port
   * @throws Unanswered, when there is no whole reply within `timeoutMs`, or `signal` gave the request up
   */
  call(base: string, call: ShardCall, timeoutMs: number, signal?: AbortSignal): Promise<ShardReply>
}

/** Why there was no answer. */
export type Silence =
  /** It certainly did not arrive: there was no connection. */
  | 'unsent'
  /** It was sent, or may have been. */
  | 'unknown'
  /** It was not sent, because too much waits for this replica already. */
  | 'busy'

/** No answer, or that of the replica. */
export type Heard = ShardReply | Unanswered

export class Unanswered extends Error {
  override readonly name = 'Unanswered'
  readonly silence: Silence

  constructor(silence: Silence, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.silence = silence
  }
}

/** Why there was no answer, as data. */
export function heard(call: Promise<ShardReply>): Promise<Heard> {
  return call.catch((error: unknown) => {
    if (error instanceof Unanswered) return error
    throw error
  })
}
