// `counter import FILE`: takes counts from elsewhere into a data directory. No node may be running on it.

import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { CounterError } from '../lib/base/errors.ts'
import { readSettings } from '../lib/config.ts'
import { withStore } from './data-directory.ts'
import { addSettings, flagsOf } from './settings.ts'

const FORMATS = {
  backup: 'a backup',
  original: "the original's data file",
  list: 'a list of names and counts',
} as const

export function register(program: Command): void {
  const command = program
    .command('import')
    .argument('<file>', "a backup, the original's data file (data/base0), or lines of `name count`")
    .summary('take counts from a file into a data directory')
    .description(
      'Takes counts from a file into a data directory on which no node is running. The file is checked whole before anything is taken in, ' +
        'and taking in the same file twice counts once.',
    )
  addSettings(command).action((file: string) => importInto(file, flagsOf(command)))
}

async function importInto(path: string, flags: Record<string, string | undefined>): Promise<void> {
  const { settings } = readSettings(flags)
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new CounterError('IMPORT_INVALID', `there is no file ${path}`, { fix: 'check the path' })
  }
  const { importFile, nodeDisk } = await import('../lib/persistence/index.ts')
  await withStore(settings, async ({ store, clock }) => {
    const options = { disk: nodeDisk, clock, node: settings.nodeId, nameBytesMax: settings.nameBytesMax }
    const { format, cells, news } = await importFile(path, store, options)
    if (news > 0) await store.snapshot()
    const taken = news === 0 ? 'all of it was there already' : `${news} counts were news`
    process.stdout.write(`${path} is ${FORMATS[format]} with ${cells} counts: ${taken}\n`)
  })
}
