// Faults of the disk at a chosen system call, by strace: errors (A8, a part of A6) and SIGKILL (a part of A5 of docs/GUARANTEES.md).
// time limit: 900 s
// One thread does the disk's work, so that the k-th call is the same in every run. EVERY_K=1 kills at every call until none
// is left, which takes minutes; without it a few.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HOT, Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle, Writers } from '../support/load.ts'
import { needs } from '../support/needs.ts'
import { type Command, type NodeProcess, PATIENCE_MS, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/fault')
const strace = needs('strace')
const built = strace.present ? await buildCounter() : undefined
const portOf = (node: NodeProcess): number => Number(new URL(node.url).port)
const patience = () => new Promise<void>((done) => setTimeout(done, PATIENCE_MS).unref())

const ENV = { UV_THREADPOOL_SIZE: '1', COUNTER_LOG_SEGMENT_BYTES: '64KiB' }

/** Counter under strace, as a child of this process, with a fault at a system call. */
function withFault(call: string, fault: string): Command {
  // The quick way of tracing, by seccomp, brings no signals.
  const quick = fault.startsWith('signal') ? [] : ['--seccomp-bpf']
  const options = ['-D', '-f', '-qqq', ...quick, '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`]
  return [strace.path, ...options, ...built!]
}

/** Every op as the restarted node has it. */
async function checkRestart(dataDir: string, ledger: Ledger): Promise<void> {
  const node = await startNode({ dataDir, command: built! })
  try {
    assert.equal(await ledger.check((names) => readCounts(portOf(node), names)), [])
  } finally {
    await node.end('SIGKILL')
  }
}

//  call       fault at                                     the message
const ERRORS = [
  { call: 'fdatasync', when: 30 },
  { call: 'fdatasync', when: 150 },
  { call: 'pwrite64', when: 60 },
  { call: 'pwrite64', when: 200 },
]
for (const { call, when } of ERRORS) {
  strace.test(test, `EIO at ${call} ${when} ends the node at once, with what to do, and no acknowledgement is lost`, async () => {
    const { path: dataDir, remove } = temporaryDirectory()
    const ledger = new Ledger({ keyedEvery: 0 })
    // Once is enough: what failed once must not be tried again.
    const node = await startNode({ dataDir, env: ENV, command: withFault(call, `error=EIO:when=${when}`) })
    try {
      let failedAt: number | undefined
      const late: string[] = []
      const writers = new Writers(portOf(node), ledger, 8, ({ status, body }, op) => {
        if (status !== 200) failedAt ??= ledger.ops.length
        // An op that was begun after the first failure was heard of must not be acknowledged.
        else if (failedAt !== undefined && op.index >= failedAt) late.push(`${op.name} ${status} ${body}`)
        return undefined
      })
      const exit = await Promise.race([node.exited, patience()])
      await node.end('SIGKILL')
      await writers.ended()
      assert.equal(exit, { code: 1, signal: null }, node.stderr())
      assert.equal(late, [])
      assert.match(node.stderr(), 'LOG_FAILED')
      assert.match(node.stderr(), 'look at the disk')
      assert.ok(ledger.count('acknowledged') > 0 && ledger.count('unknown') > 0, 'void: nothing was under way')
      await checkRestart(dataDir, ledger)
    } finally {
      await node.end('SIGKILL')
      remove()
    }
  })
}

const KILL_CALLS = ['pwrite64', 'fdatasync', 'fsync', 'rename', 'ftruncate', 'unlink']
/** The calls chosen without EVERY_K: the first ones, and some around the end of the room that a segment reserves (16 writes). */
const SOME = [1, 2, 3, 5, 8, 17, 18, 20, 23, 30]

/** Runs `scene` with a kill at each chosen k until one was not hit. @returns how many were */
async function killAtEach(call: string, scene: (command: Command, k: number) => Promise<{ killed: boolean }>): Promise<number> {
  let hits = 0
  for (let k = 1; ; k++) {
    if (process.env.EVERY_K === undefined && !SOME.includes(k)) {
      if (k > SOME.at(-1)!) return hits
      continue
    }
    if (!(await scene(withFault(call, `signal=SIGKILL:when=${k}`), k)).killed) return hits
    hits++
  }
}

strace.test(
  test,
  'a node killed at any write, flush, rename or cut of its life has lost nothing that it acknowledged',
  async () => {
    let hits = 0
    for (const call of KILL_CALLS) {
      hits += await killAtEach(call, async (command) => {
        const { path: dataDir, remove } = temporaryDirectory()
        const ledger = new Ledger({ keyedEvery: 0 })
        try {
          // A life before, so that the start under test has something to read and to cut off.
          const before = await startNode({ dataDir, env: ENV, command: built! })
          await writeSome(before, ledger, 5)
          await before.end('SIGKILL')

          const node = await startNode({ dataDir, env: ENV, command }).catch(() => undefined)
          if (node !== undefined) await writeSome(node, ledger, 10)
          const exit = await node?.end('SIGTERM')
          await checkRestart(dataDir, ledger)
          return { killed: exit?.signal !== null }
        } finally {
          remove()
        }
      })
    }
    assert.ok(hits >= 15, `void: only ${hits} kills`)
  },
)

/** Writes one op after the other, until the node dies. */
async function writeSome(node: NodeProcess, ledger: Ledger, count: number): Promise<void> {
  const connection = new Connection(portOf(node))
  for (let written = 0; written < count; written++) {
    const op = ledger.begin()
    const outcome = await connection.request(requestOf(op))
    settle(ledger, op, outcome)
    if (outcome.kind !== 'answered') break
  }
  connection.close()
}

strace.test(test, 'an import killed at any of its calls, snapshot included, is whole when it is run again', async () => {
  const { path, remove } = temporaryDirectory()
  const file = join(path, 'list')
  const names = Array.from({ length: 300 }, (_, index) => `name-${index}`)
  writeFileSync(file, [`${HOT} 300`, ...names.map((name, index) => `${name} ${index + 1}`)].join('\n'))
  let hits = 0
  try {
    for (const call of KILL_CALLS) {
      hits += await killAtEach(call, async (command, k) => {
        const env = { ...ENV, COUNTER_DATA_DIR: join(path, `${call}-${k}`) }
        const first = await runToEnd(['import', file], env, command)
        const again = await runToEnd(['import', file], env, built!)
        assert.is(again.code, 0, again.stderr)
        const inspected = await runToEnd(['inspect', env.COUNTER_DATA_DIR, '--names'], {}, built!)
        assert.is(inspected.code, 0, inspected.stderr)
        const counts = new Map(
          inspected.stdout
            .trimEnd()
            .split('\n')
            .map((line) => line.split(' ') as [string, string]),
        )
        assert.is(counts.size, 301)
        assert.is(counts.get(HOT), '300')
        for (const [index, name] of names.entries()) assert.is(counts.get(name), String(index + 1))
        return { killed: first.signal !== null }
      })
    }
  } finally {
    remove()
  }
  assert.ok(hits >= 15, `void: only ${hits} kills`)
})

test.run()
