// Flags, environment and file to typed, range-checked, frozen settings. The only reader of the environment.
// A flag goes before the environment, the environment before the file, the file before the default; an empty value counts
// as not set. Everything that is wrong is reported at once, and a secret's value is never part of a message.

import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import envVar from 'env-var'
import { CounterError } from './base/errors.ts'
import { type Random, systemRandom } from './base/random.ts'
import { conflicts } from './config/conflicts.ts'
import { CONFIG_ENV, flagOf, SETTINGS, type Setting, type SettingName } from './config/table.ts'

export { CONFIG_ENV, flagOf, SETTINGS, type Setting, type SettingName } from './config/table.ts'

/** The effective settings of a node; what each means is in lib/config/table.ts. */
export type Settings = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['kind']['read']> }

export interface Configuration {
  readonly settings: Settings
  /** Where each value came from: `flag`, `environment`, `file PATH` or `default`. */
  readonly origins: Readonly<Record<SettingName, string>>
  /** Each value as it was written: `64MiB`, not 67108864. Undefined where nothing is set. Secrets are masked. */
  readonly texts: Readonly<Record<SettingName, string | undefined>>
}

/** What settings are read from. */
export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>
  readFile(path: string): string
  readonly random: Random
}

/** What stands for the value of a secret. */
export const MASK = '********'

const NAMES = Object.keys(SETTINGS) as SettingName[]
const ENVS = NAMES.map((name) => SETTINGS[name].env as string)

const systemSources: ConfigSources = {
  env: process.env,
  readFile: (path) => readFileSync(path, 'utf8'),
  random: systemRandom,
}

/**
 * The settings that hold.
 * @param flags by flag name without dashes (`data-dir`, and `config` for the file)
 * @throws CounterError CONFIG_INVALID with one line for each thing that is wrong
 */
export function readSettings(
  flags: Readonly<Record<string, string | undefined>>,
  sources: ConfigSources = systemSources,
): Configuration {
  const problems: string[] = []
  const { env } = sources
  problems.push(...unknownNames(env, 'the environment'))

  // The file
  const path = flags.config || env[CONFIG_ENV]
  const file = path ? readConfigFile(path, sources, problems) : {}

  // Each setting
  const settings: Partial<Record<SettingName, unknown>> = {}
  const origins: Partial<Record<SettingName, string>> = {}
  const texts: Partial<Record<SettingName, string | undefined>> = {}
  for (const name of NAMES) {
    const setting: Setting<unknown> = SETTINGS[name]
    const [text, origin] = choose([
      [flags[flagOf(setting.env)], 'flag'],
      [env[setting.env], 'environment'],
      [file[setting.env], `file ${path}`],
      [setting.default, 'default'],
    ])
    origins[name] = origin
    texts[name] = text !== undefined && setting.secret ? MASK : text
    try {
      settings[name] = readOne(setting, text)
    } catch (error) {
      const given = setting.secret ? 'a value that is not shown' : `"${text!.slice(0, 80)}"`
      problems.push(`${nameIn(setting.env, origin)} ${withoutPrefix(error, setting.env)}; got ${given}.`)
    }
  }

  // Nodes that are started side by side with nothing but their ids have each a directory of its own.
  const { nodeId } = settings as Partial<Settings>
  if (origins.dataDir === 'default' && nodeId !== undefined && nodeId !== 0) {
    settings.dataDir = texts.dataDir = `${settings.dataDir}-${nodeId}`
  }

  // What must hold between them
  problems.push(...conflicts(settings as Partial<Settings>, sources.random))
  if (problems.length > 0) throw invalid(problems)
  return { settings: Object.freeze(settings) as Settings, origins, texts } as Configuration
}

function choose(candidates: Array<[text: string | undefined, origin: string]>): [text: string | undefined, origin: string] {
  return candidates.find(([text]) => text !== undefined && text !== '') ?? candidates.at(-1)!
}

/** Reads one text through env-var, which knows the name for its message. */
function readOne(setting: Setting<unknown>, text: string | undefined): unknown {
  const accessors = { asKind: (value: string) => setting.kind.read(value) }
  return envVar
    .from({ [setting.env]: text }, accessors)
    .get(setting.env)
    .asKind()
}

function withoutPrefix(error: unknown, env: string): string {
  return (error instanceof Error ? error.message : String(error)).replace(`env-var: "${env}" `, '')
}

function nameIn(env: string, origin: string): string {
  return origin === 'flag' ? `--${flagOf(env)}` : `${env} (${origin})`
}

function readConfigFile(path: string, sources: ConfigSources, problems: string[]): Record<string, string | undefined> {
  let content: string
  try {
    content = sources.readFile(path)
  } catch (error) {
    problems.push(`The settings file ${path} cannot be read (${(error as Error).message}). Correct --config or ${CONFIG_ENV}.`)
    return {}
  }
  for (const [index, line] of content.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line) || /^\s*(export\s+)?\w+\s*=/.test(line)) continue
    problems.push(`${path}, line ${index + 1} should be NAME=value or a comment that starts with #.`)
  }
  const values = parseEnv(content) as Record<string, string | undefined>
  problems.push(...unknownNames(values, path, () => true))
  if (CONFIG_ENV in values)
    problems.push(`${path} names another settings file with ${CONFIG_ENV}. Put all settings into one file.`)
  return values
}

/** Names that look like settings and are none, each with the nearest known one. */
function unknownNames(
  values: Readonly<Record<string, string | undefined>>,
  place: string,
  isOurs = (name: string) => name.startsWith('COUNTER_'),
): string[] {
  const unknown = Object.keys(values).filter((name) => isOurs(name) && name !== CONFIG_ENV && !ENVS.includes(name))
  return unknown.map((name) => {
    const fix = /^COUNTER_(SERVICE|PORT)(_|$)/.test(name)
      ? 'Kubernetes makes such names for a Service called counter: set enableServiceLinks: false in the pod'
      : `Did you mean ${nearest(name)}? Correct or remove it`
    return `${name} in ${place} is not a setting. ${fix}.`
  })
}

function invalid(problems: string[]): CounterError {
  const count = problems.length === 1 ? 'One setting is' : `${problems.length} settings are`
  return new CounterError('CONFIG_INVALID', `${count} wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`, {
    fix: '`counter config` shows each setting and where it comes from; docs/OPERATING.md says what each does.',
  })
}

function nearest(name: string): string {
  const full = name.startsWith('COUNTER_') ? name : `COUNTER_${name}`
  return [...ENVS, CONFIG_ENV].reduce((best, env) => (distance(full, env) < distance(full, best) ? env : best))
}

/** The Levenshtein distance: how many letters to add, drop or change. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[to.length]!
}
