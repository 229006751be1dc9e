// Asks an address who is there and what it knows of the own node id: at a start, of seeds, and when a node id seems to be taken.

import { converse, cutOff, unexpected } from './conversation.ts'
import { encodeProbe, type Probed } from './messages.ts'
import { completeAddress, hostOfAddress } from './roster.ts'
import type { Site } from './site.ts'

const PATH = '/v1/probe'

/** @throws CounterError as converse */
export async function probe(site: Site, address: string, timeoutMs = site.options.requestTimeoutMs): Promise<Probed> {
  const body = encodeProbe({ sender: site.roster.sender() })
  for await (const message of converse(site, address, PATH, body, timeoutMs)) {
    return message.kind === 'probed' ? message : unexpected(address, PATH, message)
  }
  return cutOff(address, PATH)
}

/** Makes whoever answered a probe a member, when it was not known. What it says of itself later counts for more. */
export function introduce(site: Site, { sender }: Probed, address: string): void {
  const { node, incarnation, publicUrl } = sender
  const own = completeAddress(sender.address, hostOfAddress(address))
  const reachable = own === address || site.roster.mayContact({ node, address: own }) ? own : address
  const member = { node, incarnation, edition: 0, state: 'alive', address: reachable, publicUrl } as const
  site.roster.heard(sender, [member], hostOfAddress(address))
}

/** Whether another process with the own node id answers at an address. @throws nothing: who does not answer does not hold it */
export async function holdsOwnId(site: Site, address: string): Promise<Probed | undefined> {
  try {
    const probed = await probe(site, address)
    return probed.sender.node === site.options.node && probed.sender.life !== site.life ? probed : undefined
  } catch {
    return undefined
  }
}
