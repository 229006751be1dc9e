// `counter config`: each effective setting and where it came from, secrets masked.

import type { Command } from 'commander'
import { readSettings, SETTINGS, type SettingName } from '../lib/config.ts'
import { addSettings, flagsOf } from './settings.ts'

export function register(program: Command): void {
  const command = program
    .command('config')
    .summary('print the settings that hold, and their sources')
    .description('Prints each effective setting and where it came from. Takes the flags of serve.')
    .option('--json', 'print one JSON object')
  addSettings(command).action(() => {
    const rows = settingRows(flagsOf(command))
    process.stdout.write(command.getOptionValue('json') ? asJson(rows) : asTable(rows))
  })
}

interface SettingRow {
  env: string
  value: string | null
  origin: string
}

function settingRows(flags: Record<string, string | undefined>): SettingRow[] {
  const { texts, origins } = readSettings(flags)
  return (Object.keys(SETTINGS) as SettingName[]).map((name) => ({
    env: SETTINGS[name].env,
    value: texts[name] || null,
    origin: origins[name],
  }))
}

const asJson = (rows: SettingRow[]): string =>
  `${JSON.stringify(Object.fromEntries(rows.map(({ env, value, origin }) => [env, { value, origin }])), null, 2)}\n`

function asTable(rows: SettingRow[]): string {
  const cells = rows.map(({ env, value, origin }) => [env, value ?? '(not set)', origin] as const)
  const width = (column: 0 | 1) => Math.max(...cells.map((row) => row[column].length))
  return cells.map(([env, value, origin]) => `${env.padEnd(width(0))}  ${value.padEnd(width(1))}  ${origin}\n`).join('')
}
