// A gate for tasks that may run beside each other and for such that must run alone: those wait for all that came before, and hold up what
// comes after.

export class Gate {
  #underWay = 0
  #idle: (() => void) | undefined
  /** Settles, never rejecting, when the task that runs alone is done. */
  #closed: Promise<void> | undefined

  /** Whether a task runs alone, or waits to. */
  get isClosed(): boolean {
    return this.#closed !== undefined
  }

  async beside<T>(task: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed
    this.#underWay++
    try {
      return await task()
    } finally {
      if (--this.#underWay === 0) this.#idle?.()
    }
  }

  /** The task must not pass the gate itself. */
  async alone<T>(task: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed
    const ran = this.#whenIdle().then(task)
    const open = (): void => {
      this.#closed = undefined
    }
    this.#closed = ran.then(open, open)
    return ran
  }

  #whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#underWay === 0) resolve()
      else this.#idle = resolve
    })
  }
}
