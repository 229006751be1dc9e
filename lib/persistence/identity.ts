// IDENTITY: who writes the own column in this directory, and which directory that is. One line of JSON and its crc32.
// An incarnation is resumed only in the directory it was made in; in a copy or a restored backup, where inode numbers or
// times of birth are others, a new one is opened, because the original may live on and two writers of one column would lose counts.
// `relaxed` is true while a life runs that acknowledges before the disk has it (COUNTER_FSYNC=interval, never): found by a start,
// it says that sequence numbers may have been given out that the log has lost.

import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { LIST_INCARNATIONS, NODE_MAX, type ReplicaId } from '../storage/index.ts'
import { type Disk, errorCode, readWhole, replaceFile } from './disk.ts'

export const IDENTITY_NAME = 'IDENTITY'
export const IDENTITY_VERSION = 2

export interface Identity extends ReplicaId {
  /** Whether the directory and the file are the very ones that were written, not copies. */
  readonly original: boolean
  /** Whether a life that acknowledged before the disk had it did not end cleanly. */
  readonly relaxed: boolean
}

interface Fields {
  version: number
  node: number
  incarnation: number
  /** Missing in version 1. */
  relaxed?: boolean
  directory: string
  file: string
}

/** Reads the directory's identity; undefined when it has none. @throws CounterError IDENTITY_INVALID */
export async function readIdentity(disk: Disk, directory: string): Promise<Identity | undefined> {
  const path = `${directory}/${IDENTITY_NAME}`
  let text: string
  let inode: string
  try {
    const file = await disk.open(path, 'read')
    try {
      text = Buffer.from(await readWhole(file)).toString('utf8')
      inode = await file.identify()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  const fields = parse(text, path)
  const original = isSame(fields.directory, await disk.identify(directory)) && isSame(fields.file, inode)
  return { node: fields.node, incarnation: fields.incarnation, original, relaxed: fields.relaxed ?? false }
}

/** Makes `self` the identity of the directory, durably. */
export async function writeIdentity(disk: Disk, directory: string, self: ReplicaId, relaxed: boolean): Promise<void> {
  const inode = await disk.identify(directory)
  await replaceFile(disk, directory, IDENTITY_NAME, async (file) => {
    const { node, incarnation } = self
    const fields: Fields = {
      version: IDENTITY_VERSION,
      node,
      incarnation,
      relaxed,
      directory: inode,
      file: await file.identify(),
    }
    const json = JSON.stringify(fields)
    return Buffer.from(`${json} ${crcOf(json)}\n`)
  })
}

/**
 * An incarnation that no other life of any node has: the second it begins, and twenty random bits.
 * @param above it is greater than this, also when the clock has gone back
 */
export function newIncarnation(clock: Clock, random: Random, above: number): number {
  const bits = random.uint32() >>> 12
  const timely = Math.floor(clock.now() / 1000) * 2 ** 20 + bits
  const incarnation = timely > above ? timely : above + 1 + bits
  assert(incarnation < LIST_INCARNATIONS, 'incarnations of nodes end where those of lists begin')
  return incarnation
}

/** Whether two identities are of one file. One without a time of birth was noted by an older version, or on another system. */
function isSame(noted: string, found: string): boolean {
  const [[notedNumber, notedBirth], [number, birth]] = [noted.split('.'), found.split('.')]
  return notedNumber === number && (notedBirth === undefined || birth === undefined || notedBirth === birth)
}

const crcOf = (text: string): string => crc32(text).toString(16).padStart(8, '0')

function parse(text: string, path: string): Fields {
  const match = /^(\{[^\n]*\}) ([0-9a-f]{8})\n$/.exec(text)
  if (!match || crcOf(match[1]!) !== match[2]) invalid(path, 'is damaged: its checksum does not fit')
  const fields = JSON.parse(match[1]!) as Fields
  if (fields.version !== IDENTITY_VERSION && fields.version !== 1) {
    invalid(path, `is version ${fields.version}, expected ${IDENTITY_VERSION} or 1`)
  }
  const relaxedType = fields.version === 1 ? 'undefined' : 'boolean'
  if (typeof fields.relaxed !== relaxedType) invalid(path, `says relaxed: ${fields.relaxed}`)
  const isWhole = (value: unknown, max: number) =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
  if (!isWhole(fields.node, NODE_MAX)) invalid(path, `names node ${fields.node}`)
  if (!isWhole(fields.incarnation, Number.MAX_SAFE_INTEGER)) invalid(path, `names incarnation ${fields.incarnation}`)
  return fields
}

function invalid(path: string, why: string): never {
  throw new CounterError('IDENTITY_INVALID', `${path} ${why}`, {
    fix: 'remove the file: the node then keeps all counts and goes on under a new incarnation',
  })
}
