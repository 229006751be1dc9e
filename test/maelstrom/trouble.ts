// What is done to a cluster during a run, chosen by the seed: parts of the network are cut or lossy for a while, and nodes are killed and
// started again, both at once and independently of each other.

import type { Random } from '../../lib/base/random.ts'
import type { Client, Member } from './member.ts'
import type { Network } from './network.ts'

export const TROUBLES = ['partition', 'loss', 'delay', 'kill'] as const
export type Trouble = (typeof TROUBLES)[number]

export interface TroubleOptions {
  readonly troubles: readonly Trouble[]
  readonly members: readonly Member[]
  readonly network: Network
  readonly control: Client
  readonly random: Random
}

/** How long a state of the network lasts, in milliseconds: from, and up to so much more. */
const LASTS_MS = [300, 1200] as const
const CALM_MS = [100, 400] as const
/** Between kills. */
const LIVES_MS = [500, 1500] as const
const DOWN_MS = [0, 500] as const
const LOSS_PERMILLE = [50, 250] as const
const DELAY_MS = 20

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

export class Troubles {
  readonly #options: TroubleOptions
  readonly #work: Promise<unknown>
  #over = false
  kills = 0
  partitions = 0

  /** Begins at once. */
  constructor(options: TroubleOptions) {
    this.#options = options
    const { troubles, network } = options
    if (troubles.includes('delay')) network.delayMs = DELAY_MS
    const ofNetwork = troubles.filter((trouble) => trouble === 'partition' || trouble === 'loss')
    this.#work = Promise.all([
      ofNetwork.length > 0 ? this.#disturb(ofNetwork) : undefined,
      troubles.includes('kill') ? this.#killAndStart() : undefined,
    ])
  }

  /** Ends with everything healed and all nodes running. */
  async stop(): Promise<void> {
    this.#over = true
    await this.#work
  }

  #within([from, more]: readonly [number, number]): number {
    return from + (this.#options.random.uint32() % (more + 1))
  }

  async #disturb(kinds: readonly Trouble[]): Promise<void> {
    const { network, random } = this.#options
    while (!this.#over) {
      const kind = kinds[random.uint32() % kinds.length]
      if (kind === 'partition') this.#partition()
      else network.lossPermille = this.#within(LOSS_PERMILLE)
      await pause(this.#within(LASTS_MS))
      network.heal()
      await pause(this.#within(CALM_MS))
    }
  }

  /** Some nodes, at least one, do not hear from the others; more often than not neither do these from them. */
  #partition(): void {
    const { members, network, random } = this.#options
    const side = 1 + (random.uint32() % (2 ** members.length - 2))
    const oneWay = random.uint32() % 3 === 0
    const ids = members.map(({ id }) => id)
    for (const [i, source] of ids.entries()) {
      for (const [j, target] of ids.entries()) {
        const [from, to] = [(side >> i) & 1, (side >> j) & 1]
        if (from !== to && (!oneWay || to === 1)) network.cut(source, target)
      }
    }
    this.partitions++
  }

  async #killAndStart(): Promise<void> {
    const { members, control, random } = this.#options
    while (!this.#over) {
      await pause(this.#within(LIVES_MS))
      // Any set of nodes but none; now and then all of them.
      const chosen = 1 + (random.uint32() % (2 ** members.length - 1))
      const killed = members.filter((_, index) => (chosen >> index) & 1)
      await Promise.all(killed.map((member) => member.kill()))
      this.kills += killed.length
      await pause(this.#within(DOWN_MS))
      await Promise.all(killed.map((member) => member.start(control)))
    }
  }
}
