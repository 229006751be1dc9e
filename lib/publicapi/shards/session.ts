// The session of a client over shards: the token of each shard under the shard's number, so that a node's own client reads it as it reads any.
//   token := entry ("," entry)*      entry := shard "-" node "." incarnation "." seq

import { Problem } from '../problem.ts'

const ENTRY = /^(0|[1-9]\d{0,2})-([0-9a-z]+\.[0-9a-z]+\.[0-9a-z]+)$/
/** What a node takes of one shard, for each of a good many shards. */
const LENGTH_MAX = 8_000

/** The token of each shard. Whether it is one is the shard's to say. @throws Problem session-invalid */
export function readShardSessions(header: string | string[] | undefined): Map<number, string> {
  const sessions = new Map<number, string>()
  if (header === undefined) return sessions
  const text = String(header)
  if (text.length > LENGTH_MAX) throw invalid(`it has ${text.length} characters, at most ${LENGTH_MAX} are expected`)
  for (const part of text.split(',')) {
    const match = ENTRY.exec(part)
    if (match === null) throw invalid(`expected shard-node.incarnation.seq, got "${part.slice(0, 40)}"`)
    const shard = Number(match[1])
    const before = sessions.get(shard)
    sessions.set(shard, before === undefined ? match[2]! : `${before},${match[2]}`)
  }
  return sessions
}

/** What a reply covers of each shard, over what the request has brought of the others; undefined when that is nothing. */
export function writeShardSessions(given: ReadonlyMap<number, string>, covered: ReadonlyMap<number, string>): string | undefined {
  const all = new Map([...given, ...covered])
  if (all.size === 0) return undefined
  return Array.from(all, ([shard, token]) => token.replace(/(^|,)/g, `$1${shard}-`)).join(',')
}

const invalid = (what: string): Problem =>
  new Problem('session-invalid', `The Counter-Session is not a token of this API: ${what}.`, {
    errors: [{ in: 'header', path: 'Counter-Session', message: what }],
  })
