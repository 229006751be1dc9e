// How the other nodes come to know how far the sequences of a home are: it tells every member the values that have changed since it was told
// last, and a new member all of them. What they have heard is what a home that has lost its directory is caught by.

import type { Logger } from '../base/log.ts'
import { encodeRequest } from './home-messages.ts'
import { decodeAgreement } from './home-opinions.ts'
import { PAGE_MAX } from './home-parts.ts'
import { type HomePeers, SERVICE } from './home-peers.ts'
import type { Tenure } from './home-tenure.ts'
import type { Sequencer, SequenceValue } from './sequencer.ts'

export interface TellerOptions {
  readonly peers: HomePeers
  readonly local: Sequencer
  readonly logger: Logger
  readonly timeoutMs: number
}

/** What a member is to be told. */
interface Listener {
  readonly changed: Map<string, number>
  /** Of all values, those up to this name were told; undefined: none yet. */
  after: string | undefined
  toldAll: boolean
  /** Of the last tenure that it was told of. */
  life: string | undefined
}

export class Teller {
  readonly #options: TellerOptions
  readonly #listeners = new Map<number, Listener>()

  constructor(options: TellerOptions) {
    this.#options = options
  }

  /** The last number of a sequence, durable here. */
  given(name: string, value: number): void {
    for (const { changed } of this.#listeners.values()) if ((changed.get(name) ?? 0) < value) changed.set(name, value)
  }

  /** Tells every member that lives what it lacks, up to a page. @returns false when one of them knows what cannot be */
  async round(tenure: Tenure): Promise<boolean> {
    const { peers } = this.#options
    const members = peers.members()
    for (const node of this.#listeners.keys()) if (members.every((member) => member.node !== node)) this.#listeners.delete(node)
    const living = members.filter(({ alive }) => alive).map(({ node }) => node)
    const answers = await Promise.all(living.map((node) => this.#tell(node, tenure)))
    return !answers.includes(false)
  }

  async #tell(node: number, tenure: Tenure): Promise<boolean> {
    const { peers, timeoutMs, logger } = this.#options
    const listener = this.#listenerOf(node, tenure)
    const { values, told } = await this.#news(listener)
    if (values.length === 0 && listener.life === tenure.life) return true
    try {
      const payload = encodeRequest({ kind: 'tell', tenure, values })
      const agrees = decodeAgreement(await peers.call(node, SERVICE, payload, { timeoutMs }))
      if (agrees) {
        listener.life = tenure.life
        told()
      }
      return agrees
    } catch (error) {
      logger.debug({ err: error, node }, 'a member does not hear how far the sequences are')
      return true
    }
  }

  /** In a new tenure everybody hears everything again: values may have been taken back. */
  #listenerOf(node: number, tenure: Tenure): Listener {
    let listener = this.#listeners.get(node)
    if (listener === undefined || (listener.life !== undefined && listener.life !== tenure.life)) {
      listener = { changed: new Map(), after: undefined, toldAll: false, life: undefined }
      this.#listeners.set(node, listener)
    }
    return listener
  }

  /** What to tell next, and what to do when it was told. */
  async #news(listener: Listener): Promise<{ values: readonly SequenceValue[]; told: () => void }> {
    const { local } = this.#options
    if (!listener.toldAll) {
      const { sequences, more } = await local.list({ prefix: '', after: listener.after, limit: PAGE_MAX })
      const told = (): void => {
        listener.after = sequences.at(-1)?.name
        listener.toldAll = !more
      }
      return { values: sequences, told }
    }
    const values: SequenceValue[] = []
    for (const [name, value] of listener.changed) {
      if (values.length >= PAGE_MAX) break
      values.push({ name, value })
    }
    const told = (): void => {
      for (const { name, value } of values) if (listener.changed.get(name) === value) listener.changed.delete(name)
    }
    return { values, told }
  }
}
