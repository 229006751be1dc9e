// The request target, read exactly as it was sent. A URL parser would lose names: it takes %2e%2e for "the folder above".
// Names come as percent-encoded UTF-8; what is malformed is refused, never guessed.

import { Problem } from './problem.ts'

/** What an aggregator takes on every read; a node always has all there is. */
export const REQUIRE = 'require'

/** The path of a request target, still encoded. */
export function pathOf(target: string): string {
  const start = target.charCodeAt(0) === 0x2f ? 0 : originEnd(target)
  const end = target.indexOf('?', start)
  const path = end === -1 ? target.slice(start) : target.slice(start, end)
  return path === '' ? '/' : path
}

/** The query of a request target without its question mark, still encoded. */
export function queryOf(target: string): string {
  const start = target.indexOf('?')
  return start === -1 ? '' : target.slice(start + 1)
}

/** Where the path starts in a target of the form http://host/path. */
function originEnd(target: string): number {
  const scheme = target.indexOf('://')
  const slash = scheme === -1 ? -1 : target.indexOf('/', scheme + 3)
  return slash === -1 ? target.length : slash
}

/** Cuts the one parameter out of paths of a template of the contract, such as /v1/counters/{name}. It is still encoded. */
export function segmentOf(template: string): (path: string) => string {
  const start = template.indexOf('{')
  const restLength = template.length - template.indexOf('}') - 1
  return (path) => path.slice(start, path.length - restLength)
}

/** A name out of the path. @throws Problem path-invalid */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new Problem('path-invalid', `"${segment}" in the path is not percent-encoded UTF-8.`)
  }
}

/**
 * All values of the parameter `name`, in order.
 * @param others what to do about other parameters but `require`: a misspelt one would read as "none"
 * @throws Problem query-invalid
 */
export function valuesOf(query: string, name: string, others: 'refuse' | 'ignore'): string[] {
  const values: string[] = []
  if (query === '') return values
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const key = decodeQuery(equals === -1 ? pair : pair.slice(0, equals))
    if (key !== name) {
      if (others === 'ignore' || key === REQUIRE) continue
      throw new Problem('query-invalid', `Unknown parameter "${key}"; expected "${name}".`, {
        errors: [{ in: 'query', path: key, message: `unknown parameter, expected ${name}` }],
      })
    }
    values.push(equals === -1 ? '' : decodeQuery(pair.slice(equals + 1)))
  }
  return values
}

/**
 * The parameters of a query by name, each at most once.
 * @throws Problem query-invalid for one that is not among `names`, or comes twice
 */
export function parametersOf<Name extends string>(query: string, names: readonly Name[]): Map<Name, string> {
  const found = new Map<Name, string>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const key = decodeQuery(equals === -1 ? pair : pair.slice(0, equals)) as Name
    const isKnown = names.includes(key)
    if (!isKnown || found.has(key)) {
      const message = isKnown ? 'is given more than once' : `unknown parameter, expected ${names.join(', ')}`
      throw new Problem('query-invalid', `The parameter "${key.slice(0, 40)}": ${message}.`, {
        errors: [{ in: 'query', path: key, message }],
        fix: 'Correct what `errors` lists, or leave the parameter out.',
      })
    }
    found.set(key, equals === -1 ? '' : decodeQuery(pair.slice(equals + 1)))
  }
  return found
}

function decodeQuery(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    throw new Problem('query-invalid', `"${text}" in the query is not percent-encoded UTF-8.`)
  }
}
