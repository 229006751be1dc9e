// Writes the table of settings into docs/OPERATING.md, between two markers, from lib/config/table.ts.
// Run it after a change there: node --import tsx scripts/write-config-table.ts

import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { flagOf, SETTINGS, type Setting } from '../lib/config.ts'

const FILE = 'docs/OPERATING.md'
const START = '<!-- settings: made by scripts/write-config-table.ts -->'
const END = '<!-- end of settings -->'

/** `document` with its table of settings made anew. */
export function withConfigTable(document: string): string {
  const from = document.indexOf(START)
  const to = document.indexOf(END)
  if (from < 0 || to < from) throw new Error(`${FILE} should hold the markers "${START}" and "${END}"`)
  return `${document.slice(0, from + START.length)}\n\n${configTable()}\n\n${document.slice(to)}`
}

function configTable(): string {
  const rows = Object.values(SETTINGS).map((setting: Setting<unknown>) => {
    const preset = setting.default ? `\`${setting.default}\`` : 'not set'
    const doc = setting.secret ? `${setting.doc} Secret: never shown.` : setting.doc
    return `| \`${setting.env}\` | \`--${flagOf(setting.env)}\` | ${preset} | ${setting.kind.text} | ${doc} |`
  })
  return ['| variable | flag | default | values | meaning |', '|---|---|---|---|---|', ...rows].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(FILE, withConfigTable(readFileSync(FILE, 'utf8')))
}
