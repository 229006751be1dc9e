// `npm run bench [name...]`: runs each *.bench.ts of this folder, or those named, in a process of its own, one after the other,
// so that neither the heap nor the compiled code of one shows in another. Exit code 1 when a bench failed to run.
// With `-- --write` what is printed is also kept in docs/BENCHMARKS.md.

import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const directory = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(directory)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
  .sort()
const { positionals: asked, values } = parseArgs({ allowPositionals: true, options: { write: { type: 'boolean' } } })
const unknown = asked.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(', ')}; there are: ${all.join(', ')}`)
  process.exit(2)
}

let printed = ''
let failed = 0
print(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, ${process.platform} ${process.arch}\n`,
)
for (const name of asked.length > 0 ? asked : all) {
  print(`\n== ${name}\n`)
  if ((await run(`${directory}${name}.bench.ts`)) !== 0) {
    console.error(`${name} failed`)
    failed++
  }
}
if (values.write) writeFileSync('docs/BENCHMARKS.md', page(printed))
process.exitCode = failed > 0 ? 1 : 0

function print(text: string): void {
  printed += text
  process.stdout.write(text)
}

function run(file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--max-old-space-size=4096', '--expose-gc', '--import', 'tsx', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout.setEncoding('utf8').on('data', print)
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

function page(output: string): string {
  return [
    '# Benchmarks',
    '',
    'What `npm run bench -- --write` printed last. Each figure stands beside its baseline of the same run; on another machine, or a',
    'busier one, only the ratios carry over. Targets that are missed say so.',
    '',
    '```text',
    output.trimEnd(),
    '```',
    '',
  ].join('\n')
}
