// Folding of old incarnations, as replication sees it: when every member was heard to know the last of this node's own old ones, this node
// decides and tells it with its news; each member that knows exactly the same folds for itself. What may be folded: lib/cluster/folding.ts.

import { CounterError } from '../base/errors.ts'
import { admitsFold, decideFold, type Fold } from '../cluster/index.ts'
import { FOLDS_MAX } from './messages.ts'
import type { Site } from './site.ts'

/** For so many intervals the others are told before the first node folds, so that all fold for themselves and none is sent the result. */
const TOLD_INTERVALS = 3

export class Folds {
  readonly #site: Site
  /** The newest of each node that was decided or heard. */
  readonly #newest = new Map<number, Fold>()
  #folding: Promise<void> | undefined
  /** For how many more intervals the own newest fold is only told. */
  #telling = 0

  constructor(site: Site) {
    this.#site = site
    site.onHeard((_, { folds }) => {
      for (const fold of folds) this.#note(fold)
    })
  }

  #note(fold: Fold): void {
    const before = this.#newest.get(fold.node)
    if (before ? before.mark >= fold.mark : this.#newest.size >= FOLDS_MAX) return
    this.#newest.set(fold.node, fold)
    this.#site.folds = [...this.#newest.values()]
  }

  /** Folds what can be. To be called once an interval; one fold is under way at a time. */
  consider(): void {
    if (this.#folding !== undefined) return
    const { store, node } = this.#site.options
    const own = store.vector()
    if (this.#telling > 0) this.#telling--
    else this.#decide()
    for (const fold of this.#newest.values()) {
      if ((fold.node === node && this.#telling > 0) || !admitsFold(own, fold)) continue
      if (fold.node === node && fold.mark >= store.self.incarnation) continue
      this.#folding = this.#fold(fold).finally(() => {
        this.#folding = undefined
      })
      return
    }
  }

  #decide(): void {
    const { options, peers, roster } = this.#site
    const others = roster.others().map(({ node }) => peers.find(node)?.vector)
    // Of a member that was not heard yet nothing is known.
    if (!others.every((vector) => vector !== undefined)) return
    const fold = decideFold(options.store.self, options.store.vector(), others)
    if (fold === undefined || fold.mark <= (this.#newest.get(fold.node)?.mark ?? 0)) return
    this.#note(fold)
    this.#telling = others.length === 0 ? 0 : TOLD_INTERVALS
  }

  async #fold({ node, mark, finals }: Fold): Promise<void> {
    const { options, counters } = this.#site
    try {
      await options.store.fold(node, mark)
      counters.folds++
      options.logger.info({ node, incarnations: finals.length }, 'folded old incarnations of a node into one column')
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      options.logger.warn({ err: error, node, fix: error.fix }, 'old incarnations of a node could not be folded; they stay apart')
    }
  }

  async settled(): Promise<void> {
    await this.#folding
  }
}
