// The problems that many operations have in common, by what they do: need a token, read counts, write counts, take JSON. What is one operation's
// own stands with it. In the API definition the types of one status follow each other in the order in which they are listed here.

export const TOKEN = ['unauthorized', 'host-not-allowed'] as const

/** What only a shard or an aggregator answers. */
const SHARDS = ['slots-moved', 'slots-frozen', 'shards-missing'] as const

export const READ = [...TOKEN, ...SHARDS, 'session-invalid', 'session-behind', 'log-failed', 'closed'] as const

export const WRITE = [
  ...TOKEN,
  ...SHARDS,
  'shards-partly',
  'shards-unknown',
  'not-over-shards',
  'cross-site',
  'idempotency-key-invalid',
  'failover-invalid',
  'write-level-invalid',
  'session-invalid',
  'key-in-flight',
  'key-reused',
  'name-too-long',
  'count-overflow',
  'body-too-large',
  'encoding-unsupported',
  'request-timeout',
  'log-failed',
  'internal',
  'busy',
  'closed',
  'starting',
  'draining',
  'writes-unsettled',
  'disk-full',
  'names-max',
] as const

/** A write says the rest. */
export const JSON_BODY = ['media-type-unsupported', 'json-invalid', 'body-invalid'] as const
