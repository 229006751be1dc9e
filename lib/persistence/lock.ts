// One process a directory. The lock is a listening Unix socket in it: the system lets go of it when the process dies, however it dies,
// and who finds it can ask who holds it. A socket file that nobody answers is left over from a crash and is replaced;
// LOCK.takeover keeps two starts from replacing it at once.

import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { CounterError } from '../base/errors.ts'
import { errorCode } from './disk.ts'

export const LOCK_NAME = 'LOCK'
/** The longest path of a Unix socket that every system takes. */
const SOCKET_PATH_MAX = 103
/** A takeover takes microseconds; a marker this old was left by a crash in the middle of one. */
const TAKEOVER_STALE_MS = 10_000
const MARKER_CHECK_MS = 50
const ANSWER_TIMEOUT_MS = 1000

export interface Lock {
  release(): Promise<void>
}

/** Takes the lock of a directory. A parameter of the store, because it works on real sockets. */
export type TakeLock = (directory: string) => Promise<Lock>

/** @throws CounterError DIRECTORY_LOCKED, saying who holds it, or DIRECTORY_UNUSABLE */
export const takeLock: TakeLock = async (directory) => {
  const { address, done } = socketAddress(directory)
  try {
    return await lockAt(directory, address)
  } finally {
    done()
  }
}

async function lockAt(directory: string, address: string): Promise<Lock> {
  const first = await listen(address)
  if (first) return first
  await refuseWhenHeld(directory, address)
  const marker = path.join(directory, `${LOCK_NAME}.takeover`)
  await beginTakeover(directory, address, marker)
  try {
    await refuseWhenHeld(directory, address)
    fs.rmSync(path.join(directory, LOCK_NAME), { force: true })
    const lock = await listen(address)
    if (!lock) throw locked(directory, 'another process that is just starting')
    return lock
  } finally {
    fs.rmSync(marker, { force: true })
  }
}

/** A path short enough for a socket: where the directory's is too long, by way of its descriptor (Linux). */
function socketAddress(directory: string): { address: string; done: () => void } {
  const address = path.join(path.resolve(directory), LOCK_NAME)
  if (Buffer.byteLength(address) <= SOCKET_PATH_MAX) return { address, done: () => {} }
  const relative = path.join(path.relative(process.cwd(), directory), LOCK_NAME)
  if (Buffer.byteLength(relative) <= SOCKET_PATH_MAX) return { address: relative, done: () => {} }
  if (process.platform === 'linux') {
    const descriptor = fs.openSync(directory, 'r')
    return { address: `/proc/self/fd/${descriptor}/${LOCK_NAME}`, done: () => fs.closeSync(descriptor) }
  }
  throw new CounterError('DIRECTORY_UNUSABLE', `the path ${directory} is too long for a lock socket`, {
    fix: 'use a data directory with a shorter path',
  })
}

/** Listens at the address; undefined when the socket file is there already. */
function listen(address: string): Promise<Lock | undefined> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.end(`${process.pid}\n`)
    })
    server.on('error', (error) => {
      if (errorCode(error) === 'EADDRINUSE') return resolve(undefined)
      const fix = 'check that this user may write in the data directory, and that its filesystem takes Unix sockets'
      reject(
        new CounterError('DIRECTORY_UNUSABLE', `cannot make the lock socket ${address}: ${error.message}`, { cause: error, fix }),
      )
    })
    server.listen(address, () => {
      server.unref()
      resolve({ release: () => new Promise((closed) => server.close(() => closed())) })
    })
  })
}

/** Asks whoever listens for its process id; throws when somebody does. */
function refuseWhenHeld(directory: string, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = net.connect(address)
    const held = () => reject(locked(directory, /^\d+\n$/.test(answer) ? `process ${answer.trim()}` : 'another process'))
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy()
      held()
    })
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('end', held)
    socket.on('error', (error) => {
      const code = errorCode(error)
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve()
      else held()
    })
  })
}

/**
 * Makes the marker. One that is there is either of a start that is under way, which will then hold the lock, or was left by a crash in the
 * middle of a takeover: it is waited for, because refusing would keep down a node that is started again at once.
 */
async function beginTakeover(directory: string, address: string, marker: string): Promise<void> {
  for (;;) {
    try {
      fs.closeSync(fs.openSync(marker, 'wx'))
      return
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
    }
    await refuseWhenHeld(directory, address)
    const madeAt = fs.statSync(marker, { throwIfNoEntry: false })?.mtimeMs
    if (madeAt !== undefined && Date.now() - madeAt >= TAKEOVER_STALE_MS) fs.rmSync(marker, { force: true })
    else await setTimeout(MARKER_CHECK_MS)
  }
}

function locked(directory: string, holder: string): CounterError {
  return new CounterError('DIRECTORY_LOCKED', `the data directory ${directory} is in use by ${holder}`, {
    fix: 'stop that node first, or give this one a directory of its own (COUNTER_DATA_DIR)',
  })
}
