// A node under Maelstrom on a disk where each write of the log takes a while, so that a kill finds writes under way. With `hasty` it
// acknowledges an add before the log has it on disk: the mistake that the checker must see. Without, it is the real node on that disk.

import { join } from 'node:path'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { readSettings } from '../../lib/config.ts'
import { type MaelstromStore, runMaelstrom } from '../../lib/maelstrom.ts'
import { type Disk, type DiskFile, nodeDisk, Store, takeLock } from '../../lib/persistence/index.ts'

const WRITE_MS = 100

const logger = {
  debug: () => {},
  info: () => {},
  warn: (fields: object, message: string) => console.error('warn', message, fields),
  error: (fields: object, message: string) => console.error('error', message, fields),
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

function slow(disk: Disk): Disk {
  return {
    ...disk,
    open: async (path, mode) => {
      const file = await disk.open(path, mode)
      if (!path.includes('log-')) return file
      return slowFile(file)
    },
  }
}

const slowFile = (file: DiskFile): DiskFile => ({
  write: async (bytes, position) => {
    await pause(WRITE_MS)
    return file.write(bytes, position)
  },
  read: (target, position) => file.read(target, position),
  sync: () => file.sync(),
  truncate: (size) => file.truncate(size),
  size: () => file.size(),
  identify: () => file.identify(),
  close: () => file.close(),
})

/** The store, but for its word: an increment is called durable as soon as it is in memory. */
function hasty(store: MaelstromStore): MaelstromStore {
  return new Proxy(store, {
    get(target, name) {
      if (name !== 'increment') {
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return async (...args: Parameters<MaelstromStore['increment']>) => {
        target.increment(...args).catch((error) => logger.error({ err: error }, 'an increment failed after it was acknowledged'))
      }
    },
  })
}

const { settings } = readSettings({})
process.stdin.setEncoding('utf8')
await runMaelstrom({
  settings,
  logger,
  clock: systemClock,
  random: systemRandom,
  input: process.stdin,
  write: (line) => void process.stdout.write(line),
  openStore: async ({ nodeId, name, hash, onSettled }) => {
    const store = await Store.open({
      logger,
      clock: systemClock,
      random: systemRandom,
      hash,
      onSettled,
      directory: join(settings.dataDir, name),
      nodeId,
      disk: slow(nodeDisk),
      lock: takeLock,
      namesMax: settings.keysMax,
      itemsMax: settings.itemsMax,
      itemsAheadMsMax: settings.itemsClockAheadMs,
      fsync: settings.fsync,
      fsyncIntervalMs: settings.fsyncIntervalMs,
      segmentBytes: settings.logSegmentBytes,
      queueBytesMax: settings.logQueueBytes,
      snapshotIntervalMs: settings.snapshotIntervalMs,
      snapshotLogBytes: settings.snapshotLogBytes,
      replyTtlMs: settings.idempotencyTtlMs,
      repliesMax: settings.idempotencyKeysMax,
      tentativeBytesMax: settings.tentativeBytesMax,
    })
    return process.argv.includes('hasty') ? hasty(store) : store
  },
})
