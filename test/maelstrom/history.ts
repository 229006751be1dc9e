// What clients did and what they heard, in the order in which they saw it: the only thing that the checkers look at.
// Every beginning and every end of an operation has a number of its own, so "before" needs no clock.

export interface Operation {
  readonly kind: 'add' | 'read'
  readonly node: string
  /** What is added; 0 for a read. */
  readonly delta: number
  /** Whether it is one of the last reads, after everything was healed. */
  readonly final: boolean
  readonly began: number
  /** Infinity while nothing was heard. */
  ended: number
  /** `failed`: certainly not done. `unknown`: it may have been done, or be done later. */
  outcome: 'ok' | 'failed' | 'unknown'
  /** What a read has shown. */
  value: number
}

export class History {
  readonly operations: Operation[] = []
  #events = 0

  begin(kind: 'add' | 'read', node: string, delta = 0, final = false): Operation {
    const operation: Operation = {
      kind,
      node,
      delta,
      final,
      began: this.#events++,
      ended: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      value: 0,
    }
    this.operations.push(operation)
    return operation
  }

  /** What is never ended stays unknown. */
  end(operation: Operation, outcome: 'ok' | 'failed', value = 0): void {
    operation.ended = this.#events++
    operation.outcome = outcome
    operation.value = value
  }

  count(kind: 'add' | 'read', outcome: Operation['outcome']): number {
    return this.operations.filter((operation) => operation.kind === kind && operation.outcome === outcome).length
  }
}
