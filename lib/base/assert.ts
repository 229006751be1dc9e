// Assertions are for our own mistakes and stay on in production: a node that has lost track of itself must stop.
// Input, files and peers are not trusted and never asserted; they get a CounterError.

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws AssertionError when `condition` does not hold; `message` states what must be true. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`expected that ${message}`)
}
