// The write level of a request: how many members must have the write on disk before it is answered. It is asked for by `?w=` or
// by a header, which says the same in the reply together with what was reached.

import type { Reached, WriteLevel } from './cluster.ts'
import type { Exchange } from './endpoint.ts'
import { Problem } from './problem.ts'

const LEVELS: ReadonlyMap<string, WriteLevel> = new Map<string, WriteLevel>([
  ['1', 1],
  ['majority', 'majority'],
  ['all', 'all'],
])

/** The level that was asked for; undefined when none was, which is 1. @throws Problem write-level-invalid */
export function levelOf({ incoming, query }: Exchange): WriteLevel | undefined {
  const header = incoming.headers['counter-write-level']
  if (header === undefined && query === '') return undefined
  const asked = header === undefined ? [] : [{ from: 'header', path: 'Counter-Write-Level', text: String(header) } as const]
  // Other parameters are left alone, and not even decoded: the original ignored the query of a write.
  const given = query.split('&').filter((pair) => pair === 'w' || pair.startsWith('w='))
  const all = [...asked, ...given.map((pair) => ({ from: 'query', path: 'w', text: pair.slice(2) }) as const)]
  let level: WriteLevel | undefined
  for (const { from, path, text } of all) {
    const read = LEVELS.get(text)
    const message = read === undefined ? 'expected 1, majority or all' : 'another level was asked for as well'
    if (read === undefined || (level !== undefined && read !== level)) {
      throw new Problem('write-level-invalid', `${path} is "${text.slice(0, 40)}": ${message}.`, {
        errors: [{ in: from, path, message }],
      })
    }
    level = read
  }
  return level
}

/** How a reply says what was reached: `majority; reached=2; members=3`. */
export const writeLevel = (level: WriteLevel, { reached, members }: Reached): string =>
  `${level}; reached=${reached}; members=${members}`
