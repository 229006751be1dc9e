// `counter items load`: the file, the nodes and the signals of a load, which lib/loading does. A first signal lets what is under way end, a
// second one does not wait; in both cases the same command goes on where it was.

import { createReadStream, type Stats, statSync } from 'node:fs'
import { constants } from 'node:os'
import { systemClock } from '../lib/base/clock.ts'
import { CounterError } from '../lib/base/errors.ts'
import { systemRandom } from '../lib/base/random.ts'
import { type Accept, ClientError, connect, Spreader } from '../lib/client/index.ts'
import type { Settings } from '../lib/config.ts'
import { begin, goOn, type LoadEnd, type LoadItem, load, type Plan, type Progress, startOf } from '../lib/loading/index.ts'
import { tokenOf } from './asked-node.ts'
import { EXIT } from './exit.ts'
import { LoadDisplay } from './load-display.ts'
import { ResumeFile } from './resume-file.ts'

export interface LoadCommand {
  readonly file: string
  readonly urls: readonly string[]
  readonly settings: Settings
  readonly format?: 'ndjson' | 'csv'
  readonly batch: number
  readonly concurrency: number
  readonly accept?: Accept
  readonly skipBad?: true
  readonly resumeFile?: string
}

const FORMATS: Readonly<Record<string, 'ndjson' | 'csv'>> = { ndjson: 'ndjson', jsonl: 'ndjson', csv: 'csv' }
const SAVE_MS = 500
const READ_BYTES = 1 << 18
/** Ctrl-C under npx arrives twice: what follows this closely is the same signal. */
const SAME_SIGNAL_MS = 500
const RETRIES = { retriesMax: 6, backoffMs: 200, backoffMaxMs: 5000 }

/** @returns the exit code. @throws CounterError, ClientError */
export async function loadItems(command: LoadCommand): Promise<number> {
  const { file, urls, batch, settings, concurrency, skipBad = false } = command
  const name = file === '-' ? 'standard input' : file
  const stats = file === '-' ? undefined : statsOf(file)
  const plan = { format: formatOf(command), batch, nodes: urls }
  const resume = resumeFileOf(command, stats)
  const before = startingPoint(plan, resume)
  const display = new LoadDisplay(name, before, stats?.isFile() ? stats.size : undefined)
  if (before.offset > 0) display.say(`goes on after ${before.items} items, at line ${before.line} of ${name}`)

  const signals = new Signals(() => display.say('stops when what is under way has ended; a second signal stops at once'))
  const spreader = spreaderTo(command, name, signals.now)
  // What comes from a pipe comes from its beginning.
  const start = stats?.isFile() ? startOf(before) : 0
  const stream = file === '-' ? process.stdin : createReadStream(file, { start, highWaterMark: READ_BYTES })
  let end: LoadEnd
  try {
    end = await load({
      name,
      progress: before,
      source: stats?.isFile() ? stream : from(stream, startOf(before)),
      nameBytesMax: settings.nameBytesMax,
      concurrency,
      skipBad,
      saveIntervalMs: SAVE_MS,
      clock: systemClock,
      send: ({ items, key }) => spreader.send(items, key),
      save: async (progress) => resume?.save(progress),
      onProgress: (progress, bad) => display.show(progress, bad),
      stop: signals.soon,
    })
  } finally {
    // Or it would be waited for.
    stream.destroy()
    display.end()
    signals.close()
  }

  const { items, skipped, line } = end.progress
  if (end.isWhole) {
    resume?.remove()
    const left = skipped > 0 ? `; ${skipped} ${skipped === 1 ? 'line was' : 'lines were'} left out` : ''
    process.stdout.write(`${name}: ${items} items loaded in ${display.seconds.toFixed(1)} s${left}\n`)
    return EXIT.ok
  }
  const next =
    resume === undefined
      ? 'What comes from a pipe can be gone on with only when --resume-file was given.'
      : `The same command goes on from there (${resume.path}).`
  const hasBegun = items > 0 || skipped > 0 || end.progress.offset > 0
  if (hasBegun || signals.code !== undefined) {
    process.stderr.write(`stopped: ${items} items were taken, all in front of line ${line}. ${next}\n`)
  }
  if (signals.code !== undefined && (end.failure === undefined || signals.now.aborted)) return signals.code
  throw end.failure
}

