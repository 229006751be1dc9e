// Every way a request can fail, in one table: the stable type, the status, what it means, how to fix it, when to come back.
// Handlers throw; only this file knows statuses. The table also makes the error half of the API definition and the pages
// at /problems/{type}, so that what an error says and what the documentation says cannot differ. RFC 9457.

export interface ProblemKind {
  readonly status: number
  readonly title: string
  /** What happened, in a sentence or two, for the page that `type` points to. */
  readonly meaning: string
  /** What to do about it, unless the occurrence knows better. */
  readonly fix: string
  /** Seconds until it is worth trying again; absent when the same request will fail again. */
  readonly retryAfter?: number
}

const kind = (status: number, title: string, meaning: string, fix: string, retryAfter?: number): ProblemKind =>
  retryAfter === undefined ? { status, title, meaning, fix } : { status, title, meaning, fix, retryAfter }

export const PROBLEMS = {
  'request-malformed': kind(
    400,
    'The request is malformed',
    'What arrived is not a well-formed HTTP/1.1 request, or its target or Host header is not a valid one.',
    'Send a well-formed request: a path that starts with a slash, and one valid Host header.',
  ),
  'path-invalid': kind(
    400,
    'The path is malformed',
    'A name in the path is percent-encoded UTF-8; this path holds a sequence that is not.',
    'Encode the name as encodeURIComponent does: % is written %25, a slash %2F.',
  ),
  'query-invalid': kind(
    400,
    'The query is malformed',
    'The query holds a malformed percent sequence, or a parameter that this operation does not take.',
    'Repeat the parameter for each value and percent-encode the values as UTF-8.',
  ),
  'name-invalid': kind(
    400,
    'The name is not valid',
    'A name is UTF-8 text of at least one byte; half of a surrogate pair is not text.',
    'Send a name that is not empty and is well-formed Unicode.',
  ),
  'name-too-long': kind(
    400,
    'The name is too long',
    'A name, a word of a text, an id or a tenant has more bytes in UTF-8 than this node allows. Nothing of the request was counted.',
    'Shorten the name, or raise COUNTER_NAME_BYTES_MAX on the node.',
  ),
  'json-invalid': kind(
    400,
    'The body is not JSON',
    'The body was announced as JSON and could not be read as JSON in UTF-8.',
    'Send valid JSON; `detail` says where reading stopped.',
  ),
  'body-invalid': kind(
    400,
    'The body does not fit',
    'The body is JSON, but not of the shape this operation takes; `errors` lists what does not fit and where.',
    'Correct what `errors` lists; the shapes are at /swagger.',
  ),
  'idempotency-key-invalid': kind(
    400,
    'The Idempotency-Key is not valid',
    'An Idempotency-Key is 1 to 255 visible ASCII characters.',
    'Send a fresh random key for each new operation, such as a UUID.',
  ),
  'failover-invalid': kind(
    400,
    'The failover is not valid',
    'Counter-Failover says that another node may have counted the request already. It is `true`, and comes with the Idempotency-Key by which ' +
      'the nodes know the request again: without a key it could count twice. Nothing was counted.',
    'Send Counter-Failover: true with the Idempotency-Key of the first attempt, or leave it out.',
  ),
  'write-level-invalid': kind(
    400,
    'The write level is not valid',
    'A write level is 1, majority or all, in the query (w=) or in the header Counter-Write-Level; asked for in both, they say the same.',
    'Send w=majority or w=all to wait for other nodes, or nothing to wait for this one alone.',
  ),
  'accept-invalid': kind(
    400,
    'The acceptance is not valid',
    'How many members must take a batch of items is one, majority or all.',
    'Send accept=majority or accept=all, or nothing for what COUNTER_ITEMS_ACCEPT says.',
  ),
  'session-invalid': kind(
    400,
    'The session is not valid',
    'A Counter-Session is what a write has answered in the header of that name, unchanged.',
    'Send the Counter-Session of the last reply, or none to begin a new session.',
  ),
  unauthorized: kind(
    401,
    'A token is needed',
    'This node was started with COUNTER_TOKEN, and the request did not bring that token.',
    'Send the header: Authorization: Bearer <token>.',
  ),
  'cross-site': kind(
    403,
    'A page of another site may not write here',
    'The browser says that a page of another origin makes this request. Counter takes writes from its own pages and from programs.',
    'Make the request from a program, or from a page served by this node.',
  ),
  'host-not-allowed': kind(
    403,
    'This host name is not served',
    'The node listens on loopback without a token, and the Host header names something else: so looks a DNS rebinding attack.',
    'Use localhost or 127.0.0.1 in the URL, or start the node with COUNTER_TOKEN.',
  ),
  'not-found': kind(404, 'There is nothing at this path', 'No operation has this path.', 'GET /swagger lists the operations.'),
  'member-unknown': kind(
    404,
    'There is no such member',
    'No member of the cluster has this node id.',
    'GET /v1/cluster lists the members.',
  ),
  'item-unknown': kind(
    404,
    'There is no such item',
    'No item has this id: it was never given to a tenant, or it is deleted.',
    'POST /v1/items gives items to tenants.',
  ),
  'method-not-allowed': kind(
    405,
    'The path does not take this method',
    'There is an operation at this path, but not for this method; the Allow header lists the methods.',
    'Use one of the methods in the Allow header.',
  ),
  'not-acceptable': kind(
    406,
    'No acceptable representation',
    'The Accept header leaves none of the types in which this answer can be given.',
    'Accept application/json, or leave the Accept header out.',
  ),
  'request-timeout': kind(
    408,
    'The request took too long to arrive',
    'The headers or the body did not arrive in time. Nothing was counted.',
    'Send smaller requests, or use a faster link.',
  ),
  'count-overflow': kind(
    409,
    'The count would leave its range',
    'A count is a uint64 for what was added and one for what was subtracted; this increment would pass 2^64 - 1. Nothing was counted.',
    'Start a new name; a count never wraps around.',
  ),
  'key-in-flight': kind(
    409,
    'The first request with this key is still under way',
    'A request with the same Idempotency-Key has not been answered yet.',
    'Repeat the request after a second; it then gets the reply of the first.',
    1,
  ),
  'member-alive': kind(
    409,
    'The member is alive',
    'Only a member that is gone for good can be removed: one that lives may hold counts that no other has yet.',
    'Drain it: it hands over what it has, and leaves.',
  ),
  'session-behind': kind(
    412,
    'This node is behind the session',
    'The Counter-Session stands for writes that have not reached this node in the time that a read waits for them. They are not lost.',
    'Ask again after the Retry-After time, or ask the node that took the writes; without the header this node shows what it has.',
    1,
  ),
  'sequence-frozen': kind(
    409,
    'The sequences are frozen',
    'The sequences have moved to another engine, or are being moved. No number was taken.',
    'Set the engine that they have moved to on every node; when the move was given up, thaw them: `counter sequence thaw`.',
  ),
  'sequence-backwards': kind(
    409,
    'The sequence is further already',
    'The value is below numbers that were given already: they would be given a second time. Nothing was changed.',
    'Send a greater value, or `force` if the numbers after it were never used.',
  ),
  'sequence-exhausted': kind(
    409,
    'The sequence is at its end',
    'The last number of a sequence is 2^53 - 1. No number was taken.',
    'Start a sequence of another name.',
  ),
  'sequence-sound': kind(
    409,
    'There is nothing to recover',
    'All numbers that were given are known, so that the sequences go on by themselves. Nothing was changed.',
    'Go on as before. To let one sequence go on higher, set it.',
  ),
  'slots-conflict': kind(
    409,
    'The shard keeps another map of slots',
    'A shard keeps its map of slots until it is given a later version of it, and is always the same shard. Nothing was changed.',
    'Name the shards in COUNTER_SHARDS as they were first named: as many, and in the same order.',
  ),
  'body-too-large': kind(
    413,
    'The body is too large',
    'The body has more bytes than this operation takes. Nothing was counted.',
    'Send it in pieces, a text cut between words, a list by its items, each with its own Idempotency-Key.',
  ),
  'media-type-unsupported': kind(
    415,
    'The content type is not supported',
    'This operation does not take bodies of this content type.',
    'Set the Content-Type header to one of the types that `detail` lists.',
  ),
  'encoding-unsupported': kind(
    415,
    'Encoded bodies are not supported',
    'The body is compressed or otherwise encoded. Counter takes bodies as they are, so that their size is known before they are read.',
    'Send the body without a Content-Encoding.',
  ),
  'slots-moved': kind(
    421,
    'The request goes by another map of slots',
    'An aggregator names the map of slots that it goes by with each request, and this shard keeps another; `slots` shows it. Nothing was counted.',
    'GET /v1/cluster/slots of the aggregator and of the shard show both maps; COUNTER_SHARDS should name the shards as they were first named.',
    1,
  ),
  'key-reused': kind(
    422,
    'The Idempotency-Key was used for another request',
    'A request with the same key, but another method, path, content type or body, was answered before. Nothing was counted.',
    'Make a fresh key for each operation, and repeat a key only with the very same request.',
  ),
  'headers-too-large': kind(
    431,
    'The headers are too large',
    'The request line and the headers together are larger than the node reads.',
    'Ask for fewer names in one request.',
  ),
  internal: kind(
    500,
    'The node made a mistake',
    "Something failed that should not; the node's log has the details under the request id in `instance`.",
    'Read the counter before repeating the request, or repeat it with its Idempotency-Key.',
  ),
  'log-failed': kind(
    500,
    'The log failed',
    'The disk reported an error while the increment was being made durable. It may have been counted or not; the node ends its service.',
    'Repeat the request with its Idempotency-Key once the node is back; without one read the counter first.',
  ),
  busy: kind(
    503,
    'The node is busy',
    'More writes are waiting for the disk than the node lets wait. Nothing was counted.',
    'Repeat the request after the Retry-After time.',
    1,
  ),
  closed: kind(
    503,
    'The node is not in service',
    'The node is starting or shutting down. Nothing was counted.',
    'Repeat the request after the Retry-After time, or ask another node.',
    1,
  ),
  starting: kind(
    503,
    'The node is starting',
    'The node has its counts and answers reads, and asks the other members what they know of it before it takes writes.',
    'Try again in a second, or send the request to another node.',
    1,
  ),
  draining: kind(
    503,
    'The node is leaving the cluster',
    'The node hands over what it has to the other members and takes no more writes. Reads go on until it has left. Nothing was counted.',
    'Send the request to another node.',
    1,
  ),
  'writes-unsettled': kind(
    503,
    'The node cannot take a write that another may have counted',
    'The node keeps what each write with a key has added until all members know of it, so that what was counted twice is taken back. It keeps ' +
      'as much as it may, because a member has been gone for long, and this request may have been counted by another node. Nothing was counted.',
    'Send the request to the node that was asked first. Bring back the member that is gone, or remove it when it is gone for good: ' +
      '`counter cluster` shows it.',
    1,
  ),
  'member-unreachable': kind(
    503,
    'The member does not answer',
    'The order has to reach the member itself, and it did not answer this node.',
    'Send it to the public port of the member itself; when the member is gone for good, remove it.',
    1,
  ),
  'items-refused': kind(
    503,
    'The items were not accepted',
    'The batch was to be kept only when enough members take it, and `refusals` lists who did not, and why. It is kept nowhere.',
    'Bring the members that `refusals` lists in order and repeat the request, or ask for less: accept=majority, or accept=one.',
    1,
  ),
  'not-over-shards': kind(
    501,
    'An aggregator does not do this',
    'The operation belongs to one node or one cluster, and an aggregator stands before several.',
    'Send the request to a node of the shard; GET /v1/cluster/slots lists them.',
  ),
  'slots-frozen': kind(
    503,
    'Names are on their way to another shard',
    'Some names of the request are on their way from one shard to another, which takes a moment, and are not written to meanwhile. ' +
      'Nothing was counted.',
    'Repeat the request. When this lasts, a move was cut off: run `counter shards rebalance`, or `counter shards give-up`.',
    1,
  ),
  'shards-missing': kind(
    503,
    'A shard that is needed is not in service',
    'Some of what was asked for lies on shards that do not answer; `missing` lists them. Nothing was counted.',
    'Repeat the request after the Retry-After time; GET /v1/cluster/slots shows how the shards do.',
    1,
  ),
  'shards-partly': kind(
    503,
    'Some shards have counted their part and others have not',
    'The names of the request lie on several shards, and not all of them took their part; `parts` says what became of each.',
    'Repeat the request with the same Idempotency-Key: each part then counts once. Without a key it cannot be repeated as a whole.',
    1,
  ),
  'sequence-unavailable': kind(
    503,
    'The engine of the sequences does not answer',
    'Numbers come from the engine alone, so that none is given twice, and it does not answer or refuses; `detail` says why. No number was taken.',
    'Repeat the request after the Retry-After time; GET /v1/sequence-engine says how the engine does.',
    1,
  ),
  'sequence-unknown': kind(
    504,
    'The engine of the sequences has not answered in time',
    'The engine was asked and has not answered, so that numbers may have been taken or not.',
    'Repeat the request with the same Idempotency-Key: it then gets the same numbers. Without one a number may be left out.',
    1,
  ),
  'shards-unknown': kind(
    504,
    'A shard has not answered in time',
    'The request was sent to a shard that did not answer, so that it may have been counted or not.',
    'Repeat the request with the same Idempotency-Key; without one read the counter first.',
    1,
  ),
  'disk-full': kind(
    507,
    'The disk is full',
    'There is no room for the log. Reads go on; writes resume by themselves when there is room. Nothing was counted.',
    'Make room on the disk of the data directory; no restart is needed.',
    10,
  ),
  'names-max': kind(
    507,
    'There are too many names',
    'The node holds as many names as COUNTER_KEYS_MAX allows. Names it knows can still be counted. Nothing was counted.',
    'Raise COUNTER_KEYS_MAX on the node.',
    60,
  ),
  'items-max': kind(
    507,
    'There are too many items',
    'The node holds as many items as COUNTER_ITEMS_MAX allows. Items it knows can still change tenants. Nothing of the request was kept.',
    'Raise COUNTER_ITEMS_MAX on the node.',
    60,
  ),
} as const satisfies Record<string, ProblemKind>

export type ProblemType = keyof typeof PROBLEMS
