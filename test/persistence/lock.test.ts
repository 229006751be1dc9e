// The lock of a data directory, on real sockets: who holds it, what a crash leaves behind, and two that want it at once.

import { spawnSync } from 'node:child_process'
import { existsSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CounterError } from '../../lib/base/errors.ts'
import { takeLock } from '../../lib/persistence/index.ts'
import { temporaryDirectory } from '../support/process.ts'

const test = suite<{ directory: string; remove: () => void }>('persistence/lock')

test.before.each((context) => {
  const { path, remove } = temporaryDirectory()
  Object.assign(context, { directory: path, remove })
})
test.after.each(({ remove }) => remove())

const codeOf = (error: CounterError): string => error.code

/** A socket file that nobody listens on, as a process leaves it that is killed. */
function leaveSocket(directory: string): void {
  const path = JSON.stringify(join(directory, 'LOCK'))
  const script = `require('net').createServer().listen(${path}, () => process.kill(process.pid, 'SIGKILL'))`
  assert.is(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL')
  assert.ok(existsSync(join(directory, 'LOCK')))
}

/** The mark of a takeover that began `ageMs` ago. */
function leaveMarker(directory: string, ageMs: number): void {
  const marker = join(directory, 'LOCK.takeover')
  writeFileSync(marker, '')
  const time = (Date.now() - ageMs) / 1000
  utimesSync(marker, time, time)
}

test('a directory is locked until it is released, and the refusal names the process', async ({ directory }) => {
  const lock = await takeLock(directory)
  const error = await takeLock(directory).catch((error: CounterError) => error)
  assert.is(codeOf(error as CounterError), 'DIRECTORY_LOCKED')
  assert.match((error as CounterError).message, `process ${process.pid}`)
  await lock.release()
  await (await takeLock(directory)).release()
})

test('what a killed process leaves behind is taken over', async ({ directory }) => {
  leaveSocket(directory)
  await (await takeLock(directory)).release()
  assert.not(existsSync(join(directory, 'LOCK.takeover')))
})

test('a takeover that was killed half-way delays the next one and does not refuse it', async ({ directory }) => {
  leaveSocket(directory)
  leaveMarker(directory, 9_700)
  await (await takeLock(directory)).release()
  assert.not(existsSync(join(directory, 'LOCK.takeover')))
})

test('of many that want a directory at once exactly one gets it, also after a crash', async ({ directory }) => {
  for (const crashed of [false, true]) {
    if (crashed) leaveSocket(directory)
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(directory)))
    const taken = results.filter((result) => result.status === 'fulfilled')
    assert.is(taken.length, 1)
    for (const result of results) if (result.status === 'rejected') assert.is(codeOf(result.reason), 'DIRECTORY_LOCKED')
    await taken[0]!.value.release()
  }
})

test.run()
