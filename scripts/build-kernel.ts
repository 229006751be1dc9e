// Compiles lib/text/kernel/tally.as to WebAssembly and writes it into lib/text/kernel/wasm.ts: `npm run kernel`.
// The result is kept in the repository, so that neither a build nor an installation needs the compiler; a test fails while the two differ.

import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import asc from 'assemblyscript/asc'

const SOURCE = new URL('../lib/text/kernel/tally.as', import.meta.url)
const TARGET = new URL('../lib/text/kernel/wasm.ts', import.meta.url)
const OPTIONS = '-O3 --noAssert --runtime stub --enable simd --use abort= --outFile tally.wasm'

/** The text of wasm.ts, compiled anew. */
export async function kernelModule(): Promise<string> {
  let wasm: Uint8Array | undefined
  const { error, stderr } = await asc.main(['tally.ts', ...OPTIONS.split(' ')], {
    // The compiler knows its sources by `.ts`, by which other tools would take them for TypeScript.
    readFile: (name) => (name === 'tally.ts' ? readFileSync(SOURCE, 'utf8') : null),
    writeFile: (_, contents) => {
      wasm = contents as Uint8Array
    },
    listFiles: () => [],
  })
  if (error || !wasm) throw new Error(`the kernel should compile, but:\n${stderr.toString()}`)
  const base64 = Buffer.from(wasm).toString('base64')
  const lines = base64.match(/.{1,120}/g)!
  return [
    '// The compiled form of tally.as, in base64. Made by `npm run kernel`; do not edit.',
    '',
    `export const WASM = \`\n${lines.join('\n')}\n\``,
    '',
  ].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(TARGET, await kernelModule())
