// Forgetting what is past. etcd keeps every former state of every key until it is told to compact, and when its room is used up it takes no
// more writes (NOSPACE). Unless an operator has seen to that, the nodes do: one of them every so many revisions, as the API server
// of Kubernetes does it. A mark in etcd says at which revision that was last, and what is forgotten is what was before the mark
// before it: so nothing is forgotten while it is still new, and of several nodes that try, one does it.

import type { Logger } from '../base/log.ts'
import type { ConsensusKv } from './kv.ts'
import { isNumber, type KeyNames } from './record.ts'

export interface CompactionOptions {
  readonly kv: ConsensusKv
  readonly names: KeyNames
  readonly logger: Logger
  /** Revisions between two marks. Higher keeps more of the past, and takes more room; 0: never compact. */
  readonly revisions: number
}

export class Compaction {
  readonly #options: CompactionOptions
  /** The last mark that is known of, or a later try. */
  #mark = 0
  #running = false

  constructor(options: CompactionOptions) {
    this.#options = options
  }

  /** etcd has come to this revision. */
  observe(revision: number): void {
    const { revisions, logger } = this.#options
    if (revisions === 0 || this.#running || revision - this.#mark < revisions) return
    this.#running = true
    this.#mark = revision
    this.#compact(revision).then(
      () => {
        this.#running = false
      },
      (error: unknown) => {
        this.#running = false
        logger.debug({}, `etcd was not compacted: ${error}`)
      },
    )
  }

  async #compact(revision: number): Promise<void> {
    const { kv, names, revisions, logger } = this.#options
    const [entry] = (await kv.read([names.compacted])).entries
    const before = Number(entry?.value ?? 0)
    const last = isNumber(before) ? before : 0
    if (revision - last < revisions && last <= revision) {
      this.#mark = last
      return
    }
    const { succeeded } = await kv.txn({
      compare: [{ key: names.compacted, modRevision: entry?.modRevision ?? 0 }],
      success: [{ key: names.compacted, value: String(revision) }],
      failure: [],
    })
    // A mark beyond the present revision is of a store that was set back since.
    if (!succeeded || last === 0 || last > revision) return
    await kv.compact(last)
    logger.debug({ revision: last }, 'etcd was compacted')
  }
}
