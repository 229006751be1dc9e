// The end of a Replication, as its parts see it: any number of things that are under way wait for it, each for a moment.

export class Stop {
  readonly #tasks = new Set<() => void>()
  #happened = false

  get happened(): boolean {
    return this.#happened
  }

  /** Runs `task` when the end comes, unless the returned function is called before. */
  on(task: () => void): () => void {
    this.#tasks.add(task)
    return () => this.#tasks.delete(task)
  }

  now(): void {
    this.#happened = true
    for (const task of [...this.#tasks]) task()
    this.#tasks.clear()
  }
}
