// What the commands that work on a data directory share: it must be there, and a store on it without a node.

import { existsSync } from 'node:fs'
import { CounterError } from '../lib/base/errors.ts'
import type { Settings } from '../lib/config.ts'

/** @throws CounterError DIRECTORY_UNUSABLE when there is nothing at the path */
export function requireDirectory(directory: string): void {
  if (existsSync(directory)) return
  throw new CounterError('DIRECTORY_UNUSABLE', `there is no data directory at ${directory}`, {
    fix: 'name it with --data-dir or COUNTER_DATA_DIR',
  })
}

/** Opens the store of a directory, locked against any node, and closes it after `work`. */
export async function withStore<T>(
  settings: Settings,
  work: (parts: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T> {
  const parts = await open(settings)
  try {
    return await work(parts)
  } finally {
    await parts.store.close()
  }
}

async function open(settings: Settings) {
  const [{ createLogger }, { openStore }, { createNameHash }, { systemClock }, { systemRandom }] = await Promise.all([
    import('./log.ts'),
    import('../lib/node.ts'),
    import('../lib/base/hash.ts'),
    import('../lib/base/clock.ts'),
    import('../lib/base/random.ts'),
  ])
  const logger = createLogger({ ...settings, logLevel: 'warn' })
  const hash = createNameHash(systemRandom)
  const store = await openStore(settings, { logger, clock: systemClock, random: systemRandom, hash })
  return { store, clock: systemClock }
}
