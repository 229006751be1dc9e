// How a node leaves: it takes no writes any more, waits until every living member knows all that it knows, and tells them that it has left.

import { CounterError } from '../base/errors.ts'
import type { Loop } from './loop.ts'
import type { Site } from './site.ts'

/** How often who is waited for is logged. */
const REPORT_MS = 10_000
/** How often members are told that the node has left, before it goes anyway: others will tell them. */
const TELL_MAX = 5

/** Resolves when the node has left. @throws CounterError CLOSED when it is stopped before */
export async function handOver(site: Site, loop: Loop): Promise<void> {
  const { store, logger, intervalMs, node } = site.options
  store.refuseWrites(
    new CounterError('DRAINING', `node ${node} hands over its counts and takes no writes any more`, {
      fix: 'send writes to another node',
    }),
  )
  site.draining = true
  logger.info({}, 'hands over its counts to the other members, and takes no writes any more')
  await site.orStopped(Promise.resolve(store.settled()))

  let reportedMs = site.nowMs
  for (let missing = missingOf(site); missing !== undefined; missing = missingOf(site)) {
    if (site.nowMs - reportedMs >= REPORT_MS) {
      reportedMs = site.nowMs
      const fix = 'start a member that is down, or connect the nodes; what this node has would be lost to the others without that'
      logger.warn({ waitsFor: missing, fix }, 'still hands over its counts')
    }
    loop.nudge()
    await site.pause(Math.min(intervalMs, 100))
    if (site.stop.happened) throw new CounterError('CLOSED', 'the node was stopped before it had handed over its counts')
  }

  site.roster.leave()
  await noteLeaving(site)
  const untold = new Set(livingOf(site))
  for (let attempt = 0; attempt < TELL_MAX && untold.size > 0; attempt++) {
    if (attempt > 0) await site.pause(intervalMs)
    for (const told of await loop.tellAll()) untold.delete(told)
  }
  logger.info({ untold: [...untold] }, 'has left the cluster; all that it counted is with the other members')
}

/** Makes the members file say that this node has left. A full disk is waited for. @throws CounterError CLOSED */
async function noteLeaving(site: Site): Promise<void> {
  for (;;) {
    try {
      return await site.orStopped(Promise.resolve(site.roster.saved()))
    } catch (error) {
      if (site.stop.happened) throw error
      const fix = 'make room on the disk; nothing else is waited for'
      site.options.logger.warn({ err: error, fix }, 'cannot note yet that it has left')
      await site.pause(site.options.intervalMs)
    }
  }
}

/** Living members that do not know all that this node knows, or nobody at all; undefined: at least one is there, and all know. */
function missingOf(site: Site): number[] | undefined {
  const own = site.options.store.vector()
  const living = livingOf(site)
  const missing = living.filter((node) => {
    const peer = site.peers.find(node)
    // What an earlier incarnation said may have gone with its disk.
    return peer === undefined || peer.incarnation !== site.roster.find(node)?.incarnation || !peer.vector.covers(own)
  })
  return living.length > 0 && missing.length === 0 ? undefined : missing
}

function livingOf(site: Site): number[] {
  return site.roster
    .others()
    .filter(({ state }) => state !== 'dead')
    .map(({ node }) => node)
}
