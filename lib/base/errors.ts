// The one error class for everything that can go wrong in operation: a stable code, a message for people.
// Codes are listed in docs/OPERATING.md and change only with a major version; messages may change any time.

export type ErrorCode =
  // Input that is refused whole; nothing was applied.
  | 'NAME_INVALID'
  | 'NAME_TOO_LONG'
  | 'NAMES_MAX'
  | 'ITEMS_MAX'
  | 'CLOCK_AHEAD'
  | 'BATCH_TOO_LARGE'
  | 'COUNT_OVERFLOW'
  | 'DELTA_INVALID'
  | 'KEY_IN_FLIGHT'
  | 'KEY_REUSED'
  | 'KEYS_UNSETTLED'
  // The disk.
  | 'DISK_FULL'
  | 'LOG_BUSY'
  | 'LOG_CORRUPT'
  | 'LOG_FAILED'
  | 'LOG_VERSION'
  | 'SNAPSHOT_CORRUPT'
  | 'SNAPSHOT_INVALID'
  | 'SNAPSHOT_VERSION'
  | 'IDENTITY_INVALID'
  | 'DIRECTORY_LOCKED'
  | 'DIRECTORY_UNUSABLE'
  // Other nodes.
  | 'SYNC_INVALID'
  | 'SYNC_UNTRUSTED'
  | 'PEER_UNREACHABLE'
  | 'PEER_REFUSED'
  | 'NODE_ID_TAKEN'
  | 'DRAINING'
  | 'STARTING'
  | 'MEMBER_UNKNOWN'
  | 'MEMBER_ALIVE'
  | 'ITEMS_REFUSED'
  | 'SERVICE_UNKNOWN'
  // Shards.
  | 'SLOTS_INVALID'
  | 'SLOTS_CONFLICT'
  | 'SLOTS_MOVED'
  | 'SLOTS_FROZEN'
  // Sequences.
  | 'SEQUENCE_UNAVAILABLE'
  | 'SEQUENCE_UNKNOWN'
  | 'SEQUENCE_FROZEN'
  | 'SEQUENCE_BACKWARDS'
  | 'SEQUENCE_EXHAUSTED'
  | 'SEQUENCE_SOUND'
  // Starting up.
  | 'CONFIG_INVALID'
  | 'PORT_UNUSABLE'
  | 'IMPORT_INVALID'
  | 'FILE_EXISTS'
  | 'LOAD_INVALID'
  | 'RESUME_INVALID'
  | 'CLOSED'

/**
 * An operating error: a full disk, a bad file, a refused input.
 * `message` says what happened, with got and expected; `fix`, where there is one, says what to do next.
 */
export class CounterError extends Error {
  override readonly name = 'CounterError'
  readonly code: ErrorCode
  readonly fix: string | undefined

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; fix?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fix = options.fix
  }
}
