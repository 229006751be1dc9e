// What the clients of a history know: of each increment whether it was acknowledged, refused, or left unknown.

export type OpState =
  /** Sent, no answer yet. */
  | 'pending'
  /** Answered with success, or shown to a reader: counts once for ever. */
  | 'acknowledged'
  /** Answered with an error before anything was done, or found not to have counted: never counts. */
  | 'refused'
  /** The process died, or the log failed, before the answer: may have counted or not. */
  | 'unknown'

export interface Op {
  readonly name: string
  /** The Idempotency-Key, for increments that are sent again. */
  readonly key: string | undefined
  state: OpState
  /** While it is pending again: what it was before it was sent again. */
  before: OpState
  /** A name that makes the request long; the same whenever it is sent. */
  filler: string | undefined
  /** The reply that was acknowledged first. */
  body: string | undefined
  /** Place in the order of the log; 0 while it never came so far. */
  order: number
}

export class Ledger {
  readonly ops: Op[] = []
  #order = 0

  add(key: string | undefined): Op {
    const op: Op = {
      name: `op-${this.ops.length}`,
      key,
      state: 'pending',
      before: 'refused',
      filler: undefined,
      body: undefined,
      order: 0,
    }
    this.ops.push(op)
    return op
  }

  /** The op's change is made now, behind all that were made before. */
  ordered(op: Op): void {
    op.order = ++this.#order
  }

  /** The process died. */
  lostTouch(): void {
    for (const op of this.ops) {
      if (op.state === 'pending') op.state = op.before === 'acknowledged' ? 'acknowledged' : 'unknown'
    }
  }

  /** It is found not to have counted. */
  lost(op: Op): void {
    op.state = 'refused'
    op.body = undefined
  }

  /** What is known now, to go back to when a backup is restored. */
  save(): () => void {
    const saved = this.ops.map((op) => ({ ...op }))
    return () => {
      for (const [index, op] of this.ops.entries()) {
        const before = saved[index]
        op.state = before?.state ?? 'refused'
        op.body = before?.body
        op.order = before?.order ?? 0
      }
    }
  }
}

/** What was read at a moment when nothing was under way. */
export type Readings = ReadonlyMap<string, number>
