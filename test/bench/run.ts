// `npm run bench [name...]`: runs each *.bench.ts of this folder, or those named, in a process of its own, one after the other,
// so that neither the heap nor the compiled code of one shows in another. Exit code 1 when a bench failed to run.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

const directory = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(directory)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
  .sort()
const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(', ')}; there are: ${all.join(', ')}`)
  process.exit(2)
}

console.log(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, ${process.platform} ${process.arch}`,
)
let failed = 0
for (const name of asked.length > 0 ? asked : all) {
  console.log(`\n== ${name}`)
  if ((await run(`${directory}${name}.bench.ts`)) !== 0) {
    console.error(`${name} failed`)
    failed++
  }
}
process.exitCode = failed > 0 ? 1 : 0

function run(file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--max-old-space-size=4096', '--expose-gc', '--import', 'tsx', file], {
      stdio: 'inherit',
    })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}