function statsOf(file: string): Stats {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined || stats.isDirectory()) {
    throw new CounterError('LOAD_INVALID', `there is no file ${file}`, { fix: 'check the path' })
  }
  return stats
}

/** @throws CounterError LOAD_INVALID when the name does not say it either */
function formatOf({ file, format }: LoadCommand): 'ndjson' | 'csv' {
  const known = format ?? FORMATS[file.slice(file.lastIndexOf('.') + 1).toLowerCase()]
  if (known !== undefined) return known
  throw new CounterError('LOAD_INVALID', `the name ${file} does not say what the file is`, {
    fix: 'add --format ndjson or --format csv',
  })
}

/** What comes from a pipe has no place beside it. */
function resumeFileOf({ file, resumeFile }: LoadCommand, stats: Stats | undefined): ResumeFile | undefined {
  if (resumeFile !== undefined) return new ResumeFile(resumeFile)
  return stats?.isFile() ? new ResumeFile(`${file}.progress`) : undefined
}

function startingPoint(given: Omit<Plan, 'load'>, resume: ResumeFile | undefined): Progress {
  const plan = { ...given, load: Array.from({ length: 4 }, () => systemRandom.uint32().toString(36)).join('-') }
  const saved = resume?.read()
  return saved === undefined ? begin(plan) : goOn(saved, plan, resume!.path)
}

/** The bytes of `source` from `start` on. */
async function* from(source: AsyncIterable<Uint8Array>, start: number): AsyncGenerator<Uint8Array, void> {
  let at = 0
  for await (const piece of source) {
    if (at + piece.length > start) yield piece.subarray(Math.max(0, start - at))
    at += piece.length
  }
}

/** Spreads windows over the nodes, and says of what a node refuses on which line it stands. */
function spreaderTo({ urls, settings, accept }: LoadCommand, name: string, signal: AbortSignal): Spreader<LoadItem> {
  const clients = urls.map((url) => connect(url, { ...tokenOf(settings), retriesMax: 0 }))
  return new Spreader<LoadItem>({
    ...RETRIES,
    nodes: urls.length,
    signal,
    async send(node, share, index, key) {
      try {
        await clients[node]!.addItems(share, { idempotencyKey: `${key}-${index}`, signal, ...(accept && { accept }) })
      } catch (error) {
        throw onItsLine(error, name, share)
      }
    },
  })
}

const MISFIT = /^\/items\/(\d+)\/?(\w*): (.*)$/s

function onItsLine(error: unknown, name: string, share: readonly LoadItem[]): unknown {
  if (!(error instanceof ClientError) || error.type !== 'body-invalid') return error
  const [, index, field, reason] = MISFIT.exec(error.message) ?? []
  const item = share[Number(index)]
  if (item === undefined) return error
  return new CounterError(
    'LOAD_INVALID',
    `${name}, line ${item.line}: the node refuses the ${field}: ${reason} Nothing of its batch was kept`,
    {
      cause: error,
      fix: 'correct the line; when names are too long for the node, --name-bytes-max with its limit and --skip-bad leave such lines out',
    },
  )
}

/** The first signal stops the load in order, a second one at once. */
class Signals {
  readonly #soon = new AbortController()
  readonly #now = new AbortController()
  readonly #onFirst: () => void
  #firstMs = 0
  /** The exit code that the first signal asks for. */
  code: number | undefined

  constructor(onFirst: () => void) {
    this.#onFirst = onFirst
    process.on('SIGINT', this.#take)
    process.on('SIGTERM', this.#take)
  }

  get soon(): AbortSignal {
    return this.#soon.signal
  }

  get now(): AbortSignal {
    return this.#now.signal
  }

  close(): void {
    process.off('SIGINT', this.#take)
    process.off('SIGTERM', this.#take)
  }

  readonly #take = (signal: NodeJS.Signals): void => {
    if (this.code !== undefined) {
      if (systemClock.monotonicMs() - this.#firstMs > SAME_SIGNAL_MS) this.#now.abort(new Error(`stopped by ${signal}`))
      return
    }
    this.code = 128 + constants.signals[signal]
    this.#firstMs = systemClock.monotonicMs()
    this.#soon.abort()
    this.#onFirst()
  }
}
