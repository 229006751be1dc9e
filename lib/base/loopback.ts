// Which addresses only programs on this machine can reach. Beyond them a node wants a token.

import { isIP } from 'node:net'

/** Whether a listener on `host`, a name or an address, is for this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
