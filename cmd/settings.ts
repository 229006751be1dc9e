// Every setting as a flag of a command, and the flags given as lib/config.ts wants them.

import { type Command, Option } from 'commander'
import { CONFIG_ENV, flagOf, SETTINGS, type Setting, type SettingName } from '../lib/config.ts'

/** Adds `--config` and a flag for each setting to `command`, but for those that the command has a use of its own for. */
export function addSettings(command: Command, without: readonly SettingName[] = []): Command {
  command.option('--config <file>', `a file with more settings, one NAME=value a line [${CONFIG_ENV}]`)
  for (const [name, setting] of Object.entries<Setting<unknown>>(SETTINGS)) {
    if (without.includes(name as SettingName)) continue
    command.addOption(new Option(`--${flagOf(setting.env)} <value>`, describe(setting)))
  }
  return command
}

/** The flags given, by name without dashes. */
export function flagsOf(command: Command): Record<string, string | undefined> {
  return Object.fromEntries(command.options.map((option) => [option.name(), command.getOptionValue(option.attributeName())]))
}

function describe(setting: Setting<unknown>): string {
  const preset = setting.default ? `, default ${setting.default}` : ''
  return `${setting.doc.replaceAll('`', '')} [${setting.env}${preset}]`
}
