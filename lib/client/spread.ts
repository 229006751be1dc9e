// Items spread over nodes: shares that differ by one at most, each for a node of its own. The share of a node that is busy or gone goes to the
// next. That is right for items alone: the same item again is the same item, so a share that one node may have taken can go to another.

import { ClientError } from './failure.ts'
import { chance, pause } from './platform.ts'

/** So many shares of a node that failed go elsewhere at once, until it is asked again. */
const SKIPPED = 15
const PASSING_STATUSES = new Set([0, 408, 429, 502, 503, 504, 507])
/** Also what only people can cure, as 507 is: another node may be well. */
const PASSING_TYPES = new Set(['key-in-flight', 'log-failed', 'internal'])

/** How many each of `nodes` gets of `count`, the first ones one more than the last: spread(11, 4) is [3, 3, 3, 2]. */
export function spread(count: number, nodes: number): number[] {
  return Array.from({ length: nodes }, (_, node) => Math.floor(count / nodes) + (node < count % nodes ? 1 : 0))
}

export interface SpreaderOptions<Item> {
  /** How many nodes there are, at least one. */
  readonly nodes: number
  /**
   * Sends a share to a node, once. Rejects with a ClientError when the node did not take it.
   * @param index of the share, from 0 on
   * @param name what the caller calls the items as a whole
   */
  readonly send: (node: number, share: readonly Item[], index: number, name: string) => Promise<unknown>
  /** How often all nodes are asked once more after all have failed. */
  readonly retriesMax: number
  /** The pause before that: random up to this, in milliseconds, and twice as long each time, up to `backoffMaxMs`. */
  readonly backoffMs: number
  readonly backoffMaxMs: number
  readonly signal?: AbortSignal
}

export class Spreader<Item> {
  readonly #options: SpreaderOptions<Item>
  /** Of each node, how many shares it is still not asked to take. */
  readonly #skips: number[]

  constructor(options: SpreaderOptions<Item>) {
    if (!(options.nodes >= 1)) throw new TypeError('items are spread over at least one node')
    this.#options = options
    this.#skips = new Array<number>(options.nodes).fill(0)
  }

  /**
   * Spreads the items over the nodes, one request a node. Resolves when each share is taken; a share is taken as a whole or not at all.
   * When it rejects nothing is under way any more, with what the first share that failed was told last; other shares may have been taken.
   * @param name of the items as a whole, for the `send` of the options
   */
  async send(items: readonly Item[], name = ''): Promise<void> {
    const shares: Promise<void>[] = []
    let from = 0
    for (const [index, count] of spread(items.length, this.#options.nodes).entries()) {
      if (count > 0) shares.push(this.#sendShare(items.slice(from, from + count), index, name))
      from += count
    }
    for (const outcome of await Promise.allSettled(shares)) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** @param index of the share, and of the node that is asked first */
  async #sendShare(share: readonly Item[], index: number, name: string): Promise<void> {
    const { send, retriesMax, backoffMs, backoffMaxMs, signal } = this.#options
    for (let round = 0; ; round++) {
      let failure: unknown
      for (const node of this.#inOrder(index)) {
        signal?.throwIfAborted()
        try {
          await send(node, share, index, name)
          this.#skips[node] = 0
          return
        } catch (error) {
          if (!mayPass(error)) throw error
          this.#skips[node] = SKIPPED
          failure ??= error
        }
      }
      if (round >= retriesMax) throw failure
      await pause(Math.min(backoffMaxMs, backoffMs * 2 ** round) * chance(), signal)
    }
  }

  /** The nodes from `first` on, those that have failed a short while ago at the end. */
  #inOrder(first: number): number[] {
    const nodes = this.#skips.map((_, offset) => (first + offset) % this.#skips.length)
    const isSkipped = (node: number): boolean => this.#skips[node]! > 0
    const order = [...nodes.filter((node) => !isSkipped(node)), ...nodes.filter(isSkipped)]
    if (isSkipped(first)) this.#skips[first]!--
    return order
  }
}

/** Whether another node may take what this one did not. */
const mayPass = (error: unknown): boolean =>
  error instanceof ClientError && (PASSING_STATUSES.has(error.status) || PASSING_TYPES.has(error.type))
