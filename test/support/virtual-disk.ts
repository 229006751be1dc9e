// A disk in memory that forgets exactly what a real one may. Of each file there is what a process sees (the page cache) and what
// is on stable storage, and between them the list of unsynced sector writes and size changes; directories likewise.
//
//   kill()      the process dies: calls under way may or may not have happened, the page cache stays
//   powerCut()  the machine dies: of what was unsynced a random subset is kept, sector by sector, in no order
//
// Every call has two steps, its effect and its answer, and calls under way take them in any order `step` chooses.
// A failed sync drops what was dirty, as Linux does: the cache goes on showing what is not on disk, and the next sync succeeds.

import type { Random } from '../../lib/base/random.ts'
import type { Disk, DiskFile } from '../../lib/persistence/disk.ts'

export const SECTOR_BYTES = 512

export type CallKind =
  | 'open'
  | 'list'
  | 'rename'
  | 'remove'
  | 'ensureDirectory'
  | 'syncDirectory'
  | 'identify'
  | 'write'
  | 'read'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'close'

/** What a fault plan sees of a call. */
export interface Call {
  readonly kind: CallKind
  readonly path: string
}

/** What a fault plan may answer: an error code, or that a write or read stops half way. */
export type Fault = 'EIO' | 'ENOSPC' | 'EMFILE' | 'EDQUOT' | 'short'

type FileChange = { readonly sector: number; readonly bytes: Uint8Array } | { readonly size: number; readonly cut: boolean }

interface DirectoryChange {
  readonly directory: string
  readonly entries: readonly { readonly path: string; readonly inode: Inode | undefined }[]
}

interface PendingCall extends Call {
  /** `part` in (0, 1] is how much of a write or read is done. */
  readonly effect: (part: number) => unknown
  /** The file of a call on a file. */
  readonly inode: Inode | undefined
  readonly answer: (outcome: { value?: unknown; error?: unknown }) => void
  outcome: { value?: unknown; error?: unknown } | undefined
}

/** All that a disk holds, with the identities of files and directories. */
export interface DiskImage {
  readonly files: readonly { readonly path: string; readonly inode: number; readonly bytes: Uint8Array }[]
  readonly directories: readonly (readonly [path: string, inode: number])[]
  readonly inodes: number
}

class Inode {
  readonly number: number
  cache = new Uint8Array(0)
  size = 0
  stable = new Uint8Array(0)
  stableSize = 0
  changes: FileChange[] = []

  constructor(number: number) {
    this.number = number
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.cache.length) this.cache = enlarged(this.cache, end)
    this.cache.set(bytes, position)
    if (end > this.size) this.changes.push({ size: end, cut: false })
    this.size = Math.max(this.size, end)
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.changes.push({ sector, bytes: this.cache.slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES) })
    }
  }

  truncate(size: number): void {
    if (size > this.cache.length) this.cache = enlarged(this.cache, size)
    this.cache.fill(0, Math.min(size, this.size))
    this.size = size
    this.changes.push({ size, cut: true })
  }

  /** Brings the changes that `kept` chooses to stable storage and forgets the others. */
  settle(kept: () => boolean): void {
    for (const change of this.changes) {
      if (!kept()) continue
      if ('sector' in change) {
        const at = change.sector * SECTOR_BYTES
        if (at + SECTOR_BYTES > this.stable.length) this.stable = enlarged(this.stable, at + SECTOR_BYTES)
        this.stable.set(change.bytes, at)
        this.stableSize = Math.max(this.stableSize, Math.min(at + SECTOR_BYTES, this.size))
      } else if (change.cut) {
        this.stable.fill(0, Math.min(change.size, this.stable.length))
        this.stableSize = change.size
      } else this.stableSize = Math.max(this.stableSize, change.size)
    }
    this.changes = []
  }

  /** Only what is stable is left. */
  forgetCache(): void {
    this.cache = enlarged(this.stable.slice(0, this.stableSize), this.stableSize)
    this.size = this.stableSize
  }

  copy(number: number): Inode {
    const copy = new Inode(number)
    copy.write(this.cache.subarray(0, this.size), 0)
    copy.settle(() => true)
    return copy
  }
}

