// The certificates and keys that settings name, read at a start.

import { readFileSync } from 'node:fs'
import { CounterError } from '../base/errors.ts'

/** @param name of the setting. @throws CounterError CONFIG_INVALID */
export function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new CounterError('CONFIG_INVALID', `the file of ${name} cannot be read: ${(error as Error).message}`, {
      cause: error,
      fix: `Correct ${name}, or let the node's user read the file.`,
    })
  }
}
