// Where a node looks for others: base URLs that an operator gave. `http://b.example:3001` is one node; `dns+http://counter.internal:3001` is all
// the addresses that the name has at the moment, as a headless service has one for each node; `legacy+http://old.example:3001` is a node of
// the original system, which is pushed to and never asked. Names are looked up each time they are asked for; when that fails, the last good
// answer stands.

import { lookup as systemLookupOne } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { hostOf, type KnownHosts, plainAddress } from './networks.ts'

export interface Seed {
  /** one: the node at this URL; dns: a node at each address of its host; legacy: a node of the original. */
  readonly kind: 'one' | 'dns' | 'legacy'
  /** A plain http(s) base URL, without a slash at its end. */
  readonly url: string
  /** Its host: a name in lower case, or an IP address. */
  readonly host: string
}

/** All IP addresses of a name. @throws Error when it has none or cannot be looked up */
export type Lookup = (host: string) => Promise<readonly string[]>

/** Asks the system, so that its hosts file and search domains count. */
export const systemLookup: Lookup = async (host) => (await systemLookupOne(host, { all: true })).map(({ address }) => address)

export interface SeedsOptions {
  /** As parseSeed takes them. */
  readonly seeds: readonly string[]
  readonly lookup: Lookup
  /** What is not there by then has failed, in milliseconds. */
  readonly lookupTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
}

/** Reads a seed. @throws CounterError CONFIG_INVALID */
export function parseSeed(text: string): Seed {
  const [, prefix, plain = ''] = /^(dns\+|legacy\+)?(.*)$/i.exec(text.trim()) ?? []
  const host = hostOf(plain)
  if (host !== undefined) {
    const kind = prefix === undefined ? 'one' : prefix.toLowerCase() === 'dns+' ? 'dns' : 'legacy'
    return { kind, url: new URL(plain).origin, host }
  }
  throw new CounterError('CONFIG_INVALID', 'a seed should be a base URL such as http://b.example:3001, and is not', {
    fix: 'Write http(s)://HOST:PORT, with dns+ before it for all addresses of the name, or legacy+ for a node of the original.',
  })
}

export class Seeds implements KnownHosts {
  /** Base URLs of the original's nodes. */
  readonly legacy: readonly string[]
  readonly #options: SeedsOptions
  readonly #seeds: readonly Seed[]
  /** The last good answer by name. */
  readonly #addresses = new Map<string, readonly string[]>()
  readonly #failing = new Set<string>()
  /** The look-ups under way by name: one that hangs must not gather others behind it. */
  readonly #lookups = new Map<string, Promise<readonly string[]>>()
  #known: ReadonlySet<string>

  /** @throws CounterError CONFIG_INVALID */
  constructor(options: SeedsOptions) {
    const seeds = options.seeds.map(parseSeed)
    this.#options = options
    this.#seeds = seeds.filter(({ kind }) => kind !== 'legacy')
    this.legacy = seeds.filter(({ kind }) => kind === 'legacy').map(({ url }) => url)
    this.#known = new Set(this.#seeds.map((seed) => seed.host))
  }

  /** Base URLs of the nodes that the seeds stand for now, each once; this node may be among them. Never rejects. */
  async resolve(): Promise<string[]> {
    const names = new Set(this.#seeds.map(({ host }) => host).filter((host) => isIP(host) === 0))
    await Promise.all([...names].map((name) => this.#look(name)))
    this.#known = new Set([...this.#seeds.map((seed) => seed.host), ...[...this.#addresses.values()].flat()])
    return [...new Set(this.#seeds.flatMap((seed) => this.#urlsOf(seed)))]
  }

  /** Whether a host is that of a seed, or an address of one as resolve() last found it. */
  knows(host: string): boolean {
    return this.#known.has(host)
  }

  #urlsOf({ kind, url, host }: Seed): string[] {
    if (kind === 'one' || isIP(host) !== 0) return [url]
    return (this.#addresses.get(host) ?? []).map((address) => {
      const resolved = new URL(url)
      resolved.hostname = address.includes(':') ? `[${address}]` : address
      return resolved.origin
    })
  }

  async #look(name: string): Promise<void> {
    const { logger } = this.#options
    try {
      const found = await this.#withinTime(name)
      // An address with a zone is good on one link alone, and no URL holds it.
      const addresses = found.filter((address) => isIP(address) !== 0 && !address.includes('%')).map(plainAddress)
      if (addresses.length === 0) throw new Error('the name has no address')
      this.#addresses.set(name, [...new Set(addresses)].sort())
      if (this.#failing.delete(name)) logger.info({ seed: name }, 'a seed has addresses again')
    } catch (error) {
      if (this.#failing.has(name)) return
      this.#failing.add(name)
      logger.warn({ err: error, seed: name, kept: this.#addresses.get(name) ?? [] }, 'a seed could not be looked up')
    }
  }

  #withinTime(name: string): Promise<readonly string[]> {
    const { clock, lookup, lookupTimeoutMs } = this.#options
    let looking = this.#lookups.get(name)
    if (looking === undefined) {
      looking = lookup(name).finally(() => this.#lookups.delete(name))
      this.#lookups.set(name, looking)
    }
    return new Promise((resolve, reject) => {
      const cancel = clock.after(lookupTimeoutMs, () => reject(new Error(`no answer within ${lookupTimeoutMs} ms`)))
      looking.then(resolve, reject).finally(cancel)
    })
  }
}