function enlarged(source: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(Math.max(length, Math.min(source.length * 2, source.length + (1 << 20))))
  target.set(source)
  return target
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))

export class VirtualDisk {
  /** Decides whether a call fails. Asked when the call takes effect. */
  plan: (call: Call) => Fault | undefined = () => undefined
  /** Bytes of all files at most. */
  capacity = Number.POSITIVE_INFINITY
  /** How often each call took effect, and each fault hit. */
  readonly calls = new Map<CallKind, number>()
  readonly faults = new Map<string, number>()
  /** Descriptors that are open. */
  openCount = 0
  /** What is told of times of birth, behind the inode numbers: nothing, or a point and one for all. */
  births = ''
  #entries = new Map<string, Inode>()
  #stableEntries = new Map<string, Inode>()
  #directoryChanges: DirectoryChange[] = []
  readonly #directories = new Map<string, number>()
  #pending: PendingCall[] = []
  #inodes = 1
  #life = 0
  readonly #automatic: boolean

  /** @param options automatic: calls are carried out by themselves, in order; else only by `step` */
  constructor(options: { automatic: boolean }) {
    this.#automatic = options.automatic
  }

  /** The disk as one process sees it; after its death nothing it does has an effect or an answer. */
  mount(): Disk {
    const life = this.#life
    const call = <T>(kind: CallKind, path: string, effect: () => T) => this.#call(life, { kind, path }, effect)
    return {
      open: (path, mode) => call('open', path, () => this.#open(life, path, mode)),
      list: (directory) =>
        call('list', directory, () =>
          [...this.#entries.keys()]
            .filter((path) => parentOf(path) === directory)
            .map((path) => path.slice(directory.length + 1)),
        ),
      rename: (from, to) =>
        call('rename', to, () => {
          const inode = this.#find(from)
          this.#change(parentOf(to), [
            { path: from, inode: undefined },
            { path: to, inode },
          ])
        }),
      remove: (path) =>
        call('remove', path, () => {
          if (this.#entries.has(path)) this.#change(parentOf(path), [{ path, inode: undefined }])
        }),
      ensureDirectory: (path) =>
        call('ensureDirectory', path, () => {
          if (!this.#directories.has(path)) this.#directories.set(path, this.#inodes++)
        }),
      syncDirectory: (path) => call('syncDirectory', path, () => this.#settleDirectories((change) => change.directory === path)),
      identify: (path) => call('identify', path, () => `${this.#directories.get(path)}${this.births}`),
    }
  }

  /** Calls under way. */
  get pendingCount(): number {
    return this.#pending.length
  }

  /** Takes one step of one call, `random` or the first; false when none is under way. */
  step(random?: Random): boolean {
    if (this.#pending.length === 0) return false
    const index = random ? random.uint32() % this.#pending.length : 0
    const call = this.#pending[index]!
    if (call.outcome === undefined) {
      call.outcome = this.#carryOut(call)
      return true
    }
    this.#pending.splice(index, 1)
    call.answer(call.outcome)
    return true
  }

  /** The process dies. */
  kill(random: Random): void {
    for (const call of this.#pending) {
      if (call.outcome !== undefined) continue
      const fate = random.uint32() % 3
      if (fate === 0) this.#carryOut(call)
      else if (fate === 1 && call.kind === 'write') swallow(() => call.effect((random.uint32() + 1) / 2 ** 32))
    }
    this.#pending = []
    this.#life++
    this.openCount = 0
  }

  /** The machine dies. `keep` is the probability with which each unsynced change is on disk all the same. */
  powerCut(random: Random, keep: number): void {
    this.kill(random)
    const kept = () => random.uint32() / 2 ** 32 < keep
    const inodes = new Set([...this.#entries.values(), ...this.#stableEntries.values()])
    for (const change of this.#directoryChanges) for (const { inode } of change.entries) if (inode) inodes.add(inode)
    for (const inode of [...inodes].sort((a, b) => a.number - b.number)) {
      inode.settle(kept)
      inode.forgetCache()
    }
    this.#settleDirectories(kept)
    this.#directoryChanges = []
    this.#entries = new Map(this.#stableEntries)
  }

  /** Paths of the files in a directory, as a process sees them, sorted. */
  paths(directory: string): string[] {
    return [...this.#entries.keys()].filter((path) => parentOf(path) === directory).sort()
  }

  bytesOf(path: string): Uint8Array {
    const inode = this.#find(path)
    return inode.cache.slice(0, inode.size)
  }

  /** Puts a file there, durable, as a user would: a new file, or other bytes in the old one. */
  put(path: string, bytes: Uint8Array): void {
    this.#settleDirectories((change) => change.directory === parentOf(path))
    let inode = this.#entries.get(path)
    if (inode === undefined) {
      inode = new Inode(this.#inodes++)
      this.#entries.set(path, inode)
      this.#stableEntries.set(path, inode)
    }
    inode.truncate(0)
    inode.write(bytes, 0)
    inode.settle(() => true)
  }

  /** Changes a file's bytes as a process would that does not sync them. */
  overwrite(path: string, bytes: Uint8Array): void {
    this.#find(path).write(bytes, 0)
  }

  /** Removes a file, durably. */
  drop(path: string): void {
    this.#settleDirectories((change) => change.directory === parentOf(path))
    this.#entries.delete(path)
    this.#stableEntries.delete(path)
  }

  /** Rot: turns one bit over, in the cache and on stable storage. */
  flip(path: string, bit: number): void {
    const inode = this.#find(path)
    const at = bit >>> 3
    inode.settle(() => true)
    inode.cache[at]! ^= 1 << (bit & 7)
    inode.stable[at]! ^= 1 << (bit & 7)
  }

  /** Copies a directory as `cp -r` does: the same bytes in other files. What is at `to` is gone. */
  copyDirectory(from: string, to: string): void {
    this.#settleDirectories((change) => change.directory === to)
    for (const path of this.paths(to)) this.drop(path)
    this.#directories.set(to, this.#inodes++)
    for (const path of this.paths(from)) {
      const copy = this.#find(path).copy(this.#inodes++)
      this.#entries.set(to + path.slice(from.length), copy)
      this.#stableEntries.set(to + path.slice(from.length), copy)
    }
  }

  /** Moves a directory, with the files' identities, over another. */
  moveDirectory(from: string, to: string): void {
    this.#settleDirectories((change) => change.directory === to)
    for (const path of this.paths(to)) this.drop(path)
    this.#directories.set(to, this.#directories.get(from)!)
    this.#directories.delete(from)
    for (const path of this.paths(from)) {
      const inode = this.#find(path)
      this.drop(path)
      this.#entries.set(to + path.slice(from.length), inode)
      this.#stableEntries.set(to + path.slice(from.length), inode)
    }
  }

  /** What a process sees, as an image that a virtual machine is rolled back to or copied from: identities are the same. */
  image(): DiskImage {
    return {
      files: [...this.#entries].map(([path, inode]) => ({ path, inode: inode.number, bytes: inode.cache.slice(0, inode.size) })),
      directories: [...this.#directories],
      inodes: this.#inodes,
    }
  }

  /** Puts an image in the place of all that is here. Nothing may be under way. */
  load(image: DiskImage): void {
    this.#directoryChanges = []
    this.#directories.clear()
    for (const [path, inode] of image.directories) this.#directories.set(path, inode)
    this.#entries = new Map(
      image.files.map(({ path, inode, bytes }) => {
        const file = new Inode(inode)
        file.write(bytes, 0)
        file.settle(() => true)
        return [path, file]
      }),
    )
    this.#stableEntries = new Map(this.#entries)
    this.#inodes = Math.max(this.#inodes, image.inodes)
  }

  #find(path: string): Inode {
    const inode = this.#entries.get(path)
    if (inode === undefined) throw failure('ENOENT', path)
    return inode
  }

  #open(life: number, path: string, mode: 'create' | 'existing' | 'read'): DiskFile {
    let inode = this.#entries.get(path)
    if (inode === undefined) {
      if (mode !== 'create') throw failure('ENOENT', path)
      inode = new Inode(this.#inodes++)
      this.#change(parentOf(path), [{ path, inode }])
    } else if (mode === 'create') inode.truncate(0)
    this.openCount++
    return this.#handle(life, path, inode)
  }

  #handle(life: number, path: string, inode: Inode): DiskFile {
    let open = true
    const call = <T>(kind: CallKind, effect: (part: number) => T) => {
      const checked = (part: number) => {
        if (!open) throw failure('EBADF', path)
        return effect(part)
      }
      return this.#call(life, { kind, path }, checked, inode)
    }
    return {
      write: (bytes, position) =>
        call('write', (part) => this.#write(inode, bytes.subarray(0, Math.ceil(bytes.length * part)), position)),
      read: (target, position) =>
        call('read', (part) => {
          const count = Math.max(0, Math.min(Math.ceil(target.length * part), inode.size - position))
          target.set(inode.cache.subarray(position, position + count))
          return count
        }),
      sync: () => call('sync', () => inode.settle(() => true)),
      truncate: (size) => call('truncate', () => inode.truncate(size)),
      size: () => call('size', () => inode.size),
      identify: () => call('identify', () => `${inode.number}${this.births}`),
      close: () =>
        call('close', () => {
          open = false
          this.openCount--
        }),
    }
  }

  /** As much of `bytes` as there is room for. */
  #write(inode: Inode, bytes: Uint8Array, position: number): number {
    const growth = Math.max(0, position + bytes.length - inode.size)
    const room = this.capacity - this.#used()
    if (growth > room) {
      const fits = bytes.length - (growth - Math.max(0, room))
      if (fits <= 0) {
        this.#count('full')
        throw failure('ENOSPC', 'the disk')
      }
      bytes = bytes.subarray(0, fits)
    }
    inode.write(bytes, position)
    return bytes.length
  }

  #used(): number {
    let used = 0
    for (const inode of new Set(this.#entries.values())) used += inode.size
    return used
  }

  #change(directory: string, entries: DirectoryChange['entries']): void {
    for (const { path, inode } of entries) setEntry(this.#entries, path, inode)
    this.#directoryChanges.push({ directory, entries })
  }

  #settleDirectories(chosen: (change: DirectoryChange) => boolean): void {
    this.#directoryChanges = this.#directoryChanges.filter((change) => {
      if (!chosen(change)) return true
      for (const { path, inode } of change.entries) setEntry(this.#stableEntries, path, inode)
      return false
    })
  }

  #call<T>(life: number, call: Call, effect: (part: number) => T, inode?: Inode): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (life !== this.#life) return
      this.#pending.push({
        ...call,
        effect,
        inode,
        outcome: undefined,
        answer: ({ value, error }) => (error === undefined ? resolve(value as T) : reject(error)),
      })
      if (!this.#automatic) return
      queueMicrotask(() => {
        this.step()
        this.step()
      })
    })
  }

  #carryOut(call: PendingCall): { value?: unknown; error?: unknown } {
    this.calls.set(call.kind, (this.calls.get(call.kind) ?? 0) + 1)
    const fault = this.plan(call)
    try {
      if (fault === undefined) return { value: call.effect(1) }
      this.#count(`${call.kind} ${fault}`)
      if (fault === 'short') return { value: call.effect(0.5) }
      if (call.kind === 'sync' && call.inode) call.inode.changes = []
      if (call.kind === 'close') call.effect(1)
      return { error: failure(fault, call.path) }
    } catch (error) {
      return { error }
    }
  }

  #count(what: string): void {
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1)
  }
}

function setEntry(entries: Map<string, Inode>, path: string, inode: Inode | undefined): void {
  if (inode === undefined) entries.delete(path)
  else entries.set(path, inode)
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

function swallow(action: () => void): void {
  try {
    action()
  } catch {
    // What fails as the process dies has nobody to tell.
  }
}
