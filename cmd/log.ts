// The log of a node: pino on stderr, one JSON object a line, or one line of text for people.
// Written synchronously, so that the last words of a node that must end are not lost.

import { type Logger, pino, stdTimeFunctions } from 'pino'

export interface LogSettings {
  readonly nodeId: number
  readonly logLevel: string
  readonly logFormat: 'auto' | 'json' | 'text'
}

export function createLogger(settings: LogSettings, output: NodeJS.WriteStream = process.stderr): Logger {
  const forPeople = settings.logFormat === 'text' || (settings.logFormat === 'auto' && output.isTTY)
  const options = {
    level: settings.logLevel,
    base: { node: settings.nodeId },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  if (!forPeople) return pino(options, pino.destination({ fd: 2, sync: true }))
  return pino(options, { write: (line: string) => void output.write(asText(line)) })
}

/** A line of pino's JSON as text: `12:34:56 info  the message  field=value`. */
export function asText(line: string): string {
  const { time, level, msg, node: _, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const cause = err === undefined ? '' : `\n${describe(err as LoggedError)}`
  return `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${msg ?? ''}${rest.join('')}${cause}\n`
}

interface LoggedError {
  readonly type?: string
  readonly message?: string
  readonly code?: string
  readonly fix?: string
  readonly stack?: string
}

/** What went wrong in operation, and what to do; of our own mistakes where they happened. */
function describe(error: LoggedError): string {
  const { type, message, code, fix, stack } = error
  if (type !== 'CounterError') return stack ?? JSON.stringify(error)
  return `  because: ${message} [${code}]${fix === undefined ? '' : `\n  ${fix}`}`
}
