// Which addresses that other nodes tell of may be contacted: what is learned by gossip must not turn this node into somebody else's hand. An
// address is a plain http(s) base URL, and its host is that of a seed, an address that a seed's name resolves to, or an IP address in one of
// the operator's networks. A name that is not a seed's is never looked up.

import { BlockList, isIP } from 'node:net'
import { CounterError } from '../base/errors.ts'

/** The hosts of the seeds, as Seeds knows them. */
export interface KnownHosts {
  /** @param host a name in lower case, or an IP address as plainAddress gives it */
  knows(host: string): boolean
}

export class Networks {
  readonly #networks = new BlockList()
  readonly #seeds: KnownHosts

  /**
   * @param texts networks in CIDR notation, such as 10.0.0.0/8 or fd00::/8; an address alone is a network of one
   * @throws CounterError CONFIG_INVALID
   */
  constructor(texts: readonly string[], seeds: KnownHosts) {
    for (const text of texts) addNetwork(this.#networks, text)
    this.#seeds = seeds
  }

  /**
   * Whether the address may be contacted.
   * @param from the IP address from which a member's own request came, where it did: that host may be asked back
   */
  allows(address: string, from?: string): boolean {
    const host = hostOf(address)
    if (host === undefined) return false
    if (this.#seeds.knows(host)) return true
    const version = isIP(host)
    if (version === 0) return false
    return host === from || this.#networks.check(host, version === 4 ? 'ipv4' : 'ipv6')
  }
}

function addNetwork(networks: BlockList, text: string): void {
  const [, address = '', bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  const prefix = bits === undefined ? (version === 4 ? 32 : 128) : Number(bits)
  const plain = plainAddress(address)
  // Of a network of IPv4 addresses that are dressed as IPv6 the last 32 bits count.
  const plainPrefix = version === 6 && isIP(plain) === 4 ? prefix - 96 : prefix
  const plainVersion = isIP(plain)
  if (plainVersion === 0 || plainPrefix < 0 || plainPrefix > (plainVersion === 4 ? 32 : 128)) {
    throw new CounterError('CONFIG_INVALID', `a network should be in CIDR notation, and "${text}" is not`, {
      fix: 'Write networks such as 10.0.0.0/8 or fd00::/8, with commas between.',
    })
  }
  networks.addSubnet(plain, plainPrefix, plainVersion === 4 ? 'ipv4' : 'ipv6')
}

/** The host of an http(s) base URL: a name in lower case or a plain IP address. Undefined when it is not one, or says more than a base URL. */
export function hostOf(address: string): string | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/` || url.port === '0') return undefined
  return plainAddress(url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, ''))
}

/** An IP address in its shortest form, an IPv4 address that is dressed as IPv6 undressed; anything else as it is. */
export function plainAddress(text: string): string {
  if (isIP(text) !== 6 || text.includes('%')) return text
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const words = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(address)
  if (words === null) return address
  const [high, low] = [Number.parseInt(words[1]!, 16), Number.parseInt(words[2]!, 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}
