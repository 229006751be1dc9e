// The sync port and what happens on it: what other folders may use of it.

export { HEAD_BYTES, MessageReader, writeHead } from './framing.ts'
export type { SinceStart, SinceStep, SyncStore } from './store.ts'
export { type Answer, MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX, SYNC_PATHS, type SyncPath, type Transport } from './transport.ts'
