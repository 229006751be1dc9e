// A full disk: a small tmpfs that the test fills while writers go on (A7 of docs/GUARANTEES.md).
// time limit: 500 s
// Needs to run as root, to mount it.

import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Ledger, requestOf } from '../support/ledger.ts'
import { type Answer, Connection, readCounts, settle, Writers } from '../support/load.ts'
import { needsThat } from '../support/needs.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { until } from './asking.ts'
import { buildCounter } from './built.ts'

const DISK = '24m'
const WRITERS = 16
/** How long the disk stays full, in milliseconds, and what is seen in that time, which takes longer on a slow machine. */
const FULL_MS = Number(process.env.FULL_SECONDS ?? 4) * 1000
const READS_MIN = 10
const REFUSALS_MIN = FULL_MS / 100

const test = suite('e2e/full')
const mounting = needsThat(canMount(), 'needs to run as root with the right to mount a tmpfs')
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const portOf = (node: NodeProcess): number => Number(new URL(node.url).port)

function canMount(): boolean {
  const { path, remove } = temporaryDirectory()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path]).status === 0
  if (mounted) spawnSync('umount', [path])
  remove()
  return mounted
}

/** A disk of its own for the work, in which `fill` takes all the room that is left and `free` gives it back. */
async function withSmallDisk(work: (disk: { path: string; fill: () => void; free: () => void }) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  assert.is(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', path]).status, 0)
  let balls = 0
  const fill = () => {
    // Down to single pages: what is left of the disk when a large file does not fit takes a small one.
    for (let size = 2 ** 20; size >= 4096; ) {
      const file = join(path, `ballast-${balls++}`)
      try {
        writeFileSync(file, Buffer.alloc(size))
      } catch {
        rmSync(file, { force: true })
        size /= 2
      }
    }
  }
  const free = () => {
    for (let ball = 0; ball < balls; ball++) rmSync(join(path, `ballast-${ball}`), { force: true })
  }
  try {
    await work({ path, fill, free })
  } finally {
    spawnSync('umount', ['-l', path])
    remove()
  }
}

const isFull = (answer: Answer): boolean => answer.status === 507

/** What a refusal for want of room must say. */
function checkRefusal({ status, headers, body }: Answer): void {
  assert.is(status, 507)
  assert.is(headers['content-type'], 'application/problem+json')
  assert.match(headers['retry-after'] ?? 'none', /^\d+$/)
  const problem = JSON.parse(body) as { type: string; applied: string; fix: string }
  assert.is(problem.type, '/problems/disk-full')
  assert.is(problem.applied, 'no')
  assert.ok(problem.fix)
}

/** Uses up what is reserved for the log with texts that no ledger knows, so that only small writes find room, if any. */
async function useUp(node: NodeProcess): Promise<void> {
  const connection = new Connection(portOf(node))
  const body = Array.from({ length: 2000 }, (_, word) => `filler-${'x'.repeat(20)}-${word}`).join(' ')
  for (let status = 200; status === 200; ) {
    const outcome = await connection.request({ method: 'POST', path: '/keywords', body })
    if (outcome.kind !== 'answered') throw new Error(`a text was ${outcome.kind}`)
    status = outcome.status
  }
  connection.close()
}

mounting.test(test, 'a full disk refuses writes, goes on reading, and takes writes again when there is room', () =>
  withSmallDisk(async ({ path, fill, free }) => {
    const command = await buildCounter()
    const dataDir = join(path, 'data')
    const env = { COUNTER_SNAPSHOT_LOG_BYTES: '0' }
    const ledger = new Ledger({ keyedEvery: 4 })
    let node = await startNode({ dataDir, env, command })
    let writers: Writers | undefined
    try {
      const port = portOf(node)
      const refusals: Answer[] = []
      let acknowledged = 0
      let [full, freedAt, resumedMs] = [false, 0, 0]
      const onAnswer = (answer: Answer) => {
        if (!isFull(answer)) {
          acknowledged++
          if (freedAt > 0 && resumedMs === 0) resumedMs = performance.now() - freedAt
          return undefined
        }
        refusals.push(answer)
        full = true
        return pause(50)
      }
      writers = new Writers(port, ledger, WRITERS, onAnswer)
      while (acknowledged < 500) await pause(10)
      fill()
      await useUp(node)
      while (!full) await pause(10)

      const end = performance.now() + FULL_MS
      let reads = 0
      const before = acknowledged
      while (performance.now() < end || reads <= READS_MIN || refusals.length <= REFUSALS_MIN) {
        fill()
        assert.is((await readCounts(port, ['op-0', 'op-1', 'op-2'])).get('op-1'), 1)
        reads++
        await pause(20)
      }
      assert.is((await fetch(`${node.url}/livez`)).status, 200)
      const ready = await fetch(`${node.url}/readyz?verbose`)
      assert.is(ready.status, 503)
      assert.match(await ready.text(), 'full')
      free()
      freedAt = performance.now()
      await until(
        'writes resume by themselves',
        () => resumedMs,
        (ms) => ms > 0,
      )
      await pause(300)
      await writers.stop()
      assert.ok(acknowledged > before)
      for (const refusal of refusals) checkRefusal(refusal)
      assert.is(ledger.count('refused'), refusals.length)
      assert.is(ledger.count('unknown'), 0)
      assert.equal(await ledger.check((names) => readCounts(port, names)), [])

      assert.is((await node.end('SIGTERM')).code, 0)
      node = await startNode({ dataDir, env, command })
      assert.equal(await ledger.check((names) => readCounts(portOf(node), names)), [])
      console.log(
        `${acknowledged} acknowledged, ${refusals.length} refused, ${reads} reads meanwhile, resumed after ${resumedMs.toFixed()} ms`,
      )
    } finally {
      await node.end('SIGKILL')
      await writers?.ended()
    }
  }),
)

mounting.test(test, 'a node starts on a full disk, reads, refuses writes, and takes them when there is room', () =>
  withSmallDisk(async ({ path, fill, free }) => {
    const dataDir = join(path, 'data')
    const ledger = new Ledger({ keyedEvery: 0 })
    const write = async (connection: Connection): Promise<Answer> => {
      const op = ledger.begin()
      const outcome = await connection.request(requestOf(op))
      settle(ledger, op, outcome)
      if (outcome.kind !== 'answered') throw new Error(`a write was ${outcome.kind}`)
      return outcome
    }
    // Killed, as after a crash, or ended in order: a full disk must not keep either from starting.
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      let node = await startNode({ dataDir })
      try {
        let connection = new Connection(portOf(node))
        for (let count = 0; count < 10; count++) assert.is((await write(connection)).status, 200)
        fill()
        await useUp(node)
        while ((await write(connection)).status === 200);
        connection.close()
        await node.end(signal)
        fill()

        node = await startNode({ dataDir })
        connection = new Connection(portOf(node))
        assert.equal(await ledger.check((names) => readCounts(portOf(node), names)), [])
        checkRefusal(await write(connection))
        free()
        await until(
          'a write is taken',
          () => write(connection),
          ({ status }) => status === 200,
        )
        assert.equal(await ledger.check((names) => readCounts(portOf(node), names)), [])
        connection.close()
      } finally {
        await node.end('SIGKILL')
      }
    }
  }),
)

test.run()
