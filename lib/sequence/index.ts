// Sequences: what other folders may use of them.

export { type HomeHealth, type HomeOptions, HomeSequencer } from './home.ts'
export type { HomePeer, HomePeers } from './home-peers.ts'
export { type LocalOptions, LocalSequencer } from './local.ts'
export type { KeptKey, KeyLimits, NoteStore } from './local-book.ts'
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
