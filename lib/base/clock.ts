// Time as a parameter, so that the simulator can own it. The only file that touches the real clocks and timers.

export interface Clock {
  /** Wall-clock milliseconds since 1970. May jump; use it for stamps only. */
  now(): number
  /** Milliseconds that only go forward. Use it for intervals and deadlines. */
  monotonicMs(): number
  /** Runs `task` once after `delayMs`; the returned function cancels it. A pending timer does not keep the process alive. */
  after(delayMs: number, task: () => void): () => void
  /** Runs `task` once what is at hand in this turn of the event loop is done. */
  soon(task: () => void): void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  soon(task) {
    setImmediate(task)
  },
}

/** Resolves in a later turn of the event loop, so that long work can be cut into slices. */
export const nextTurn = (clock: Clock): Promise<void> => new Promise((resolve) => clock.soon(resolve))

/** Resolves after `ms`, and keeps the process alive until then: for commands that have nothing else to wait for. */
export const hold = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
