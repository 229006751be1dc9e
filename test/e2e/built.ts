// The program bundled as for a release, for tests that start it many times: it starts in a third of the time that the
// sources take. It lies in dist/, from where it finds its package and its pages as the built program does.

import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Command } from '../support/process.ts'

// Bundled CommonJS packages ask for a require.
const REQUIRE = "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"

/** Builds the present sources. The result is removed when this process ends. */
export async function buildCounter(): Promise<Command> {
  const outdir = resolve(`dist/e2e-${process.pid}`)
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }))
  await build({
    entryPoints: ['cmd/counter.ts'],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: { js: REQUIRE },
    logLevel: 'warning',
  })
  return [process.execPath, join(outdir, 'counter.js')]
}
