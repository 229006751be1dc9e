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
    return String((await fstat(this.#descriptor)).ino)
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
  identify: async (name) => String((await fs.promises.stat(name)).ino),
}
