// The program bundled as for a release, for tests that start it many times: it starts in a third of the time that the
// sources take. It lies in dist/, from where it finds its package and its pages as the built program does.

import { rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Command } from '../support/process.ts'

// Bundled CommonJS packages ask for a require.
const REQUIRE = "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"

/** Builds the present sources, of the command line or of another program. The result is removed when this process ends. */
export async function buildCounter(program = 'cmd/counter.ts'): Promise<Command> {
  const name = basename(program, '.ts')
  const outdir = resolve(`dist/e2e-${process.pid}-${name}`)
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }))
  await build({
    entryPoints: [program],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: { js: REQUIRE },
    logLevel: 'warning',
  })
  return [process.execPath, join(outdir, `${name}.js`)]
}
