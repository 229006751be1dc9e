// `npm run bench [name...]`: runs each *.bench.ts of this folder, or those named, in a process of its own, one after the other,
// so that neither the heap nor the compiled code of one shows in another. Exit code 1 when a bench failed to run.
// With `-- --write` what is printed is also kept in docs/BENCHMARKS.md, where benches that were not run keep what they printed last.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
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

const PAGE = 'docs/BENCHMARKS.md'
const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, ${process.platform} ${process.arch}`
/** What each bench has printed. */
const printed = new Map<string, string>()
let failed = 0
console.log(machine)
for (const name of asked.length > 0 ? asked : all) {
  console.log(`\n== ${name}\n`)
  if ((await run(name)) !== 0) {
    console.error(`${name} failed`)
    failed++
  }
}
if (values.write && failed === 0) writeFileSync(PAGE, page())
process.exitCode = failed > 0 ? 1 : 0

function run(name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=4096', '--expose-gc', '--import', 'tsx', `${directory}${name}.bench.ts`],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed.set(name, (printed.get(name) ?? '') + text)
      process.stdout.write(text)
    })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/** The page with what was printed now and, of benches that were not run, before. */
function page(): string {
  const outputs = new Map(
    Array.from(readFileSync(PAGE, 'utf8').matchAll(/^== (\w+)\n([\s\S]*?)(?=^== |^```$)/gm), ([, name, output]) => [
      name!,
      output!,
    ]),
  )
  for (const [name, output] of printed) outputs.set(name, output)
  const sections = all.flatMap((name) => (outputs.has(name) ? [`== ${name}`, '', outputs.get(name)!.trim(), ''] : []))
  return [
    '# Benchmarks',
    '',
    'What `npm run bench -- --write` printed last. Each figure stands beside its baseline of the same run; on another machine, or a',
    'busier one, only the ratios carry over. Targets that are missed say so.',
    '',
    '```text',
    machine,
    '',
    ...sections.slice(0, -1),
    '```',
    '',
  ].join('\n')
}
