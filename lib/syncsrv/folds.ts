// Folding of old incarnations, as replication sees it: when every member was heard to know the last of this node's own old ones, this node
// folds them, and then tells it with its news; each member that knows exactly the same folds for itself, and until it has had the time
// to, it is not sent the result. What may be folded: lib/cluster/folding.ts.

import { CounterError } from '../base/errors.ts'
import { admitsFold, decideFold, type Fold } from '../cluster/index.ts'
import { FOLDED } from '../storage/index.ts'
import { FOLDS_MAX } from './messages.ts'
import type { Site } from './site.ts'

/** For so many intervals members that can fold for themselves are not sent what this node has folded. */
const ALONE_INTERVALS = 60

interface Known {
  readonly fold: Fold
  /** How often it was considered since it is known. */
  age: number
}

export class Folds {
  readonly #site: Site
  /** The newest of each node that was done or heard. */
  readonly #newest = new Map<number, Known>()
  readonly #running = new Map<number, Promise<void>>()
  /** Nodes whose columns come to more than a count can hold: they stay apart. */
  readonly #tooMuch = new Set<number>()
  /** Nodes whose last fold failed, and that was reported. */
  readonly #failed = new Set<number>()

  constructor(site: Site) {
    this.#site = site
    site.onHeard((_, { folds }) => {
      for (const fold of folds) this.#note(fold)
    })
  }

  #note(fold: Fold): void {
    const before = this.#newest.get(fold.node)
    if (before ? before.fold.mark >= fold.mark : this.#newest.size >= FOLDS_MAX) return
    this.#newest.set(fold.node, { fold, age: 0 })
    this.#tell()
  }

  #tell(): void {
    const known = [...this.#newest.values()]
    this.#site.folds = known.map(({ fold }) => fold)
    this.#site.foldsApart = known.filter(({ age }) => age < ALONE_INTERVALS).map(({ fold }) => fold)
  }

  /** Folds what can be. To be called once an interval; one fold of a node is under way at a time. */
  consider(): void {
    const { store } = this.#site.options
    const { self } = store
    for (const known of this.#newest.values()) if (known.age++ === ALONE_INTERVALS) this.#tell()
    const own = this.#decide()
    if (own !== undefined) this.#start(own)
    for (const { fold } of this.#newest.values()) {
      const isOpen = fold.node !== self.node || fold.mark < self.incarnation
      if (isOpen && this.#mayStart(fold.node) && admitsFold(store.livesOf(fold.node), fold)) this.#start(fold)
    }
  }

  #decide(): Fold | undefined {
    const { options, peers, roster } = this.#site
    const { self } = options.store
    const others = roster.others().map(({ node }) => peers.find(node)?.vector)
    // Of a member that was not heard yet nothing is known.
    if (!this.#mayStart(self.node) || !others.every((vector) => vector !== undefined)) return undefined
    // Cells count whose vector never came: whoever has some does not know exactly what the others do.
    return decideFold(self, options.store.livesOf(self.node), others)
  }

  #mayStart(node: number): boolean {
    return !this.#running.has(node) && !this.#tooMuch.has(node)
  }

  #start(fold: Fold): void {
    const running = this.#fold(fold).finally(() => this.#running.delete(fold.node))
    this.#running.set(fold.node, running)
  }

  async #fold(fold: Fold): Promise<void> {
    const { options, counters } = this.#site
    const { node, mark, finals } = fold
    try {
      await options.store.fold(node, mark)
      // Only now others may hear of it: what this node has told it has done itself.
      this.#note(fold)
      this.#failed.delete(node)
      counters.folds++
      const incarnations = finals.filter(({ incarnation }) => incarnation > FOLDED).length
      options.logger.info({ member: node, incarnations }, 'folded old incarnations of a node into one column')
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      if (error.code === 'COUNT_OVERFLOW') this.#tooMuch.add(node)
      if (error.code === 'CLOSED' || this.#failed.has(node)) return
      this.#failed.add(node)
      options.logger.warn(
        { err: error, member: node, fix: error.fix },
        'old incarnations of a node could not be folded; they stay apart',
      )
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running.values())
  }
}
