// What the log costs a write: small writes, each waited for, as many under way at once as connections might be. The baseline is what one
// would write first: one write and one fdatasync for each. CPU time of the process; the flushes themselves are the disk's.

import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { FsyncMode } from '../../lib/persistence/index.ts'
import { Tally } from '../../lib/text/index.ts'
import { openStore, reply } from './open-store.ts'

const WRITES = 20_000
const hash = createNameHash(seededRandom(1))

console.log(`\n${WRITES} writes of one name each, every one waited for`)
await baseline()
for (const [underWay, fsync] of [
  [1, 'always'],
  [16, 'always'],
  [256, 'always'],
  [256, 'never'],
] as const) {
  await throughStore(underWay, fsync)
}

async function throughStore(underWay: number, fsync: FsyncMode): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'counter-bench-'))
  const store = await openStore(directory, hash, fsync)
  const tally = new Tally({ hash, nameBytesMax: 100 })
  let left = WRITES
  const writer = async (): Promise<void> => {
    while (left-- > 0) {
      tally.reset()
      tally.add(`page:/${left % 1000}`, 1)
      const wait = store.admit(tally)
      if (wait !== undefined) {
        left++
        await wait
      } else await store.increment(tally, reply)
    }
  }
  const measured = await timed(() => Promise.all(Array.from({ length: underWay }, writer)))
  const { logGroups } = store.status()
  report(`store, ${underWay} under way, fsync ${fsync}`, measured, `${(WRITES / logGroups).toFixed(1)} writes a frame`)
  await store.close()
  rmSync(directory, { recursive: true, force: true })
}

async function baseline(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'counter-bench-'))
  const file = openSync(join(directory, 'log'), 'w')
  const counts = new Map<string, number>()
  const writes = WRITES / 10
  const measured = await timed(async () => {
    for (let index = 0; index < writes; index++) {
      const name = `page:/${index % 1000}`
      counts.set(name, (counts.get(name) ?? 0) + 1)
      writeSync(file, `${name} ${counts.get(name)}\n`)
      fdatasyncSync(file)
    }
  })
  closeSync(file)
  rmSync(directory, { recursive: true, force: true })
  report('Map, a write and a flush each', { seconds: measured.seconds * 10, cpu: measured.cpu * 10 }, '')
}

async function timed(task: () => Promise<unknown>): Promise<{ seconds: number; cpu: number }> {
  const started = performance.now()
  const before = process.cpuUsage()
  await task()
  const { user, system } = process.cpuUsage(before)
  return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 }
}

function report(name: string, { seconds, cpu }: { seconds: number; cpu: number }, note: string): void {
  const each = `${((cpu / WRITES) * 1e6).toFixed(1)} µs of CPU each`
  console.log(`  ${name.padEnd(36)} ${each.padEnd(24)} ${(WRITES / seconds / 1000).toFixed(1).padStart(6)} k/s   ${note}`)
}
