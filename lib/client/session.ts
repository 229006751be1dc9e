// The session of a client: one token that covers all its writes, whichever node took them and in whatever order their replies
// came. The nodes define tokens (`node.incarnation.seq`, with commas between); here they are only joined.

/** The nodes take no more entries, and join one of their own. */
const ENTRIES_MAX = 63

export class Session {
  /** The last sequence number, in base 36, of each life of a node. */
  readonly #entries = new Map<string, string>()

  /** What to send; undefined before the first write. */
  get token(): string | undefined {
    if (this.#entries.size === 0) return undefined
    return Array.from(this.#entries, ([life, seq]) => `${life}.${seq}`).join(',')
  }

  /** Takes in the token of a reply. */
  cover(token: string): void {
    for (const entry of token.split(',')) {
      const dot = entry.lastIndexOf('.')
      const [life, seq] = [entry.slice(0, dot), entry.slice(dot + 1)]
      if (Number.parseInt(seq, 36) > Number.parseInt(this.#entries.get(life) ?? '0', 36)) this.#entries.set(life, seq)
    }
    // Incarnations grow with time, so the lowest is the life that ended first.
    while (this.#entries.size > ENTRIES_MAX) {
      const lives = [...this.#entries.keys()]
      this.#entries.delete(lives.reduce((oldest, life) => (incarnationOf(life) < incarnationOf(oldest) ? life : oldest)))
    }
  }
}

const incarnationOf = (life: string): number => Number.parseInt(life.slice(life.indexOf('.') + 1), 36)
