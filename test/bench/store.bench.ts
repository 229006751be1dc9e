// The store on a real disk: what growth, snapshots and starts cost, beside Redis where it is installed.
// P8: snapshot and load of ten million names against Redis BGSAVE and its start. P9: pauses of the event loop while names come in and
// while a snapshot is written. P12: a million names ready after kill -9. P13: replay of the log. NAMES=1000000 makes it shorter.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createNameHash } from '../../lib/base/hash.ts'
import { systemRandom } from '../../lib/base/random.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { Tally } from '../../lib/text/index.ts'
import { openStore, reply } from './open-store.ts'
import { distinctWords } from './words.ts'

const NAMES = Number(process.env.NAMES ?? 10_000_000)
const NAMES_SMALL = Math.min(NAMES, 1_000_000)
/** Words of a text; each name takes nine bytes in it. */
const TEXT_WORDS = 10_000
const REDIS_PORT = 6392

const hash = createNameHash(systemRandom)
const directory = mkdtempSync(join(tmpdir(), 'counter-bench-'))

/** Writes texts of all-new names one after the other, as a server does: a turn of the event loop in between. */
async function fill(store: Store, names: number): Promise<void> {
  const text = distinctWords(names)
  const tally = new Tally({ hash, nameBytesMax: 4096 })
  for (let from = 0; from < names; from += TEXT_WORDS) {
    tally.reset()
    tally.feed(text.subarray(from * 9, Math.min(from + TEXT_WORDS, names) * 9))
    tally.end()
    for (let wait = store.admit(tally); wait !== undefined; wait = store.admit(tally)) await wait
    await store.increment(tally, reply)
  }
}

interface Measured {
  readonly seconds: number
  readonly cpuSeconds: number
  /** Event-loop delay beyond the timer's own step, in milliseconds. */
  readonly p99: number
  readonly longest: number
}

async function measured(task: () => Promise<unknown>): Promise<Measured> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const started = performance.now()
  const cpu = process.cpuUsage()
  delay.enable()
  await task()
  delay.disable()
  const { user, system } = process.cpuUsage(cpu)
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1)
  return {
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (user + system) / 1e6,
    p99: beyond(delay.percentile(99)),
    longest: beyond(delay.max),
  }
}

const pauses = ({ p99, longest }: Measured): string =>
  `event-loop delay p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`
const verdict = (met: boolean): string => (met ? 'met' : 'MISSED')
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

/** Redis with as many keys: seconds of BGSAVE and of a start with its file. */
async function redisTimes(): Promise<{ save: number; load: number; bytes: number } | undefined> {
  if (!existsSync('/usr/bin/redis-server')) return undefined
  const path = mkdtempSync(join(tmpdir(), 'redis-bench-'))
  const cli = (...args: string[]): string =>
    spawnSync('redis-cli', ['-p', String(REDIS_PORT), ...args], { encoding: 'utf8' }).stdout.trim()
  const start = async () => {
    const child = spawn(
      '/usr/bin/redis-server',
      ['--port', String(REDIS_PORT), '--dir', path, '--save', '', '--enable-debug-command', 'yes'],
      { stdio: 'ignore' },
    )
    const started = performance.now()
    while (cli('PING') !== 'PONG') await new Promise((resolve) => setTimeout(resolve, 20))
    return { child, seconds: (performance.now() - started) / 1000 }
  }
  const first = await start()
  cli('DEBUG', 'POPULATE', String(NAMES), 'n', '1')
  const saving = performance.now()
  cli('BGSAVE')
  while (!cli('INFO', 'persistence').includes('rdb_bgsave_in_progress:0')) await new Promise((resolve) => setTimeout(resolve, 20))
  const save = (performance.now() - saving) / 1000
  const bytes = statSync(join(path, 'dump.rdb')).size
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const second = await start()
  second.child.kill('SIGKILL')
  await once(second.child, 'exit')
  rmSync(path, { recursive: true, force: true })
  return { save, load: second.seconds, bytes }
}

try {
  // P9: growth
  let store = await openStore(directory, hash)
  const growth = await measured(() => fill(store, NAMES))
  console.log(
    `\nP9  ${NAMES} new names in texts of ${TEXT_WORDS}, durable each: ${(NAMES / growth.cpuSeconds / 1e6).toFixed(2)} M names a CPU second`,
  )
  console.log(`  ${pauses(growth)}   target p99 10 ms: ${verdict(growth.p99 <= 10)}`)
  const nameBytes = store.status().tableBytes / NAMES
  console.log(`  ${nameBytes.toFixed(1)} bytes a name of 8 letters   target at most 49: ${verdict(nameBytes <= 49)}`)

  // P8, P9: snapshot and load
  const save = await measured(() => store.snapshot())
  const size = store.status().snapshotBytes
  await store.close()
  const load = await measured(async () => {
    store = await openStore(directory, hash)
  })
  await store.close()
  const redis = await redisTimes()
  console.log(`\nP8  snapshot of ${NAMES} names, and a start with it`)
  console.log(`  counter  ${save.seconds.toFixed(2)} s, ${megabytes(size)}; start ${load.seconds.toFixed(2)} s`)
  console.log(`  while it is written: ${pauses(save)}   target no pause above 10 ms: ${verdict(save.longest <= 10)}`)
  if (redis) {
    const saved = redis.save / save.seconds
    const loaded = redis.load / load.seconds
    console.log(`  Redis    ${redis.save.toFixed(2)} s, ${megabytes(redis.bytes)}; start ${redis.load.toFixed(2)} s`)
    console.log(`  ${saved.toFixed(1)}x and ${loaded.toFixed(1)}x   target 5x each: ${verdict(saved >= 5 && loaded >= 5)}`)
  } else console.log('  redis-server is not installed')

  // P12, P13: starts after a kill
  rmSync(directory, { recursive: true, force: true })
  const path = join(directory, 'small')
  store = await openStore(path, hash)
  await fill(store, NAMES_SMALL)
  // The directory is left as kill -9 leaves it: no last flush, no closing frame.
  const copy = join(directory, 'killed')
  spawnSync('cp', ['-r', path, copy])
  await store.close()
  const replay = await measured(async () => {
    store = await openStore(copy, hash)
  })
  const cells = NAMES_SMALL / replay.seconds
  console.log(`\nP13 replay of the log: ${(cells / 1e6).toFixed(2)} M cells/s   target 1 M: ${verdict(cells >= 1e6)}`)
  const ready = replay.seconds.toFixed(2)
  console.log(
    `P12 ${NAMES_SMALL} names ready after kill -9 in ${ready} s, from the log alone   target 1 s: ${verdict(replay.seconds <= 1)}`,
  )
  await store.close()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
