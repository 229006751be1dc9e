// What the other members know, as each of them said itself: its last vector, when, and by which process. What it said was durable there, so
// this is what write levels and the folding count on. What third parties tell of a member never comes here.

import type { VersionVector } from '../storage/index.ts'
import { Trail } from './lag.ts'
import type { Sender } from './messages.ts'

export interface Peer {
  readonly node: number
  readonly incarnation: number
  readonly life: string
  /** All that it has said to know. Must not be changed. */
  readonly vector: VersionVector
  /** When it was heard last, in monotonic milliseconds. */
  readonly heardMs: number
  readonly trail: Trail
}

/** Node ids of which the processes are remembered, and processes of each. */
const NODES_MAX = 4096
const LIVES_MAX = 2

export class Peers {
  readonly #peers = new Map<number, Peer>()
  /** The processes that have spoken with a node id, the last one first. */
  readonly #lives = new Map<number, readonly Sender[]>()

  /** A process has spoken for itself, and so another one at its address is gone. `sender.address` is complete, as far as it can be. */
  spoke(sender: Sender): void {
    const others = (this.#lives.get(sender.node) ?? []).filter(
      ({ life, address }) => life !== sender.life && address !== sender.address,
    )
    this.#lives.delete(sender.node)
    this.#lives.set(sender.node, [sender, ...others].slice(0, LIVES_MAX))
    const oldest = this.#lives.keys().next()
    if (this.#lives.size > NODES_MAX && !oldest.done) this.#lives.delete(oldest.value)
  }

  /** The process that spoke last with this node id, other than that of `life`, which is at `address`. */
  holderOf(node: number, { life, address }: Pick<Sender, 'life' | 'address'>): Sender | undefined {
    return this.#lives.get(node)?.find((sender) => sender.life !== life && sender.address !== address)
  }

  /** A member has said what it knows. Within one life that only grows, so an older message that comes late takes nothing back. */
  heard(nowMs: number, { node, incarnation, life }: Sender, vector: VersionVector): void {
    const before = this.#peers.get(node)
    const sameLife = before?.life === life
    const known = sameLife ? before.vector.copy() : vector
    if (sameLife) known.merge(vector)
    const trail = before?.trail ?? new Trail()
    if (before && !sameLife) trail.clear()
    trail.add(nowMs, known)
    this.#peers.set(node, { node, incarnation, life, vector: known, heardMs: nowMs, trail })
  }

  find(node: number): Peer | undefined {
    return this.#peers.get(node)
  }

  forget(node: number): void {
    this.#peers.delete(node)
  }
}
