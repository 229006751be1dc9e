// How a process that serves comes to its end: by a signal in order, at once by a second one, at once by a fault of ours. A process that was
// started by `counter sharded` also ends, in order, when that one is gone.

import type { Logger } from 'pino'
import { systemClock } from '../lib/base/clock.ts'
import { EXIT } from './exit.ts'

/** What can be ended in order. */
export interface Ending {
  close(): Promise<void>
}

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const
/** Ctrl-C under `npm start` arrives twice, from the terminal and from npm: what follows this closely is the same signal. */
const SAME_SIGNAL_MS = 500

/** A fault of ours: nothing is known of the state any more, and what is on disk is the truth. */
export function endOnFault(logger: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, `${event}: the node ends; start it again, and report this`)
      process.exit(EXIT.failure)
    })
  }
}

export function endOnSignal(logger: Logger, current: () => Ending | undefined): void {
  let endingSinceMs: number | undefined
  const end = async (signal: string, code: number): Promise<void> => {
    const nowMs = systemClock.monotonicMs()
    if (endingSinceMs !== undefined) {
      if (nowMs - endingSinceMs > SAME_SIGNAL_MS) process.exit(code)
      return
    }
    endingSinceMs = nowMs
    const node = current()
    logger.info(
      { signal },
      node === undefined ? 'ends while starting' : 'ends after the requests under way; a second signal ends it at once',
    )
    await node?.close()
    process.exit(EXIT.ok)
  }
  for (const [signal, code] of Object.entries(SIGNALS)) process.on(signal, () => void end(signal, code))
  if (process.channel != null) {
    process.once('disconnect', () => void end('the process that started it is gone', SIGNALS.SIGTERM))
    // A process that cannot start ends by itself.
    process.channel.unref()
  }
}
