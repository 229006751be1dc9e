// From what became of each part to one answer. Of a write: all parts counted, none, or some; of a read: what there is, and what is missing.

import type { Reply } from '../endpoint.ts'
import { type Applied, Problem } from '../problem.ts'
import { PROBLEMS, type ProblemType } from '../problem-kinds.ts'
import type { Ask, GatheredAll, LastKnown, Part, WriteAsk } from './router.ts'
import { writeShardSessions } from './session.ts'

const SESSION = 'Counter-Session'
const LEVEL = /^(1|majority|all); reached=(\d+); members=(\d+)$/
const RETRY_AFTER = 'Retry-After'

/**
 * The headers of a write that all parts have counted, and its status: 202 when one has not come as far as was asked.
 * @throws Problem unless all parts have counted
 */
export function doneReply(parts: readonly Part[], ask: WriteAsk): Pick<Reply, 'status'> & { headers: Record<string, string> } {
  checkDone(parts, ask.once !== undefined)
  const done = parts.filter((part) => part.state === 'done')
  const covered = new Map(done.flatMap(({ shard, session }) => (session === undefined ? [] : [[shard, session] as const])))
  const session = writeShardSessions(ask.session, covered)
  const level = leastLevel(done.flatMap((part) => part.level ?? []))
  return {
    status: done.some(({ status }) => status === 202) ? 202 : 200,
    headers: {
      ...(session !== undefined && { [SESSION]: session }),
      ...(level !== undefined && { 'Counter-Write-Level': level }),
      ...(done.length > 0 && done.every(({ replayed }) => replayed) && { 'Idempotency-Replayed': 'true' }),
    },
  }
}

/** What the one shard has answered that was asked. */
export const bodyOf = ([part]: readonly Part[]): string => (part?.state === 'done' ? part.body : '')

/** What the shard that is furthest behind has reached. */
function leastLevel(levels: readonly string[]): string | undefined {
  const reached = (level: string): number => Number(LEVEL.exec(level)?.[2] ?? 0)
  return levels.reduce<string | undefined>(
    (least, level) => (least === undefined || reached(level) < reached(least) ? level : least),
    undefined,
  )
}

/** @param keyed whether the request has an Idempotency-Key */
function checkDone(parts: readonly Part[], keyed: boolean): void {
  const failed = parts.filter(({ state }) => state !== 'done')
  if (failed.length === 0) return
  const isUnknown = failed.some(({ state }) => state === 'unknown')
  const isPartly = parts.length > failed.length
  // With nothing counted anywhere the first refusal says it all.
  if (!isUnknown && !isPartly) throw uncounted(failed, keyed)
  const outcomes = parts.map((part) => ({ shard: part.shard, applied: appliedOf(part), detail: detailOf(part) }))
  const counted = parts.length - failed.length
  const detail = `${counted} of ${parts.length} parts have been counted; ${listOf(failed)}.`
  const fix = keyed
    ? 'Repeat the request with the same Idempotency-Key: each part then counts once.'
    : 'Send writes with an Idempotency-Key, so that they can be repeated. What became of this one can only be read.'
  throw new Problem(isPartly ? 'shards-partly' : 'shards-unknown', detail, {
    fix,
    applied: 'unknown',
    extension: { parts: outcomes },
  })
}

function uncounted(failed: readonly Part[], keyed: boolean): Problem {
  const refused = failed.find((part) => part.state === 'refused')
  if (refused !== undefined) return problemOf(refused)
  if (failed.every(({ state }) => state === 'busy'))
    return new Problem('busy', `${listOf(failed)}.`, { extension: missingOf(failed) })
  const fix = keyed
    ? 'Repeat the request with the same Idempotency-Key after the Retry-After time; GET /v1/cluster/slots shows how the shards do.'
    : undefined
  return new Problem('shards-missing', `${listOf(failed)}. Nothing was counted.`, {
    ...(fix !== undefined && { fix }),
    extension: missingOf(failed),
  })
}

/** The problem document of a shard as a problem of this API, under its own type where it is a known one. */
export function problemOf(part: Part & { state: 'refused' }): Problem {
  const { type, detail, fix, applied, errors } = documentOf(part.body)
  const known = String(type).replace('/problems/', '')
  const own = Object.hasOwn(PROBLEMS, known) ? (known as ProblemType) : 'internal'
  return new Problem(own, typeof detail === 'string' ? detail : `Shard ${part.shard} answered with status ${part.status}.`, {
    ...(typeof fix === 'string' && { fix }),
    ...(Array.isArray(errors) && { errors }),
    applied: applied === 'yes' || applied === 'no' ? applied : 'unknown',
    ...(part.retryAfter !== undefined && { headers: { [RETRY_AFTER]: part.retryAfter } }),
  })
}

function documentOf(body: string): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(body)
    return typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const appliedOf = ({ state }: Part): Applied => (state === 'done' ? 'yes' : state === 'unknown' ? 'unknown' : 'no')

function detailOf(part: Part): string {
  if (part.state === 'done') return 'counted'
  return part.state === 'refused' ? problemOf(part).message : part.detail
}

const listOf = (parts: readonly Part[]): string =>
  [...new Set(parts.map((part) => `shard ${part.shard}: ${detailOf(part)}`))].join('; ')

/** Which shards are missing, and why, as replies and problems list them. */
export const missingOf = (parts: readonly Part[]) => ({
  missing: [...new Map(parts.map((part) => [part.shard, { shard: part.shard, detail: detailOf(part) }])).values()].sort(
    (left, right) => left.shard - right.shard,
  ),
})

export const lastKnownOf = (lastKnown: LastKnown | undefined) =>
  lastKnown && { digits: lastKnown.digits, ageSeconds: Math.round(lastKnown.ageMs) / 1000 }

/**
 * Refuses a read of which nothing can be shown, or not all where that is required.
 * @param names of the values, for what was last seen of them
 * @throws Problem of the shard when one has refused; shards-missing
 */
export function checkShown({ refused, missing, values }: GatheredAll, requireComplete: boolean, names: readonly string[]): void {
  if (refused?.state === 'refused') throw problemOf(refused)
  if (missing.length === 0) return
  if (!requireComplete && values.some(({ value }) => value !== undefined)) return
  const lastKnown = names.flatMap((name, index) => {
    const last = lastKnownOf(values[index]?.lastKnown)
    return last === undefined ? [] : [{ name, valueString: last.digits, ageSeconds: last.ageSeconds }]
  })
  throw new Problem('shards-missing', `${listOf(missing)}.`, {
    extension: { ...missingOf(missing), ...(lastKnown.length > 0 && { lastKnown }) },
  })
}

/** The headers of a read. A reply that cannot say in its body that it lacks something says it here. */
export function shownHeaders({ missing, sessions }: GatheredAll, ask: Ask): Record<string, string> {
  const session = ask.session.size > 0 ? writeShardSessions(ask.session, sessions) : undefined
  return {
    ...(session !== undefined && { [SESSION]: session }),
    ...(missing.length > 0 && {
      'Counter-Complete': `false; missing=${[...new Set(missing.map(({ shard }) => shard))].sort().join(',')}`,
    }),
  }
}
