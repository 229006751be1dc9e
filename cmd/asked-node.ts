// Which node a command asks: the one that --url names, or else the one that the settings are of; with the token of the settings.

import { InvalidArgumentError } from 'commander'
import { CounterError } from '../lib/base/errors.ts'
import type { Settings } from '../lib/config.ts'

/** What to listen on everywhere is no address to ask. */
const WILDCARDS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

export const tokenOf = ({ token }: Settings): { token?: string } => (token === undefined ? {} : { token })

/** The public port of the node that the settings are of. @throws CounterError CONFIG_INVALID */
export function urlOf({ host: bound, publicPort }: Settings): string {
  if (publicPort === 0) {
    throw new CounterError('CONFIG_INVALID', 'COUNTER_PUBLIC_PORT is 0, which names no port to ask', {
      fix: 'Name the node with --url; its banner says where it listens.',
    })
  }
  const host = WILDCARDS[bound] ?? bound
  return `http://${host.includes(':') ? `[${host}]` : host}:${publicPort}`
}

/** @throws InvalidArgumentError */
export function readUrl(text: string): string {
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return text
  throw new InvalidArgumentError('expected a URL such as http://127.0.0.1:3000')
}

/** An option that may be given often, or once with commas. @throws InvalidArgumentError */
export const readUrls = (text: string, before: readonly string[] = []): string[] => [...before, ...text.split(',').map(readUrl)]
