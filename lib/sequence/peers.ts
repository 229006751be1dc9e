// Which node makes the transactions of a sequence: the first that lives, in an order that is the same on all nodes and another for each
// sequence (rendezvous hashing: Thaler and Ravishankar, A Name-Based Mapping Scheme for Rendezvous, 1996). That only spares etcd
// transactions that fail; two nodes that both think so take nothing from each other.

import { hashName } from '../base/hash.ts'

/** What the etcd engine needs of the other nodes. */
export interface SequencePeers {
  readonly self: number
  /** Nodes that are thought to live, this one among them, in any order. */
  live(): readonly number[]
  /**
   * Asks the engine of another node, which answers with EtcdSequencer.answer().
   * @throws CounterError MEMBER_UNKNOWN, SERVICE_UNKNOWN: it surely was not asked; anything else: it may have been
   */
  call(node: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
}

/** The same on all nodes, so no secret; who chooses names to have one owner has that node work for all of them, and no more. */
const HASH = { start: 0x811c9dc5, multiplier: 0x01000193 } as const

/** The nodes in the order of this sequence. */
export function rendezvousOrder(name: string, nodes: readonly number[]): number[] {
  const weights = nodes.map((node) => {
    const bytes = Buffer.from(`${node}/${name}`)
    return { node, weight: hashName(HASH, bytes, 0, bytes.length) }
  })
  return weights.sort((a, b) => b.weight - a.weight || a.node - b.node).map(({ node }) => node)
}
