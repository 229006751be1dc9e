// Sequences: what other folders may use of them.

export { type Claim, Claims, type ClaimsOptions } from './claims.ts'
export { EtcdSequencer, type EtcdSequencerOptions } from './etcd.ts'
export type { EtcdOptions } from './etcd-gateway.ts'
export { EtcdKv } from './etcd-kv.ts'
export { type HomeHealth, type HomeOptions, HomeSequencer } from './home.ts'
export type { HomePeer, HomePeers } from './home-peers.ts'
export type { ConsensusKv } from './kv.ts'
export { type LocalOptions, LocalSequencer } from './local.ts'
export type { KeptKey, KeyLimits, NoteStore } from './local-book.ts'
export { type Migrated, type MigrationSource, type MigrationTarget, migrate } from './migrate.ts'
export type { SequencePeers } from './peers.ts'
export type { NextOptions, Numbers, SequenceMember, SequencePage, Sequencer, SequenceStatus, SequenceValue } from './sequencer.ts'
export {
  checkNumbersAsked,
  checkSequenceName,
  checkSequenceValue,
  keyReused,
  SEQUENCE_COUNT_MAX,
  SEQUENCE_KEY_BYTES_MAX,
  SEQUENCE_MAX,
  SEQUENCE_NAME_BYTES_MAX,
  sequenceBackwards,
  sequenceExhausted,
  sequenceFrozen,
} from './sequencer.ts'
export { Succession, type SuccessionOptions } from './succession.ts'
