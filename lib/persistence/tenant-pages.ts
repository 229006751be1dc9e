// Lists of tenants, a page a request. A walk takes several turns and the order it goes by is kept between walks, so there is one at a time.

import { type Clock, nextTurn } from '../base/clock.ts'
import { type Replica, TenantList, type TenantPage, type TenantQuery } from '../storage/index.ts'
import type { Log } from './log.ts'

export interface TenantPagesOptions {
  readonly replica: Replica
  readonly log: Log
  readonly clock: Clock
}

export class TenantPages {
  readonly #log: Log
  readonly #clock: Clock
  readonly #list: TenantList
  /** Resolves when the walks that were asked for have ended. */
  #walks: Promise<unknown> = Promise.resolve()

  constructor({ clock, log, replica }: TenantPagesOptions) {
    this.#log = log
    this.#clock = clock
    this.#list = new TenantList(replica.items)
  }

  /** Resolves when the page may leave the process. @throws (as a rejection) CounterError LOG_FAILED */
  page(query: TenantQuery): Promise<TenantPage> {
    const walk = this.#walks.then(() => this.#walk(query))
    this.#walks = walk
    return walk.then(async (page) => {
      await this.#log.settled()
      return page
    })
  }

  async #walk(query: TenantQuery): Promise<TenantPage> {
    const steps = this.#list.page(query)
    for (;;) {
      const { done, value } = steps.next()
      if (done) return value
      await nextTurn(this.#clock)
    }
  }
}
