// MEMBERS: who the other members of the cluster were, as lib/syncsrv wrote it down; to this layer it is bytes with a checksum.
// docs/FORMATS.md, section 5. It goes with a copied directory: the copy asks the same members. A file that does not hold is
// told from none: who had peers and cannot say which must not go on as if it had none.

import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import { readUint32, writeUint32 } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { type Disk, diskFull, errorCode, isDiskFull, readWhole, replaceFile } from './disk.ts'

export const MEMBERS_NAME = 'MEMBERS'
const MAGIC = 'CNTRMBR1'
const VERSION = 1
/** Magic, version, length of the content, crc of all else. */
const HEADER_BYTES = 20
/** No file is longer. Checked before memory is taken for it. */
export const MEMBERS_BYTES_MAX = 1024 * 1024

/** What the file holds, or why it does not hold. */
export interface Members {
  readonly bytes: Uint8Array | undefined
  /** undefined when all is well. */
  readonly damage: string | undefined
}

/** Reads the file; no bytes and no damage when there is none. @throws CounterError IDENTITY_INVALID when a newer program wrote it */
export async function readMembers(disk: Disk, directory: string): Promise<Members> {
  const path = `${directory}/${MEMBERS_NAME}`
  try {
    const file = await disk.open(path, 'read')
    try {
      const size = await file.size()
      if (size > MEMBERS_BYTES_MAX) return damaged(path, `has ${size} bytes, expected at most ${MEMBERS_BYTES_MAX}`)
      return decode(await readWhole(file), path)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { bytes: undefined, damage: undefined }
    throw error
  }
}

/** Puts `bytes` into the place of what was there, durably. */
async function writeMembers(disk: Disk, directory: string, bytes: Uint8Array): Promise<void> {
  assert(bytes.length <= MEMBERS_BYTES_MAX - HEADER_BYTES, 'the members fit into their file')
  const whole = new Uint8Array(HEADER_BYTES + bytes.length)
  whole.set(Buffer.from(MAGIC))
  writeUint32(whole, 8, VERSION)
  writeUint32(whole, 12, bytes.length)
  whole.set(bytes, HEADER_BYTES)
  writeUint32(whole, 16, crcOf(whole))
  await replaceFile(disk, directory, MEMBERS_NAME, async () => whole)
}

const crcOf = (whole: Uint8Array): number => crc32(whole.subarray(HEADER_BYTES), crc32(whole.subarray(0, 16)))

function decode(whole: Uint8Array, path: string): Members {
  if (whole.length < HEADER_BYTES) return damaged(path, `has ${whole.length} bytes, expected at least ${HEADER_BYTES}`)
  if (Buffer.from(whole.subarray(0, 8)).toString('latin1') !== MAGIC) return damaged(path, `does not start with ${MAGIC}`)
  if (readUint32(whole, 16) !== crcOf(whole)) return damaged(path, 'is damaged: its checksum does not fit')
  const version = readUint32(whole, 8)
  if (version !== VERSION) {
    throw new CounterError('IDENTITY_INVALID', `${path} is version ${version}, expected ${VERSION}`, {
      fix: 'start a newer counter',
    })
  }
  if (readUint32(whole, 12) !== whole.length - HEADER_BYTES) return damaged(path, 'is cut off')
  return { bytes: whole.slice(HEADER_BYTES), damage: undefined }
}

const damaged = (path: string, why: string): Members => ({ bytes: undefined, damage: `${path} ${why}` })

/** The file of a directory while its node runs: what it is to say is written one after the other, so the last that was said stays. */
export class MembersFile {
  readonly #disk: Disk
  readonly #directory: string
  #saving: Promise<void> = Promise.resolve()

  constructor({ directory, disk }: { readonly directory: string; readonly disk: Disk }) {
    this.#disk = disk
    this.#directory = directory
  }

  /** Makes the file say this, durably. `bytes` may be reused. @throws (as a rejection) CounterError DISK_FULL, or what the disk throws */
  save(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice()
    const saved = this.#saving.then(() => writeMembers(this.#disk, this.#directory, copy).catch(sayDiskFull))
    this.#saving = saved.catch(() => {})
    return saved
  }

  /** Resolves when nothing is under way. */
  rest(): Promise<void> {
    return this.#saving
  }
}

function sayDiskFull(error: unknown): never {
  throw isDiskFull(error) ? diskFull(error) : error
}
