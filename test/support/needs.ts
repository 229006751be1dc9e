// Tests that need something a machine may lack: a program, a right. Where it is absent the test is skipped by name with
// the reason, which scripts/run-tests.mjs lists and, under CI=true, takes for a failure.
//
//   const chromium = needs('chromium', '/usr/bin/chromium')
//   chromium.test(test, 'the page shows every operation', async () => { ... })

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Callback, Test } from 'uvu'

export interface Need {
  /** Whether it is there. */
  readonly present: boolean
  /** Where it was found; empty when it is absent or not a program. */
  readonly path: string
  /** Adds a test to `suite` that runs only where the need is met. */
  test<T>(suite: Test<T>, name: string, callback: Callback<T>): void
}

/** A program: a path, or a command name that is looked up in PATH (`what` itself when not given). */
export function needs(what: string, program: string = what): Need {
  const places = program.includes('/')
    ? [program]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program))
  const path = places.find(isExecutable)
  return need(path, `needs ${what}, and ${program} is not ${program.includes('/') ? 'there' : 'in PATH'}`)
}

/** Anything else: `needsThat(process.getuid?.() === 0, 'needs to run as root')`. */
export function needsThat(met: boolean, reason: string): Need {
  return need(met ? '' : undefined, reason)
}

function need(path: string | undefined, reason: string): Need {
  return {
    present: path !== undefined,
    path: path ?? '',
    test(suite, name, callback) {
      if (path !== undefined) return suite(name, callback)
      process.stdout.write(`SKIPPED ${name}: ${reason}\n`)
      suite.skip(name, callback)
    },
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
