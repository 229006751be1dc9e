// One process a directory, over real sockets and real processes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { takeLock } from '../../lib/persistence/lock.ts'
import { temporaryDirectory } from '../support/process.ts'
import { rejection } from './harness.ts'

const test = suite('persistence/lock')

/** Another process that holds the lock of the directory. */
async function holder(directory: string) {
  const script = `import { takeLock } from '${new URL('../../lib/persistence/lock.ts', import.meta.url).href}'
    takeLock(process.argv[1]).then(() => { console.log('held'); setInterval(() => {}, 1000) }, (error) => console.log(error.code))`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  return { child, said: String(said).trim() }
}

async function inDirectory(action: (path: string) => Promise<void>): Promise<void> {
  const { path, remove } = temporaryDirectory()
  try {
    await action(path)
  } finally {
    remove()
  }
}

test('the lock is taken once, and again when it was released', () =>
  inDirectory(async (path) => {
    const lock = await takeLock(path)
    const error = await rejection(takeLock(path))
    assert.is(error.code, 'DIRECTORY_LOCKED')
    assert.match(error.message, `process ${process.pid}`)
    await lock.release()
    assert.equal(readdirSync(path), [])
    await (await takeLock(path)).release()
  }))

test('another process that holds it is named, and its death sets the lock free, even by kill -9', () =>
  inDirectory(async (path) => {
    const { child, said } = await holder(path)
    assert.is(said, 'held')
    const error = await rejection(takeLock(path))
    assert.is(error.code, 'DIRECTORY_LOCKED')
    assert.match(error.message, `process ${child.pid}`)
    child.kill('SIGKILL')
    await once(child, 'close')
    assert.ok(existsSync(join(path, 'LOCK')), 'the socket file is left over')
    const lock = await takeLock(path)
    assert.is((await holder(path)).said, 'DIRECTORY_LOCKED')
    await lock.release()
    assert.equal(readdirSync(path), [])
  }))

test('of many that start at once after a crash at most one gets the lock', () =>
  inDirectory(async (path) => {
    const { child } = await holder(path)
    child.kill('SIGKILL')
    await once(child, 'close')
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path)))
    const locks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    for (const result of results) {
      if (result.status === 'rejected') assert.is(result.reason.code, 'DIRECTORY_LOCKED')
    }
    assert.is(locks.length, 1)
    await locks[0]!.release()
  }))

test('a takeover marker left by a crash long ago keeps nobody out', () =>
  inDirectory(async (path) => {
    const { child } = await holder(path)
    child.kill('SIGKILL')
    await once(child, 'close')
    const marker = join(path, 'LOCK.takeover')
    closeSync(openSync(marker, 'w'))
    const old = new Date(Date.now() - 60_000)
    utimesSync(marker, old, old)
    await (await takeLock(path)).release()
    assert.not.ok(existsSync(marker))
  }))

test('a directory with a path too long for a socket is locked all the same', () =>
  inDirectory(async (path) => {
    const deep = join(path, 'a'.repeat(100), 'b'.repeat(100))
    mkdirSync(deep, { recursive: true })
    const lock = await takeLock(deep)
    assert.is((await rejection(takeLock(deep))).code, 'DIRECTORY_LOCKED')
    await lock.release()
    const { child, said } = await holder(deep)
    assert.is(said, 'held')
    assert.is((await rejection(takeLock(deep))).code, 'DIRECTORY_LOCKED')
    child.kill('SIGKILL')
    await once(child, 'close')
    await (await takeLock(deep)).release()
  }))

test('a directory that is not there or not a directory is DIRECTORY_UNUSABLE', () =>
  inDirectory(async (path) => {
    assert.is((await rejection(takeLock(join(path, 'absent')))).code, 'DIRECTORY_UNUSABLE')
  }))

test.run()
