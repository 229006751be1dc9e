// `counter items`: gives the items of a file to their tenants, and says how many items a tenant has. It asks the public ports of running nodes.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Accept, connect } from '../lib/client/index.ts'
import { readSettings } from '../lib/config.ts'
import { readUrls, tokenOf, urlOf } from './asked-node.ts'
import { addSettings, flagsOf } from './settings.ts'

const EXAMPLES = `Examples:
  counter items load items.ndjson              lines of {"id": "item-1", "tenant": "t1"}
  counter items load items.csv --url http://a:3000,http://b:3000
                                               the rows of a CSV file with the columns id and tenant, spread over two nodes
  zcat items.gz | counter items load - --format ndjson
  counter items count t1                       how many items a tenant has
`

const LOAD = [
  'Gives the items of a file to their tenants, a batch to each node at a time. The file is lines of {"id": ..., "tenant": ...}, or CSV with a',
  'header that names the columns id and tenant, or with two columns. How far it has come is kept in FILE.progress: when it was stopped, or',
  'something failed, the same command goes on from there, and what was under way is not taken twice. An id belongs in a file once: of one',
  'that comes again with another tenant, either may stay. Takes the options of `counter items`.',
].join(' ')

export function register(program: Command): void {
  const command = program
    .command('items')
    .summary('load items from a file, count the items of a tenant')
    .description('Items per tenant, on running nodes.')
    .addHelpText('before', EXAMPLES)
    .addOption(
      new Option(
        '--url <urls>',
        'public ports of the nodes, with commas between, or given again; not given: the one that the settings name',
      ).argParser(readUrls),
    )
  addSettings(command)
  command
    .command('load')
    .argument('<file>', 'the file; - is standard input')
    .addOption(
      new Option('--format <format>', 'of the file; not given: as its name ends (.ndjson, .jsonl, .csv)').choices([
        'ndjson',
        'csv',
      ]),
    )
    .addOption(new Option('--batch <items>', 'items of a request at most').default(1000).argParser(readWhole(1, 10_000)))
    .addOption(new Option('--concurrency <batches>', 'batches under way on each node').default(4).argParser(readWhole(1, 64)))
    .addOption(
      new Option(
        '--accept <members>',
        'how many members must take a batch for it to be kept; not given: as the node has it',
      ).choices(['one', 'majority', 'all']),
    )
    .option('--skip-bad', 'leave out lines that hold no item, and say which; else the first one ends the load')
    .option('--resume-file <file>', 'where it is kept how far the load has come; not given: FILE.progress')
    .summary('give the items of a file to their tenants')
    .description(LOAD)
    .action(async (file: string, options: LoadFlags) => {
      const { loadItems } = await import('./items-load.ts')
      const { settings, urls } = place(command)
      process.exitCode = await loadItems({ file, urls, settings, ...options })
    })
  command
    .command('count')
    .argument('<tenant>')
    .summary('how many items a tenant has')
    .description('Prints how many items a tenant has. Takes the options of `counter items`.')
    .action(async (tenant: string) => {
      const { settings, urls } = place(command)
      process.stdout.write(`${await connect(urls, tokenOf(settings)).tenantCount(tenant)}\n`)
    })
}

interface LoadFlags {
  readonly format?: 'ndjson' | 'csv'
  readonly batch: number
  readonly concurrency: number
  readonly accept?: Accept
  readonly skipBad?: true
  readonly resumeFile?: string
}

function place(command: Command) {
  const { url, ...flags } = flagsOf(command)
  const { settings } = readSettings(flags)
  return { settings, urls: (url as readonly string[] | undefined) ?? [urlOf(settings)] }
}

function readWhole(least: number, most: number) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : -1
    if (value < least || value > most) throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`)
    return value
  }
}
