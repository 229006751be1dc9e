// An increment of several names counts as a whole: `hot` is in every one of them.

import type { Ledger, Readings } from './ledger.ts'

export function checkWhole(ledger: Ledger, readings: Readings): string[] {
  const counted = ledger.ops.filter(({ name }) => readings.get(name) === 1).length
  const hot = readings.get('hot')!
  return hot === counted ? [] : [`hot reads ${hot}, and ${counted} increments counted`]
}
