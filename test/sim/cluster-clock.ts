// The clock of one node of many: time is that of the world, what waits is the node's own. So one node can die (its tasks are
// forgotten), stand still (they wait), or have another wall clock, while the others go on.

import type { Clock } from '../../lib/base/clock.ts'
import type { VirtualClock } from '../support/virtual-clock.ts'

export class NodeClock implements Clock {
  readonly #world: VirtualClock
  #soon: (() => void)[] = []
  #life = 0
  /** Wall clock beside that of the world, in milliseconds. */
  wallOffsetMs = 0
  /** While it is set nothing runs; timers that are due wait. */
  paused = false

  constructor(world: VirtualClock) {
    this.#world = world
  }

  now(): number {
    return this.#world.now() + this.wallOffsetMs
  }

  monotonicMs(): number {
    return this.#world.monotonicMs()
  }

  after(delayMs: number, task: () => void): () => void {
    const life = this.#life
    let cancelled = false
    const run = () => {
      if (!cancelled) task()
    }
    const cancel = this.#world.after(delayMs, () => {
      if (life === this.#life) this.#soon.push(run)
    })
    return () => {
      cancelled = true
      cancel()
    }
  }

  soon(task: () => void): void {
    this.#soon.push(task)
  }

  /** Whether something could run now. */
  get ready(): boolean {
    return !this.paused && this.#soon.length > 0
  }

  /** Runs the task that came first. */
  step(): void {
    this.#soon.shift()?.()
  }

  /** The process died: it runs nothing any more. What is asked of the clock from now on is of the next. */
  forget(): void {
    this.#life++
    this.#soon = []
  }
}
