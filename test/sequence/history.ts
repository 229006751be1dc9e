// What clients of a sequence have seen, and whether one thing that gives each number once, in order, can have shown it to them.

/** A call for numbers. Times are of one clock. */
export interface Taken {
  readonly kind: 'next'
  readonly startMs: number
  /** Infinity while it is not known to have ended. */
  readonly endMs: number
  readonly count: number
  readonly key?: string | undefined
  /** What came of it; `nothing`: it was said that no number was taken. */
  readonly outcome: { readonly first: number; readonly last: number; readonly replayed: boolean } | 'nothing' | 'unknown'
}

export interface Looked {
  readonly kind: 'get'
  readonly startMs: number
  readonly endMs: number
  readonly value: number
}

export type Seen = Taken | Looked

/** An interval of numbers that stood at some moment between start and end. */
interface Placed {
  readonly startMs: number
  readonly endMs: number
  readonly first: number
  readonly last: number
  readonly what: string
}

/**
 * What is wrong, in sentences; none when all is well.
 * @param final the value at the end, when everything is over
 */
export function checkHistory(history: readonly Seen[], final: number): string[] {
  const [calls, found] = callsOf(history)
  const placed = calls.flatMap((call) => (call.numbers === undefined ? [] : [{ ...call, ...call.numbers }]))
  const looked = history.flatMap((seen) =>
    seen.kind === 'get' ? [{ ...seen, first: seen.value + 1, last: seen.value, what: `the value ${seen.value}` }] : [],
  )
  return [...found, ...checkDistinct(placed), ...checkOrder([...placed, ...looked]), ...checkGaps(calls, placed, final)]
}

/** A wish for numbers, and all calls with which it was tried. */
interface Wish {
  readonly startMs: number
  /** When its numbers were first known. */
  readonly endMs: number
  readonly count: number
  readonly numbers: { readonly first: number; readonly last: number } | undefined
  readonly isUnknown: boolean
  readonly what: string
}

/** Calls with one key are one wish: they may get one set of numbers, new to one of them at most. */
function callsOf(history: readonly Seen[]): [wishes: Wish[], found: string[]] {
  const groups = new Map<unknown, Taken[]>()
  for (const seen of history) {
    if (seen.kind === 'get') continue
    const key = seen.key ?? seen
    groups.set(key, [...(groups.get(key) ?? []), seen])
  }
  const found: string[] = []
  const wishes = Array.from(groups.values(), (calls): Wish => {
    const { count, key } = calls[0]!
    const known = calls.flatMap(({ outcome, endMs }) => (typeof outcome === 'string' ? [] : [{ ...outcome, endMs }]))
    const numbers = known[0]
    for (const { first, last } of known) {
      if (last - first + 1 !== count || first < 1) found.push(`${first} to ${last} were given for ${count} numbers`)
      if (first !== numbers!.first)
        found.push(`the key ${key} got ${numbers!.first} to ${numbers!.last}, and ${first} to ${last}`)
    }
    if (known.filter(({ replayed }) => !replayed).length > 1) found.push(`the numbers of the key ${key} were new to two callers`)
    return {
      startMs: Math.min(...calls.map(({ startMs }) => startMs)),
      endMs: Math.min(...known.map(({ endMs }) => endMs)),
      count,
      numbers,
      isUnknown: numbers === undefined && calls.some(({ outcome }) => outcome === 'unknown'),
      what: numbers === undefined ? 'a call' : `the numbers ${numbers.first} to ${numbers.last}`,
    }
  })
  return [wishes, found]
}

function checkDistinct(placed: readonly Placed[]): string[] {
  const sorted = [...placed].sort((a, b) => a.first - b.first)
  return sorted.flatMap(({ first, last, what }, index) => {
    const before = sorted[index - 1]
    return before !== undefined && first <= before.last ? [`${what} overlap those up to ${before.last}: [${first}, ${last}]`] : []
  })
}

/** Whatever began after another had ended stands behind it. */
function checkOrder(placed: readonly Placed[]): string[] {
  const byStart = [...placed].sort((a, b) => a.startMs - b.startMs)
  const byEnd = [...placed].sort((a, b) => a.endMs - b.endMs)
  const found: string[] = []
  let ended = 0
  let highest: Placed | undefined
  for (const now of byStart) {
    for (; ended < byEnd.length && byEnd[ended]!.endMs < now.startMs; ended++) {
      if (highest === undefined || byEnd[ended]!.last > highest.last) highest = byEnd[ended]!
    }
    if (highest !== undefined && now.first <= highest.last) {
      found.push(`${now.what}, asked for at ${now.startMs}, came after ${highest.what}, which were there at ${highest.endMs}`)
    }
  }
  return found
}

/** Numbers that nobody got are those of calls whose end is not known. */
function checkGaps(wishes: readonly Wish[], placed: readonly Placed[], final: number): string[] {
  const given = placed.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  const highest = placed.reduce((most, { last }) => Math.max(most, last), 0)
  const unknown = wishes.reduce((sum, { isUnknown, count }) => (isUnknown ? sum + count : sum), 0)
  const missing = final - given
  const found: string[] = []
  if (highest > final) found.push(`the number ${highest} was given, and the value is ${final}`)
  if (missing > unknown)
    found.push(`${missing} numbers are missing, and only ${unknown} were asked for by calls with an unknown end`)
  return found
}
