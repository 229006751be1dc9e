// kill -9 of a node under 32 writers, over and over, with the ledger checked after each restart (A1 of docs/GUARANTEES.md).
// time limit: 2400 s
// Segments and snapshots are small, so that kills fall into their changes too. CYCLES=2000 makes it the long run;
// the time limit above is then in the way, so run the file by itself: CYCLES=2000 node --import tsx test/e2e/kill.test.ts

import { readdirSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Ledger } from '../support/ledger.ts'
import { Connection, readCounts, retryUntilAnswered, Writers } from '../support/load.ts'
import { type NodeProcess, PATIENCE_MS, startNode, temporaryDirectory } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'

const CYCLES = Number(process.env.CYCLES ?? 100)
const WRITERS = 32
/** Every how many cycles the node lives until its first snapshot, which it looks for a second after its start. */
const LONG_EVERY = 6
/** Every how many cycles the restart is killed too, before it is ready. */
const KILLED_START_EVERY = 5
const SAMPLE = 100
/** Acknowledged writes in each cycle, on average, at least. */
const WRITES_EACH = 10

const ENV = {
  COUNTER_LOG_SEGMENT_BYTES: '64KiB',
  COUNTER_SNAPSHOT_LOG_BYTES: '1KiB',
  COUNTER_FSYNC: 'always',
  COUNTER_LOG_LEVEL: 'warn',
}

const test = suite('e2e/kill')
const random = seededRandom(Number(process.env.SEED ?? 1))
const below = (limit: number): number => random.uint32() % limit
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const portOf = (node: NodeProcess): number => Number(new URL(node.url).port)
const snapshotsIn = (directory: string): number => readdirSync(directory).filter((name) => name.startsWith('snapshot-')).length

test(`no acknowledged increment is lost and none counts twice in ${CYCLES} cycles of kill -9 under load`, async () => {
  const command = await buildCounter()
  const { path: dataDir, remove } = temporaryDirectory()
  const ledger = new Ledger({ keyedEvery: 3 })
  const start = (readyMs = PATIENCE_MS) => startNode({ dataDir, env: ENV, command, readyMs })
  let hits = 0
  let retried = 0
  let seenSnapshots = 0
  let node: NodeProcess | undefined
  try {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      if (cycle % KILLED_START_EVERY === 1) await killedStart(start)
      node = await start()
      const port = portOf(node)
      const read = (names: Iterable<string>) => readCounts(port, names)
      assert.equal(await ledger.checkSome(read, cycle === 0 ? 0 : SAMPLE, below), [], `after ${cycle} kills`)

      const connection = new Connection(port)
      for (const op of ledger.open()) {
        await retryUntilAnswered(ledger, op, connection)
        retried++
      }
      connection.close()

      const writers = new Writers(port, ledger, WRITERS)
      const isLong = cycle % LONG_EVERY === LONG_EVERY - 1
      // A slow machine needs longer than that for a write, and for a snapshot.
      await until(
        'there are writes',
        () => ledger.count('acknowledged'),
        (count) => count >= (cycle + 1) * WRITES_EACH,
      )
      await pause(isLong ? 1000 + below(250) : 30 + below(150))
      if (isLong && seenSnapshots === 0) {
        await until(
          'there is a snapshot',
          () => snapshotsIn(dataDir),
          (count) => count > 0,
        )
      }
      if (writers.inFlight > 0) hits++
      await node.end('SIGKILL')
      await writers.ended()
      seenSnapshots += snapshotsIn(dataDir) > 0 ? 1 : 0
    }

    node = await start()
    const port = portOf(node)
    const connection = new Connection(port)
    for (const op of ledger.open()) await retryUntilAnswered(ledger, op, connection)
    connection.close()
    assert.equal(await ledger.check((names) => readCounts(port, names)), [])
    assert.equal(await node.end('SIGTERM'), { code: 0, signal: null })

    const counts = {
      acknowledged: ledger.count('acknowledged'),
      unknown: ledger.count('unknown'),
      refused: ledger.count('refused'),
    }
    console.log(`${CYCLES} kills, ${hits} under way, ${retried} retried: ${JSON.stringify(counts)}`)
    assert.ok(hits >= CYCLES * 0.9, `void: only ${hits} of ${CYCLES} kills hit a node with requests in flight`)
    assert.ok(counts.unknown > 0 && retried > 0, 'void: no kill left a write unknown')
    if (CYCLES >= 60)
      assert.ok(seenSnapshots > 0 && !readdirSync(dataDir).includes('log-0000000000000000'), 'void: no log was removed')
  } finally {
    await node?.end('SIGKILL')
    remove()
  }
})

/** A start that is killed at a random moment, mostly before it is ready. */
async function killedStart(start: (readyMs: number) => Promise<NodeProcess>): Promise<void> {
  const node = await start(below(150)).catch(() => undefined)
  await node?.end('SIGKILL')
}

test.run()
