// `counter inspect DIR`: what the files of a data directory are, whether each holds, and what they add up to. Read-only.

import type { Command } from 'commander'
import type { Inspection } from '../lib/persistence/index.ts'
import { requireDirectory } from './data-directory.ts'
import { EXIT } from './exit.ts'

export function register(program: Command): void {
  program
    .command('inspect')
    .argument('[directory]', 'the data directory', './data')
    .option('--names', 'print every name with its value, a line each, instead of the report')
    .option('--items', 'print every item with its tenant as a line of JSON instead, as `counter items load` reads them')
    .option('--json', 'print the report as one JSON object')
    .summary('check a data directory, and print what is in it')
    .description('Reads a data directory with the code of a start and changes nothing. Ends with 1 when something does not hold.')
    .action((directory: string, options: Options) => run(directory, options))
}

interface Options {
  readonly names?: true
  readonly items?: true
  readonly json?: true
}

async function run(directory: string, options: Options): Promise<void> {
  requireDirectory(directory)
  const [{ inspect, itemsOf, namesOf, nodeDisk }, { createNameHash }, { systemClock }, { systemRandom }] = await Promise.all([
    import('../lib/persistence/index.ts'),
    import('../lib/base/hash.ts'),
    import('../lib/base/clock.ts'),
    import('../lib/base/random.ts'),
  ])
  const inspection = await inspect(nodeDisk, directory, systemClock, createNameHash(systemRandom))
  if (options.names || options.items) {
    if (options.names) for (const { name, value } of namesOf(inspection.replica)) process.stdout.write(`${name} ${value}\n`)
    if (options.items) for (const item of itemsOf(inspection.replica)) process.stdout.write(`${JSON.stringify(item)}\n`)
    for (const problem of inspection.problems) process.stderr.write(`${problem}\n`)
  } else process.stdout.write(options.json ? `${JSON.stringify(summary(inspection), null, 2)}\n` : report(directory, inspection))
  if (inspection.problems.length > 0) process.exitCode = EXIT.failure
}

/** The inspection without the state itself. */
function summary({ replica, ...rest }: Inspection) {
  const known = replica.vector()
  return {
    ...rest,
    names: replica.table.rowCount,
    items: replica.items.live,
    keysOnly: replica.table.keyedCount,
    keysClaimed: replica.claimedCount(),
    columns: replica.columns.map(({ replica: { node, incarnation }, highest }) => ({
      node,
      incarnation,
      seq: Math.max(known.get({ node, incarnation }), ...highest),
    })),
  }
}

function report(directory: string, inspection: Inspection): string {
  const { columns, identity, items, keysClaimed, keysOnly, leftovers, names, problems, replies, segments, snapshots } =
    summary(inspection)
  const lines = [`data directory ${directory}`]
  if (identity === undefined) lines.push('  IDENTITY  none')
  else {
    const place = identity.original ? 'made here' : 'a copy, or a restored backup'
    lines.push(`  IDENTITY  node ${identity.node}, incarnation ${identity.incarnation}, ${place}`)
  }
  for (const { header, name, names: count, problem } of snapshots) {
    const what = header && `holds: ${count} names of ${new Date(header.createdAt).toISOString()}, goes on from ${header.from}`
    lines.push(`  ${name}  ${what ?? `DAMAGED: ${problem}`}`)
  }
  for (const { end, frames, name, problem, records, start, tornBytes } of segments) {
    const torn = tornBytes > 0 ? `, then ${tornBytes} bytes of a write that was never acknowledged` : ''
    lines.push(
      `  ${name}  ${problem ? `DAMAGED: ${problem}` : `holds: [${start}, ${end}), ${frames} frames, ${records} records${torn}`}`,
    )
  }
  for (const name of leftovers) lines.push(`  ${name}  left over, removed by the next start`)
  lines.push(`state: ${names} names, ${items} items, ${replies} replies kept for retries`)
  if (keysOnly > 0)
    lines.push(
      `  ${keysOnly} of the names are known by their key only; ${keysClaimed} of these count for the first name with the key`,
    )
  for (const { incarnation, node, seq } of columns) {
    lines.push(`  column of node ${node}, incarnation ${incarnation}: last sequence number ${seq}`)
  }
  lines.push(problems.length === 0 ? 'all is well' : `${problems.length} problems:`)
  for (const problem of problems) lines.push(`  ${problem}`)
  return `${lines.join('\n')}\n`
}
