// Folding of old incarnations, as replication sees it: when every member was heard to know the last of this node's own old ones, this node
// decides and tells it with its news; each member that knows exactly the same folds for itself. What may be folded: lib/cluster/folding.ts.

import type { Fold } from '../cluster/index.ts'
import { FOLDS_MAX } from './messages.ts'
import type { Site } from './site.ts'

export class Folds {
  readonly #site: Site
  /** The newest of each node that was decided or heard. */
  readonly #newest = new Map<number, Fold>()
  #folding: Promise<void> | undefined

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

  /** Folds what can be. To be called now and then; one fold is under way at a time. */
  consider(): void {}

  async settled(): Promise<void> {
    await this.#folding
  }
}
