// A clock that stands still: `soon` and `after` run only when told, in a fixed order, so that a test owns time.

import type { Clock } from '../../lib/base/clock.ts'

interface Timer {
  readonly atMs: number
  readonly number: number
  readonly task: () => void
}

export class VirtualClock implements Clock {
  /** Wall-clock milliseconds; a test may set it, also back. */
  wallMs = 1_700_000_000_000
  #monotonicMs = 0
  #soon: (() => void)[] = []
  #timers: Timer[] = []
  #number = 0

  /** Whole ones, as those of a real clock. */
  now(): number {
    return Math.floor(this.wallMs)
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(delayMs, 0), number: this.#number++, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  soon(task: () => void): void {
    this.#soon.push(task)
  }

  /** How many tasks wait for the next turn. */
  get waiting(): number {
    return this.#soon.length
  }

  /** Runs the task that came first for the next turn; false when there is none. */
  step(): boolean {
    const task = this.#soon.shift()
    task?.()
    return task !== undefined
  }

  /** Moves time to the next timer and runs it; false when there is none, or none within `limitMs` from now. */
  advance(limitMs = Number.POSITIVE_INFINITY): boolean {
    const next = this.#timers.reduce<Timer | undefined>(
      (first, timer) => (first && !earlier(timer, first) ? first : timer),
      undefined,
    )
    if (next === undefined || next.atMs > this.#monotonicMs + limitMs) return false
    this.wallMs += next.atMs - this.#monotonicMs
    this.#monotonicMs = next.atMs
    this.#timers = this.#timers.filter((timer) => timer !== next)
    next.task()
    return true
  }

  /** Forgets all tasks, as the death of a process does. */
  clear(): void {
    this.#soon = []
    this.#timers = []
  }
}

const earlier = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number)

/** Resolves when every promise that can go on without a task has done so. */
export const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
