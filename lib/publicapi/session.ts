// A session token: what a client has written, so that another node can tell whether it has that too.
//   token := entry ("," entry)*      entry := node "." incarnation "." seq      base 36 without leading zeros, a replica once
// It holds one entry a life of a node, at most SESSION_ENTRIES_MAX. When a session has met more lives than that, the oldest are let go.

import { FOLDED, LIST_INCARNATIONS, NODE_MAX, type ReplicaId, replicaKey, SEQ_MAX } from '../storage/index.ts'
import type { WriteAt } from './cluster.ts'
import { Problem } from './problem.ts'

export const SESSION_ENTRIES_MAX = 64
/** Of a node id, an incarnation and a sequence number, with two dots and a comma. */
const ENTRY_LENGTH_MAX = 6 + 11 + 11 + 3
const SESSION_LENGTH_MAX = SESSION_ENTRIES_MAX * ENTRY_LENGTH_MAX
const ENTRY = /^(0|[1-9a-z][0-9a-z]{0,5})\.(0|[1-9a-z][0-9a-z]{0,10})\.([1-9a-z][0-9a-z]{0,10})$/

/** Reads a Counter-Session header. @throws Problem session-invalid */
export function readSession(header: string | string[]): WriteAt[] {
  const text = String(header)
  if (text.length > SESSION_LENGTH_MAX)
    throw invalid(`it has ${text.length} characters, at most ${SESSION_LENGTH_MAX} are expected`)
  const parts = text.split(',')
  if (parts.length > SESSION_ENTRIES_MAX)
    throw invalid(`it has ${parts.length} entries, at most ${SESSION_ENTRIES_MAX} are expected`)
  const seen = new Set<string>()
  return parts.map((part) => {
    const entry = readEntry(part)
    if (entry === undefined) throw invalid(`expected node.incarnation.seq, got "${part.slice(0, ENTRY_LENGTH_MAX)}"`)
    const key = replicaKey(entry.replica)
    if (seen.has(key)) throw invalid(`it names the replica ${key} twice`)
    seen.add(key)
    return entry
  })
}

function readEntry(part: string): WriteAt | undefined {
  const match = ENTRY.exec(part)
  if (match === null) return undefined
  const [node, incarnation, seq] = [match[1]!, match[2]!, match[3]!].map((digits) => Number.parseInt(digits, 36))
  const fits = node! <= NODE_MAX && incarnation! > FOLDED && incarnation! < LIST_INCARNATIONS && seq! <= SEQ_MAX
  return fits ? { replica: { node: node!, incarnation: incarnation! }, seq: seq! } : undefined
}

const invalid = (what: string): Problem =>
  new Problem('session-invalid', `The Counter-Session is not a token of a node: ${what}.`, {
    errors: [{ in: 'header', path: 'Counter-Session', message: what }],
  })

/** Everything of both: the greatest sequence number of each replica. */
export function mergeSessions(left: readonly WriteAt[], right: readonly WriteAt[]): WriteAt[] {
  const merged = new Map<string, WriteAt>()
  for (const entry of [...left, ...right]) {
    const key = replicaKey(entry.replica)
    if (entry.seq > (merged.get(key)?.seq ?? 0)) merged.set(key, entry)
  }
  const entries = [...merged.values()]
  if (entries.length <= SESSION_ENTRIES_MAX) return entries
  // Incarnations grow with time.
  return entries.sort((a, b) => b.replica.incarnation - a.replica.incarnation).slice(0, SESSION_ENTRIES_MAX)
}

export const writeSession = (entries: readonly WriteAt[]): string =>
  entries.map(({ replica, seq }) => `${replicaText(replica)}.${seq.toString(36)}`).join(',')

/** Makes the token of one write; nearly all are of one replica, whose text it keeps. */
export function createTokens(): (at: WriteAt) => string {
  let last: ReplicaId | undefined
  let text = ''
  return ({ replica, seq }) => {
    if (replica !== last) {
      last = replica
      text = `${replicaText(replica)}.`
    }
    return text + seq.toString(36)
  }
}

const replicaText = ({ node, incarnation }: ReplicaId): string => `${node.toString(36)}.${incarnation.toString(36)}`
