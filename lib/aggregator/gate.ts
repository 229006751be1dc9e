// How much is under way to one replica: so many requests at a time, some that wait for their turn, and no more. What does not get its turn
// was not sent, so that whoever asked can be told that nothing was counted.

import type { Clock } from '../base/clock.ts'
import { Unanswered } from './transport.ts'

export interface GateOptions {
  readonly clock: Clock
  /** Requests under way at a time. */
  readonly placesMax: number
  /** Requests that wait for a place. */
  readonly waitingMax: number
}

interface Waiting {
  enter(): void
}

export class Gate {
  readonly #options: GateOptions
  #taken = 0
  readonly #waiting = new Set<Waiting>()

  constructor(options: GateOptions) {
    this.#options = options
  }

  get taken(): number {
    return this.#taken
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** undefined when there is a place, else a promise of one. Whoever has it must leave(). @throws Unanswered busy, also by the promise */
  enter(timeoutMs: number): Promise<void> | undefined {
    const { clock, placesMax, waitingMax } = this.#options
    if (this.#taken < placesMax) {
      this.#taken++
      return undefined
    }
    if (this.#waiting.size >= waitingMax) throw busy(`${placesMax} requests are under way and ${waitingMax} wait`)
    return new Promise((resolve, reject) => {
      const cancel = clock.after(timeoutMs, () => {
        this.#waiting.delete(waiting)
        reject(busy(`${placesMax} requests were under way for ${Math.round(timeoutMs)} ms`))
      })
      const waiting = {
        enter: () => {
          cancel()
          resolve()
        },
      }
      this.#waiting.add(waiting)
    })
  }

  leave(): void {
    for (const first of this.#waiting) {
      // The place goes from hand to hand.
      this.#waiting.delete(first)
      first.enter()
      return
    }
    this.#taken--
  }
}

const busy = (why: string): Unanswered => new Unanswered('busy', `too much waits for this shard: ${why}`)
