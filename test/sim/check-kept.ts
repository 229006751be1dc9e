// Acknowledged means kept, on whatever node it is read in the end: 1; excused or unknown 0 or 1, refused 0. And an increment of two
// names counts as a whole: `hot` is in every one of them, however columns were renewed, folded and merged meanwhile.

import type { ClusterLedger } from './cluster-ledger.ts'
import { KeyedOp } from './keyed-ledger.ts'
import type { Readings } from './ledger.ts'

export function checkKept(ledger: ClusterLedger, readings: Readings): string[] {
  const found: string[] = []
  let counted = 0
  for (const op of ledger.ops) {
    // See checkKeyed.
    if (op instanceof KeyedOp) continue
    const { name, state, excused, level, machine } = op
    const value = readings.get(name)!
    counted += value
    if (value !== 0 && value !== 1) found.push(`${name} reads ${value}`)
    if (state === 'refused' && value !== 0) found.push(`${name} was refused and reads ${value}`)
    if (state === 'acknowledged' && !excused && value === 0) {
      found.push(`${name} was acknowledged by machine ${machine} with level ${level} and reads 0`)
    }
  }
  const hot = readings.get('hot')!
  if (hot !== counted) found.push(`hot reads ${hot}, and ${counted} increments counted`)
  return found
}

/** A disk that nobody has touched holds at a start what it held before. */
export function checkHeld(ledger: ClusterLedger, machine: number, valueOf: (name: string) => number): string[] {
  return ledger.ops
    .filter(({ name, holders }) => holders.has(machine) && valueOf(name) === 0)
    .map(({ name }) => `machine ${machine} held ${name} on its disk, and starts without it`)
}

/** Who drained has handed over all that it held; what became of the other's disk since is not its fault. */
export function checkHandedOver(ledger: ClusterLedger, machine: number): string[] {
  return ledger.ops
    .filter(
      ({ holders, everHeld, state, excused }) =>
        holders.has(machine) && everHeld.size === 1 && state === 'acknowledged' && !excused,
    )
    .map(({ name }) => `machine ${machine} was drained, and it alone holds ${name}`)
}
