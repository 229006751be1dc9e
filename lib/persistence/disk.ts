// What persistence needs of a disk, as narrow as it gets, so that the simulator can own it: files written at offsets,
// an explicit sync for data and for directories, and errors with the operating system's codes.

import { CounterError } from '../base/errors.ts'

export interface Disk {
  /** Opens for reading and writing: 'create' makes a new empty file or empties the old one, 'existing' must be there. */
  open(path: string, mode: 'create' | 'existing' | 'read'): Promise<DiskFile>
  /** Names in the directory, in no order. */
  list(directory: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes the directory and those above it, durably. */
  ensureDirectory(path: string): Promise<void>
  /** Makes renames, creations and removals in the directory durable. */
  syncDirectory(path: string): Promise<void>
  /** What tells the directory itself from a copy of it: its inode number, or that, a point and the time of its birth. */
  identify(path: string): Promise<string>
}

export interface DiskFile {
  /** Writes at `position` and returns how many bytes were written, which may be fewer than asked. */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** Reads at `position` into `target` and returns how many bytes were read; 0 is the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>
  /** Returns when what was written is on stable storage (fdatasync). */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  size(): Promise<number>
  /** What tells this file from a copy of it: its inode number, or that, a point and the time of its birth. */
  identify(): Promise<string>
  close(): Promise<void>
}

/** Writes all of `bytes`, going on after a short write. */
export async function writeAll(file: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const written = await file.write(done === 0 ? bytes : bytes.subarray(done), position + done)
    // A write of nothing is how some systems say that there is no room; going on for ever is not an answer.
    if (written === 0) throw Object.assign(new Error('write of 0 bytes'), { code: 'ENOSPC' })
    done += written
  }
}

/** Reads the whole file. */
export async function readWhole(file: DiskFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.size())
  let done = 0
  while (done < bytes.length) {
    const count = await file.read(bytes.subarray(done), done)
    if (count === 0) return bytes.subarray(0, done)
    done += count
  }
  return bytes
}

/** Puts a small file in the place of the old one so that a crash leaves either, whole: temporary file, sync, rename, sync. */
export async function replaceFile(disk: Disk, directory: string, name: string, content: (file: DiskFile) => Promise<Uint8Array>) {
  const temporary = `${directory}/${name}.tmp`
  const file = await disk.open(temporary, 'create')
  try {
    await writeAll(file, await content(file), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(temporary, `${directory}/${name}`)
  await disk.syncDirectory(directory)
}

/** The operating system's code of an error (ENOSPC, EIO, ...), or undefined. */
export const errorCode = (error: unknown): string | undefined => (error as { code?: string } | undefined)?.code

/** Whether the error says that there is no room: the disk is full, or a quota is. */
export const isDiskFull = (error: unknown): boolean => errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT'

/** What is said then to whoever asked. */
export function diskFull(cause: unknown): CounterError {
  return new CounterError('DISK_FULL', 'the disk of the data directory is full', {
    cause,
    fix: 'free some space; writes are accepted again within two seconds, without a restart',
  })
}
