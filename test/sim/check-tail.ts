// Where acknowledged increments may be lost (a power cut without fsync, a rotten last frame), only the newest are: there is a place
// in the order of the log before which all are kept and behind which none is.

import type { Ledger, Readings } from './ledger.ts'

export function checkTail(ledger: Ledger, readings: Readings): string[] {
  const kept = ledger.ops.filter(({ name }) => readings.get(name) === 1)
  const lost = ledger.ops.filter(({ name, state }) => state === 'acknowledged' && readings.get(name) === 0)
  const lastKept = Math.max(0, ...kept.map(({ order }) => order))
  return lost.filter(({ order }) => order < lastKept).map(({ name }) => `${name} is lost, and a later increment is kept`)
}
