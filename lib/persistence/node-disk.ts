// The real disk: node:fs. The callback functions are used because a FileHandle costs several times as much a call.

import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Disk, DiskFile } from './disk.ts'

const open = promisify(fs.open)
const close = promisify(fs.close)
const fdatasync = promisify(fs.fdatasync)
const fsync = promisify(fs.fsync)
const ftruncate = promisify(fs.ftruncate)
const fstat = promisify(fs.fstat)

class NodeFile implements DiskFile {
  readonly #descriptor: number

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  write(bytes: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.#descriptor, bytes, 0, bytes.length, position, (error, written) => (error ? reject(error) : resolve(written)))
    })
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#descriptor, target, 0, target.length, position, (error, count) => (error ? reject(error) : resolve(count)))
    })
  }

  sync(): Promise<void> {
    return fdatasync(this.#descriptor)
  }

  truncate(size: number): Promise<void> {
    return ftruncate(this.#descriptor, size)
  }

  async size(): Promise<number> {
    return (await fstat(this.#descriptor)).size
  }

  async identify(): Promise<string> {
    return identityOf(await fstat(this.#descriptor, { bigint: true }))
  }

  close(): Promise<void> {
    return close(this.#descriptor)
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const descriptor = await open(directory, 'r')
  try {
    await fsync(descriptor)
  } finally {
    await close(descriptor)
  }
}

const FLAGS = { create: 'w+', existing: 'r+', read: 'r' } as const

export const nodeDisk: Disk = {
  open: async (name, mode) => new NodeFile(await open(name, FLAGS[mode])),
  list: (directory) => fs.promises.readdir(directory),
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (name) => fs.promises.rm(name, { force: true }),
  async ensureDirectory(directory) {
    const first = await fs.promises.mkdir(directory, { recursive: true })
    if (first === undefined) return
    // Each new directory is an entry in the one above it.
    const above = path.dirname(path.resolve(first))
    for (let at = path.resolve(directory); at !== above; at = path.dirname(at)) await syncDirectory(path.dirname(at))
  },
  syncDirectory,
  identify: async (name) => identityOf(await fs.promises.stat(name, { bigint: true })),
}

/**
 * The inode number, and where it is known the time of birth: ext4 gives the number of a removed directory to the next one that is made, which
 * is how a backup is put back.
 */
function identityOf({ ino, birthtimeNs }: fs.BigIntStats): string {
  return birthtimeNs > 0n && tellsBirth() ? `${ino}.${birthtimeNs}` : String(ino)
}

let birthIsTold: boolean | undefined

/** Where the system cannot tell when a file was born, Node shows the time of its last change, which no program's file was born at. */
function tellsBirth(): boolean {
  if (birthIsTold === undefined) {
    const { birthtimeNs, ctimeNs } = fs.statSync(process.execPath, { bigint: true })
    birthIsTold = birthtimeNs !== ctimeNs
  }
  return birthIsTold
}
