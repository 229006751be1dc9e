// A look at a data directory that changes nothing: what its files are, whether each holds, and the state they add up to.
// It reads with the same code as a start does. A node may be running on the directory: then the end of the log, which
// it is writing, can look torn.

import type { Clock } from '../base/clock.ts'
import { nextTurn } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { NameHash } from '../base/hash.ts'
import { utf8 } from '../base/utf8.ts'
import { type Count, Replica } from '../storage/index.ts'
import type { Disk } from './disk.ts'
import { readRecords } from './frame.ts'
import { type Identity, readIdentity } from './identity.ts'
import { readMembers } from './members.ts'
import { Notes } from './notes.ts'
import { listDirectory, readSegment, recover } from './recover.ts'
import { segmentName } from './segment.ts'
import { joinInto, readSnapshot, type SnapshotHeader } from './snapshot.ts'

export interface InspectedSnapshot {
  readonly name: string
  readonly header: SnapshotHeader | undefined
  readonly names: number
  readonly problem: string | undefined
}

export interface InspectedSegment {
  readonly name: string
  /** Positions in the log that its frames take, [start, end). */
  readonly start: number
  readonly end: number
  readonly frames: number
  readonly records: number
  /** Bytes of a torn frame behind the last true one. */
  readonly tornBytes: number
  readonly problem: string | undefined
}

export interface Inspection {
  readonly identity: Identity | undefined
  /** Newest first. */
  readonly snapshots: InspectedSnapshot[]
  readonly segments: InspectedSegment[]
  readonly leftovers: string[]
  /** The state that a start would have, or as much of it as could be read. */
  readonly replica: Replica
  readonly replies: number
  /** What keeps a node from starting here, or has been passed over; empty when all is well. */
  readonly problems: string[]
}

/** @throws what the disk throws when the directory cannot be read at all */
export async function inspect(disk: Disk, directory: string, clock: Clock, hash: NameHash): Promise<Inspection> {
  const problems: string[] = []
  const noted = async <T>(task: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await task()
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      if (!problems.includes(error.message)) problems.push(error.message)
      return undefined
    }
  }
  const listing = await listDirectory(disk, directory)
  const identity = await noted(() => readIdentity(disk, directory))
  const members = await noted(() => readMembers(disk, directory))
  if (members?.damage) problems.push(members.damage)
  const fresh = () => ({
    replica: new Replica({ self: identity ?? { node: 0, incarnation: 0 }, hash, namesMax: 0 }),
    notes: new Notes(),
  })

  const snapshots: InspectedSnapshot[] = []
  for (const name of listing.snapshots) {
    const state = fresh()
    const file = await disk.open(`${directory}/${name}`, 'read')
    try {
      const header = await noted(() => readSnapshot(file, name, joinInto(state), () => nextTurn(clock)))
      snapshots.push({ name, header, names: state.replica.table.rowCount, problem: header ? undefined : problems.at(-1) })
    } finally {
      await file.close()
    }
  }

  const segments: InspectedSegment[] = []
  for (const [index, start] of listing.segments.entries()) {
    let frames = 0
    let records = 0
    const read = await noted(() =>
      readSegment(disk, directory, start, listing.segments[index + 1], 0, (frame, file) => {
        frames++
        for (const _ of readRecords(frame, file)) records++
      }),
    )
    const problem = read ? undefined : problems.at(-1)
    segments.push({
      name: segmentName(start),
      start,
      end: read?.end ?? start,
      frames,
      records,
      tornBytes: read?.tornBytes ?? 0,
      problem,
    })
  }

  const state = fresh()
  await noted(() => recover(disk, directory, clock, joinInto(state)))
  const { replica } = state
  return { identity, snapshots, segments, leftovers: listing.leftovers, replica, replies: replica.replies.size, problems }
}

/** Each item that is not deleted with its tenant, in order of arrival. */
export function* itemsOf({ items }: Replica): Generator<{ id: string; tenant: string }, void> {
  for (let row = 0; row < items.ids.rowCount; row++) {
    const tenant = items.cells.tenantOf(row)
    if (tenant > 0) yield { id: utf8.decode(items.ids.nameOf(row)), tenant: utf8.decode(items.tenants.nameOf(tenant - 1)) }
  }
}

/** Each name with its value, in order of arrival; rows that are known by key only are given as `crc64:` and 16 digits. */
export function* namesOf(replica: Replica): Generator<{ name: string; value: Count }, void> {
  for (let row = 0; row < replica.table.rowCount; row++) {
    const bytes = replica.table.nameOf(row)
    const isKey = replica.table.nameLength(row) === 0
    const name = isKey ? `crc64:${Buffer.from(bytes).reverse().toString('hex')}` : utf8.decode(bytes)
    yield { name, value: replica.valueOf(row) }
  }
}
