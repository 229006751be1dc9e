// What vectors cannot see: a cell that is missing although the vector covers it, as after a fault of a disk or of a program. When the vectors
// of two nodes agree their digests are compared now and then; the cells of buckets that differ are fetched whole and joined.

import { nextTurn } from '../base/clock.ts'
import type { Member } from '../cluster/index.ts'
import type { VersionVector } from '../storage/index.ts'
import { converse, cutOff, unexpected } from './conversation.ts'
import { RefusedError } from './exchange-client.ts'
import { DIGEST_WORDS, encodeDigest } from './messages.ts'
import { hostOfAddress } from './roster.ts'
import type { Site } from './site.ts'

const PATH = '/v1/digest'

/**
 * The digests of what `vector` says; undefined when that is not what is known here, or something comes in meanwhile: what is reckoned
 * for nothing must not cost a walk over all names. They may leave the process.
 */
export async function digestsOf(site: Site, vector: VersionVector): Promise<Uint32Array | undefined> {
  const { store, clock } = site.options
  const steps = store.digests()
  while (!site.stop.happened && store.vector().equals(vector)) {
    const step = steps.next()
    if (step.done) {
      await store.settled()
      return step.value
    }
    await nextTurn(clock)
  }
  return undefined
}

export function bucketsThatDiffer(ours: Uint32Array, theirs: Uint32Array): boolean[] {
  return Array.from(
    { length: DIGEST_WORDS / 2 },
    (_, at) => ours[at * 2] !== theirs[at * 2] || ours[at * 2 + 1] !== theirs[at * 2 + 1],
  )
}

/** A living member that says to know exactly what is known here, chosen at random. */
export function chooseEqual(site: Site): Member | undefined {
  const own = site.options.store.vector()
  const equals = site.roster
    .others()
    .filter(
      (member) => member.state === 'alive' && site.peers.find(member.node)?.vector.equals(own) && site.roster.mayContact(member),
    )
  return equals[site.options.random.uint32() % Math.max(1, equals.length)]
}

/**
 * Compares digests with a member and joins what differs.
 * @returns whether they could be compared, that is, nothing changed meanwhile
 * @throws CounterError as converse, RefusedError, and what SyncStore.merge throws
 */
export async function compareWith(site: Site, { node, address }: Member): Promise<boolean> {
  const { store, logger } = site.options
  const vector = store.vector()
  const digests = await site.orStopped(digestsOf(site, vector))
  if (digests === undefined) return false
  const sender = site.roster.sender()
  const hiddenBefore = store.hiddenCells
  let welcomed = false
  let isEqual = false
  for await (const message of converse(site, address, PATH, encodeDigest({ sender, vector, digests }))) {
    if (message.kind === 'refusal') throw new RefusedError(address, message, sender.incarnation)
    if (message.kind === 'welcome') {
      welcomed = true
      isEqual = message.vector.equals(vector)
      site.hear(message.sender, message.vector, message.news, hostOfAddress(address))
    } else if (message.kind === 'cells' && welcomed) {
      site.counters.cellsIn += await site.orStopped(store.merge(message.delta))
    } else if (message.kind === 'done' && welcomed) {
      const cells = store.hiddenCells - hiddenBefore
      const fix = 'look for faults of disk or memory, here first; run `counter inspect` on the data directories'
      if (cells > 0) {
        logger.warn(
          { member: node, address, cells, fix },
          'cells were missing here although they counted as known, and are repaired',
        )
      }
      return isEqual
    } else unexpected(address, PATH, message)
  }
  return cutOff(address, PATH)
}
