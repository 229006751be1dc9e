// `counter tenants`: the tenants that have items, as a running node has them, a line each.

import type { Command } from 'commander'
import { Option } from 'commander'
import { connect } from '../lib/client/index.ts'
import { readSettings } from '../lib/config.ts'
import { readUrl, tokenOf, urlOf } from './asked-node.ts'
import { addSettings, flagsOf } from './settings.ts'

/** Tenants of one request. */
const PAGE = 1000

export function register(program: Command): void {
  const command = program
    .command('tenants')
    .addOption(
      new Option('--url <url>', 'public port of the node to ask; not given: the one that the settings name').argParser(readUrl),
    )
    .option('--prefix <text>', 'only tenants that begin so', '')
    .option('--json', 'print each line as JSON')
    .summary('print the tenants that have items, with their counts')
    .description('Prints each tenant that has items with its count, in the order of the bytes of their names.')
  addSettings(command).action(async () => {
    const { url, prefix, json, ...flags } = flagsOf(command)
    const { settings } = readSettings(flags)
    const client = connect(url ?? urlOf(settings), tokenOf(settings))
    for await (const { tenant, count } of client.tenants({ prefix: prefix ?? '', limit: PAGE })) {
      process.stdout.write(json ? `${JSON.stringify({ tenant, count })}\n` : `${tenant} ${count}\n`)
    }
  })
}
