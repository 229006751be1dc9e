// Until when a write with an idempotency key may have to be taken back: until each other member knows of it, and all that it had counted before it
// knew is known here. What a member says to know, it knew at one moment; when this node has caught up with that, whatever that covers is settled.

import { VersionVector } from '../storage/index.ts'
import type { Site } from './site.ts'

interface Heard {
  /** Of which process: another one may have lost what this one knew. */
  readonly life: string
  /** What the member knew at a moment up to which everything of it is known here. */
  settled: VersionVector
  /** What it knew at a later moment, with which this node has yet to catch up. */
  ahead: VersionVector | undefined
}

const NOTHING = new VersionVector()

export class Settling {
  readonly #site: Site
  readonly #heard = new Map<number, Heard>()

  constructor(site: Site) {
    this.#site = site
    site.onHeard((node) => {
      this.#note(node)
      this.look()
    })
  }

  /** Tells the store, also when who is a member has changed. */
  look(): void {
    const { options, roster } = this.#site
    const others = roster.others().map(({ node }) => node)
    for (const node of this.#heard.keys()) if (!others.includes(node)) this.#heard.delete(node)
    options.store.settle(others.map((node) => this.#heard.get(node)?.settled ?? NOTHING))
  }

  #note(node: number): void {
    const { options, peers } = this.#site
    const peer = peers.find(node)
    if (peer === undefined) return
    const { life, vector } = peer
    let heard = this.#heard.get(node)
    if (heard?.life !== life) heard = { life, settled: NOTHING, ahead: undefined }
    this.#heard.set(node, heard)
    const own = options.store.vector()
    heard.ahead ??= vector
    if (!own.covers(heard.ahead)) return
    // Perhaps also with what it knows now.
    heard.settled = own.covers(vector) ? vector : heard.ahead
    heard.ahead = heard.settled === vector ? undefined : vector
  }
}
