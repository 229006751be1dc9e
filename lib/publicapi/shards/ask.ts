// What a client asks for beside its request: the same for all shards that have a part in it.

import type { Exchange } from '../endpoint.ts'
import { levelOf } from '../level.ts'
import type { Fingerprint } from '../once.ts'
import { Problem } from '../problem.ts'
import { REQUIRE, valuesOf } from '../target.ts'
import type { Ask, WriteAsk } from './router.ts'
import { readShardSessions } from './session.ts'

export const askOf = ({ id, incoming }: Exchange): Ask => ({
  id,
  session: readShardSessions(incoming.headers['counter-session']),
})

/** What is asked of a write but its key, which is known when the body has been read. */
export type WriteAskStart = Omit<WriteAsk, 'once'>

/** @throws Problem session-invalid, write-level-invalid */
export const writeAskOf = (exchange: Exchange): WriteAskStart => ({ ...askOf(exchange), level: levelOf(exchange) })

export const withOnce = (ask: WriteAskStart, fingerprint: Fingerprint | undefined): WriteAsk => ({
  ...ask,
  once: fingerprint?.once(),
})

/** Whether an answer that lacks something is to be a failure: `?require=complete`. @throws Problem query-invalid */
export function requiresComplete({ query }: Exchange): boolean {
  if (!query.includes(REQUIRE)) return false
  const values = valuesOf(query, REQUIRE, 'ignore')
  const other = values.find((value) => value !== 'complete')
  if (other === undefined) return values.length > 0
  throw new Problem('query-invalid', `${REQUIRE} is "${other.slice(0, 40)}"; expected complete.`, {
    errors: [{ in: 'query', path: REQUIRE, message: 'expected complete' }],
  })
}
