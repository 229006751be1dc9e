// Whether a batch of items may be written: what each member that was asked has answered, and what follows from it. Pure; it only counts.
// All: every member that was asked accepts. Majority: more than half of all members do, the asker and those that were not asked included in
// the number. Who does not answer has not accepted.

import { assert } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'

/** Who must accept a batch before it is written: this node alone, more than half of all members, or all that are not dead. */
export type Accept = 'one' | 'majority' | 'all'

/** A member that did not accept, and why. */
export interface Refusal {
  readonly node: number
  /** The code of what it threw; PEER_UNREACHABLE and its like when it did not answer. */
  readonly code: string
  readonly reason: string
}

/** Too few members accepted a batch of items. Nothing of it was kept, on no node. */
export class AcceptanceRefused extends CounterError {
  /** Those that are known, in the order in which they came. */
  readonly refusals: readonly Refusal[]

  constructor(refusals: readonly Refusal[]) {
    const each = refusals.map(({ node, code, reason }) => `node ${node}: ${reason} (${code})`).join('; ')
    super('ITEMS_REFUSED', `not enough members accept the items, and no node has kept any of them. ${each}`, {
      fix: 'see to the nodes that are named and send the items again, or ask fewer nodes: accept=majority, or accept=one',
    })
    this.refusals = refusals
  }
}

export interface BallotOptions {
  readonly accept: 'majority' | 'all'
  /** The other members that are asked. */
  readonly asked: readonly number[]
  /** The other members that are not asked, because they count as dead. */
  readonly absent: readonly number[]
}

export class Ballot {
  readonly #accept: 'majority' | 'all'
  /** All that were asked. */
  readonly asked: readonly number[]
  readonly #open: Set<number>
  readonly #accepted = new Set<number>()
  readonly #refusals: Refusal[] = []
  readonly #absent: readonly number[]
  /** How many of the others must accept. */
  readonly #needed: number

  constructor({ accept, asked, absent }: BallotOptions) {
    this.#accept = accept
    this.asked = asked
    this.#open = new Set(asked)
    this.#absent = absent
    const members = asked.length + absent.length + 1
    this.#needed = accept === 'all' ? asked.length : Math.floor(members / 2)
  }

  /** A member has accepted. What comes twice, or from who was not asked, does not count. */
  accept(node: number): void {
    if (this.#open.delete(node)) this.#accepted.add(node)
  }

  /** A member has refused, or has not answered. */
  refuse(refusal: Refusal): void {
    if (this.#open.delete(refusal.node)) this.#refusals.push(refusal)
  }

  /** Time is up: who has not answered refuses. */
  close(code: string, reason: string): void {
    for (const node of [...this.#open]) this.refuse({ node, code, reason })
  }

  /** Stays as it is once it is not open any more. */
  get verdict(): 'open' | 'accepted' | 'refused' {
    if (this.#accepted.size >= this.#needed) return 'accepted'
    return this.#accepted.size + this.#open.size >= this.#needed ? 'open' : 'refused'
  }

  /** The others that have accepted. */
  get accepted(): number[] {
    return [...this.#accepted]
  }

  /** What to say when the verdict is that it is refused. */
  refused(): AcceptanceRefused {
    assert(this.verdict === 'refused', 'the batch is refused')
    const reason = 'it counts as dead and was not asked'
    const absent = this.#accept === 'all' ? [] : this.#absent.map((node) => ({ node, code: 'PEER_UNREACHABLE', reason }))
    return new AcceptanceRefused([...this.#refusals, ...absent])
  }
}
