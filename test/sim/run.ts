// npm run sim -- --seed 42             one history, step by step
// npm run sim -- --runs 2000           histories from seed 1 on; ends with 1 at the first violation, or when faults did not
//                                      happen (which --partial does not ask); --all lists what happened how often

import { parseArgs } from 'node:util'
import { addFaults, checkFaults, type Faults } from './check-faults.ts'
import { runHistory } from './node.ts'

/** What must have happened in a run of some size for it to prove anything. */
export const WANTED = [
  'kill in life',
  'kill in start',
  'kill in close',
  'power cut in life',
  'power cut in start',
  'power cut in close',
  'failed',
  'closed',
  'full',
  'fill disk',
  'write EIO',
  'write short',
  'sync EIO',
  'open EIO',
  'open EMFILE',
  'rename EIO',
  'syncDirectory EIO',
  'write refused DISK_FULL',
  'retry',
  'replayed',
  'saved',
  'restored',
  'cloned',
  'wiped identity',
  'rot in log',
  'rot in tail',
  'rot in snapshot',
  'rot in IDENTITY',
  'start refused LOG_CORRUPT',
  'start refused IDENTITY_INVALID',
  'lost where that may be',
] as const

/** Runs histories [first, first + count). Stops at the first with violations. */
export async function runHistories(
  first: number,
  count: number,
): Promise<{ failed: number | undefined; violations: string[]; faults: Faults }> {
  const faults: Faults = new Map()
  for (let seed = first; seed < first + count; seed++) {
    const result = await runHistory(seed)
    addFaults(faults, result.faults)
    if (result.violations.length > 0) return { failed: seed, violations: result.violations, faults }
  }
  return { failed: undefined, violations: checkFaults(faults, WANTED, Math.floor(count / 2000) + 1), faults }
}

if (process.argv[1] === import.meta.filename) await main()

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, runs: { type: 'string' }, all: { type: 'boolean' }, partial: { type: 'boolean' } },
  })
  const seed = Number(values.seed ?? 1)
  if (values.runs === undefined) {
    const { violations, trace } = await runHistory(seed)
    for (const line of [...trace, ...violations.map((violation) => `VIOLATION ${violation}`)]) console.log(line)
    process.exitCode = violations.length > 0 ? 1 : 0
    return
  }
  const started = performance.now()
  const { failed, violations, faults } = await runHistories(seed, Number(values.runs))
  if (values.partial && failed === undefined) violations.length = 0
  if (values.all) for (const [what, count] of [...faults].sort()) console.log(`${String(count).padStart(8)}  ${what}`)
  for (const violation of violations.slice(0, 5)) console.log(`VIOLATION ${violation}`)
  if (failed !== undefined) console.log(`seed ${failed}: npm run sim -- --seed ${failed}`)
  const ran = failed === undefined ? Number(values.runs) : failed - seed + 1
  console.log(`${ran} histories, ${violations.length} violations, ${((performance.now() - started) / 1000).toFixed(1)} s`)
  process.exitCode = violations.length > 0 ? 1 : 0
}
