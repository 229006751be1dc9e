// What the engine of a home needs of the other nodes. lib/node fills it from replication.

/** The name under which nodes call each other about sequences. */
export const SERVICE = 'sequence'

export interface HomePeer {
  readonly node: number
  readonly alive: boolean
  /** Base URL of its public port, '' when it is not known. */
  readonly address: string
}

export interface HomePeers {
  /** The own node id. */
  readonly node: number
  /** The other members, also those that do not answer, without those that have left. */
  members(): readonly HomePeer[]
  /** From now on calls of the service are answered. The payload is a view, to be used before the first await. */
  serve(service: string, answer: (payload: Uint8Array, node: number) => Promise<Uint8Array>): void
  /**
   * Asks a member.
   * @returns a view, to be used before anything else is awaited
   * @throws CounterError SEQUENCE_UNAVAILABLE: it has surely not carried out anything; any other: that is not known
   */
  call(node: number, service: string, payload: Uint8Array, options: { readonly timeoutMs: number }): Promise<Uint8Array>
}
