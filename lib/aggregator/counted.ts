// Which names of a request with a key have been counted by an earlier attempt, where slots have moved since they could be. Each shard keeps the
// replies it gave under the key, with the version of the map that it went by: such a reply covers the names whose slots were that shard's under
// that version. So a name has been counted when one of those who had its slot keeps a reply of a version under which it had it.

import type { SlotMap } from '../cluster/index.ts'
import type { Part } from './part.ts'

/** What a shard keeps under a key. */
export interface Replies {
  /** Of each reply, the version of the map. */
  readonly versions: readonly number[]
  /** Whether the names of one of them came in several pieces, which nobody can tell apart any more. */
  readonly pieces: boolean
  /** The first one. */
  readonly body: string
}

/** A shard that has, or had, a slot: under the versions [since, before). */
export interface Tenure {
  readonly shard: number
  readonly since: number
  readonly before: number
}

/** Who has had the slot as far as the map knows, the present owner last. */
export function tenuresOf(map: SlotMap, slot: number): Tenure[] {
  const tenures: Tenure[] = []
  let since = 1
  for (const { version, ranges, shard } of map.former) {
    if (!ranges.some(([first, last]) => slot >= first && slot <= last)) continue
    tenures.push({ shard, since, before: version })
    since = version
  }
  tenures.push({ shard: map.shardOf(slot), since, before: Number.POSITIVE_INFINITY })
  return tenures
}

/** Who has counted a name in the slot; undefined: nobody. */
export const countedBy = (tenures: readonly Tenure[], replies: ReadonlyMap<number, Replies>): number | undefined =>
  tenures.find(({ shard, since, before }) => replies.get(shard)!.versions.some((version) => version >= since && version < before))
    ?.shard

/** Of several replicas' answers that of the one that knows most: replies spread within a group, and some may not have heard of all yet. */
export function fullestOf(parts: readonly Part[]): Part {
  const fullness = (part: Part): number => {
    const replies = readReplies(part)
    if (replies === undefined) return -1
    return replies.pieces ? Number.POSITIVE_INFINITY : replies.versions.length
  }
  return parts.reduce((fullest, part) => (fullness(part) > fullness(fullest) ? part : fullest))
}

/** A shard's answer; undefined when it is none. */
export function readReplies(part: Part): Replies | undefined {
  if (part.state !== 'done') return undefined
  try {
    const { versions, pieces, body } = JSON.parse(part.body) as { versions?: unknown; pieces?: unknown; body?: unknown }
    const isVersions = Array.isArray(versions) && versions.every((version) => Number.isSafeInteger(version))
    if (!isVersions || typeof pieces !== 'boolean' || typeof body !== 'string') return undefined
    return { versions: versions as number[], pieces, body }
  } catch {
    return undefined
  }
}
