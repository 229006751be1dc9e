// Questions to shards and what they answer, without rounding: values travel as digits.

/** The head of a request has room for 16 KiB; one name alone may take nearly all of it. */
const QUERY_LENGTH_MAX = 8_000

/** Names as queries for `GET /v1/counters`, as few as possible. */
export function namesQueries(names: readonly string[]): { query: string; names: string[] }[] {
  const queries: { query: string; names: string[] }[] = []
  let last: { query: string; names: string[] } | undefined
  for (const name of names) {
    const term = `names=${encodeURIComponent(name)}`
    if (last === undefined || last.query.length + term.length + 1 > QUERY_LENGTH_MAX) {
      last = { query: term, names: [name] }
      queries.push(last)
    } else {
      last.query += `&${term}`
      last.names.push(name)
    }
  }
  return queries
}

const DIGITS = /^-?\d{1,20}$/

/** The digits of the values in an answer to such a query; undefined when it is none. */
export function readCounters(body: string, count: number): string[] | undefined {
  const counters = (parse(body) as { counters?: unknown } | undefined)?.counters
  if (!Array.isArray(counters) || counters.length !== count) return undefined
  const digits = counters.map((counter: { valueString?: unknown } | null) => counter?.valueString)
  return digits.every((value): value is string => typeof value === 'string' && DIGITS.test(value)) ? digits : undefined
}

/** The digits of the field that ends an object, such as those of {"total":5}; undefined when the answer is none. */
export const readLast = (body: string, field: string): string | undefined =>
  new RegExp(`"${field}":(-?\\d{1,20})\\}\\s*$`).exec(body)?.[1]

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
