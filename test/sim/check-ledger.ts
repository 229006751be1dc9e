// Acknowledged means kept, unknown means 0 or 1, refused means 0. Nothing counts twice.

import type { Ledger, Readings } from './ledger.ts'

export function checkLedger(ledger: Ledger, readings: Readings): string[] {
  const found: string[] = []
  for (const { name, state } of ledger.ops) {
    const value = readings.get(name)!
    if (state === 'acknowledged' && value !== 1) found.push(`${name} was acknowledged and reads ${value}`)
    if (state === 'refused' && value !== 0) found.push(`${name} was refused and reads ${value}`)
    if (state === 'unknown' && value !== 0 && value !== 1) found.push(`${name} is unknown and reads ${value}`)
  }
  return found
}
