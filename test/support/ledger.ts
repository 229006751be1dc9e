// The ledger of acknowledgements: what a client knows of every write, against which counts are read. Agreement is not
// correctness, so nothing a node says is compared with another node, only with this.
// A write is the text `hot op-<unique>`. `op-<unique>` must read 1 if it was acknowledged, 0 or 1 if that is unknown, 0 if it was refused,
// and `hot` must be the number of ops that read 1: that shows loss, double counting and half-counted texts at once.
// What an unknown op has read once, after its writer was settled, it must read for ever, until it is sent again.

/** The word that is in every text. */
export const HOT = 'hot'

export type OpState = 'sent' | 'acknowledged' | 'unknown' | 'refused'

export interface Op {
  readonly name: string
  /** Whether it has an Idempotency-Key, its name, and so may be sent again. */
  readonly keyed: boolean
  readonly index: number
  state: OpState
  /** What it read when that was settled. */
  value: 0 | 1 | undefined
}

export interface LedgerOptions {
  /** Every how many ops one is keyed; 0 for none, 1 for all. */
  readonly keyedEvery: number
}

/** Reads the counts of names. */
export type ReadCounts = (names: Iterable<string>) => Promise<Map<string, number>>

export class Ledger {
  readonly ops: Op[] = []
  readonly #keyedEvery: number
  /** Ops whose value was not read since they were sent. */
  readonly #fresh = new Set<Op>()
  /** How many of the others read 1. */
  #settledHot = 0

  constructor({ keyedEvery }: LedgerOptions) {
    this.#keyedEvery = keyedEvery
  }

  /** A new op, about to be sent. */
  begin(): Op {
    const index = this.ops.length
    const keyed = this.#keyedEvery > 0 && index % this.#keyedEvery === 0
    const op: Op = { name: `op-${index}`, keyed, index, state: 'sent', value: undefined }
    this.ops.push(op)
    this.#fresh.add(op)
    return op
  }

  /** A keyed op is about to be sent again. One that has read 1 must go on doing so. */
  resend(op: Op): void {
    if (op.value !== 0) return
    op.value = undefined
    this.#fresh.add(op)
  }

  /** A 2xx reply arrived. */
  acknowledged(op: Op): void {
    op.state = 'acknowledged'
  }

  /** It was sent, at least in part, and what became of it was not heard. */
  unknown(op: Op): void {
    op.state = 'unknown'
  }

  /** It was not sent, or the reply says that it was not counted. An earlier attempt that is unknown may have been. */
  refused(op: Op): void {
    if (op.state !== 'unknown') op.state = 'refused'
  }

  count(state: OpState): number {
    return this.ops.reduce((sum, op) => sum + (op.state === state ? 1 : 0), 0)
  }

  /** Keyed ops of which it is not known whether they counted. */
  open(): Op[] {
    return this.ops.filter((op) => op.keyed && op.state === 'unknown')
  }

  /**
   * Checks every op that was sent since the last check, `sample` of the others, and `hot`. Nobody may be writing.
   * @param pick an index below the one given, for the sample
   * @returns one sentence for each breach
   */
  checkSome(read: ReadCounts, sample: number, pick: (below: number) => number): Promise<string[]> {
    return this.#check(read, new Set([...this.#fresh, ...Array.from({ length: sample }, () => this.ops[pick(this.ops.length)]!)]))
  }

  /** Checks every op and `hot`. Nobody may be writing. @returns one sentence for each breach */
  check(read: ReadCounts): Promise<string[]> {
    return this.#check(read, new Set(this.ops))
  }

  /** @param ops all fresh ones, and others */
  async #check(read: ReadCounts, ops: ReadonlySet<Op>): Promise<string[]> {
    const counts = await read([HOT, ...Array.from(ops, ({ name }) => name)])
    const breaches = [...ops].flatMap((op) => this.#judge(op, counts.get(op.name)))
    for (const op of this.#fresh) this.#settledHot += op.value ?? 0
    this.#fresh.clear()
    const hot = counts.get(HOT)
    return hot === this.#settledHot ? breaches : [...breaches, `${HOT} reads ${hot}, but ${this.#settledHot} ops read 1.`]
  }

  #judge(op: Op, count: number | undefined): string[] {
    const allowed = op.value === undefined ? ALLOWED[op.state] : [op.value]
    if (count === 0 || count === 1) op.value ??= count
    if (count !== undefined && allowed.includes(count)) return []
    const before = op.value === undefined || op.value === count ? '' : `, and read ${op.value} before`
    return [`${op.name} was ${op.state}${before}, and reads ${count} instead of ${allowed.join(' or ')}.`]
  }
}

const ALLOWED: Readonly<Record<OpState, readonly number[]>> = {
  acknowledged: [1],
  refused: [0],
  unknown: [0, 1],
  // Nobody waits for it any more, so it may as well be unknown.
  sent: [0, 1],
}

/** An op as a request, in one of the forms that a write can take. The same op always gives the same request. */
export function requestOf(op: Op): { method: 'POST'; path: string; headers: Record<string, string>; body: string } {
  const key = op.keyed ? { 'Idempotency-Key': op.name } : {}
  const text = `${HOT} ${op.name}`
  const json = { 'Content-Type': 'application/json', ...key }
  const plain = { 'Content-Type': 'text/plain', ...key }
  switch (op.index % 4) {
    case 0:
      return { method: 'POST', path: '/v1/texts', headers: plain, body: text }
    case 1:
      return { method: 'POST', path: '/v1/texts', headers: json, body: JSON.stringify({ text }) }
    case 2: {
      const items = [HOT, op.name].map((name) => ({ name, delta: 1 }))
      return { method: 'POST', path: '/v1/increments', headers: json, body: JSON.stringify({ items }) }
    }
    default:
      return { method: 'POST', path: '/keywords', headers: plain, body: text }
  }
}
