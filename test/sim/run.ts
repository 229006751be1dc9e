// npm run sim -- --seed 42             one history, step by step; of a cluster: --cluster --seed 42
// npm run sim -- --runs 2000           histories from seed 1 on; ends with 1 at the first violation, or when faults did not
//                                      happen (which --partial does not ask); --all lists what happened how often

import { parseArgs } from 'node:util'
import { addFaults, checkFaults, type Faults } from './check-faults.ts'
import { runClusterHistory } from './cluster.ts'
import { type HistoryResult, runHistory } from './node.ts'

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
  'items changed',
  'notes kept',
  'told',
  'taken back',
  'stays twice',
] as const

/** The same of a cluster. */
export const CLUSTER_WANTED = [
  'killed while starting',
  'killed while up',
  'killed while draining',
  'power cut while starting',
  'power cut while up',
  'power cut while draining',
  'stopped',
  'paused',
  'goes on',
  'all restarted',
  'wall clock jumps',
  'cut both ways',
  'cut one way',
  'cut off',
  'message cut',
  'connection broken',
  'request twice',
  'full',
  'write EIO',
  'sync EIO',
  'write short',
  'write ENOSPC',
  'ended with LOG_FAILED',
  'write refused DISK_FULL',
  'backup restored',
  'disk rolled back',
  'wiped',
  'identity removed',
  'cloned',
  'clone started',
  'clone started while all live',
  'ended with NODE_ID_TAKEN',
  'rot in log',
  'rot in IDENTITY',
  'rot healed',
  'ended with LOG_CORRUPT',
  'drained',
  'removed',
  'renewed',
  'folded',
  'difference hidden',
  'level majority met',
  'level majority not met',
  'level all met',
  'level all not met',
  'session read',
  'items changed',
  'items met their level',
  'items accepted by majority',
  'items accepted by all',
  'items refused ITEMS_REFUSED',
  'items read',
  'session read of items',
  'merge refused CLOCK_AHEAD',
  'key answered again',
  'key answered again elsewhere',
  'key met its level',
  'key refused KEY_IN_FLIGHT',
  'key refused KEYS_UNSETTLED',
  'key must come to one',
  'key may stay twice',
  'key stays twice',
  'key taken back',
] as const

/** What a history can be of. */
export interface Kind {
  readonly run: (seed: number) => Promise<HistoryResult>
  readonly wanted: readonly string[]
  /** How often each must have happened in a short run; once more for each 2,000 histories. */
  readonly least: number
}

export const NODE: Kind = { run: runHistory, wanted: WANTED, least: 1 }
export const CLUSTER: Kind = { run: runClusterHistory, wanted: CLUSTER_WANTED, least: 0 }

export interface RunResult {
  /** The seed of the history that was violated. */
  readonly failed: number | undefined
  readonly violations: string[]
  readonly faults: Faults
}

/** Runs histories [first, first + count). Stops at the first with violations. */
export async function runHistories(first: number, count: number, kind = NODE): Promise<RunResult> {
  const faults: Faults = new Map()
  for (let seed = first; seed < first + count; seed++) {
    const result = await runOne(kind, seed)
    addFaults(faults, result.faults)
    if (result.violations.length > 0) return { failed: seed, violations: result.violations, faults }
  }
  return { failed: undefined, violations: checkRun(kind, faults, count), faults }
}

/** What did not happen often enough in so many histories. Of a cluster, where much can happen, a few hundred need not hold all. */
export const checkRun = ({ wanted, least }: Kind, faults: Faults, count: number): string[] =>
  checkFaults(faults, wanted, Math.floor(count / 2000) + least)

/** A rejection that nobody handles ends a process, so it is a violation too. */
async function runOne({ run }: Kind, seed: number): Promise<HistoryResult> {
  const unhandled: string[] = []
  const note = (reason: unknown) => unhandled.push(`nobody handles ${reason instanceof Error ? reason.stack : reason}`)
  process.on('unhandledRejection', note)
  try {
    const result = await run(seed)
    return { ...result, violations: [...unhandled, ...result.violations] }
  } finally {
    process.off('unhandledRejection', note)
  }
}

if (process.argv[1] === import.meta.filename) await main()

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      runs: { type: 'string' },
      all: { type: 'boolean' },
      partial: { type: 'boolean' },
      cluster: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const seed = Number(values.seed ?? 1)
  const kind = values.cluster ? CLUSTER : NODE
  const again = `npm run sim -- ${values.cluster ? '--cluster ' : ''}--seed`
  if (values.runs === undefined) {
    const { violations, trace } = await runOne(kind, seed)
    for (const line of [...trace, ...violations.map((violation) => `VIOLATION ${violation}`)]) console.log(line)
    process.exitCode = violations.length > 0 ? 1 : 0
    return
  }
  const started = performance.now()
  // Taking stacks is a tenth of the time; --seed shows them.
  Error.stackTraceLimit = 0
  const { failed, violations, faults } = await runHistories(seed, Number(values.runs), kind)
  if (values.partial && failed === undefined) violations.length = 0
  if (values.json) return console.log(JSON.stringify({ failed, violations, faults: [...faults] }))
  if (values.all) for (const [what, count] of [...faults].sort()) console.log(`${String(count).padStart(8)}  ${what}`)
  for (const violation of violations.slice(0, 5)) console.log(`VIOLATION ${violation}`)
  if (failed !== undefined) console.log(`seed ${failed}: ${again} ${failed}`)
  const ran = failed === undefined ? Number(values.runs) : failed - seed + 1
  console.log(`${ran} histories, ${violations.length} violations, ${((performance.now() - started) / 1000).toFixed(1)} s`)
  process.exitCode = violations.length > 0 ? 1 : 0
}
