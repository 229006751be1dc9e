// Compiles the two kernels, the tally and the recall, to WebAssembly, and writes each into the wasm.ts beside its source: `npm run kernel`.
// The results are kept in the repository, so that neither a build nor an installation needs the compiler; a test fails while source and
// result differ.

import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import asc from 'assemblyscript/asc'

/** The sources; wasm.ts is in the same folder. */
export const KERNELS = ['lib/text/kernel/tally.as', 'lib/storage/recall/recall.as'] as const
const OPTIONS = '-O3 --noAssert --runtime stub --enable simd --use abort= --outFile kernel.wasm'

/** The text of the wasm.ts of a source, compiled anew. */
export async function kernelModule(source: (typeof KERNELS)[number]): Promise<string> {
  let wasm: Uint8Array | undefined
  const { error, stderr } = await asc.main(['kernel.ts', ...OPTIONS.split(' ')], {
    // The compiler knows its sources by `.ts`, by which other tools would take them for TypeScript.
    readFile: (name) => (name === 'kernel.ts' ? readFileSync(fileOf(source), 'utf8') : null),
    writeFile: (_, contents) => {
      wasm = contents as Uint8Array
    },
    listFiles: () => [],
  })
  if (error || !wasm) throw new Error(`the kernel should compile, but:\n${stderr.toString()}`)
  const base64 = Buffer.from(wasm).toString('base64')
  const lines = base64.match(/.{1,120}/g)!
  return [
    `// The compiled form of ${basename(source)}, in base64. Made by \`npm run kernel\`; do not edit.`,
    '',
    `export const WASM = \`\n${lines.join('\n')}\n\``,
    '',
  ].join('\n')
}

const fileOf = (path: string): URL => new URL(`../${path}`, import.meta.url)

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const source of KERNELS) writeFileSync(new URL('wasm.ts', fileOf(source)), await kernelModule(source))
}
