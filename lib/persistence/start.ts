// What happens between a locked directory and a store that takes writes: identity, recovery, the decision about the
// incarnation, the log opened with room ahead.

import type { Clock } from '../base/clock.ts'
import type { CounterError } from '../base/errors.ts'
import type { NameHash } from '../base/hash.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Replica, Replies } from '../storage/index.ts'
import { type Disk, isDiskFull } from './disk.ts'
import { type Identity, newIncarnation, readIdentity, writeIdentity } from './identity.ts'
import type { Lock, TakeLock } from './lock.ts'
import { type FsyncMode, Log } from './log.ts'
import { type Members, readMembers } from './members.ts'
import { Notes } from './notes.ts'
import { listDirectory, type Recovery, recover } from './recover.ts'
import { joinInto } from './snapshot.ts'
import { Snapshots } from './snapshots.ts'

export interface StoreOptions {
  readonly directory: string
  /** The node id, in [0, 2^31). */
  readonly nodeId: number
  readonly hash: NameHash
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly lock: TakeLock
  readonly logger: Logger
  /** Names at most; 0 for no limit. */
  readonly namesMax: number
  /** Ids of items at most, deleted ones included; 0 for no limit. */
  readonly itemsMax: number
  /** How far the stamps of items from elsewhere may be ahead of the clock, in milliseconds. */
  readonly itemsAheadMsMax: number
  readonly fsync: FsyncMode
  readonly fsyncIntervalMs: number
  readonly segmentBytes: number
  readonly queueBytesMax: number
  /** A snapshot is taken this often when anything changed; 0 for never by time. */
  readonly snapshotIntervalMs: number
  /** A snapshot is taken when the log has grown by this since the last; 0 for never by size. */
  readonly snapshotLogBytes: number
  readonly replyTtlMs: number
  readonly repliesMax: number
  /** About so many bytes of writes with idempotency keys are kept so that they can be taken back. */
  readonly tentativeBytesMax: number
  /** Called when a group of the log has settled: something may be news to others. It must not throw. */
  readonly onSettled?: () => void
}

/** What a start found and did. */
export interface Recovered {
  readonly names: number
  /** Items that are not deleted. */
  readonly items: number
  /** The snapshot that was read, or undefined. */
  readonly snapshot: string | undefined
  readonly records: number
  readonly logBytes: number
  readonly tornBytes: number
  readonly elapsedMs: number
  readonly incarnation: number
  /** Whether the incarnation is a new one. */
  readonly incarnationIsNew: boolean
  /** What saveMembers has kept, or undefined. */
  readonly members: Uint8Array | undefined
}

/** What a start has put together. */
export interface StoreParts {
  readonly options: StoreOptions
  readonly replica: Replica
  readonly notes: Notes
  readonly log: Log
  readonly lock: Lock
  readonly recovered: Recovered
  readonly snapshots: Snapshots
  readonly failed: Promise<CounterError>
  /** Whether the disk had no room for the identity: the first write must open a new incarnation. */
  readonly renewalDue: boolean
}

/** Reads a locked directory, decides the incarnation and opens the log. @throws CounterError, with nothing changed */
export async function start(options: StoreOptions, lock: Lock): Promise<StoreParts> {
  const { disk, directory, clock, logger } = options
  const startedMs = clock.monotonicMs()
  const identity = await readIdentity(disk, directory)
  const members = await readMembers(disk, directory)
  const self = { node: options.nodeId, incarnation: identity?.incarnation ?? newIncarnation(clock, options.random, 0) }
  const replica = new Replica({
    self: { ...self, node: identity?.node ?? self.node },
    hash: options.hash,
    namesMax: options.namesMax,
    itemsMax: options.itemsMax,
    replies: new Replies({ clock, ttlMs: options.replyTtlMs, max: options.repliesMax }),
  })
  const notes = new Notes()
  const recovery = await recover(disk, directory, clock, joinInto({ replica, notes }))
  reportRecovery(logger, recovery)

  const above = replica.greatestIncarnation(options.nodeId)
  const isSure = identity?.original === true && identity.node === options.nodeId && !identity.relaxed && !members.damage
  // What was to become the own column may have writes under a later incarnation, of which the identity was never told.
  const resume = isSure && above <= identity.incarnation
  if (!resume) {
    if (identity) {
      const why = isSure ? 'a later one of this node is known' : whyNot(identity, members, options.nodeId)
      logger.warn({ directory }, `the data directory goes on under a new incarnation, because ${why}; all counts are kept`)
    }
    if (identity || above > self.incarnation) {
      replica.become({ node: options.nodeId, incarnation: newIncarnation(clock, options.random, above) })
    }
  }
  const noted = await noteIdentity(options, replica, resume, identity !== undefined)
  for (const name of (await listDirectory(disk, directory)).leftovers) await disk.remove(`${directory}/${name}`)

  let fail!: (error: CounterError) => void
  const failed = new Promise<CounterError>((resolve) => {
    fail = resolve
  })
  const log = await Log.open(
    { ...options, node: options.nodeId, onFailure: fail },
    recovery.logEnd,
    recovery.snapshot?.header.from,
  )
  const snapshots = new Snapshots({ ...options, replica, notes, log }, recovery)
  const recovered: Recovered = {
    names: replica.table.rowCount,
    items: replica.items.live,
    snapshot: recovery.snapshot?.name,
    records: recovery.records,
    logBytes: recovery.logBytes,
    tornBytes: recovery.tornBytes,
    elapsedMs: clock.monotonicMs() - startedMs,
    incarnation: replica.self.incarnation,
    incarnationIsNew: !resume,
    members: members.bytes,
  }
  return { options, replica, notes, log, lock, recovered, snapshots, failed, renewalDue: !noted }
}

/** Writes the identity where it says something new. Returns false when there is no room for it in a directory that had one. */
async function noteIdentity(options: StoreOptions, replica: Replica, resume: boolean, hadOne: boolean): Promise<boolean> {
  const relaxed = options.fsync !== 'always'
  if (resume && !relaxed) return true
  try {
    await writeIdentity(options.disk, options.directory, replica.self, relaxed)
    return true
  } catch (error) {
    if (hadOne && isDiskFull(error)) return false
    throw error
  }
}

/** Why the identity is not resumed. */
function whyNot(identity: Identity, members: Members, nodeId: number): string {
  if (!identity.original) return 'it is a copy or a restored backup'
  if (identity.node !== nodeId) return `it was made as node ${identity.node}`
  if (identity.relaxed) return 'the last life wrote with COUNTER_FSYNC=interval or never and did not end cleanly'
  return `it cannot be known who its members were: ${members.damage}`
}

function reportRecovery(logger: Logger, recovery: Recovery): void {
  for (const error of recovery.damaged) {
    logger.error({ code: error.code }, `a snapshot does not hold and was passed over for the one before: ${error.message}`)
  }
  if (recovery.tornBytes > 0) {
    logger.warn({ bytes: recovery.tornBytes }, 'the last write of the log was torn, never acknowledged, and is cut off')
  }
}
