// The state on disk: what other folders may use of it.

export type { Disk, DiskFile } from './disk.ts'
export type { Imported, ImportFormat } from './import.ts'
export { importFile } from './import.ts'
export type { Inspection } from './inspect.ts'
export { inspect, namesOf } from './inspect.ts'
export type { Lock, TakeLock } from './lock.ts'
export { takeLock } from './lock.ts'
export type { FsyncMode } from './log.ts'
export { nodeDisk } from './node-disk.ts'
export type { Once, StoredReply } from './replies.ts'
export type { Recovered, StoreOptions, StoreStatus } from './store.ts'
export { Store } from './store.ts'
