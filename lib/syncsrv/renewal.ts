// Taking a new incarnation while the node runs: because others say that it was removed, or because they know of a greater one. One at a time.

import type { Site } from './site.ts'

export class Renewal {
  readonly #site: Site
  #underWay: Promise<void> | undefined

  constructor(site: Site) {
    this.#site = site
  }

  /** Others refuse `incarnation` of this node, because it has left. */
  removed(incarnation: number): void {
    const { roster, options } = this.#site
    if (this.#site.draining || roster.hasLeft || options.store.self.incarnation > incarnation) return
    this.#renew('it was removed from the cluster, and joins as a new member', roster.incarnationFloor)
  }

  /** The node has `above` behind it, without knowing it. */
  surpassed(above: number): void {
    this.#renew('other nodes know of a later incarnation of this node', above)
  }

  #renew(why: string, above: number): void {
    const { store, logger } = this.#site.options
    this.#underWay ??= store
      .renew(why, above)
      .then(() => {
        // Reading it makes the membership follow.
        logger.info({ incarnation: this.#site.roster.self.incarnation }, 'is a member under its new incarnation')
      })
      .catch((error) => logger.warn({ err: error }, 'could not take a new incarnation, and will try again'))
      .finally(() => {
        this.#underWay = undefined
      })
  }

  async settled(): Promise<void> {
    await this.#underWay
  }
}
