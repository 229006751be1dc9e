// `counter backup FILE`: writes the state of a data directory, on which no node is running, to one file that `counter import` takes.

import { existsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import type { Command } from 'commander'
import { CounterError } from '../lib/base/errors.ts'
import { readSettings } from '../lib/config.ts'
import { requireDirectory, withStore } from './data-directory.ts'
import { addSettings, flagsOf } from './settings.ts'

export function register(program: Command): void {
  const command = program
    .command('backup')
    .argument('<file>', 'the file to write; it must not exist')
    .summary('write the state of a data directory to one file')
    .description(
      'Writes the state of a data directory, on which no node is running, to one file that `counter import` takes back.',
    )
  addSettings(command).action((file: string) => backup(file, flagsOf(command)))
}

async function backup(path: string, flags: Record<string, string | undefined>): Promise<void> {
  const { settings } = readSettings(flags)
  requireDirectory(settings.dataDir)
  if (existsSync(path)) throw new CounterError('FILE_EXISTS', `${path} exists already`, { fix: 'name a new file' })
  await withStore(settings, async ({ store }) => {
    const file = await open(path, 'wx')
    let size = 0
    try {
      for await (const piece of store.backup()) {
        await file.writeFile(piece)
        size += piece.length
      }
      await file.sync()
    } catch (error) {
      // Half a backup is none, and would be in the way of the next try.
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
    process.stdout.write(`${path}: ${store.status().names} names, ${size} bytes\n`)
  })
}
