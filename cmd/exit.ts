// How a command ends: an error becomes a sentence with the next step on stderr, and an exit code that scripts can rely on.

import { CounterError } from '../lib/base/errors.ts'
import { ClientError } from '../lib/client/index.ts'

/** Exit codes; 69 and 78 are those of sysexits.h. */
export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 69, config: 78 } as const

const UNREACHABLE =
  /^(ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_SOCKET)$/

export function exitCodeOf(error: unknown): number {
  if (error instanceof CounterError) return error.code === 'CONFIG_INVALID' ? EXIT.config : EXIT.failure
  if (error instanceof ClientError) return error.type === 'unreachable' ? EXIT.unreachable : EXIT.failure
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && UNREACHABLE.test(String(at.code))) return EXIT.unreachable
  }
  return EXIT.failure
}

/** What went wrong and what to do next, for people. A fault of ours comes with its stack. */
export function explain(error: unknown): string {
  if (error instanceof CounterError) {
    const cause = error.cause instanceof Error ? `\n  because: ${error.cause.message}` : ''
    return `counter: ${error.message} [${error.code}]${cause}${nextStep(error)}`
  }
  if (exitCodeOf(error) === EXIT.unreachable)
    return `counter: nothing answers there (${(error as Error).message}). Is the node running?`
  if (error instanceof ClientError) return `counter: ${error.message} [${error.type}]${nextStep(error)}`
  return `counter: ${error instanceof Error ? error.stack : String(error)}`
}

/** What to do, as a sentence on a line of its own. */
function nextStep({ fix }: { readonly fix?: string | undefined }): string {
  if (!fix) return ''
  return `\n${fix[0]!.toUpperCase()}${fix.slice(1)}${/[.!?:]$/.test(fix) ? '' : '.'}`
}
