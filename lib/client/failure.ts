// What can go wrong with a request, as the caller sees it, and what the client may do about it: repeat it, or even ask another node.

/** What the node refused, or could not do. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  /** The last part of the problem's type, such as `name-too-long`; `unreachable` when there was no answer. */
  readonly type: string
  /** 0 when there was no answer. */
  readonly status: number
  /** How to correct it. */
  readonly fix: string | undefined
  /** Whether the request changed a count. */
  readonly applied: 'yes' | 'no' | 'unknown'

  constructor(type: string, status: number, message: string, more: { fix?: string; applied?: string; cause?: unknown }) {
    super(message, { cause: more.cause })
    this.type = type
    this.status = status
    this.fix = more.fix
    this.applied = more.applied === 'yes' || more.applied === 'no' ? more.applied : 'unknown'
  }
}

/** A failed attempt. */
export interface Failure {
  readonly error: ClientError
  /** Whether the same request may succeed shortly. */
  readonly passing: boolean
  /** It is certain that this attempt has not counted. */
  readonly uncounted: boolean
  /** The node has said nothing for the whole time of an attempt. */
  readonly silent: boolean
  /** What the node asked to wait, in milliseconds. */
  readonly afterMs: number
}

/** Statuses after which the same request may succeed shortly. A full disk is not among them: its cure takes people. */
const PASSING_STATUSES = new Set([408, 429, 502, 503, 504])
const PASSING_TYPES = new Set(['key-in-flight', 'log-failed', 'session-behind'])
/** How node says that there never was a connection. Browsers say nothing, which counts as sent. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** An answer that is no success. */
export function refused(response: Response, text: string): Failure {
  const { status } = response
  const problem = problemIn(text)
  const type = problem.type?.split('/').at(-1) ?? `status-${status}`
  const after = Number(response.headers.get('retry-after'))
  return {
    error: new ClientError(type, status, problem.detail ?? `the node answered ${status}`, problem),
    passing: PASSING_STATUSES.has(status) || PASSING_TYPES.has(type),
    uncounted: status === 503 && problem.applied === 'no',
    silent: false,
    afterMs: Number.isFinite(after) ? after * 1000 : 0,
  }
}

/** No answer. */
export function unanswered(base: string, error: unknown): Failure {
  const message = `no answer from ${base}: ${reasonOf(error)}`
  const uncounted = wasNeverSent(error)
  const applied = uncounted ? 'no' : 'unknown'
  const silent = error instanceof Error && error.name === 'TimeoutError'
  return {
    error: new ClientError('unreachable', 0, message, { cause: error, applied }),
    passing: true,
    uncounted,
    silent,
    afterMs: 0,
  }
}

/** The error of the last attempt, when an earlier one may have counted. */
export function doubted({ type, status, message, fix, cause }: ClientError): ClientError {
  return new ClientError(type, status, message, { applied: 'unknown', cause, ...(fix !== undefined && { fix }) })
}

function wasNeverSent(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, syscall } = at as NodeJS.ErrnoException
    if (UNSENT.has(String(code)) || syscall === 'connect') return true
  }
  return false
}

function problemIn(text: string): { type?: string; detail?: string; fix?: string; applied?: string } {
  try {
    const problem: unknown = JSON.parse(text)
    return typeof problem === 'object' && problem !== null ? problem : {}
  } catch {
    return {}
  }
}

const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message || cause.name : String(cause)
}
